//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run: where things are, and how long to measure.
type bench struct {
	dir    string // scratch
	sundog string // the binary
	runs   int
	length time.Duration
	conns  int
	idle   int           // idle connections
	long   time.Duration // load of the memory part
	peers  peers
	report *report
}

// part is a measurement that can be selected by name.
type part struct {
	name, title string
	measure     func(*bench, context.Context) error
}

// parts are all measurements, in the order of the page.
func parts() []part {
	return []part{
		{"cpu", "CPU per request", (*bench).cpu},
		{"latency", "Latency at equal load", (*bench).latency},
		{"harm", "Latency with a broken shadow", (*bench).harm},
		{"memory", "Memory with a hung shadow", (*bench).memory},
		{"idle", "Idle connections", (*bench).idleConnections},
		{"routes", "Ten routes and ten thousand", (*bench).routes},
		{"loops", "Two loops", (*bench).loops},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	b := bench{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: go run ./bench [flags] [%s]...\n", strings.Join(names(), "|"))
		fs.PrintDefaults()
	}
	fs.IntVar(&b.runs, "runs", 5, "measured runs of each proxy, alternating; one more warms up")
	fs.DurationVar(&b.length, "length", 2*time.Second, "length of a run")
	fs.IntVar(&b.conns, "connections", 32, "keep-alive connections of the cpu, latency, routes and loops parts")
	fs.IntVar(&b.idle, "idle", 10_000, "connections of the idle part")
	fs.DurationVar(&b.long, "long", 60*time.Second, "load of the memory part")
	out := fs.String("out", "", "Markdown `FILE` to write the parts into")
	cache := fs.String("cache", ".cache", "`FOLDER` for fetched peers")
	fetch := fs.Bool("fetch", true, "fetch peers that are not there")
	caddy := fs.Bool("caddy", false, "measure Caddy, too; building it takes minutes")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if b.runs < 1 || b.length < time.Second || b.conns < 1 || b.idle < 1 || b.long < time.Second {
		return errors.New("-runs, -connections and -idle are at least 1, -length and -long at least 1s")
	}
	selected, err := choose(fs.Args())
	if err != nil {
		return err
	}
	for _, tool := range []string{"nginx", "wrk", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing: apt-get install nginx-core wrk nghttp2-client", tool)
		}
	}
	if b.dir, err = os.MkdirTemp("", "sundog-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.sundog = filepath.Join(b.dir, "sundog")
	if err := tool(ctx, nil, "go", "build", "-o", b.sundog, "./cmd/sundog"); err != nil {
		return fmt.Errorf("building sundog: %w", err)
	}
	b.peers = findPeers(ctx, *cache, *fetch, *caddy)
	b.report = newReport(os.Stdout, "go run ./bench "+strings.Join(args, " "))
	if err := b.measure(ctx, selected); err != nil {
		return err
	}
	if *out == "" {
		return nil
	}
	return b.report.writeInto(*out, b.machine(ctx))
}

// measure runs the parts and tells how long each took.
func (b *bench) measure(ctx context.Context, selected []part) error {
	for _, p := range selected {
		began := time.Now()
		b.report.begin(p)
		if err := p.measure(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %v\n", p.name, time.Since(began).Round(time.Second))
	}
	return nil
}

// choose returns the named parts, all of them for no name.
func choose(args []string) ([]part, error) {
	if len(args) == 0 {
		return parts(), nil
	}
	var chosen []part
	for _, name := range args {
		i := slices.Index(names(), name)
		if i < 0 {
			return nil, fmt.Errorf("there is no part %q: %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, parts()[i])
	}
	return chosen, nil
}

func names() []string {
	var all []string
	for _, p := range parts() {
		all = append(all, p.name)
	}
	return all
}

// tool runs a program to its end, with its output on stderr.
func tool(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// median is 0 for no values.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
