package http2

import "github.com/sundog-mesh/sundog/internal/traffic"

// streamHighWater is how much may wait in a stream before Full reports it, in bytes.
const streamHighWater = 64 << 10

// Stream is one exchange: a request and its answer. It belongs to its Conn,
// which uses its memory again, so it must not be used after Release.
//
// None of its methods waits. What is written once the stream has failed is
// dropped.
type Stream struct {
	conn       *Conn
	next, prev *Stream // of conn.streams
	id         uint32  // 0 before a client's SendHead
	waker      Waker
	err        StreamError
	hasErr     bool

	closed   bool // off the wire
	released bool

	// Receiving.
	head, trailers traffic.Head
	early          []*traffic.Head // informational ones that wait
	taken          *traffic.Head   // the one that Head has returned
	framing        traffic.Framing
	hasHead        bool // the final head has come
	untaken        bool // and was not taken
	recvEnded      bool
	headMethod     bool  // the request was HEAD
	connect        bool  // it was extended CONNECT
	left           int64 // of Content-Length; -1 unknown
	in             queue
	recvWindow     int64
	consumed       int64 // and not given back

	// Sending.
	out         queue
	sendWindow  int64
	sendLeft    int64 // of Content-Length; -1 unknown
	sentHead    bool
	endWanted   bool
	sendEnded   bool
	sentBytes   int64 // of payload
	full        bool  // Full has said so
	hasTrailers bool
	closing     traffic.Head // trailers that wait for the payload before them

	readyNext, readyPrev *Stream
	readiness            readiness
}

// Bind makes the stream's events wake w: a head, payload, the end, a failure,
// and that so much of what waited has gone that more may be written. nil ends
// that.
func (s *Stream) Bind(w Waker) { s.waker = w }

func (s *Stream) wake() {
	if s.waker != nil {
		s.waker.Wake()
	}
}

// ID is the stream's identifier; 0 before SendHead of a client.
func (s *Stream) ID() uint32 { return s.id }

// Head is the next head that has come and was not taken yet: the request, or
// the answer's informational heads and the final one. ok is false when there
// is none. The head is valid until the next call, the last one until Release.
//
// The framing is FramingLength where Content-Length was given, FramingNone
// where the head ended the stream without, or where the answer has no body by
// nature (to HEAD, 1xx, 204 and 304), FramingChunked else.
func (s *Stream) Head() (h *traffic.Head, f traffic.Framing, ok bool) {
	if s.taken != nil {
		s.conn.opt.Pool.putHead(s.taken)
		s.taken = nil
	}
	if len(s.early) > 0 {
		s.taken = s.early[0]
		n := copy(s.early, s.early[1:])
		s.early[n] = nil
		s.early = s.early[:n]
		return s.taken, traffic.Framing{}, true
	}
	if !s.untaken || s.hasErr && !s.recvEnded {
		return nil, traffic.Framing{}, false
	}
	s.untaken = false
	return &s.head, s.framing, true
}

// keepEarly moves an informational head to those that wait.
func (s *Stream) keepEarly() {
	pool := s.conn.opt.Pool
	if s.released {
		return
	}
	if len(s.early) == maxEarly {
		pool.putHead(s.early[0])
		s.early = s.early[:copy(s.early, s.early[1:])]
	}
	h := pool.head()
	*h, s.head = s.head, *h
	s.early = append(s.early, h)
}

// Next is the next piece of the payload, empty if none has come, and whether
// it is the last. It is a view, valid until Consume. The error is a
// *StreamError: what had come before it is gone, unless the peer had ended the
// stream.
func (s *Stream) Next() (p []byte, done bool, err error) {
	if s.hasErr && !s.recvEnded {
		return nil, false, &s.err
	}
	p = s.in.front()
	return p, s.recvEnded && len(p) == s.in.n, nil
}

// Consume drops the first n bytes of what Next has returned, and lets the peer
// send as many more.
func (s *Stream) Consume(n int) {
	if n = min(n, s.in.n); n > 0 {
		s.in.drop(n, s.conn.opt.Pool)
		s.conn.credit(s, n)
	}
}

// Trailers are those of a message that is done; nil when there are none.
func (s *Stream) Trailers() *traffic.Head {
	if !s.recvEnded || s.trailers.Len() == 0 {
		return nil
	}
	return &s.trailers
}

// Ended reports whether the peer has sent all of its message.
func (s *Stream) Ended() bool { return s.recvEnded }

// Err is why the stream has failed, a *StreamError; nil while it has not. A
// peer that has sent a complete message may still reset the stream, with
// NO_ERROR when it does not want the rest of ours: then Err is not nil, and
// the message can still be read.
func (s *Stream) Err() error {
	if s.hasErr {
		return &s.err
	}
	return nil
}

// Refused reports whether the peer says that it has not looked at the request:
// it may be sent again (RFC 9113, section 8.7).
func (s *Stream) Refused() bool {
	return s.hasErr && s.err.Remote && s.err.Code == ErrCodeRefusedStream
}

// Reset ends the stream at once, both ways. The Waker is not told.
func (s *Stream) Reset(code ErrCode) {
	s.waker = nil
	s.reset(code, "")
}

// Release gives the stream back; it must not be used any more. What was
// written before End is still sent; whoever wants a deadline for that waits
// until nothing is Pending. A stream that is not over then is reset:
// one whose message is incomplete with CANCEL (clients) or INTERNAL_ERROR
// (servers), a server's complete one with NO_ERROR where the rest of the
// request is not wanted.
func (s *Stream) Release() {
	s.waker, s.released = nil, true
	s.dropInput()
	switch {
	case s.closed:
	case s.id == 0:
		s.conn.leave(s)
	case s.conn.client && (!s.recvEnded || !s.endWanted):
		s.reset(ErrCodeCancel, "")
		return
	case !s.endWanted:
		s.reset(ErrCodeInternal, "")
		return
	case s.sendEnded:
		s.finish()
		return
	}
	s.part()
}

// part gives the stream's memory back once it is released and off the wire.
func (s *Stream) part() {
	if s.released && s.closed {
		s.conn.discard(s)
	}
}

// deaf reports whether nobody wants what the peer sends.
func (s *Stream) deaf() bool { return s.released || s.recvEnded || s.hasErr }

// dropInput drops the payload that waits; the connection's credit goes back.
func (s *Stream) dropInput() {
	if n := s.in.n; n > 0 {
		s.in.drop(n, s.conn.opt.Pool)
		s.conn.credit(nil, n)
	}
}

// endReceive takes the end of the peer's message.
func (s *Stream) endReceive() {
	s.recvEnded = true
	s.wake()
	s.finish()
}

// finish takes the stream off the wire if both sides have ended it, or this
// one has and nobody wants the rest of the other's.
func (s *Stream) finish() {
	switch {
	case s.closed || !s.sendEnded:
		return
	case !s.recvEnded && !s.released:
		return
	case !s.recvEnded:
		code := ErrCodeNo
		if s.conn.client {
			code = ErrCodeCancel
		}
		s.conn.refuse(s.id, code)
	case !s.conn.client:
		s.conn.resets.earn(1)
	}
	s.conn.leave(s)
	s.part()
}

// reset ends the stream with RST_STREAM, where it is on the wire.
func (s *Stream) reset(code ErrCode, reason string) {
	if s.closed {
		return
	}
	if s.id != 0 && s.conn.over == nil {
		s.conn.refuse(s.id, code)
	}
	s.failed(code, false, reason)
}

// lost fails the stream with its connection.
func (s *Stream) lost(cause error) {
	if !s.closed {
		s.err.Cause = cause
	}
	s.failed(ErrCodeInternal, false, "connection lost")
}

// failed ends the stream, both ways.
func (s *Stream) failed(code ErrCode, remote bool, reason string) {
	if s.closed {
		return
	}
	s.hasErr = true
	s.err.Code, s.err.Remote, s.err.Reason = code, remote, reason
	s.out.drop(s.out.n, s.conn.opt.Pool)
	if !s.recvEnded {
		s.dropInput()
	}
	s.conn.leave(s)
	s.wake()
	s.part()
}
