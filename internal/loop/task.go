package loop

import (
	"iter"
	"time"

	"github.com/sundog-mesh/sundog/internal/priority"
)

// Runner is the work of a task.
type Runner interface{ Run(t *Task) }

// RunnerFunc makes a Runner of a function.
type RunnerFunc func(t *Task)

// Run calls f.
func (f RunnerFunc) Run(t *Task) { f(t) }

// Task is a coroutine of a loop. Its methods, but for Wake, are for its own
// code; Wake is for any code of the same loop.
type Task struct {
	loop   *Loop
	job    Runner
	queued bool
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	timer  timer
	turn   bool // in loop.heavy
	pos    int  // in loop.all
}

// Go starts r as a task, on a used coroutine where there is one. It begins to
// run in the loop's next round.
func (l *Loop) Go(r Runner) *Task {
	var t *Task
	if n := len(l.idle); n > 0 {
		t = l.idle[n-1]
		l.idle = l.idle[:n-1]
	} else {
		t = &Task{loop: l}
		t.timer.task = t
		t.resume, t.stop = iter.Pull(t.coroutine)
		t.pos = len(l.all)
		l.all = append(l.all, t)
	}
	t.job = r
	t.Wake()
	return t
}

// maxIdle bounds the coroutines that are kept for later, each some 2 to 8 KiB.
const maxIdle = 1024

func (t *Task) coroutine(yield func(struct{}) bool) {
	t.yield = yield
	for {
		t.runJob()
		t.job = nil
		t.timer.deadline = 0
		if t.loop.stopped {
			return
		}
		if len(t.loop.idle) >= maxIdle {
			t.loop.forget(t)
			return
		}
		t.loop.idle = append(t.loop.idle, t)
		for t.job == nil { // a late wake-up of the finished job may resume us
			if !yield(struct{}{}) {
				return
			}
		}
	}
}

func (l *Loop) forget(t *Task) {
	l.wheel.remove(&t.timer)
	last := len(l.all) - 1
	l.all[t.pos] = l.all[last]
	l.all[t.pos].pos = t.pos
	l.all[last] = nil
	l.all = l.all[:last]
}

func (t *Task) runJob() {
	defer t.loop.recovered()
	t.job.Run(t)
}

// Loop is the loop that runs the task.
func (t *Task) Loop() *Loop { return t.loop }

// Wake makes the task's Park return, soon. Waking a running task makes its
// next Park return at once.
func (t *Task) Wake() {
	if !t.queued {
		t.queued = true
		t.loop.run = append(t.loop.run, t)
	}
}

// Park gives the loop to others until something wakes the task: an event of a
// connection that is bound to it, its deadline, or Wake. It may return without
// a reason. The error is ErrStopped at shutdown, nil else.
func (t *Task) Park() error {
	if t.loop.stopped || !t.yield(struct{}{}) {
		return ErrStopped
	}
	return nil
}

// Yield lets every other ready task run first, and the loop look at its
// connections.
func (t *Task) Yield() error {
	t.WakeLater()
	return t.Park()
}

// WakeLater is Wake, but for the loop's next turn: it looks at its connections
// before.
func (t *Task) WakeLater() {
	if !t.queued {
		t.queued = true
		t.loop.yielded = append(t.loop.yielded, t)
	}
}

// SetDeadline makes the task wake at the given time, or a little later (the
// resolution is 10 ms); 0 takes the deadline back. Moving a deadline further
// away costs nothing.
func (t *Task) SetDeadline(at Time) {
	t.timer.deadline = at
	if at != 0 {
		t.loop.wheel.arm(&t.timer)
	}
}

// Expired reports whether the deadline has come.
func (t *Task) Expired() bool {
	return t.timer.deadline != 0 && t.loop.now >= t.timer.deadline
}

// Sleep parks for d, whatever wakes the task meanwhile. It uses the deadline.
func (t *Task) Sleep(d time.Duration) error {
	t.SetDeadline(t.loop.In(d))
	defer t.SetDeadline(0)
	for !t.Expired() {
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

// Offload runs f, which may block, on another goroutine and parks until it has
// returned. At shutdown it returns ErrStopped while f may still run.
func (t *Task) Offload(f func()) error {
	done := false
	go func() {
		f()
		t.loop.Post(func() {
			done = true
			t.Wake()
		})
	}()
	for !done {
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

// AwaitTurn parks until the task may compute for some time, up to a
// millisecond or so: a loop lets one task do that in each turn, in the order of
// their asking, so that many of them do not delay all others.
func (t *Task) AwaitTurn() error {
	if !t.turn {
		t.turn = true
		t.loop.heavy = append(t.loop.heavy, t)
	}
	for t.turn {
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

// nextHeavy gives the turn to one task.
func (l *Loop) nextHeavy() {
	if len(l.heavy) == 0 {
		return
	}
	t := l.heavy[0]
	l.heavy[0] = nil
	l.heavy = l.heavy[1:]
	t.turn = false
	t.Wake()
}

// Compute is Offload for what takes long but does not wait: of one loop only
// one such f runs at a time, the others follow in order. So the loops, as many
// as there are processors, never have more of them under way than that. On
// Linux they run on a thread that gives way to the loops' (see package priority).
func (t *Task) Compute(f func()) error {
	l, done := t.loop, false
	l.compute = append(l.compute, func() {
		f()
		l.Post(func() {
			done = true
			t.Wake()
			l.nextCompute()
		})
	})
	if !l.computing {
		l.nextCompute()
	}
	for !done {
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Loop) nextCompute() {
	l.computing = len(l.compute) > 0
	if !l.computing {
		return
	}
	if l.computer == nil {
		l.computer = make(chan func(), 1) // has room: only one is under way
		work := l.computer
		go priority.Low(func() {
			for f := range work {
				f()
			}
		})
	}
	l.computer <- l.compute[0]
	l.compute[0] = nil
	l.compute = l.compute[1:]
}

// endCompute lets the computer end after what it has begun.
func (l *Loop) endCompute() {
	if l.computer != nil {
		close(l.computer)
	}
}
