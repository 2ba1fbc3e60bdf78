package http2

// Deadline is when the peer must have sent what is waited for, by the clock of
// Options.Now: SETTINGS and their acknowledgement, within SettingsTimeout of the
// first call, and the rest of what has begun. 0: nothing has a deadline. Ask
// after each Feed.
func (c *Conn) Deadline() int64 {
	if c.over != nil {
		return 0
	}
	var at int64
	if c.opt.SettingsTimeout > 0 && !(c.settled && c.ours.acked) {
		if c.waits == 0 {
			c.waits = c.opt.Now()
		}
		at = c.waits + int64(c.opt.SettingsTimeout)
	}
	if c.opt.HeadTimeout > 0 && c.begun != 0 {
		if end := c.begun + int64(c.opt.HeadTimeout); at == 0 || end < at {
			at = end
		}
	}
	return at
}

// Late ends the connection if its Deadline has come. The error is like Feed's,
// nil where the peer still has time. What it has sent may not have been read
// while the connection is Congested: then the time begins anew.
func (c *Conn) Late() error {
	at := c.Deadline()
	if at == 0 {
		return nil
	}
	now := c.opt.Now()
	if c.Congested() {
		c.waits = now
		if c.begun != 0 {
			c.begun = now
		}
		return nil
	}
	if now < at {
		return nil
	}
	bad := &ConnError{ErrCodeSettingsTimeout, "no SETTINGS, or no acknowledgement of ours, in time"}
	if c.begun != 0 && at == c.begun+int64(c.opt.HeadTimeout) {
		bad = &ConnError{ErrCodeEnhanceYourCalm, "frame or header block that does not come to its end"}
		if r, ok := c.handler.(Rejecter); ok && c.begunHead {
			r.Rejected(408, "request_header_timeout")
		}
	}
	c.fail(bad)
	return bad
}

// unfinished notes that a header block is not complete, or the frame that rest
// begins.
func (c *Conn) unfinished(rest []byte) {
	if c.data.open || len(rest) == 0 && !c.block.open {
		return
	}
	if c.begun == 0 {
		c.begun = max(1, c.opt.Now())
	}
	c.begunHead = c.block.open || len(rest) > 3 && frameType(rest[3]) == frameHeaders
}
