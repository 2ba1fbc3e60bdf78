package http2

import "encoding/binary"

// onSettings takes SETTINGS (RFC 9113, section 6.5).
func (c *Conn) onSettings(h frameHeader, p []byte) *ConnError {
	switch {
	case h.id != 0:
		return &ConnError{ErrCodeProtocol, "SETTINGS on a stream"}
	case h.has(flagAck):
		if h.length != 0 {
			return &ConnError{ErrCodeFrameSize, "acknowledgement of SETTINGS with a payload"}
		}
		c.acknowledged()
		return c.idleFrame(1)
	case h.length%settingLength != 0:
		return &ConnError{ErrCodeFrameSize, "SETTINGS of a size that is no multiple of 6"}
	}
	if bad := c.idleFrame(1 + int64(h.length)/256); bad != nil {
		return bad
	}
	if first := !c.settled; first {
		c.settled = true
		c.peer.maxStreams = unboundStreams
	}
	for ; len(p) > 0; p = p[settingLength:] {
		if bad := c.set(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); bad != nil {
			return bad
		}
	}
	c.writeFrame(0, frameSettings, flagAck, 0)
	return nil
}

// Settled reports whether the peer's SETTINGS have come, and whether they allow
// extended CONNECT (RFC 8441): see Stream.SendUpgrade.
func (c *Conn) Settled() (yes, connect bool) { return c.settled, c.peer.connect }

// acknowledged takes back what was allowed while the peer could not know our
// window.
func (c *Conn) acknowledged() {
	if c.ours.acked {
		return
	}
	c.ours.acked = true
	for s := c.streams; s != nil; s = s.next {
		s.recvWindow -= c.ours.unsure
	}
}

func (c *Conn) set(id uint16, value uint32) *ConnError {
	switch id {
	case settingTableSize:
		// What we write does not use the table. A peer that makes its own
		// smaller wants to hear that we know (RFC 7541, section 4.2).
		if value < c.peer.table {
			c.peer.table, c.peer.shrunk = 0, true
		}
	case settingPush:
		if value > 1 || c.client && value != 0 {
			return &ConnError{ErrCodeProtocol, "SETTINGS_ENABLE_PUSH with a value that it cannot have"}
		}
	case settingMaxStreams:
		c.peer.maxStreams = value
	case settingWindow:
		return c.setWindow(value)
	case settingFrameSize:
		if value < maxFrameSize || value > greatestOfFrameSizes {
			return &ConnError{ErrCodeProtocol, "SETTINGS_MAX_FRAME_SIZE out of range"}
		}
	case settingConnect:
		if value > 1 {
			return &ConnError{ErrCodeProtocol, "SETTINGS_ENABLE_CONNECT_PROTOCOL with a value that it cannot have"}
		}
		c.peer.connect = value == 1
	}
	return nil
}

// setWindow changes the windows of all streams, maybe to below 0 (RFC 9113,
// section 6.9.2).
func (c *Conn) setWindow(value uint32) *ConnError {
	if value > maxWindow {
		return &ConnError{ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE out of range"}
	}
	by := int64(value) - c.peer.window
	c.peer.window = int64(value)
	for s := c.streams; s != nil; s = s.next {
		if s.id == 0 || s.closed {
			continue
		}
		if s.sendWindow+by > maxWindow {
			return &ConnError{ErrCodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes a window overflow"}
		}
		if s.sendWindow += by; s.sendWindow <= 0 {
			c.ready.remove(s)
		}
		c.schedule(s)
	}
	c.flushes = true
	return nil
}

// idleFrame counts a frame that carries no message.
func (c *Conn) idleFrame(n int64) *ConnError {
	if c.calm.spend(n, c.opt.Now) {
		return nil
	}
	return &ConnError{ErrCodeEnhanceYourCalm, "too many frames that carry nothing"}
}
