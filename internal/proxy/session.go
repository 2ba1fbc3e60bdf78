package proxy

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/loop"
)

// session is one client's HTTP/1.1 connection: a task that serves its requests
// one after the other.
type session struct {
	w        *worker
	task     *loop.Task
	conn     *loop.Conn
	listener string
	original netip.AddrPort // where a redirected connection meant to go; zero else

	scan     http1.Scanner
	x        exchange
	requests uint64
	own      bool // the client is this process, sending a shadow
}

// Run serves the connection to its end.
func (s *session) Run(t *loop.Task) {
	s.x.s, s.x.w, s.x.client = s, s.w, s.conn
	defer s.end()
	for {
		v := s.w.current()
		cfg := s.config(v)
		if cfg == nil {
			return
		}
		if s.requests == 0 {
			s.w.counters(cfg).cxTotal++
		}
		n, err := s.readHead(t, cfg)
		if err != nil {
			s.refuse(t, v, cfg, err)
			return
		}
		if s.requests == 0 {
			s.own = s.w.p.origins.Has(s.conn.Remote())
		}
		s.requests++
		if !s.x.serve(t, s.w.current(), cfg, n) {
			s.linger(t)
			return
		}
	}
}

func (s *session) end() {
	s.x.abandon()
	s.conn.Close()
	delete(s.w.sessions, s)
}

// config is what holds for the connection's next request.
func (s *session) config(v *view) *httpConfig {
	if s.original.IsValid() {
		if h := v.redirected(s.original); h != nil {
			return h
		}
	}
	if l := v.listeners[s.listener]; l != nil {
		return l.http
	}
	return nil
}

// errQuiet ends a session without an answer.
var errQuiet = errors.New("proxy: connection is over")

// errIdle is for a head that does not come.
var errSlowHead = &http1.Error{Status: 408, Reason: "request timeout", Details: "request_header_timeout"}

// readHead waits for a complete request head and returns its length. The error
// is an *http1.Error where the client deserves an answer.
func (s *session) readHead(t *loop.Task, cfg *httpConfig) (int, error) {
	s.scan.Reset()
	var idle loop.Time
	if cfg.idleTimeout > 0 {
		idle = s.w.loop.In(cfg.idleTimeout)
	}
	t.SetDeadline(idle)
	for {
		if in := s.conn.In(); len(in) > 0 {
			if n, err := s.scan.End(in, cfg.limits); n > 0 || err != nil {
				return n, err
			}
		} else if s.w.p.draining.Load() {
			return 0, errQuiet
		}
		n, err := s.conn.Fill()
		switch {
		case n > 0:
			continue
		case err == loop.ErrFull:
			s.conn.Grow()
			continue
		case err == io.EOF && len(s.conn.In()) > 0:
			return 0, errQuiet
		case err != nil:
			return 0, errQuiet
		}
		if s.conn.WriteErr() != nil {
			return 0, errQuiet
		}
		if t.Expired() {
			if len(s.conn.In()) > 0 {
				return 0, errSlowHead
			}
			return 0, errQuiet
		}
		if t.Park() != nil {
			return 0, errQuiet
		}
	}
}

// refuse answers what is no HTTP, and ends the connection.
func (s *session) refuse(t *loop.Task, v *view, cfg *httpConfig, err error) {
	bad, ok := err.(*http1.Error)
	if !ok {
		return
	}
	s.x.begin(v, cfg)
	s.x.protocolError(bad)
	s.linger(t)
}

// lingering is how long the end of a connection waits for the client to have
// read the answer (Envoy's delayed_close_timeout is as long).
const lingering = time.Second

// linger ends the connection so that the client gets the whole answer though
// it may still be sending: closing at once would reset the connection
// (RFC 9112, section 9.6).
func (s *session) linger(t *loop.Task) {
	s.conn.CloseSend()
	t.SetDeadline(s.w.loop.In(lingering))
	for !t.Expired() && s.conn.WriteErr() == nil {
		drained := s.conn.Drained()
		n, err := s.conn.Fill()
		s.conn.Consume(len(s.conn.In()))
		if err != nil {
			if drained {
				return
			}
			n = 0
		} else if n > 0 {
			t.SetDeadline(s.w.loop.In(lingering))
		}
		if n == 0 && t.Park() != nil {
			return
		}
	}
}
