package http2

import (
	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// quantum is how much one stream sends before it is another's turn, in bytes.
const quantum = maxFrameSize

// SendHead sends the head of the request or of the answer; end says that this
// is all. An answer may have informational heads before, with end false. The
// framing FramingLength gives it a Content-Length, FramingNone leaves the one
// that the head has (answers to HEAD, and 304), others have none. The head is
// not kept.
//
// A client's stream begins here. It fails if the connection has gone away
// since Open.
func (s *Stream) SendHead(h *traffic.Head, f traffic.Framing, end bool) {
	c := s.conn
	if s.closed || s.sentHead || !s.start() {
		return
	}
	block := c.blockBuffer()
	if c.client {
		s.headMethod = string(h.Method()) == "HEAD"
		block = hpack.AppendRequest(block, h, sentLength(h, f, true))
	} else {
		block = hpack.AppendResponse(block, h, sentLength(h, f, false))
	}
	informational := !c.client && h.Status < 200
	if !informational {
		s.sentHead = true
		if f.Kind == traffic.FramingLength && !end && !h.Has("trailer") {
			s.sendLeft = f.Length
		}
		end = end || s.sendLeft == 0
	} else {
		end = false
	}
	c.writeBlock(block, s.id, end)
	if end {
		s.endWanted = true
		s.ended()
	}
}

// SendUpgrade begins a client's stream with extended CONNECT (RFC 8441), from the
// head of a request with Upgrade. It is for servers that take it: see
// Conn.Settled. An answer 2xx accepts the upgrade: from then on the payload is
// that of the other protocol, both ways.
func (s *Stream) SendUpgrade(h *traffic.Head) {
	if s.closed || s.sentHead || !s.conn.client || !s.start() {
		return
	}
	s.sentHead, s.connect = true, true
	s.conn.writeBlock(hpack.AppendUpgrade(s.conn.blockBuffer(), h), s.id, false)
}

// sentLength is hpack's word for the Content-Length of a head.
func sentLength(h *traffic.Head, f traffic.Framing, request bool) int64 {
	switch {
	case f.Kind == traffic.FramingLength:
		return f.Length
	case f.Kind != traffic.FramingNone:
		return hpack.NoLength
	case !request:
		return hpack.KeepLength
	case h.Has("content-length"):
		return 0
	}
	return hpack.NoLength
}

// start puts a client's stream on the wire.
func (s *Stream) start() bool {
	c := s.conn
	if !c.client || s.id != 0 {
		return true
	}
	if c.over != nil || c.away.received || c.last+2 >= maxStreamID {
		s.failed(ErrCodeRefusedStream, true, "the connection has gone away")
		return false
	}
	id := c.last + 2
	if c.last == 0 {
		id = 1
	}
	c.reserved--
	c.enter(s, id)
	return true
}

// blockBuffer is where a header block is encoded, behind a frame's header.
func (c *Conn) blockBuffer() []byte {
	pool := c.opt.Pool
	if pool.encoded == nil {
		pool.encoded = make([]byte, 0, largeChunk)
	}
	if c.peer.shrunk { // a table size update, to 0
		return append(pool.encoded[:frameHeaderSize], 0x20)
	}
	return pool.encoded[:frameHeaderSize]
}

// Write sends a piece of the payload, after the head. What cannot be sent yet
// is copied: whoever writes much asks Full.
func (s *Stream) Write(p []byte) {
	if s.closed || s.endWanted || !s.sentHead {
		return
	}
	if s.sendLeft >= 0 {
		p = p[:min(int64(len(p)), s.sendLeft)]
		s.sendLeft -= int64(len(p))
		s.endWanted = s.sendLeft == 0
	}
	c := s.conn
	for s.out.n == 0 && c.ready.empty() && len(p) > 0 && s.sendWindow > 0 && c.sendWindow > 0 && !c.out.Full() {
		n := int(min(int64(len(p)), quantum, s.sendWindow, c.sendWindow))
		s.writeData(n, s.endWanted && n == len(p))
		c.out.Write(p[:n])
		p = p[n:]
	}
	if len(p) > 0 {
		s.out.add(p, c.opt.Pool)
		c.schedule(s)
	} else if s.endWanted && s.out.n == 0 {
		s.ended()
	}
}

// writeData writes the header of a DATA frame.
func (s *Stream) writeData(n int, end bool) {
	c := s.conn
	flags := uint8(0)
	if end {
		flags = flagEndStream
	}
	c.writeFrame(n, frameData, flags, s.id)
	s.sendWindow -= int64(n)
	c.sendWindow -= int64(n)
	s.sentBytes += int64(n)
	if n >= usefulData || n == s.out.n || s.out.n == 0 {
		c.calm.earn(calmPerData)
	}
}

// Pending is how many bytes were written and wait in the stream: the peer's
// windows, or the connection's backlog, do not let them go.
func (s *Stream) Pending() int { return s.out.n }

// Full reports whether so many bytes wait (64 KiB) that no more should be
// written; the Waker is told once half of them have gone.
func (s *Stream) Full() bool {
	s.full = s.out.n > streamHighWater
	return s.full
}

// End completes the message, after all that was written. Trailers may be nil,
// and are not kept. Where SendHead was given a length, and no trailer field,
// the message is complete already when so many bytes were written.
func (s *Stream) End(trailers *traffic.Head) {
	if s.closed || s.endWanted || !s.sentHead {
		return
	}
	s.endWanted = true
	if s.out.n == 0 {
		s.sendEnd(trailers)
		return
	}
	if trailers != nil && trailers.Len() > 0 {
		s.hasTrailers = true
		s.closing.CopyFrom(trailers)
	}
	s.conn.promote(s)
}

// sendEnd ends the stream behind its payload.
func (s *Stream) sendEnd(trailers *traffic.Head) {
	c := s.conn
	if trailers == nil || trailers.Len() == 0 {
		c.writeFrame(0, frameData, flagEndStream, s.id)
		s.ended()
		return
	}
	empty := c.blockBuffer()
	block := hpack.AppendTrailers(empty, trailers)
	if len(block) == len(empty) { // none that may be sent
		c.writeFrame(0, frameData, flagEndStream, s.id)
	} else {
		c.writeBlock(block, s.id, true)
	}
	s.ended()
}

// ended notes that the end of this side's message is in the output.
func (s *Stream) ended() {
	s.sendEnded = true
	s.finish()
}

// SentBytes is how much payload has been put into the output.
func (s *Stream) SentBytes() int64 { return s.sentBytes }
