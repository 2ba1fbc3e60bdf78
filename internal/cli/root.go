package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Streams are the standard streams of the program.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs the program with its arguments (without its name) until it is done
// or ctx ends, and returns its exit code: 0, 1 for an error, 2 for arguments
// that make no sense; verdict has codes of its own.
func Main(ctx context.Context, args []string, s Streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return printError(s.Err, err)
	}
	return exitOK
}

func newRoot(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "sundog",
		Short: "Mirror production traffic to a new version, without risk",
		Long: `Sundog reads Istio YAML, routes HTTP traffic as it says, and mirrors a share of
it: every copy is counted, and none can be noticed by a client.`,
		Example: `  # what the files mean, without serving anything
  sundog validate -f examples/in-cluster

  # serve them; then: http_proxy=http://127.0.0.1:15001 curl http://httpbin:8000/headers
  sundog run -f examples/in-cluster --endpoint httpbin/v1=127.0.0.1:28001

  # no YAML at all
  sundog mirror --listen 127.0.0.1:8080 --primary http://127.0.0.1:9001 --shadow http://127.0.0.1:9002`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(err, "'"+cmd.CommandPath()+" --help' lists the flags")
	})
	root.AddCommand(
		newRun(s),
		newMirror(s),
		newValidate(s),
		newConfigDump(s),
		newReport(s),
		newVerdict(s),
		newDemo(s),
		newVersion(s),
	)
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := "'sundog --help' lists the commands"
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = "did you mean '" + strings.Join(near, "' or '") + "'?"
	}
	return usageError(fmt.Errorf("unknown command %q", name), hint)
}

// noArgs refuses arguments that are no flags.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(fmt.Errorf("unexpected argument %q", args[0]), "'"+cmd.CommandPath()+" --help' shows how it is used; files are given with -f")
}
