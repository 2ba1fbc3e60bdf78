package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
)

func newConfigDump(s Streams) *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "config-dump -f PATH...",
		Short: "Print a configuration as Envoy's /config_dump would show it",
		Long: `Config-dump translates a configuration into Envoy's terms and prints it as JSON
on stdout, in the shape of Envoy's /config_dump?include_eds. Problems go to
stderr; with an error nothing is printed and the exit code is 1.

Equal configurations print equal bytes: last_updated is the epoch, since
nothing has been applied.`,
		Example: `  sundog config-dump -f examples/in-cluster >before.json
  sundog config-dump -f examples/in-cluster | jq '.configs[3].dynamic_route_configs'`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			src, err := flags.source("config-dump", s.In)
			if err != nil {
				return err
			}
			l := src.load()
			printProblems(s.Err, l.problems)
			if config.HasErrors(l.problems) {
				return errInvalid()
			}
			dump, err := envoy.MarshalDump(envoy.ConfigDump(l.snapshot, time.Unix(0, 0)))
			if err != nil {
				return err
			}
			_, err = s.Out.Write(dump)
			return err
		},
	}
	flags.add(cmd.Flags())
	return cmd
}
