package upstream

import (
	"errors"
	"net/netip"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// autoStream is a stream over a new connection whose TLS decides what is spoken
// (auto_config). Until that is known it keeps what is sent; then it is the
// stream of that protocol.
type autoStream struct {
	Stream // nil until it is known
	conn   *loop.Conn
	link   link
	task   *loop.Task
	asked  *Breakers
	cl     *Cluster
	use    Use

	head    traffic.Head
	framing traffic.Framing
	early   []byte // of the body
	ended   bool
	closing *traffic.Head // trailers
}

// getAuto makes a stream over a connection that stands, whatever it speaks, or
// else over a new one. Once an endpoint has chosen HTTP/2, a new connection is
// shared from the beginning.
func (p *Pool) getAuto(t *loop.Task, cl *Cluster, h *Host, b *Breakers, use Use) (Stream, error) {
	switch {
	case use.Raw:
		return p.get1(t, cl, h, b, use)
	case h.chose2:
		return p.get2(t, cl, h, b, use)
	}
	if !use.Fresh {
		if c := h.take(cl, use.Authority); c != nil {
			c.Bind(t)
			c.lend(b)
			return c, nil
		}
	}
	if !h.admits(b, use) {
		return nil, ErrBusy
	}
	s := &autoStream{link: p.link(cl, h, b, use), task: t, asked: b, cl: cl, use: use}
	var err error
	if s.conn, err = s.link.connect(t, cl); err != nil {
		return nil, err
	}
	h.lend(p)
	return s, nil
}

// decide makes it the stream of the protocol that the connection has agreed on.
func (s *autoStream) decide() (bool, error) {
	if s.Stream != nil {
		return true, nil
	}
	if ok, err := s.conn.Connected(); !ok {
		return false, err
	}
	h, p := s.link.host, s.link.pool
	h.unlend(p)
	h.RqTotal--
	if h.chose2 = chosen2(s.conn); h.chose2 {
		c := &conn2{link: s.link, limit: s.cl.MaxRequestsPerConnection, patience: s.cl.ConnectTimeout}
		c.task = p.loop.Go(c)
		s.conn.Bind(c.task)
		c.begin(s.conn, s.cl)
		st, err := c.open(s.task, s.asked, s.use)
		if err != nil {
			return false, err
		}
		s.Stream = st
	} else {
		c := &conn1{link: s.link, Conn: s.conn, limit: s.cl.MaxRequestsPerConnection}
		c.lend(s.asked)
		s.Stream = c
	}
	s.Stream.Send(&s.head, s.framing)
	if len(s.early) > 0 {
		s.Stream.Write(s.early)
		s.early = nil
	}
	if s.ended {
		s.Stream.End(s.closing)
	}
	return true, nil
}

// chosen2 reports whether the endpoint has chosen HTTP/2.
func chosen2(c *loop.Conn) bool {
	info, ok := tlsconn.State(c)
	return ok && info.ALPN == "h2"
}

// errOtherProtocol is for an endpoint that has changed its mind.
var errOtherProtocol = errors.New("upstream: the endpoint has chosen another protocol than before")

func (s *autoStream) Host() *Host { return s.link.host }

func (s *autoStream) Local() netip.AddrPort { return s.conn.Local() }

func (s *autoStream) Connected() (bool, error) {
	if ok, err := s.decide(); !ok {
		return false, err
	}
	return s.Stream.Connected()
}

func (s *autoStream) Fate() Fate {
	if s.Stream == nil {
		return FateUnknown
	}
	return s.Stream.Fate()
}

func (s *autoStream) Send(h *traffic.Head, f traffic.Framing) {
	s.head.CopyFrom(h)
	s.framing = f
}

func (s *autoStream) Write(p []byte) {
	if s.Stream == nil {
		s.early = append(s.early, p...)
		return
	}
	s.Stream.Write(p)
}

func (s *autoStream) End(trailers *traffic.Head) {
	if s.Stream != nil {
		s.Stream.End(trailers)
		return
	}
	s.ended = true
	if trailers != nil {
		s.closing = &traffic.Head{}
		s.closing.CopyFrom(trailers)
	}
}

func (s *autoStream) Pending() int {
	if s.Stream == nil {
		return len(s.early)
	}
	return s.Stream.Pending()
}

func (s *autoStream) Full() bool {
	if s.Stream == nil {
		return len(s.early) > loop.HighWater
	}
	return s.Stream.Full()
}

func (s *autoStream) Drained() bool {
	if s.Stream == nil {
		return len(s.early) == 0 || s.WriteErr() != nil
	}
	return s.Stream.Drained()
}

func (s *autoStream) WriteErr() error {
	if s.Stream == nil {
		return s.conn.WriteErr()
	}
	return s.Stream.WriteErr()
}

func (s *autoStream) Head(h *traffic.Head) (f traffic.Framing, ok bool, err error) {
	if ok, err := s.decide(); !ok {
		return f, false, err
	}
	return s.Stream.Head(h)
}

func (s *autoStream) Next() (p []byte, done bool, err error) {
	if ok, err := s.decide(); !ok {
		return nil, false, err
	}
	return s.Stream.Next()
}

func (s *autoStream) Tunnel() *loop.Conn { return nil }

func (s *autoStream) Release() { s.leave(false, true) }

func (s *autoStream) Drop(reset bool) { s.leave(reset, false) }

func (s *autoStream) leave(reset, whole bool) {
	switch {
	case s.Stream == nil:
		s.link.host.unlend(s.link.pool)
		s.asked.DoneRequest()
		s.link.parted(s.conn)
		s.conn.Abort()
	case whole:
		s.Stream.Release()
	default:
		s.Stream.Drop(reset)
	}
}
