package upstream

import (
	"container/heap"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Monitor judges endpoints, for one proxy: it sweeps for outliers, makes the
// active health checks, and tells the clusters by SetUnhealthy which endpoints
// are to take no requests. Make it with NewMonitor, tell it the clusters with
// Serve, and let Run work. All of it happens beside the loops: one goroutine
// decides, others wait for the answers to checks.
type Monitor struct {
	opt     MonitorOptions
	alarm   *alarm
	changed chan struct{}
	results chan result // has room for all checks at once

	mu      sync.Mutex // never taken by a loop
	watched map[string]*watch
	agenda  agenda
	queue   []turn // checks that are due
	busy    int    // checks under way
}

// MonitorOptions configures a Monitor. The zero value serves.
type MonitorOptions struct {
	// Logger is told what is ejected, fails and comes back; nil for nobody.
	Logger *slog.Logger
	// Control is that of the net.Dialer of the health checks: it marks their
	// sockets as the proxy's own. It is not used beside Dial.
	Control func(network, address string, c syscall.RawConn) error
	// Dial connects for a check; the cluster's TLS goes over it. Nil is TCP.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// Random is for percentages and jitter; nil is a good one.
	Random func() uint64
}

// maxChecks bounds the health checks that are under way at one time.
const maxChecks = 64

// lookEvery is how often the endpoints of a DNS cluster are compared with those
// known.
const lookEvery = time.Second

// NewMonitor makes a Monitor. Nothing happens before Run.
func NewMonitor(opt MonitorOptions) *Monitor {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Random == nil {
		opt.Random = rand.Uint64
	}
	if opt.Dial == nil {
		d := net.Dialer{Control: opt.Control}
		opt.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	return &Monitor{
		opt:     opt,
		alarm:   newAlarm(),
		changed: make(chan struct{}, 1),
		results: make(chan result, maxChecks),
		watched: map[string]*watch{},
	}
}

// Serve says which clusters serve from now on. It is called before requests go
// to them, so that endpoints which nobody has checked yet take none. What is
// known of an endpoint stays as long as its cluster and address do. When Serve
// has returned, no other cluster is touched any more.
func (m *Monitor) Serve(clusters []*Cluster) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	wanted := make(map[string]bool, len(clusters))
	for _, c := range clusters {
		wanted[c.Name] = true
		w := m.watched[c.Name]
		if w == nil {
			w = &watch{}
			m.watched[c.Name] = w
		}
		m.adopt(w, c, now)
	}
	for name, w := range m.watched {
		if !wanted[name] {
			m.agenda.drop(&w.sweep)
			m.agenda.drop(&w.look)
			m.dismiss(w)
			delete(m.watched, name)
		}
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// adopt makes c the cluster of w.
func (m *Monitor) adopt(w *watch, c *Cluster, now time.Time) {
	old := w.c
	w.c = c
	w.seen = c.Endpoints()
	if o := c.Outliers; o == nil {
		m.agenda.drop(&w.sweep)
		for _, e := range w.seen.All {
			c.SetUnhealthy(e, OutlierEjected, false)
			e.vitals.outlier.Store(nil)
		}
	} else {
		if old == nil || old.Outliers == nil || old.Outliers.rules.interval != o.rules.interval {
			w.sweep.fire = m.sweep(w)
			m.agenda.set(&w.sweep, now.Add(o.rules.interval))
		}
		m.judge(c).resume()
	}
	if c.Checks != nil {
		m.examine(w, now)
	} else {
		m.dismiss(w)
		for _, e := range w.seen.All {
			c.SetUnhealthy(e, HealthCheckFailed, false)
		}
	}
	switch {
	case c.dns == nil || c.Outliers == nil && c.Checks == nil:
		m.agenda.drop(&w.look)
	case !w.look.set():
		w.look.fire = m.look(w)
		m.agenda.set(&w.look, now.Add(lookEvery))
	}
}

func (m *Monitor) sweep(w *watch) func(time.Time) {
	return func(now time.Time) {
		m.judge(w.c).sweep()
		m.agenda.set(&w.sweep, now.Add(w.c.Outliers.rules.interval))
	}
}

// look sees to endpoints that DNS has brought.
func (m *Monitor) look(w *watch) func(time.Time) {
	return func(now time.Time) {
		m.agenda.set(&w.look, now.Add(lookEvery))
		seen := w.seen
		w.seen = w.c.Endpoints()
		if slices.Equal(seen.All, w.seen.All) { // at most their health has changed
			return
		}
		if w.c.Outliers != nil {
			m.judge(w.c)
		}
		if w.c.Checks != nil {
			m.examine(w, now)
		}
	}
}

// Run judges until ctx ends, which is no error. Every goroutine of it has ended
// when it returns, and every connection is closed.
func (m *Monitor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var checks sync.WaitGroup
	defer m.close()
	defer checks.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-m.changed:
		case <-m.alarm.bell:
		case r := <-m.results:
			m.conclude(r, ctx.Err() != nil)
		}
		timer.Reset(m.work(ctx, &checks))
	}
}

// work does what is due, and returns how long nothing else will be.
func (m *Monitor) work(ctx context.Context, checks *sync.WaitGroup) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alarm.take(func(h *outlierHost, k outlierKind) {
		if w := m.watched[h.cluster]; w != nil && w.c.Outliers != nil {
			m.judge(w.c).tripped(h, k)
		}
	})
	for {
		now := time.Now()
		e := m.agenda.due(now)
		if e == nil {
			break
		}
		e.fire(now)
	}
	m.begin(ctx, checks)
	return m.agenda.wait(time.Now())
}

// event is something that happens at a time. Its zero value is not planned.
type event struct {
	at    time.Time
	fire  func(now time.Time)
	index int // in the agenda, from 1; 0 when it is not there
}

func (e *event) set() bool { return e.index > 0 }

// agenda is a heap of events, the next one first.
type agenda struct{ events []*event }

func (a *agenda) set(e *event, at time.Time) {
	e.at = at
	if e.set() {
		heap.Fix(a, e.index-1)
	} else {
		heap.Push(a, e)
	}
}

func (a *agenda) drop(e *event) {
	if e.set() {
		heap.Remove(a, e.index-1)
	}
}

// due takes the next event out if its time has come.
func (a *agenda) due(now time.Time) *event {
	if len(a.events) == 0 || a.events[0].at.After(now) {
		return nil
	}
	return heap.Pop(a).(*event)
}

func (a *agenda) wait(now time.Time) time.Duration {
	if len(a.events) == 0 {
		return time.Hour
	}
	return max(a.events[0].at.Sub(now), 0)
}

// Len is for package heap, as are the next ones.
func (a *agenda) Len() int { return len(a.events) }

// Less orders by time.
func (a *agenda) Less(i, j int) bool { return a.events[i].at.Before(a.events[j].at) }

// Swap keeps the events' places.
func (a *agenda) Swap(i, j int) {
	a.events[i], a.events[j] = a.events[j], a.events[i]
	a.events[i].index, a.events[j].index = i+1, j+1
}

// Push adds an *event.
func (a *agenda) Push(x any) {
	e := x.(*event)
	a.events = append(a.events, e)
	e.index = len(a.events)
}

// Pop takes the last one.
func (a *agenda) Pop() any {
	n := len(a.events) - 1
	e := a.events[n]
	a.events[n] = nil
	a.events = a.events[:n]
	e.index = 0
	return e
}
