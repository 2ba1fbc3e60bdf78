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
	self   string // this program, which plays destinations as well
	sundog string // the binary
	runs   int
	length time.Duration
	conns  int
	idle   int           // idle connections
	long   time.Duration // load of the memory part
	quick  bool          // less of the parts harm, verdict and compare
	soaked soakOptions
	certs  map[keyKind]keyPair
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
		{"tls", "CPU per request, TLS from the client", (*bench).cpuTLS},
		{"h2", "CPU per request, HTTP/2 from the client", (*bench).cpuH2},
		{"grpc", "CPU per gRPC call", (*bench).cpuGRPC},
		{"handshakes", "TLS handshakes", (*bench).handshakes},
		{"latency", "Latency at equal load", (*bench).latency},
		{"harm", "What a broken shadow does to clients", (*bench).harm},
		{"memory", "Memory with a hung shadow", (*bench).memory},
		{"idle", "Idle connections", (*bench).idleConnections},
		{"routes", "Ten routes and ten thousand", (*bench).routes},
		{"loops", "Two loops", (*bench).loops},
		{"soak", "Soak", (*bench).soak},
		{"verdict", "Verdicts: false alarms, and exchanges needed", (*bench).verdict},
		{"compare", "Comparing: what it costs", (*bench).compare},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := run
	if len(os.Args) > 1 && os.Args[1] == roleCommand {
		do = playRole
	}
	if err := do(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
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
	b.measures(fs)
	out := fs.String("out", "", "Markdown `FILE` to write the parts into")
	binary := fs.String("sundog", "", "`FILE` to measure as Sundog, instead of building it")
	cache := fs.String("cache", ".cache", "`FOLDER` for fetched peers")
	fetch := fs.Bool("fetch", true, "fetch peers that are not there")
	caddy := fs.Bool("caddy", true, "measure Caddy, too; building it the first time takes minutes")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := b.check(); err != nil {
		return err
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
	if err := b.prepare(ctx, *binary); err != nil {
		return err
	}
	b.peers = findPeers(ctx, *cache, *fetch, *caddy)
	b.report = newReport(os.Stdout, *out, typed(fs))
	b.report.revision = revision(ctx)
	return b.measure(ctx, selected)
}

// typed is the command that measures the same elsewhere: without the flags that
// say where things are on this machine.
func typed(fs *flag.FlagSet) string {
	command := []string{"go run ./bench"}
	fs.Visit(func(f *flag.Flag) {
		switch value := f.Value.String(); {
		case slices.Contains([]string{"out", "sundog", "cache", "fetch"}, f.Name):
		case value == "true":
			command = append(command, "-"+f.Name)
		case value == "false":
			command = append(command, "-"+f.Name+"=false")
		default:
			command = append(command, "-"+f.Name, value)
		}
	})
	return strings.Join(append(command, fs.Args()...), " ")
}

// measures are the flags that say how much to measure.
func (b *bench) measures(fs *flag.FlagSet) {
	fs.IntVar(&b.runs, "runs", 5, "measured runs of each proxy, alternating; one more warms up")
	fs.DurationVar(&b.length, "length", 2*time.Second, "length of a run; half of it in the harm part")
	fs.IntVar(&b.conns, "connections", 32, "keep-alive connections of HTTP/1.1")
	fs.IntVar(&b.idle, "idle", 10_000, "connections of the idle part")
	fs.DurationVar(&b.long, "long", 60*time.Second, "load of the memory part")
	fs.BoolVar(&b.quick, "quick", false, "less: a few cells of the harm part's matrix, in some four minutes; fewer runs of verdict; a shorter memory test of compare")
	fs.IntVar(&b.soaked.requests, "requests", 10_000_000, "requests of the soak part")
	fs.BoolVar(&b.soaked.h2, "soak-h2", false, "HTTP/2 from the client in the soak part")
}

func (b *bench) check() error {
	if b.runs < 1 || b.length < time.Second || b.conns < 1 || b.idle < 1 || b.long < time.Second || b.soaked.requests < 1000 {
		return errors.New("-runs, -connections and -idle are at least 1, -length and -long at least 1s, -requests at least 1000")
	}
	return nil
}

// prepare builds sundog, unless there is one, and makes certificates.
func (b *bench) prepare(ctx context.Context, binary string) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // nginx's worker is somebody else
		return err
	}
	if b.certs, err = makeCerts(b.dir); err != nil {
		return err
	}
	if binary != "" {
		b.sundog, err = filepath.Abs(binary)
		return err
	}
	b.sundog = filepath.Join(b.dir, "sundog")
	if err := tool(ctx, nil, "go", "build", "-o", b.sundog, "./cmd/sundog"); err != nil {
		return fmt.Errorf("building sundog: %w", err)
	}
	return nil
}

// measure runs the parts, tells how long each took, and writes each into the
// page as soon as it is there. A part that fails does not stop the others.
func (b *bench) measure(ctx context.Context, selected []part) error {
	var failed []error
	for _, p := range selected {
		began := time.Now()
		b.report.begin(p)
		if err := p.measure(b, ctx); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", p.name, err)
			b.report.printf("\n**NOT FINISHED**: %v.\n", err)
		}
		b.report.printf("\n")
		fmt.Fprintf(os.Stderr, "bench: %s took %v\n", p.name, time.Since(began).Round(time.Second))
		if ctx.Err() != nil {
			return errors.Join(append(failed, ctx.Err())...)
		}
		if err := b.report.save(b.machine(ctx)); err != nil {
			return errors.Join(append(failed, err)...)
		}
	}
	if rows := b.report.failures; rows > 0 {
		failed = append(failed, fmt.Errorf("%d rows or cells could not be measured; the reasons are above", rows))
	}
	return errors.Join(failed...)
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
