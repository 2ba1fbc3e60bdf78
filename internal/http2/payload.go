package http2

// payload is the DATA frame that is being taken in. It is taken as it comes,
// so that no buffer has to hold all of it. The stream may end meanwhile.
type payload struct {
	open bool
	id   uint32
	left int // bytes of payload
	pad  int // and of padding after it
	end  bool
}

// onData takes the header of a DATA frame, and the length of its padding, and
// checks all that can be (RFC 9113, section 6.1).
func (c *Conn) onData(h frameHeader, in []byte) (int, *ConnError) {
	n, left, pad := frameHeaderSize, h.length, 0
	if h.has(flagPadded) {
		if h.length > 0 {
			if len(in) == n {
				return 0, nil
			}
			pad = int(in[n])
			n++
		}
		if left -= 1 + pad; left < 0 {
			return 0, &ConnError{ErrCodeProtocol, "DATA with more padding than payload"}
		}
	}
	switch {
	case h.id == 0:
		return 0, &ConnError{ErrCodeProtocol, "DATA on stream 0"}
	case c.idle(h.id):
		return 0, &ConnError{ErrCodeProtocol, "DATA on an idle stream"}
	case int64(h.length) > c.recvWindow:
		return 0, &ConnError{ErrCodeFlowControl, "DATA beyond the connection's window"}
	case left == 0 && !h.has(flagEndStream):
		if bad := c.idleFrame(1); bad != nil {
			return 0, bad
		}
	}
	c.recvWindow -= int64(h.length)
	c.data = payload{open: true, id: h.id, left: left, pad: pad, end: h.has(flagEndStream)}
	s := c.open.get(h.id)
	if s == nil {
		if bad := c.dataOfClosed(h.id); bad != nil {
			return 0, bad
		}
	} else if s.admit(h.length, left, c.data.end) {
		s.recvWindow -= int64(h.length)
	} else {
		s = nil // reset, and maybe in use again by another
	}
	c.credit(s, h.length-left) // padding, and its length
	c.finishPayload()
	return n, nil
}

// dataOfClosed answers DATA for a stream that is closed.
func (c *Conn) dataOfClosed(id uint32) *ConnError {
	if c.ignores(id) {
		return nil
	}
	c.writeWord(frameRSTStream, id, uint32(ErrCodeStreamClosed))
	return c.idleFrame(1)
}

// ignores reports whether frames for a closed stream may still be on their
// way although nobody has done wrong.
func (c *Conn) ignores(id uint32) bool {
	if c.away.sent && !c.client && id > c.away.lastSent {
		return true
	}
	f := c.history.fate(id)
	return f == fateReset || f == fateForgotten
}

// takePayload takes what has come of a DATA frame.
func (c *Conn) takePayload(in []byte) (int, *ConnError) {
	n := min(len(in), c.data.left)
	if n > 0 {
		c.data.left -= n
		if s := c.open.get(c.data.id); s != nil && !s.deaf() {
			s.in.add(in[:n], c.opt.Pool)
			s.wake()
		} else {
			c.credit(s, n)
		}
	}
	pad := min(len(in)-n, c.data.pad)
	c.data.pad -= pad
	c.finishPayload()
	return n + pad, nil
}

// finishPayload ends the DATA frame once nothing is left of it.
func (c *Conn) finishPayload() {
	if c.data.left+c.data.pad > 0 {
		return
	}
	c.data.open = false
	if s := c.open.get(c.data.id); s != nil && c.data.end && !s.recvEnded {
		s.endReceive()
	}
}

// admit checks DATA of a stream that is open, size bytes of which left are
// payload, and reports whether the stream still is.
func (s *Stream) admit(size, left int, end bool) bool {
	switch {
	case s.recvEnded:
		s.reset(ErrCodeStreamClosed, "DATA after the end of the stream")
	case int64(size) > s.recvWindow:
		s.reset(ErrCodeFlowControl, "DATA beyond the stream's window")
	case !s.hasHead:
		s.reset(ErrCodeProtocol, "DATA before the head")
	case s.left >= 0 && (int64(left) > s.left || end && int64(left) < s.left):
		s.reset(ErrCodeProtocol, "DATA and Content-Length differ")
	default:
		if s.left >= 0 {
			s.left -= int64(left)
		}
		return true
	}
	return false
}

// credit gives back n bytes that were consumed, of the connection and, while
// more of it is wanted, of the stream: once it is half a window, so that small
// pieces do not cost a frame each.
func (c *Conn) credit(s *Stream, n int) {
	if n == 0 || c.over != nil {
		return
	}
	if c.consumed += int64(n); c.consumed >= int64(c.opt.ConnWindow)/2 {
		c.writeWord(frameWindowUpdate, 0, uint32(c.consumed))
		c.recvWindow += c.consumed
		c.consumed = 0
	}
	if s == nil || s.closed || s.recvEnded || s.released {
		return
	}
	if s.consumed += int64(n); s.consumed >= max(1, c.ours.window/2) {
		c.writeWord(frameWindowUpdate, s.id, uint32(s.consumed))
		s.recvWindow += s.consumed
		s.consumed = 0
	}
}
