package http2

// readiness is the list that a stream waits in for room in the output.
type readiness uint8

const (
	notReady   readiness = iota
	readyShort           // its last bytes, and few: they go first
	readyLong            // in turn
)

// shortsInARow is how many short messages may go before a long one's turn.
const shortsInARow = 4

// schedule holds the streams that have payload and whose own window is open.
type schedule struct {
	short, long list
	row         int // of short ones
}

// list is a doubly linked list of streams.
type list struct{ first, last *Stream }

func (l *list) push(s *Stream) {
	s.readyPrev, s.readyNext = l.last, nil
	if l.last != nil {
		l.last.readyNext = s
	} else {
		l.first = s
	}
	l.last = s
}

func (l *list) remove(s *Stream) {
	if s.readyPrev != nil {
		s.readyPrev.readyNext = s.readyNext
	} else {
		l.first = s.readyNext
	}
	if s.readyNext != nil {
		s.readyNext.readyPrev = s.readyPrev
	} else {
		l.last = s.readyPrev
	}
	s.readyNext, s.readyPrev = nil, nil
}

func (r *schedule) empty() bool { return r.short.first == nil && r.long.first == nil }

func (r *schedule) remove(s *Stream) {
	switch s.readiness {
	case readyShort:
		r.short.remove(s)
	case readyLong:
		r.long.remove(s)
	}
	s.readiness = notReady
}

// next is the stream whose turn it is; nil if there is none.
func (r *schedule) next() *Stream {
	if r.short.first != nil && (r.row < shortsInARow || r.long.first == nil) {
		r.row++
		return r.short.first
	}
	r.row = 0
	return r.long.first
}

// schedule lines the stream up if it has payload that its window lets go.
func (c *Conn) schedule(s *Stream) {
	if s.readiness != notReady || s.closed || s.out.n == 0 || s.sendWindow <= 0 {
		return
	}
	if s.endWanted && s.out.n <= quantum {
		s.readiness = readyShort
		c.ready.short.push(s)
		return
	}
	s.readiness = readyLong
	c.ready.long.push(s)
}

// promote moves a stream whose end is known to the place that it deserves.
func (c *Conn) promote(s *Stream) {
	if s.readiness == readyLong && s.out.n <= quantum {
		c.ready.remove(s)
		c.schedule(s)
	}
}

// Flush moves payload that waits in the streams into the output, as far as
// windows and the output allow: one after the other, 16 KiB at a time, short
// answers first. It is for whoever has written the output.
func (c *Conn) Flush() {
	if c.over != nil {
		return
	}
	for c.sendWindow > 0 {
		s := c.ready.next()
		if s == nil || c.out.Full() {
			return
		}
		c.ready.remove(s)
		s.sendSome()
	}
}

// sendSome sends one frame of what waits, and the end if nothing is left.
func (s *Stream) sendSome() {
	c := s.conn
	n := int(min(int64(s.out.n), quantum, s.sendWindow, c.sendWindow))
	last := n == s.out.n && s.endWanted
	s.writeData(n, last && !s.hasTrailers)
	for n > 0 {
		p := s.out.front()
		p = p[:min(len(p), n)]
		c.out.Write(p)
		s.out.drop(len(p), c.opt.Pool)
		n -= len(p)
	}
	if s.out.n == 0 || s.full && s.out.n <= streamHighWater/2 {
		s.full = false
		s.wake()
	}
	switch {
	case last && s.hasTrailers:
		s.sendEnd(&s.closing)
	case last:
		s.ended()
	default:
		c.schedule(s)
	}
}
