package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

// bench is one run: where things are, and how long to measure.
type bench struct {
	dir    string // scratch
	sundog string // the binary
	runs   int
	length time.Duration
	conns  int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	b := bench{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&b.runs, "runs", 5, "measured runs of each proxy, alternating")
	fs.DurationVar(&b.length, "length", 3*time.Second, "length of a run")
	fs.IntVar(&b.conns, "connections", 32, "keep-alive connections")
	if err := fs.Parse(args); err != nil {
		return err
	}
	for _, tool := range []string{"nginx", "wrk", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: apt-get install nginx-core wrk nghttp2-client", tool)
		}
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "sundog-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.sundog = filepath.Join(b.dir, "sundog")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.sundog, "./cmd/sundog")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building sundog: %w", err)
	}
	what := fs.Args()
	if len(what) == 0 {
		what = []string{"cpu", "harm"}
	}
	for _, w := range what {
		switch w {
		case "cpu":
			err = b.cpu(ctx)
		case "harm":
			err = b.harm(ctx)
		default:
			err = fmt.Errorf("there is no measurement %q: cpu, harm", w)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
