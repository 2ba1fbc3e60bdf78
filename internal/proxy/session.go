package proxy

import (
	"errors"
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/loop"
)

// session is one client's connection. While the connection rests between
// requests there is no more than this; when it becomes readable, the session
// runs as a task. Over HTTP/1.1 that task has an exchange, which is borrowed
// too; over HTTP/2 each request has one, and a task of its own.
type session struct {
	downstream
	task *loop.Task // nil while the connection rests

	opened   bool      // it was made ready for its first request
	since    loop.Time // when it came, or its last request ended
	rested   loop.Time // when it came to rest
	begun    loop.Time // when its first request did
	born     loop.Time
	requests uint64
	scan     http1.Scanner
	x        *exchange // of HTTP/1.1, while it does not rest
	h2       *session2 // of HTTP/2
}

// ConnReadable makes the session serve what the client has sent.
func (s *session) ConnReadable(*loop.Conn) {
	s.task = s.w.loop.Go(s)
	s.conn.Bind(s.task)
}

// Run serves requests until the connection rests or ends.
func (s *session) Run(t *loop.Task) {
	rests := false
	defer func() { s.leave(rests) }()
	if !s.opened && !s.open(t) {
		return
	}
	if s.requests == 0 && s.h2 == nil && !s.speak(t) {
		return
	}
	if s.h2 != nil {
		rests = s.h2.read(t)
		return
	}
	s.x = s.w.borrow(&s.downstream)
	s.x.client, s.x.c1.conn = &s.x.c1, s.conn
	rests = s.serve1(t)
}

// speak finds out, before the first request, what the connection speaks, and
// reports whether it may go on.
func (s *session) speak(t *loop.Task) bool {
	cfg := s.config(s.w.current())
	if cfg == nil {
		return false
	}
	if cfg.idleTimeout > 0 {
		t.SetDeadline(s.since + loop.Time(cfg.idleTimeout))
	}
	yes, ok := s.wantsHTTP2(t, cfg)
	if !ok {
		return false
	}
	s.own = s.w.p.origins.Has(s.conn.Remote(), s.dialed())
	c := s.w.counters(cfg)
	if yes {
		s.h2 = newSession2(s, cfg)
		c.cxHTTP2++
	}
	if s.secure != nil {
		c.cxTLS++
	}
	return true
}

// serve1 serves HTTP/1.1 and reports whether the connection rests.
func (s *session) serve1(t *loop.Task) (rests bool) {
	for {
		n, err := s.readHead(t)
		if err == errRests {
			return true
		}
		v := s.w.current() // it may have changed since
		cfg := s.config(v)
		if err != nil || cfg == nil {
			s.refuse(t, v, cfg, err)
			return false
		}
		s.requests++
		if !s.serve(t, v, cfg, n) {
			s.linger(t)
			return false
		}
		if s.rest() {
			return true
		}
	}
}

// serve answers the request whose head is the first n bytes of the input, and
// reports whether the connection may serve another.
func (s *session) serve(t *loop.Task, v *view, cfg *httpConfig, n int) bool {
	x := s.x
	t.SetDeadline(0)
	x.begin(v, cfg)
	x.c1.begin()
	f, err := x.c1.read(&x.req, n, cfg.limits)
	if err != nil {
		x.protocolError(err.(*http1.Error))
		return false
	}
	if cfg.maxRequests > 0 && s.requests >= cfg.maxRequests || s.old(cfg) {
		x.c1.keep = false
	}
	x.serve(t, f)
	return x.c1.keep
}

// rest leaves the connection to itself if nothing has come. What is left of
// the answer is written with all other output of the round.
func (s *session) rest() bool {
	if len(s.conn.In()) > 0 || !s.conn.Rest(s) {
		return false
	}
	s.rested = s.w.loop.Now()
	if s.h2 == nil { // over HTTP/2 only requests count, not PINGs
		s.since = s.rested
	}
	return true
}

// leave gives the exchange back, and ends the session unless it rests.
func (s *session) leave(rests bool) {
	if s.x != nil {
		s.x.abandon()
		s.w.giveBack(s.x)
		s.x = nil
	}
	s.task = nil
	if !rests {
		s.end()
	}
}

func (s *session) end() {
	if s.h2 != nil {
		s.h2.conn.GoAway()
		s.h2.close()
	}
	s.conn.Close()
	if _, ok := s.w.sessions[s]; ok {
		delete(s.w.sessions, s)
		s.w.p.opt.Overload.Leave()
	}
}

// over reports whether a session that rests has rested too long, or is not
// wanted any more.
func (s *session) over() bool {
	rested := s.w.since(s.since)
	if !s.opened {
		return rested >= openTimeout
	}
	cfg := s.config(s.w.current())
	if s.w.p.draining.Load() && s.requests > 0 && s.w.since(s.rested) >= drainRest {
		return true
	}
	return cfg == nil || cfg.idleTimeout > 0 && rested >= cfg.idleTimeout || s.old(cfg)
}

// drainRest is how long a connection must have rested to be closed because the
// proxy drains. One in use is told to close with its next answer instead, since
// closing it could meet a request on its way.
const drainRest = time.Second

// old reports whether the connection has lived as long as it may
// (max_connection_duration).
func (s *session) old(cfg *httpConfig) bool {
	return cfg.maxConnectionDuration > 0 && s.w.since(s.born) >= cfg.maxConnectionDuration
}

// errQuiet ends a session without an answer.
var errQuiet = errors.New("proxy: connection is over")

// errRests tells that nothing has come after all, and the connection rests.
var errRests = errors.New("proxy: connection rests")

// For a head that does not come to its end.
var (
	errSlowHead    = &http1.Error{Status: 408, Reason: "request header timeout", Details: "request_header_timeout"}
	errSlowRequest = &http1.Error{Status: 408, Reason: bodySlowRequest, Details: "request_overall_timeout"}
	errLongStream  = &http1.Error{Status: 408, Reason: bodyDuration, Details: "max_duration_timeout"}
	errIdleStream  = &http1.Error{Status: 408, Reason: bodyIdle, Details: "stream_idle_timeout"}
)

// headLimit is by when a head must be complete that began at since and moved on
// at moved, and what is wrong then; 0 for never.
func (h *httpConfig) headLimit(since, moved loop.Time) (at loop.Time, late *http1.Error) {
	consider := func(from loop.Time, d time.Duration, err *http1.Error) {
		if end := from + loop.Time(d); d > 0 && (at == 0 || end < at) {
			at, late = end, err
		}
	}
	consider(since, h.headersTimeout, errSlowHead)
	consider(since, h.requestTimeout, errSlowRequest)
	consider(since, h.maxStreamDuration, errLongStream)
	consider(moved, h.streamIdleTimeout, errIdleStream)
	return at, late
}

// readHead waits for a complete request head and returns its length. The error
// is an *http1.Error where the client deserves an answer.
func (s *session) readHead(t *loop.Task) (int, error) {
	s.scan.Reset()
	since, moved := s.w.loop.Now(), s.w.loop.Now()
	if s.begun != 0 {
		since, moved, s.begun = s.begun, s.begun, 0
	}
	for {
		cfg := s.config(s.w.current())
		if cfg == nil {
			return 0, errQuiet
		}
		var at loop.Time
		var late error = errQuiet
		if len(s.conn.In()) > 0 {
			at, late = cfg.headLimit(since, moved)
		} else if cfg.idleTimeout > 0 {
			at = since + loop.Time(cfg.idleTimeout)
		}
		t.SetDeadline(at)
		if in := s.conn.In(); len(in) > 0 {
			if n, err := s.scan.End(in, cfg.limits); n > 0 || err != nil {
				return n, err
			}
		}
		n, err := s.conn.Fill()
		switch {
		case n > 0:
			moved = s.w.loop.Now()
			continue
		case err == loop.ErrFull:
			s.conn.Grow()
			continue
		case err != nil:
			return 0, errQuiet
		}
		if s.conn.WriteErr() != nil {
			return 0, errQuiet
		}
		if t.Expired() {
			return 0, late
		}
		if s.requests > 0 && len(s.conn.In()) == 0 && s.conn.Rest(s) {
			return 0, errRests
		}
		if t.Park() != nil {
			return 0, errQuiet
		}
	}
}

// refuse ends the connection: after an answer where err is what is wrong with
// the request, else after what has been written already.
func (s *session) refuse(t *loop.Task, v *view, cfg *httpConfig, err error) {
	if bad, ok := err.(*http1.Error); ok && cfg != nil {
		s.x.begin(v, cfg)
		s.x.c1.begin()
		s.x.protocolError(bad)
	} else if s.conn.Drained() {
		return
	}
	s.linger(t)
}

// How long the end of a connection waits for the client.
const (
	lingering  = time.Second      // to send nothing more (Envoy's delayed_close_timeout)
	maxLinger  = 30 * time.Second // though it goes on sending
	maxStalled = time.Minute      // to read on
)

// linger ends the connection so that the client gets the whole answer though
// it may still be sending: closing at once would reset the connection
// (RFC 9112, section 9.6).
func (s *session) linger(t *loop.Task) {
	s.conn.CloseSend()
	var end loop.Time // by then it is closed; known when all is written
	pending := 0
	for s.conn.WriteErr() == nil {
		drained := s.conn.Drained()
		n, err := s.conn.Fill()
		s.conn.Consume(len(s.conn.In()))
		switch now := s.w.loop.Now(); {
		case !drained && s.conn.Pending() != pending:
			pending = s.conn.Pending()
			t.SetDeadline(now + loop.Time(maxStalled))
		case !drained:
		case err != nil:
			return
		case end == 0:
			end = now + loop.Time(maxLinger)
			t.SetDeadline(now + loop.Time(lingering))
		case n > 0:
			t.SetDeadline(min(now+loop.Time(lingering), end))
		}
		if t.Expired() || (n == 0 || err != nil) && t.Park() != nil {
			return
		}
	}
}
