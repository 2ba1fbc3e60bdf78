package priority

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// yielding is how much nicer Low is than the process: where both want a
// processor, it gets a tenth of what an event loop does (sched(7)).
const yielding = 10

// Low runs f, on a thread of its own.
func Low(f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		low(f)
	}()
	<-ended
}

func low(f func()) {
	runtime.LockOSThread()
	tid := unix.Gettid()
	if tid == unix.Getpid() { // the first thread is never ended; while it is taken, another is found
		defer runtime.UnlockOSThread()
		Low(f)
		return
	}
	// It stays locked: the thread ends with the goroutine, so nobody else gets it.
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil {
		nice := 20 - raw // as the kernel has it
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, min(nice+yielding, 19))
		// As it ends it may start another thread, which is as nice as itself.
		// Without the right to take it back, that one stays so.
		defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice) }()
	}
	f()
}
