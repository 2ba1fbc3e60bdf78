// Package loop runs many connections on few threads as plain sequential code.
//
// A Loop is one goroutine that owns connections, timers and tasks. A Task is a
// coroutine: code that reads like a blocking program, but parks instead of
// blocking and is resumed by its loop when something it may wait for has
// happened. Nothing on a loop runs at the same time as anything else on it, so
// what one loop owns needs no lock.
//
// Waiting is always the same: look whether there is something to do; if not,
// Park; look again. A connection's events, a deadline and Wake all just resume
// the task, so a task may wait for several things at once and a wake-up too
// many does no harm.
//
//	for {
//		if n, err := c.Fill(); n > 0 || err != nil { … }
//		if err := t.Park(); err != nil { return err }
//	}
//
// Rules: a task never blocks its goroutine (no channel, no lock that another
// task may hold, no file, no DNS: see Task.Offload), and other goroutines
// reach a loop only by Post. Output is collected and written once per turn of
// the loop.
//
// Between a connection's socket and its input and output there may be a Layer,
// which is how TLS gets in without those above knowing of it: see Conn.Lower.
//
// On Linux the loop waits in epoll and does its own system calls. Elsewhere,
// and with the build tag "portable", goroutines do the reading and writing on
// net.Conn and post what came of it; tasks, timers and all the rest are the
// same code. The package knows nothing of HTTP.
package loop
