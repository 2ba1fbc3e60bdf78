package http2

import "fmt"

// Idle says what is left of a connection whose exchanges are all over; the
// empty string when that is nothing, and all windows have their first size.
func (c *Conn) Idle(peer *Conn) string {
	if c.running != 0 || c.open.n != 0 || c.reserved != 0 || c.streams != nil || !c.ready.empty() {
		return fmt.Sprintf("streams: %d running, %d open, %d reserved, ready %t", c.running, c.open.n, c.reserved, !c.ready.empty())
	}
	if got, want := c.recvWindow+c.consumed, int64(c.opt.ConnWindow); got != want {
		return fmt.Sprintf("receive window %d + %d, want %d", c.recvWindow, c.consumed, want)
	}
	if peer != nil && c.sendWindow != peer.recvWindow {
		return fmt.Sprintf("send window %d, but the peer lets %d come", c.sendWindow, peer.recvWindow)
	}
	return ""
}

// Held is how many bytes of messages the connection keeps.
func (c *Conn) Held() int {
	n := cap(c.block.buf) + cap(c.encoded)
	for s := c.streams; s != nil; s = s.next {
		n += s.in.n + s.out.n + s.head.Size() + s.trailers.Size() + s.closing.Size()
		for _, h := range s.early {
			n += h.Size()
		}
	}
	return n
}

// Streams is how many there are, in whatever state.
func (c *Conn) Streams() int {
	n := 0
	for s := c.streams; s != nil; s = s.next {
		n++
	}
	return n
}

// Lent is how many buffers of the pool's are not in it, out of so many made.
func (p *Pool) Buffers() (small, large int) { return len(p.small), len(p.large) }
