package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// build is what the binary knows of its own making.
type build struct {
	version, commit, date string
	modified              bool
}

func readBuild() build {
	b := build{version: "(devel)", commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.version = cmp.Or(info.Main.Version, b.version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.date = s.Value
		case "vcs.modified":
			b.modified = s.Value == "true"
		}
	}
	return b
}

func newVersion(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it was built from and with",
		Example: `  sundog version`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			commit := b.commit
			if b.date != "" {
				commit += " of " + b.date
			}
			if b.modified {
				commit += ", with changes"
			}
			_, err := fmt.Fprintf(s.Out, "sundog %s\ncommit: %s\ngo:     %s %s/%s\ndriver: %s\n",
				b.version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, loop.Driver)
			return err
		},
	}
}
