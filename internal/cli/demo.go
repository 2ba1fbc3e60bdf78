package cli

import (
	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/demo"
)

func newDemo(s Streams) *cobra.Command {
	var serve bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show mirroring at work, with real services on this machine",
		Long: `Demo starts real httpbin services, a sundog for each of two clusters with the
configuration of the examples, and sends requests through them. It shows what
each service got, the access log, the configuration and the ledger, and ends
with a clear result. It needs no root, no network and no files.`,
		Example: `  sundog demo

  # stay up, and try it by hand
  sundog demo --serve`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Run(cmd.Context(), demo.Options{Serve: serve, Out: s.Out})
		},
	}
	cmd.Flags().BoolVar(&serve, "serve", false, "keep everything running until it is interrupted, and print commands to try")
	return cmd
}
