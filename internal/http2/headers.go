package http2

import (
	"encoding/binary"

	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// block is the header block that is being received.
type block struct {
	open   bool
	id     uint32
	end    bool // END_STREAM
	self   bool // the stream says that it depends on itself
	buf    []byte
	frames int
}

// onHeaders takes HEADERS (RFC 9113, section 6.2).
func (c *Conn) onHeaders(h frameHeader, p []byte) *ConnError {
	if h.id == 0 {
		return &ConnError{ErrCodeProtocol, "HEADERS on stream 0"}
	}
	pad := 0
	if h.has(flagPadded) {
		if len(p) == 0 {
			return &ConnError{ErrCodeFrameSize, "padded HEADERS without the length of the padding"}
		}
		pad, p = int(p[0]), p[1:]
	}
	self := false
	if h.has(flagPriority) {
		if len(p) < prioritySize {
			return &ConnError{ErrCodeFrameSize, "HEADERS too short for its priority"}
		}
		self = binary.BigEndian.Uint32(p)&maxStreamID == h.id
		p = p[prioritySize:]
	}
	if pad > len(p) {
		return &ConnError{ErrCodeProtocol, "HEADERS with more padding than payload"}
	}
	p = p[:len(p)-pad]
	if h.id&1 == 0 || c.client && c.idle(h.id) {
		return &ConnError{ErrCodeProtocol, "HEADERS on a stream that cannot be"}
	}
	c.block.id, c.block.end, c.block.self = h.id, h.has(flagEndStream), self
	if h.has(flagEndHeaders) {
		return c.onBlock(p)
	}
	c.block.open, c.block.frames = true, 1
	c.block.buf = append(c.opt.Pool.chunk(largeChunk), p...)
	return nil
}

// onContinuation takes CONTINUATION (RFC 9113, section 6.10).
func (c *Conn) onContinuation(h frameHeader, p []byte) *ConnError {
	if !c.block.open {
		return &ConnError{ErrCodeProtocol, "CONTINUATION without HEADERS"}
	}
	c.block.frames++
	if c.block.frames > maxContinuations || len(c.block.buf)+len(p) > maxBlock*c.opt.Limits.Bytes+maxFrameSize {
		return &ConnError{ErrCodeEnhanceYourCalm, "header block without an end"}
	}
	c.block.buf = append(c.block.buf, p...)
	if !h.has(flagEndHeaders) {
		return nil
	}
	c.block.open = false
	bad := c.onBlock(c.block.buf)
	c.opt.Pool.putChunk(c.block.buf)
	c.block.buf = nil
	return bad
}

// onBlock takes a complete header block. Whatever it is for, it is decoded:
// the next one depends on it.
func (c *Conn) onBlock(p []byte) *ConnError {
	s := c.open.get(c.block.id)
	switch {
	case s == nil && !c.client && c.block.id > c.last:
		return c.onRequest(p)
	case s == nil:
		return c.blockOfClosed(p)
	case s.recvEnded:
		return c.badBlock(s, p, ErrCodeStreamClosed, "HEADERS after the end of the stream")
	case c.block.self:
		return c.badBlock(s, p, ErrCodeProtocol, "stream that depends on itself")
	case s.hasHead:
		return c.onTrailers(s, p)
	}
	return c.onResponse(s, p)
}

func (c *Conn) decode(h *traffic.Head, p []byte, kind hpack.Kind) (*hpack.Malformed, *ConnError) {
	h.Reset()
	malformed, err := c.decoder.Decode(h, p, kind, c.opt.Limits)
	if err != nil {
		return nil, &ConnError{ErrCodeCompression, err.Error()}
	}
	return malformed, nil
}

// ignore decodes a block for the sake of the decoder alone.
func (c *Conn) ignore(p []byte) *ConnError {
	kind := hpack.Request
	if c.client {
		kind = hpack.Response
	}
	h := c.opt.Pool.head()
	_, bad := c.decode(h, p, kind)
	c.opt.Pool.putHead(h)
	return bad
}

// badBlock resets the stream that a block is for.
func (c *Conn) badBlock(s *Stream, p []byte, code ErrCode, reason string) *ConnError {
	s.reset(code, reason)
	return c.ignore(p)
}

// blockOfClosed takes a block for a stream that is closed.
func (c *Conn) blockOfClosed(p []byte) *ConnError {
	if c.ignores(c.block.id) {
		if bad := c.idleFrame(1); bad != nil {
			return bad
		}
		return c.ignore(p)
	}
	if c.history.fate(c.block.id) == fateSkipped {
		return &ConnError{ErrCodeProtocol, "stream with a number below that of another"}
	}
	return &ConnError{ErrCodeStreamClosed, "HEADERS on a closed stream"}
}

// onRequest begins a stream.
func (c *Conn) onRequest(p []byte) *ConnError {
	id, end := c.block.id, c.block.end
	most := int(c.opt.MaxStreams)
	if c.away.sent || c.open.n >= most || c.running >= 2*most {
		c.pass(id)
		if !c.away.sent {
			c.refuse(id, ErrCodeRefusedStream)
		}
		if bad := c.idleFrame(1); bad != nil {
			return bad
		}
		return c.ignore(p)
	}
	s := c.newStream()
	malformed, bad := c.decode(&s.head, p, hpack.Request)
	if bad != nil {
		c.discard(s)
		return bad
	}
	length := c.decoder.Length()
	if malformed != nil || c.block.self || end && length > 0 {
		c.discard(s)
		c.pass(id)
		return c.reject(id, malformed)
	}
	c.enter(s, id)
	s.hasHead, s.untaken = true, true
	s.setFraming(length, end)
	s.recvEnded = end
	c.handler.Opened(s)
	return nil
}

// pass goes past an identifier whose stream does not come to be.
func (c *Conn) pass(id uint32) {
	c.last = id
	c.history.open(id)
}

// refuse resets a stream that is not there.
func (c *Conn) refuse(id uint32, code ErrCode) {
	c.history.markReset(id)
	c.writeWord(frameRSTStream, id, uint32(code))
}

// reject answers a request that is none; malformed is nil where the head alone
// is not to blame.
func (c *Conn) reject(id uint32, malformed *hpack.Malformed) *ConnError {
	status, details, code := 400, "http2.violation.of.messaging.rule", ErrCodeProtocol
	if malformed != nil {
		details = malformed.Details
		if malformed.TooLarge {
			status, code = 431, ErrCodeNo
			h := c.opt.Pool.head()
			h.Reset()
			h.Status = status
			c.writeBlock(hpack.AppendResponse(c.blockBuffer(), h, 0), id, true)
			c.opt.Pool.putHead(h)
		}
	}
	if code != ErrCodeNo || !c.block.end {
		c.refuse(id, code)
	}
	if r, ok := c.handler.(Rejecter); ok {
		r.Rejected(status, details)
	}
	return c.idleFrame(1)
}

// onResponse takes the head of an answer, be it an informational one.
func (c *Conn) onResponse(s *Stream, p []byte) *ConnError {
	malformed, bad := c.decode(&s.head, p, hpack.Response)
	end, length := c.block.end, c.decoder.Length()
	status := s.head.Status
	switch {
	case bad != nil:
		return bad
	case malformed != nil:
		s.reset(ErrCodeProtocol, malformed.Reason)
		return nil
	case status < 200 && end:
		s.reset(ErrCodeProtocol, "informational head that ends the stream")
		return nil
	case status < 200:
		s.keepEarly()
		s.wake()
		return c.idleFrame(1)
	}
	s.hasHead, s.untaken = true, true
	switch {
	case s.headMethod || status == 204 || status == 304:
		s.left = 0
	case s.connect && status < 300: // a tunnel has no length
		s.setFraming(-1, end)
	case end && length > 0:
		s.reset(ErrCodeProtocol, "no DATA in spite of Content-Length")
		return nil
	default:
		s.setFraming(length, end)
	}
	s.wake()
	if end {
		s.endReceive()
	}
	return nil
}

// onTrailers takes the block that ends a message.
func (c *Conn) onTrailers(s *Stream, p []byte) *ConnError {
	if !c.block.end {
		return c.badBlock(s, p, ErrCodeProtocol, "a second head")
	}
	malformed, bad := c.decode(&s.trailers, p, hpack.Trailers)
	switch {
	case bad != nil:
		return bad
	case malformed != nil:
		s.reset(ErrCodeProtocol, malformed.Reason)
	case s.left > 0:
		s.reset(ErrCodeProtocol, "DATA and Content-Length differ")
	default:
		s.endReceive()
	}
	return nil
}

// setFraming says how the received body ends, from its Content-Length, -1 for
// none, and whether it has none.
func (s *Stream) setFraming(length int64, end bool) {
	switch {
	case length >= 0:
		s.left = length
		s.framing = traffic.Framing{Kind: traffic.FramingLength, Length: length}
	case end:
		s.framing = traffic.Framing{}
	default:
		s.framing = traffic.Framing{Kind: traffic.FramingChunked}
	}
}
