package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/config"
)

func newValidate(s Streams) *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "validate -f PATH...",
		Short: "Check a configuration and print everything that is wrong in it",
		Long: `Validate reads and translates a configuration as run would, prints every
problem with its file and line on stderr, and serves nothing.

It exits with 1 if there is an error; warnings and notes are only told.`,
		Example: `  sundog validate -f examples/in-cluster
  kubectl get virtualservices,destinationrules,services,endpointslices -o yaml | sundog validate -f -`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			src, err := flags.source("validate", s.In)
			if err != nil {
				return err
			}
			l := src.load()
			printProblems(s.Err, l.problems)
			if config.HasErrors(l.problems) {
				return withHint(fmt.Errorf("%s, the configuration is not valid", plural(l.objects, "object")), "mend the errors above")
			}
			_, err = fmt.Fprintf(s.Out, "%s, configuration is valid\n", plural(l.objects, "object"))
			return err
		},
	}
	flags.add(cmd.Flags())
	return cmd
}
