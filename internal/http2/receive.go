package http2

import "encoding/binary"

// step takes the next frame, or what has come of it, and returns how many
// bytes that is: 0 when more are needed.
func (c *Conn) step(in []byte) (int, *ConnError) {
	switch {
	case c.preface < len(clientPreface):
		return c.takePreface(in)
	case c.data.open:
		return c.takePayload(in)
	case len(in) < frameHeaderSize:
		return 0, nil
	}
	h := parseFrameHeader(in)
	switch {
	case h.length > maxFrameSize:
		return 0, &ConnError{ErrCodeFrameSize, "frame larger than 16,384 bytes"}
	case !c.settled && (h.kind != frameSettings || h.has(flagAck)):
		return 0, &ConnError{ErrCodeProtocol, "first frame is not SETTINGS"}
	case c.block.open && (h.kind != frameContinuation || h.id != c.block.id):
		return 0, &ConnError{ErrCodeProtocol, "another frame within a header block"}
	case h.kind == frameData:
		return c.onData(h, in)
	case len(in) < frameHeaderSize+h.length:
		return 0, nil
	}
	n := frameHeaderSize + h.length
	return n, c.onFrame(h, in[frameHeaderSize:n])
}

// takePreface compares what a client sends first (RFC 9113, section 3.4).
func (c *Conn) takePreface(in []byte) (int, *ConnError) {
	want := clientPreface[c.preface:]
	n := min(len(in), len(want))
	if string(in[:n]) != want[:n] {
		return 0, &ConnError{ErrCodeProtocol, "not the preface of HTTP/2"}
	}
	c.preface += n
	return n, nil
}

func (c *Conn) onFrame(h frameHeader, p []byte) *ConnError {
	switch h.kind {
	case frameHeaders:
		return c.onHeaders(h, p)
	case frameContinuation:
		return c.onContinuation(h, p)
	case framePriority:
		return c.onPriority(h, p)
	case frameRSTStream:
		return c.onReset(h, p)
	case frameSettings:
		return c.onSettings(h, p)
	case framePushPromise:
		return &ConnError{ErrCodeProtocol, "PUSH_PROMISE, which nobody may send here"}
	case framePing:
		return c.onPing(h, p)
	case frameGoAway:
		return c.onGoAway(h, p)
	case frameWindowUpdate:
		return c.onWindowUpdate(h, p)
	}
	return c.idleFrame(1) // unknown: RFC 9113, section 5.5
}

// idle reports whether a stream has not begun (RFC 9113, section 5.1). The
// server begins none.
func (c *Conn) idle(id uint32) bool { return id&1 == 0 || id > c.last }

func (c *Conn) onPriority(h frameHeader, p []byte) *ConnError {
	switch {
	case h.id == 0:
		return &ConnError{ErrCodeProtocol, "PRIORITY on stream 0"}
	case h.length != prioritySize:
		if s := c.open.get(h.id); s != nil {
			s.reset(ErrCodeFrameSize, "PRIORITY of a wrong size")
			return c.idleFrame(1)
		}
		return &ConnError{ErrCodeFrameSize, "PRIORITY of a wrong size"}
	case binary.BigEndian.Uint32(p)&maxStreamID == h.id:
		return &ConnError{ErrCodeProtocol, "stream that depends on itself"}
	}
	return c.idleFrame(1)
}

// onReset takes RST_STREAM (RFC 9113, section 6.4).
func (c *Conn) onReset(h frameHeader, p []byte) *ConnError {
	switch {
	case h.id == 0:
		return &ConnError{ErrCodeProtocol, "RST_STREAM on stream 0"}
	case h.length != 4:
		return &ConnError{ErrCodeFrameSize, "RST_STREAM of a wrong size"}
	case c.idle(h.id):
		return &ConnError{ErrCodeProtocol, "RST_STREAM on an idle stream"}
	}
	s := c.open.get(h.id)
	if s == nil {
		return c.idleFrame(1)
	}
	if !c.client && !s.sendEnded && !c.resets.spend(1, c.opt.Now) {
		return &ConnError{ErrCodeEnhanceYourCalm, "too many streams were reset before they were answered"}
	}
	s.failed(ErrCode(binary.BigEndian.Uint32(p)), true, "")
	return c.idleFrame(1)
}

func (c *Conn) onPing(h frameHeader, p []byte) *ConnError {
	switch {
	case h.id != 0:
		return &ConnError{ErrCodeProtocol, "PING on a stream"}
	case h.length != 8:
		return &ConnError{ErrCodeFrameSize, "PING of a wrong size"}
	}
	if bad := c.idleFrame(1); bad != nil {
		return bad
	}
	data := binary.BigEndian.Uint64(p)
	switch {
	case !h.has(flagAck):
		c.writePing(flagAck, data)
	case data == drainPing:
		if c.away.draining {
			c.finalGoAway()
		}
	case data > uint64(c.pongs) && data <= uint64(c.pings):
		c.pongs = int(data)
	}
	return nil
}

// onGoAway takes GOAWAY (RFC 9113, section 6.8): streams above its last one
// were not looked at.
func (c *Conn) onGoAway(h frameHeader, p []byte) *ConnError {
	switch {
	case h.id != 0:
		return &ConnError{ErrCodeProtocol, "GOAWAY on a stream"}
	case h.length < 8:
		return &ConnError{ErrCodeFrameSize, "GOAWAY of a wrong size"}
	}
	last := binary.BigEndian.Uint32(p) & maxStreamID
	if c.away.received && last > c.away.lastRecv {
		return &ConnError{ErrCodeProtocol, "GOAWAY with a later stream than before"}
	}
	c.away.received, c.away.lastRecv = true, last
	if c.client {
		for s := c.streams; s != nil; {
			next := s.next
			if !s.closed && (s.id > last || s.id == 0) {
				s.failed(ErrCodeRefusedStream, true, "left out by GOAWAY")
			}
			s = next
		}
	}
	return c.idleFrame(1)
}

// onWindowUpdate takes WINDOW_UPDATE (RFC 9113, section 6.9).
func (c *Conn) onWindowUpdate(h frameHeader, p []byte) *ConnError {
	if h.length != 4 {
		return &ConnError{ErrCodeFrameSize, "WINDOW_UPDATE of a wrong size"}
	}
	if h.id != 0 && c.idle(h.id) {
		return &ConnError{ErrCodeProtocol, "WINDOW_UPDATE on an idle stream"}
	}
	if bad := c.idleFrame(1); bad != nil {
		return bad
	}
	by := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if h.id == 0 {
		switch {
		case by == 0:
			return &ConnError{ErrCodeProtocol, "WINDOW_UPDATE by 0"}
		case c.sendWindow+by > maxWindow:
			return &ConnError{ErrCodeFlowControl, "WINDOW_UPDATE makes the connection's window overflow"}
		}
		c.sendWindow += by
		c.flushes = true
		return nil
	}
	s := c.open.get(h.id)
	switch {
	case s == nil: // it has just been closed
	case by == 0:
		s.reset(ErrCodeProtocol, "WINDOW_UPDATE by 0")
	case s.sendWindow+by > maxWindow:
		s.reset(ErrCodeFlowControl, "WINDOW_UPDATE makes the stream's window overflow")
	default:
		s.sendWindow += by
		c.schedule(s)
		c.flushes = true
	}
	return nil
}
