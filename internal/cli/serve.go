package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/admin"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/handover"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/overload"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/telemetry"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// serveFlags are the flags of a command that serves: run and mirror.
type serveFlags struct {
	admin       string
	shadowLog   bool
	concurrency int
	drainTime   time.Duration
	level       levelValue

	shadowTimeout     time.Duration
	shadowBuffer      sizeValue
	shadowMaxRequests int
	shadowMaxBytes    sizeValue

	protect protectFlags
	compare compareFlags

	handover string
}

func (f *serveFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.admin, "admin", "127.0.0.1:15000", "`ADDRESS` of the admin interface; empty: none")
	fs.BoolVar(&f.shadowLog, "shadow-log", false, "write an access log line for each shadow, too")
	fs.IntVar(&f.concurrency, "concurrency", 0, "event loops (default: one for each core)")
	fs.DurationVar(&f.drainTime, "drain-time", 5*time.Second, "how long requests may go on after SIGTERM")
	f.level = levelValue(slog.LevelInfo)
	fs.Var(&f.level, "log-level", "least grave messages to log: debug, info, warn or error")

	fs.DurationVar(&f.shadowTimeout, "shadow-timeout", 15*time.Second, "how long a shadow may take for its whole answer")
	f.shadowBuffer, f.shadowMaxBytes = 1<<20, 64<<20
	fs.Var(&f.shadowBuffer, "shadow-buffer", "most bytes that wait for one slow shadow")
	fs.IntVar(&f.shadowMaxRequests, "shadow-max-requests", 1024, "most shadows in flight, for each mirror")
	fs.Var(&f.shadowMaxBytes, "shadow-max-bytes", "most bytes that wait for shadows, for each mirror")
	f.protect.add(fs)
	f.compare.add(fs)
	fs.StringVar(&f.handover, "handover", "", "Unix socket `PATH` through which a new sundog, with the same flag, takes over the listening sockets")
}

// check refuses values that make no sense.
func (f *serveFlags) check() error {
	switch {
	case f.concurrency < 0:
		return usageError(fmt.Errorf("--concurrency %d is negative", f.concurrency), "leave it out for one event loop for each core")
	case f.drainTime < 0:
		return usageError(fmt.Errorf("--drain-time %v is negative", f.drainTime), "0 ends all connections at once")
	case f.shadowTimeout <= 0:
		return usageError(fmt.Errorf("--shadow-timeout %v is not positive", f.shadowTimeout), "to send no shadows, remove the mirror")
	case f.shadowBuffer <= 0 || f.shadowMaxBytes <= 0 || f.shadowMaxRequests <= 0:
		return usageError(errors.New("the limits of shadows must be positive"), "to send no shadows, remove the mirror")
	}
	if f.concurrency == 0 {
		f.concurrency = runtime.GOMAXPROCS(0)
	}
	return f.protect.check()
}

// server is the running program: the proxy, its admin interface and its access
// log, one part each.
type server struct {
	flags  serveFlags
	move   string // the flags that move listeners to other ports, for hints
	logger *slog.Logger
	proxy  *proxy.Proxy
	log    *telemetry.AccessLog
	judge  *comparing
	limits *overload.Monitor
	taken  *handover.Taken // from the process that this one replaces; nil: none
	state  *admin.State

	applied *envoy.Snapshot
	bound   map[netip.AddrPort]bool
}

// newServer makes all parts and starts none.
func newServer(s Streams, flags serveFlags, move string) (*server, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	spareProcessor(flags.concurrency)
	logger := slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.Level(flags.level)}))
	log := telemetry.NewAccessLog(telemetry.LogOptions{Shadows: flags.shadowLog, Stdout: s.Out, Stderr: s.Err, Logger: logger})
	limits := flags.protect.monitor(flags.concurrency, logger)
	compared, err := newComparing(flags.compare, logger)
	if err != nil {
		return nil, err
	}
	taken, err := takeOver(flags.handover, logger)
	if err != nil {
		return nil, err
	}
	p, err := proxy.New(proxy.Options{
		Concurrency: flags.concurrency,
		Inherited:   taken.Sockets(),
		Shadow: mirror.Limits{
			Timeout: flags.shadowTimeout, Buffer: int64(flags.shadowBuffer),
			MaxRequests: flags.shadowMaxRequests, MaxBytes: int64(flags.shadowMaxBytes),
		},
		Brake:     flags.protect.brake(),
		Overload:  limits,
		DrainTime: flags.drainTime,
		Sink:      traffic.Sinks{log, compared.judge},
		Comparing: compared.follow,
		Logger:    logger,
	})
	if err != nil {
		return nil, err
	}
	compared.proxy = p
	return &server{
		flags: flags, move: move, logger: logger, proxy: p, log: log, judge: compared, limits: limits, taken: taken,
		state: admin.NewState(p, time.Now()), bound: map[netip.AddrPort]bool{},
	}, nil
}

// spareProcessor gives the Go scheduler one processor more than there are event
// loops, unless GOMAXPROCS is set. Without it the runtime's monitor takes the
// processor from each loop that waits in epoll, as often as every 20 µs, and
// each loop has to get it back: a sixth of the CPU time of two loops.
func spareProcessor(loops int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(loops + 1)
	}
}

// apply makes the snapshot serve, or changes nothing.
func (s *server) apply(next *envoy.Snapshot) error {
	if err := s.log.Configure(next); err != nil {
		return err
	}
	if err := s.proxy.Apply(next); err != nil {
		if s.applied != nil {
			if undo := s.log.Configure(s.applied); undo != nil {
				s.logger.Error("the access log's old configuration", "error", undo)
			}
		}
		return explainListen(err, s.move)
	}
	s.applied = next
	s.tellListeners()
	return nil
}

// tellListeners logs which addresses are bound anew, and which no longer.
func (s *server) tellListeners() {
	now := map[netip.AddrPort]bool{}
	for _, l := range s.proxy.Status().Listeners {
		now[l.Address] = true
		if !s.bound[l.Address] {
			s.logger.Info("listening", "listener", l.Name, "address", l.Address.String())
		}
	}
	for address := range s.bound {
		if !now[address] {
			s.logger.Info("no longer listening", "address", address.String())
		}
	}
	s.bound = now
	if len(now) == 0 {
		s.logger.Warn("nothing is listening: there is neither a Gateway that fits nor an outbound listener")
	}
}

// run serves until ctx ends and the connections are drained. start applies the
// first configuration; watch, if it is not nil, runs beside the proxy.
func (s *server) run(ctx context.Context, start func() error, watch func(context.Context) error) error {
	var adminListener net.Listener
	if s.flags.admin != "" {
		ln, err := s.listenAdmin()
		if err != nil {
			return explainListen(fmt.Errorf("admin interface: %w", err), `--admin ADDRESS, or turn it off with --admin ""`)
		}
		adminListener = ln
	}
	limitHeap(s.limits, s.logger)
	ctx, stop := context.WithCancel(ctx) // a successor stops us, too
	defer stop()
	told := ctx
	g, ctx := errgroup.WithContext(ctx)
	// What serves the proxy ends after it: the last lines are still written,
	// and /ready says DRAINING to the end.
	after, stopAfter := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopAfter()
		return s.proxy.Run(ctx)
	})
	g.Go(func() error { return s.log.Run(after) })
	g.Go(func() error { return s.judge.run(after) })
	g.Go(func() error { return s.limits.Run(after) })
	g.Go(func() error { return s.reopen(after) })
	whileOurs, stopAdmin := context.WithCancel(after)
	defer stopAdmin()
	if adminListener != nil {
		g.Go(func() error { return s.serveAdmin(whileOurs, adminListener) })
	}
	g.Go(func() error {
		if err := start(); err != nil {
			return err
		}
		if s.flags.handover != "" {
			g.Go(func() error { return s.handOver(ctx, func() { stop(); stopAdmin() }, adminListener) })
		}
		if watch != nil {
			return watch(ctx)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		s.state.Drain()
		if told.Err() != nil {
			s.logger.Info("draining", "drain_time", s.flags.drainTime.String())
		}
		return nil
	})
	return g.Wait()
}

func (s *server) serveAdmin(ctx context.Context, ln net.Listener) error {
	s.logger.Info("admin interface", "address", ln.Addr().String())
	collector := telemetry.NewCollector(s.state, s.log)
	srv := admin.New(s.state, s.proxy, admin.Options{
		Version: "sundog/" + readBuild().version,
		CommandLine: &adminv3.CommandLineOptions{
			Concurrency: uint32(s.flags.concurrency), LogLevel: s.flags.level.String(),
			DrainTime: durationpb.New(s.flags.drainTime),
		},
		Metrics:  telemetry.Handler(collector, telemetry.NewComparisons(s.judge)),
		Reporter: s.judge,
		Logger:   s.logger,
	})
	return srv.Run(ctx, ln)
}

// reopen opens the access log's files anew on SIGUSR1, as Envoy does.
func (s *server) reopen(ctx context.Context) error {
	signals := reopenSignals()
	if len(signals) == 0 {
		return nil
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, signals...)
	defer signal.Stop(c)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c:
			s.logger.Info("opening the access logs again")
			s.log.Reopen()
		}
	}
}
