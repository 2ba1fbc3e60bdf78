package http2

import (
	"encoding/binary"
	"fmt"
)

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

// Resize changes the window of the streams in mid-flight, unless the peer has
// yet to acknowledge an earlier change.
func (c *Conn) Resize(window uint32) {
	if !c.ours.acked || c.over != nil {
		return
	}
	by := int64(window) - c.ours.window
	c.ours = ownSettings{window: int64(window), unsure: max(0, -by)}
	for s := c.streams; s != nil && by > 0; s = s.next {
		if s.id != 0 {
			s.recvWindow += by
		}
	}
	b := appendFrameHeader(nil, settingLength, frameSettings, 0, 0)
	b = binary.BigEndian.AppendUint16(b, settingWindow)
	c.out.Write(binary.BigEndian.AppendUint32(b, window))
}

// Held is how many bytes of messages the connection keeps.
func (c *Conn) Held() int {
	n := cap(c.block.buf)
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

// Table is the table of streams, by identifier.
type Table struct{ table }

// Put adds an identifier.
func (t *Table) Put(id uint32) { t.put(&Stream{id: id}) }

// Remove takes one out.
func (t *Table) Remove(id uint32) { t.remove(id) }

// Has reports whether an identifier is there.
func (t *Table) Has(id uint32) bool {
	s := t.get(id)
	return s != nil && s.id == id
}

// History is what is remembered of closed streams.
type History struct{ history }

// Open adds an identifier; Reset says that this side has reset it.
func (h *History) Open(id uint32)  { h.open(id) }
func (h *History) Reset(id uint32) { h.markReset(id) }

// Fate is "forgotten", "skipped", "reset" or "closed".
func (h *History) Fate(id uint32) string {
	return [...]string{"forgotten", "skipped", "reset", "closed"}[h.fate(id)]
}
