package loop

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStopped is what a task's wait returns when its loop is shutting down.
var ErrStopped = errors.New("loop: stopped")

// Time is a moment of a loop's clock: nanoseconds since the loop was made,
// monotonic, as of the beginning of the loop's current turn. 0 means never.
type Time int64

// Options configures a Loop. The zero value serves.
type Options struct {
	// Logger gets the panics of tasks. Nil means slog.Default().
	Logger *slog.Logger
	// Clock tells the time since some fixed moment. Nil means the real clock.
	Clock func() time.Duration
}

// Loop owns connections, timers and tasks, and runs them one at a time.
// But for Post, its methods are for code that runs on the loop.
type Loop struct {
	opt   Options
	start time.Time
	now   Time
	turn  uint64

	run, batch []*Task // ready to be resumed
	yielded    []*Task // ready in the next turn
	heavy      []*Task // each waits for a turn to compute in
	computing  bool    // off the loop, one of the next
	compute    []func()
	computer   chan func() // runs them; nil: none yet
	idle       []*Task     // finished coroutines to be used again
	all        []*Task     // every coroutine there is
	dirty      []*Conn     // with output to be written
	wheel      wheel
	bufs       buffers
	panics     atomic.Uint64

	mu      sync.Mutex
	posted  []func()
	taken   []func() // the other half of the double buffer
	closed  bool
	asleep  atomic.Bool
	stopped bool

	poller
}

// New makes a loop. It does nothing until Run.
func New(opt Options) (*Loop, error) {
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	l := &Loop{opt: opt, start: time.Now()}
	if l.opt.Clock == nil {
		l.opt.Clock = func() time.Duration { return time.Since(l.start) }
	}
	l.readClock()
	l.wheel.init(l.now)
	if err := l.poller.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// Now is the time at the beginning of the current turn.
func (l *Loop) Now() Time { return l.now }

// In is the moment d from now.
func (l *Loop) In(d time.Duration) Time { return l.now + Time(d) }

// Wall is the wall clock's time at t.
func (l *Loop) Wall(t Time) time.Time { return l.start.Add(time.Duration(t)) }

// Panics is how many tasks have ended in a panic. Safe from any goroutine.
func (l *Loop) Panics() uint64 { return l.panics.Load() }

func (l *Loop) readClock() { l.now = Time(l.opt.Clock()) + 1 }

// Post makes f run on the loop, soon, and reports whether the loop still
// takes work. Safe from any goroutine.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.posted = append(l.posted, f)
	l.mu.Unlock()
	if l.asleep.Load() {
		l.poller.wake()
	}
	return true
}

// rounds bounds how often a turn runs the tasks that others have woken before
// it looks at the connections again.
const rounds = 8

// Run serves until ctx ends; then it stops every task (their waits return
// ErrStopped and their defers run), closes every connection and returns nil.
func (l *Loop) Run(ctx context.Context) error {
	defer l.shutdown()
	unhook := context.AfterFunc(ctx, l.poller.wake)
	defer unhook()
	for ctx.Err() == nil {
		if err := l.wait(ctx); err != nil {
			return err
		}
		l.readClock()
		l.turn++
		l.runPosted()
		for range rounds {
			l.drain()
			l.flush()
			if len(l.run) == 0 {
				break
			}
		}
		l.wheel.advance(l)
	}
	return nil
}

// wait polls, and sleeps if nothing is ready.
func (l *Loop) wait(ctx context.Context) error {
	l.run = append(l.run, l.yielded...)
	clear(l.yielded)
	l.yielded = l.yielded[:0]
	l.nextHeavy()
	if len(l.run) > 0 {
		return l.poller.poll(0)
	}
	// Announce the sleep first, then look for work that was posted before the
	// announcement could be seen.
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	l.mu.Lock()
	timeout := l.wheel.untilNext(Time(l.opt.Clock()))
	if len(l.posted) > 0 || ctx.Err() != nil {
		timeout = 0
	}
	l.mu.Unlock()
	return l.poller.poll(timeout)
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	l.posted, l.taken = l.taken[:0], l.posted
	l.mu.Unlock()
	for i, f := range l.taken {
		l.taken[i] = nil
		l.guard(f)
	}
}

// guard keeps a panic of f from ending the loop.
func (l *Loop) guard(f func()) {
	defer l.recovered()
	f()
}

func (l *Loop) recovered() {
	if v := recover(); v != nil {
		l.panics.Add(1)
		l.opt.Logger.Error("panic in a task", "panic", v, "stack", string(debug.Stack()))
	}
}

// drain resumes every task that is ready now; those that they wake wait for
// the next round.
func (l *Loop) drain() {
	l.run, l.batch = l.batch[:0], l.run
	for i, t := range l.batch {
		l.batch[i] = nil
		t.queued = false
		t.resume()
	}
}

// flush writes each connection's collected output, once.
func (l *Loop) flush() {
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		l.dirty[i] = nil
		c.dirty = false
		c.flush()
	}
	l.dirty = l.dirty[:0]
}

func (l *Loop) shutdown() {
	defer l.endCompute() // tasks may compute to the last
	l.stopped = true
	l.mu.Lock()
	l.closed = true
	posted := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range posted { // adopted connections must not leak
		l.guard(f)
	}
	for len(l.all) > 0 {
		t := l.all[len(l.all)-1]
		l.all = l.all[:len(l.all)-1]
		t.stop()
	}
	l.flush()
	l.poller.close(l)
}
