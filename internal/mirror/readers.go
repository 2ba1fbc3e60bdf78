package mirror

// maxReaders is how many copies of one loop read at a time.
const maxReaders = 4

// readers lets a few copies of a loop read at a time, and has the others wait
// in turn. One whose answer is there at once never waits, nor keeps others
// waiting, for it is done before another runs.
type readers struct {
	active  int
	waiting []*Copy // in their order; those that have left are skipped
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
	case r.active >= maxReaders:
		c.turn = queued
		r.waiting = append(r.waiting, c)
		return false
	}
	c.turn = reading
	r.active++
	return true
}

// next has c go on in the loop's next turn, unless another one waits to.
func (r *readers) next(c *Copy) {
	if len(r.waiting) == 0 {
		c.task.WakeLater()
		return
	}
	c.turn = queued
	r.waiting = append(r.waiting, c)
	r.active--
	r.admit()
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

// admit lets the first that waits read.
func (r *readers) admit() {
	for i, c := range r.waiting {
		r.waiting[i] = nil
		if c == nil || c.turn != queued {
			continue
		}
		c.turn = reading
		r.active++
		c.task.WakeLater()
		n := copy(r.waiting, r.waiting[i+1:])
		clear(r.waiting[n:])
		r.waiting = r.waiting[:n]
		return
	}
	r.waiting = r.waiting[:0]
}
