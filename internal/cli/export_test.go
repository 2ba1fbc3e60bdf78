package cli

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/translate"
)

// ParseSize parses a size and prints it again.
func ParseSize(s string) (bytes int64, printed string, err error) {
	var v sizeValue
	err = v.Set(s)
	return int64(v), v.String(), err
}

// ParsePublish exposes parsePublish.
func ParsePublish(s string) (translate.Publish, error) { return parsePublish(s) }

// ParseLabels parses labels and prints them again.
func ParseLabels(s string) (labels map[string]string, printed string, err error) {
	v := labelsValue{"a": "default"}
	err = v.Set(s)
	return v, v.String(), err
}

// Watch calls changed when the files at paths have changed since now.
func Watch(ctx context.Context, paths []string, ready chan<- struct{}, changed func()) error {
	w := newWatcher(func() []string { return paths }, takeFingerprint(watchable(paths)), slog.New(slog.DiscardHandler))
	close(ready)
	return w.Run(ctx, changed)
}

// PrintListenError prints what a failure to bind a port looks like.
func PrintListenError(w io.Writer, err error) int {
	return printError(w, explainListen(err, "--listen"))
}

// MirrorSnapshot is the snapshot of the command mirror.
func MirrorSnapshot(listen, primary string, shadows []string, percent float64) (*envoy.Snapshot, error) {
	f := mirrorFlags{listen: listen, primary: primary, shadows: shadows, percent: percent, shadowHostSuffix: true}
	return f.snapshot()
}

// Loads is what a command with the arguments does each time that it loads its
// configuration.
func Loads(args ...string) (func() (*envoy.Snapshot, string, []config.Problem), error) {
	var flags configFlags
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags.add(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	src, err := flags.source("run", nil)
	if err != nil {
		return nil, err
	}
	var versions envoy.Versions
	return func() (*envoy.Snapshot, string, []config.Problem) {
		l := src.load()
		return l.snapshot, versions.Of(l.snapshot), l.problems
	}, nil
}
