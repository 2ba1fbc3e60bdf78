package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Defaults of LogOptions.
const (
	defaultMaxPending = 4 << 20
	defaultFlush      = 200 * time.Millisecond
	writeAt           = 64 << 10 // pending bytes that do not wait for the flush
)

// LogOptions are the options of an AccessLog.
type LogOptions struct {
	// Shadows writes a line for each shadow, too, once its exchange settled.
	Shadows bool
	// MaxPending bounds the bytes that wait to be written to one file; lines
	// beyond it are dropped and counted. 0: 4 MiB.
	MaxPending int
	// Flush is how long a line waits at most for company. 0: 200 ms.
	Flush time.Duration
	// Stdout and Stderr are what /dev/stdout and /dev/stderr stand for; nil:
	// such a path is opened like any other.
	Stdout, Stderr io.Writer
	// Logger is told of files that cannot be written. nil: nobody is.
	Logger *slog.Logger
}

// AccessLog writes lines about exchanges to files, as the access loggers of
// the configured snapshot say. It is a traffic.Sink that keeps no exchange.
type AccessLog struct {
	opt     LogOptions
	plan    atomic.Pointer[plan]
	mu      sync.Mutex // guards outputs, files and reopen
	outputs map[string]*output
	reopen  bool
	wake    chan struct{} // something is pending
	full    chan struct{} // something is pending that should not wait
	scratch sync.Pool

	lines, dropped, failed atomic.Uint64
}

// NewAccessLog returns a log that writes nothing until it is configured.
func NewAccessLog(opt LogOptions) *AccessLog {
	if opt.MaxPending <= 0 {
		opt.MaxPending = defaultMaxPending
	}
	if opt.Flush <= 0 {
		opt.Flush = defaultFlush
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	l := &AccessLog{
		opt: opt, outputs: map[string]*output{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
	}
	l.scratch.New = func() any { return new(scratch) }
	l.plan.Store(&plan{})
	return l
}

// scratch is what formatting needs: reused, so that a line allocates nothing.
type scratch struct {
	line   []byte
	record record
	shown  traffic.Exchange // without what must not be shown
}

// plan is a compiled set of access loggers.
type plan struct {
	loggers  map[string][]logger // by listener
	altNames map[string]string   // of clusters
}

type logger struct {
	format *Format
	out    *output
}

// Configure reads the access loggers of the snapshot and opens their files. On
// an error nothing has changed. Files of an earlier configuration stay open
// until Run ends, for the requests that still run under it.
func (l *AccessLog) Configure(s *envoy.Snapshot) error {
	found, err := readLoggers(s)
	if err != nil {
		return err
	}
	p := &plan{loggers: make(map[string][]logger, len(found)), altNames: altNames(s)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range found {
		out := l.outputs[f.path]
		if out == nil {
			if out, err = l.open(f.path); err != nil {
				return err
			}
			l.outputs[f.path] = out
		}
		p.loggers[f.listener] = append(p.loggers[f.listener], logger{f.format, out})
	}
	l.plan.Store(p)
	return nil
}

// Enabled reports whether the configuration has any access logger. Without
// one, exchanges need not be made.
func (l *AccessLog) Enabled() bool { return len(l.plan.Load().loggers) > 0 }

// Offer formats the primary's line when it was answered, and those of the
// shadows when they have settled. It returns false when a line had no room.
func (l *AccessLog) Offer(ev traffic.Event, e *traffic.Exchange) bool {
	p := l.plan.Load()
	loggers := p.loggers[e.Listener]
	if len(loggers) == 0 || ev == traffic.Settled && !l.opt.Shadows {
		return true
	}
	sc := l.scratch.Get().(*scratch)
	defer l.scratch.Put(sc)
	if e.Redact != nil {
		e = sc.redacted(e)
	}
	sc.record = record{e: e, altNames: p.altNames}
	ok := true
	for i := range loggers {
		lines := sc.format(loggers[i].format, ev)
		if !l.put(loggers[i].out, sc.line, lines) {
			ok = false
		}
	}
	sc.record = record{}
	return ok
}

// redacted is the exchange as it may be shown, valid until the next.
func (sc *scratch) redacted(e *traffic.Exchange) *traffic.Exchange {
	m := &sc.shown
	request, response, shadows := m.Request, m.Primary.Response, m.Shadows[:0]
	*m = *e
	m.Request, m.Primary.Response, m.Shadows = request, response, shadows
	m.Request.CopyFrom(&e.Request)
	m.Primary.Response.CopyFrom(&e.Primary.Response)
	for i := range e.Shadows {
		to := m.AddShadow()
		response := to.Response
		*to = e.Shadows[i]
		to.Response = response
		to.Response.CopyFrom(&e.Shadows[i].Response)
	}
	e.Redact(m)
	return m
}

// format sets the scratch's line to the lines of one event, and returns how
// many they are. Of the shadows, those have one that were meant to be sent.
func (sc *scratch) format(f *Format, ev traffic.Event) (lines uint64) {
	r := &sc.record
	sc.line = sc.line[:0]
	if ev == traffic.Answered {
		r.a, r.shadow = &r.e.Primary, false
		sc.line = f.append(sc.line, r)
		return 1
	}
	for i := range r.e.Shadows {
		r.a, r.shadow = &r.e.Shadows[i], true
		switch r.a.Outcome {
		case traffic.NotSampled, traffic.Control, traffic.Filtered:
			continue
		}
		sc.line = f.append(sc.line, r)
		lines++
	}
	return lines
}

func (l *AccessLog) put(out *output, line []byte, lines uint64) bool {
	if lines == 0 {
		return true
	}
	pending := out.add(line, l.opt.MaxPending)
	switch {
	case pending < 0:
		l.dropped.Add(lines)
		return false
	case pending == len(line):
		signal(l.wake)
	case pending >= writeAt && pending-len(line) < writeAt:
		signal(l.full)
	}
	l.lines.Add(lines)
	return true
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reopen makes Run open every file anew, for who has moved the old ones away.
func (l *AccessLog) Reopen() {
	l.mu.Lock()
	l.reopen = true
	l.mu.Unlock()
	signal(l.wake)
	signal(l.full)
}

// Run writes the pending lines until ctx ends; then it writes what is left and
// closes the files. A failed write costs its lines and is logged once.
func (l *AccessLog) Run(ctx context.Context) error {
	timer := time.NewTimer(l.opt.Flush)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			l.closeAll()
			return nil
		case <-l.wake:
		}
		timer.Reset(l.opt.Flush)
		select {
		case <-ctx.Done():
		case <-l.full:
		case <-timer.C:
		}
		timer.Stop()
		l.flush()
	}
}

// LogStats counts lines since the start.
type LogStats struct {
	Lines   uint64 // taken
	Dropped uint64 // not taken, since too much was pending
	Failed  uint64 // writes that failed
}

// Stats returns the log's counters.
func (l *AccessLog) Stats() LogStats {
	return LogStats{Lines: l.lines.Load(), Dropped: l.dropped.Load(), Failed: l.failed.Load()}
}
