package proxy

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/overload"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// Mark is the SO_MARK of the proxy's own connections to endpoints, so that
// iptables rules can leave them alone (Istio's sidecar uses the number, too).
const Mark = 1337

// Options configures a Proxy. The zero value serves.
type Options struct {
	// Concurrency is the number of event loops. 0: one for each CPU.
	Concurrency int
	// Shadow bounds what each mirror may cost.
	Shadow mirror.Limits
	// Brake says when mirroring steps down.
	Brake mirror.BrakeLimits
	// RedactKey is what pseudonyms are made with. Nil: a random one.
	RedactKey []byte
	// Overload is how near to its limits the process is. Nil: it has none.
	Overload *overload.Monitor
	// DrainTime is how long Run lets exchanges finish. 0: it does not wait.
	DrainTime time.Duration
	// Sink gets the exchanges. Nil: nobody does.
	Sink traffic.Sink
	// Comparing is told the routes whose answers are to be compared before the
	// first exchange of a snapshot, and the former ones should the snapshot not
	// come into force. Nil: nobody is.
	Comparing func([]Compared)
	// Inherited are listening sockets of the process that this one replaces, by
	// the addresses that they were asked to listen on. The proxy closes them.
	Inherited map[string]*os.File
	// Logger gets what is worth telling an operator. Nil: slog.Default().
	Logger *slog.Logger
	// Clock is that of the event loops, for tests. Nil: the real one.
	Clock func() time.Duration
}

// Proxy serves the latest snapshot that was applied.
type Proxy struct {
	opt      Options
	workers  []*worker
	slots    *upstream.Slots
	resolver *upstream.Resolver
	monitor  *upstream.Monitor
	origins  *mirror.Origins // of shadows
	own      *mirror.Origins // of requests to primaries
	unmarked sync.Once       // warns of connections without a mark
	sampler  mirror.Sampler
	brakes   *mirror.Brakes

	gen       atomic.Pointer[generation]
	running   atomic.Bool
	draining  atomic.Bool
	next      atomic.Uint64 // the loop that gets the next connection
	accepting sync.WaitGroup

	applying sync.Mutex // held by Apply; guards budgets
	budgets  map[string]*mirror.Budget

	mu    sync.Mutex // guards bound and done
	bound map[string]*boundListener
	done  bool
	fatal chan error
}

// New makes a proxy without a configuration. Call Run for it to serve, and
// Apply before or after.
func New(opt Options) (*Proxy, error) {
	if opt.Concurrency <= 0 {
		opt.Concurrency = runtime.GOMAXPROCS(0)
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	opt.Shadow = opt.Shadow.WithDefaults()
	if opt.Overload == nil {
		opt.Overload = overload.New(overload.Options{}) // never runs, so never sheds
	}
	p := &Proxy{
		opt:      opt,
		slots:    upstream.NewSlots(nil),
		resolver: upstream.NewResolver(net.DefaultResolver),
		monitor:  upstream.NewMonitor(upstream.MonitorOptions{Logger: opt.Logger, Control: loop.Marker(Mark)}),
		origins:  &mirror.Origins{},
		own:      &mirror.Origins{},
		budgets:  map[string]*mirror.Budget{},
		bound:    map[string]*boundListener{},
		fatal:    make(chan error, 1),
	}
	p.brakes = mirror.NewBrakes(opt.Logger)
	opt.Overload.Watch(func(s overload.Status) {
		p.brakes.Press(mirror.Pressure{Cause: s.Cause, Stop: s.Cause != "cpu"})
	})
	if opt.RedactKey == nil {
		p.opt.RedactKey = make([]byte, 32)
		if _, err := rand.Read(p.opt.RedactKey); err != nil {
			return nil, fmt.Errorf("making the key of pseudonyms: %w", err)
		}
	}
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("making the sampling key: %w", err)
	}
	p.sampler = mirror.Sampler{K0: binary.LittleEndian.Uint64(key[:8]), K1: binary.LittleEndian.Uint64(key[8:])}
	local := ownAddress()
	for id := range opt.Concurrency {
		w, err := newWorker(p, id, local)
		if err != nil {
			return nil, err
		}
		p.workers = append(p.workers, w)
	}
	return p, nil
}

// ownAddress is the address that the proxy tells of itself in
// x-forwarded-for: the first that is not a loopback one, if there is any.
func ownAddress() netip.Addr {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap().Is4() && ip.Unmap().IsGlobalUnicast() {
				return ip.Unmap()
			}
		}
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// Run serves until ctx ends, lets what is under way finish for DrainTime at
// most, and returns when everything is closed. It is called once.
func (p *Proxy) Run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	var g errgroup.Group
	for _, w := range p.workers {
		g.Go(func() error { return w.loop.Run(serving) })
	}
	g.Go(func() error { return p.resolver.Run(serving) })
	g.Go(func() error {
		return p.brakes.Run(serving, func(f func(*mirror.Meter)) { p.each(func(w *worker) { f(&w.meter) }) })
	})
	g.Go(func() error { return p.monitor.Run(serving) })
	p.running.Store(true)
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-p.fatal:
	}
	p.DrainListeners()
	p.drain()
	stop()
	err := g.Wait()
	p.accepting.Wait()
	return errors.Join(failed, err)
}

// Sockets are copies of the sockets that are bound, by the addresses that they
// were asked to listen on, for another process to take over. The caller closes
// them.
func (p *Proxy) Sockets() (map[string]*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	files := map[string]*os.File{}
	for name, b := range p.bound {
		f, err := b.ln.File()
		if err != nil {
			return files, fmt.Errorf("listener %s: %w", name, err)
		}
		files[b.addr] = f
	}
	return files, nil
}

// DrainListeners stops taking connections. Those that are there are told to
// close with their next answer.
func (p *Proxy) DrainListeners() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	p.draining.Store(true)
	for name, b := range p.bound {
		b.close(p.opt.Logger)
		delete(p.bound, name)
	}
	for _, w := range p.workers {
		w.loop.Post(w.tellDraining)
	}
}

// drain waits until no exchange or copy is under way.
func (p *Proxy) drain() {
	patience := time.NewTimer(p.opt.DrainTime)
	defer patience.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for p.busy() > 0 {
		select {
		case <-patience.C:
			return
		case <-look.C:
		}
	}
}

func (p *Proxy) busy() (n int) {
	p.each(func(w *worker) { n += len(w.sessions) + w.side.Live() })
	return n
}

// each runs f on every loop, one after the other.
func (p *Proxy) each(f func(w *worker)) {
	for _, w := range p.workers {
		done := make(chan struct{})
		if w.loop.Post(func() { defer close(done); f(w) }) {
			<-done
		}
	}
}

// Apply makes the snapshot serve: it is compiled whole, its names are looked
// up, its listeners are bound, and then all of it begins to serve at once. When
// something is wrong, nothing has changed, and the error tells all of it.
func (p *Proxy) Apply(s *envoy.Snapshot) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	old := p.gen.Load()
	g, err := p.compile(s, old)
	if err != nil {
		return err
	}
	p.resolver.Set(g.clusters)
	p.monitor.Serve(g.clusters)
	p.warm(g)
	p.comparing(g)
	if err := p.adopt(g); err != nil {
		p.comparing(old)
		p.resolver.Set(old.served())
		p.monitor.Serve(old.served())
		g.release()
		return err
	}
	for _, w := range p.workers {
		w.loop.Post(w.adopt)
	}
	p.brakes.Keep(g.policies)
	old.release()
	return nil
}

// adopt binds the listeners of g and makes it the one that serves.
func (p *Proxy) adopt(g *generation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return errors.New("the proxy is shutting down")
	}
	fresh, err := p.bind(g)
	if err != nil {
		return err
	}
	p.gen.Store(g)
	p.listen(g, fresh)
	return nil
}

// maxWarming bounds how long Apply waits for names.
const maxWarming = 5 * time.Second

// warm waits until the names of every cluster have been looked up once, as
// Envoy does, so that a new cluster does not begin without endpoints.
func (p *Proxy) warm(g *generation) {
	patience := time.NewTimer(maxWarming)
	defer patience.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for p.running.Load() && !p.draining.Load() && slices.ContainsFunc(g.clusters, cold) {
		select {
		case <-patience.C:
			return
		case <-look.C:
		}
	}
}

func cold(c *upstream.Cluster) bool { return !c.Warm() || !c.Checks.Warm() }

// Status collects what the proxy knows of itself. It must run, or be at its
// end.
func (p *Proxy) Status() Status {
	g := p.gen.Load()
	st := Status{}
	if g != nil {
		st.Snapshot, st.Applied = g.snapshot, g.applied
	}
	p.mu.Lock()
	for name, b := range p.bound {
		st.Listeners = append(st.Listeners, ListenerStatus{Name: name, Address: b.ln.Addr()})
	}
	p.mu.Unlock()
	slices.SortFunc(st.Listeners, func(a, b ListenerStatus) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	sum := newTally()
	var books []*mirror.Ledger
	p.each(func(w *worker) {
		books = append(books, w.ledger.Clone())
		sum.add(w, g)
	})
	sum.judged(g)
	st.Ledger = mirror.Merge(books)
	p.brakes.Report(&st.Ledger)
	st.Clusters = sum.clusters(g)
	st.Stats = sum.stats(len(p.workers), len(st.Listeners))
	for _, s := range p.opt.Overload.Stats() {
		st.Stats = append(st.Stats, Stat(s))
	}
	return st
}

// Draining reports whether the listeners were drained.
func (p *Proxy) Draining() bool { return p.draining.Load() }

// nextLoop spreads connections over the loops, in turn.
func (p *Proxy) nextLoop() *loop.Loop {
	return p.workers[p.next.Add(1)%uint64(len(p.workers))].loop
}
