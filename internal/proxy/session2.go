package proxy

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
)

// session2 is what a session has of HTTP/2. The session's task reads the
// connection; each request is an exchange with a task of its own.
type session2 struct {
	s      *session
	conn   *http2.Conn
	active int // exchanges
}

func newSession2(s *session, cfg *httpConfig) *session2 {
	h := &session2{s: s}
	opt := cfg.http2
	opt.Pool = &s.w.streams
	limit, _ := cfg.headLimit(0, 0)
	opt.SettingsTimeout, opt.HeadTimeout = settingsTimeout, time.Duration(limit)
	opt.Now = s.w.nanos
	h.conn = http2.NewServer(s.conn, h, opt)
	return h
}

// settingsTimeout is how long a client may take to send its SETTINGS, and to
// acknowledge ours (RFC 9113, section 6.5.3).
const settingsTimeout = 15 * time.Second

// nanos is the loop's time.
func (w *worker) nanos() int64 { return int64(w.loop.Now()) }

// read takes in what the client sends until the connection ends, or rests:
// then it reports true.
func (h *session2) read(t *loop.Task) (rests bool) {
	s := h.s
	defer func() {
		if !rests {
			h.close()
		}
	}()
	for {
		v := s.w.current()
		cfg := s.config(v)
		if cfg == nil || s.w.p.draining.Load() || s.old(cfg) || cfg.maxRequests > 0 && s.requests >= cfg.maxRequests {
			h.conn.Drain()
		}
		end, err := h.turn()
		if err == nil && h.conn.Late() != nil {
			s.linger(t)
			return false
		}
		if err != nil || end {
			if _, bad := err.(*http2.ConnError); bad && cfg != nil {
				s.w.counters(cfg).rqError++
			}
			if end {
				s.linger(t)
			}
			return false
		}
		if h.active == 0 && len(s.conn.In()) == 0 && s.conn.Drained() {
			if h.conn.Over() {
				s.linger(t)
				return false
			}
			if h.conn.ActiveStreams() == 0 && h.conn.Deadline() == 0 && s.rest() {
				return true
			}
		}
		at, idle := loop.Time(h.conn.Deadline()), loop.Time(0)
		if cfg != nil && h.active == 0 && cfg.idleTimeout > 0 {
			idle = s.since + loop.Time(cfg.idleTimeout)
			if at == 0 || idle < at {
				at = idle
			}
		}
		t.SetDeadline(at)
		if t.Park() != nil || idle > 0 && h.active == 0 && s.w.loop.Now() >= idle {
			return false
		}
	}
}

// turn moves what can be moved without waiting. end is true once the protocol
// was broken and the client has been told.
func (h *session2) turn() (end bool, err error) {
	c := h.s.conn
	for range perTurn {
		h.conn.Flush()
		if h.conn.Congested() {
			return false, c.WriteErr()
		}
		if in := c.In(); len(in) > 0 {
			used, err := h.conn.Feed(in)
			c.Consume(used)
			if err != nil {
				return true, err
			}
			if used > 0 {
				continue
			}
		}
		n, err := c.Fill()
		switch {
		case err == loop.ErrFull:
			c.Grow() // a frame fits into the next size
		case err != nil:
			return false, err
		case n == 0:
			return false, c.WriteErr()
		}
	}
	h.s.task.Wake() // there may be more
	return false, nil
}

// close ends every stream; their exchanges find out by themselves.
func (h *session2) close() { h.conn.Abandon(errQuiet) }

// Opened begins an exchange for a request that has come.
func (h *session2) Opened(st *http2.Stream) {
	s := h.s
	s.requests++
	h.active++
	x := s.w.borrow(&s.downstream)
	x.c2 = client2{stream: st, session: h}
	x.client = &x.c2
	st.Bind(s.w.loop.Go(x))
}

// Rejected counts a request that broke the rules. The client has been told.
func (h *session2) Rejected(status int, details string) {
	s := h.s
	v := s.w.current()
	cfg := s.config(v)
	if cfg == nil {
		return
	}
	x := s.w.borrow(&s.downstream)
	defer s.w.giveBack(x)
	x.begin(v, cfg)
	x.malformed(details)
	x.resp.Status = status
	x.finish()
}

// Run serves one request of an HTTP/2 connection. It is the exchange's task.
func (x *exchange) Run(t *loop.Task) {
	h := x.c2.session
	defer func() {
		x.abandon()
		x.c2.stream.Release()
		x.c2 = client2{}
		x.w.giveBack(x)
		h.active--
		if h.active == 0 {
			h.s.since = h.s.w.loop.Now()
			if h.s.task != nil {
				h.s.task.Wake() // it may rest, or end
			}
		}
	}()
	head, f, ok := x.c2.stream.Head()
	if !ok {
		return
	}
	v := x.w.current()
	cfg := x.from.config(v)
	if cfg == nil {
		return
	}
	x.begin(v, cfg)
	x.req.CopyFrom(head)
	x.req.HTTP2 = true
	x.c2.head = string(x.req.Method()) == "HEAD"
	x.serve(t, f)
}
