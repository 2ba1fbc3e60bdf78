package mirror

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// maxReaders is how many copies of one loop read at a time.
const maxReaders = 4

// What lies beyond the first unpaced bytes of an answer is read at a pace: so
// many bytes in each beat, for all copies of the loop together (some 100 MiB/s).
// A shadow that sends without an end would else have a core to itself.
const (
	unpaced = 128 << 10
	beat    = 10 * time.Millisecond
	perBeat = 1 << 20
)

// readers lets a few copies of a loop read at a time, and has the others wait
// in turn. One whose answer is there at once never waits, nor keeps others
// waiting, for it is done before another runs.
type readers struct {
	loop    *loop.Loop
	active  int
	waiting []*Copy // in their order; those that have left are skipped
	resting []*Copy // until the next beat
	spent   int     // bytes of this beat
	beating bool    // a task ends this beat
}

// turn is where a copy stands.
type turn uint8

const (
	outside turn = iota
	reading
	queued
)

// enter lets c read, or has it wait and reports false.
func (r *readers) enter(c *Copy) bool {
	switch {
	case c.turn == reading:
		return true
	case c.turn == queued:
		return false
	case r.tired(c):
		r.rest(c)
		return false
	case r.active >= maxReaders:
		c.turn = queued
		r.waiting = append(r.waiting, c)
		return false
	}
	c.turn = reading
	r.active++
	return true
}

// next ends a turn of c, in which it read n bytes. With more to read it goes on
// in the loop's next turn, unless another one waits to; where there was enough in
// this beat, it goes on in the next.
func (r *readers) next(c *Copy, n int, more bool) {
	if c.answerN > unpaced {
		r.spent += n
		r.begin()
	}
	switch {
	case r.tired(c):
		r.active--
		r.rest(c)
	case !more:
		r.leave(c)
		return
	case len(r.waiting) == 0:
		c.task.WakeLater()
		return
	default:
		r.active--
		c.turn = queued
		r.waiting = append(r.waiting, c)
	}
	r.admit()
}

// tired reports whether c is to read no more in this beat.
func (r *readers) tired(c *Copy) bool { return c.answerN > unpaced && r.spent >= perBeat }

// rest has c wait for the next beat.
func (r *readers) rest(c *Copy) {
	c.turn = queued
	r.resting = append(r.resting, c)
}

// begin begins a beat, unless there is one.
func (r *readers) begin() {
	if !r.beating {
		r.beating = true
		r.loop.Go(r)
	}
}

// Run ends a beat, and the copies that rest take their turns. It is a task of
// the loop.
func (r *readers) Run(t *loop.Task) {
	if t.Sleep(beat) != nil {
		return
	}
	r.beating, r.spent = false, 0
	r.waiting, r.resting = append(r.waiting, r.resting...), r.resting[:0]
	for r.active < maxReaders {
		if !r.admit() {
			break
		}
	}
}

// leave says that c reads no more, for now.
func (r *readers) leave(c *Copy) {
	was := c.turn
	c.turn = outside
	if was == reading {
		r.active--
		r.admit()
	}
}

// admit lets the first that waits read, and reports whether there was one.
func (r *readers) admit() bool {
	for i, c := range r.waiting {
		r.waiting[i] = nil
		if c == nil || c.turn != queued {
			continue
		}
		if r.tired(c) {
			r.rest(c)
			continue
		}
		c.turn = reading
		r.active++
		c.task.WakeLater()
		n := copy(r.waiting, r.waiting[i+1:])
		clear(r.waiting[n:])
		r.waiting = r.waiting[:n]
		return true
	}
	r.waiting = r.waiting[:0]
	return false
}
