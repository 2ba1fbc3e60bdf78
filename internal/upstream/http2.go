package upstream

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// conn2 is an HTTP/2 connection to an endpoint, shared by the streams of many
// exchanges. Its task reads it.
type conn2 struct {
	*loop.Conn
	link
	h2    *http2.Conn
	task  *loop.Task
	limit uint32 // streams that it may serve; 0 any number
	count uint32 // streams, ever
	up    bool
	// patience is how long the connection may take to stand while it takes streams
	patience time.Duration
	// unwanted: no cluster has the endpoint any more
	unwanted bool
	err      error // why there is no connection, or no more

	streams []*stream2
	since   loop.Time // when the last stream ended
}

// stream2 is one exchange over a conn2.
type stream2 struct {
	conn   *conn2
	task   *loop.Task
	stream *http2.Stream
	pos    int       // in conn.streams
	asked  *Breakers // that count the request
	used   int
	heard  bool

	upgrade bool          // by extended CONNECT (RFC 8441)
	asking  *traffic.Head // its request, which
	sent    bool          // goes out once the endpoint has said that it takes it
}

var _ Stream = (*stream2)(nil)

// get2 makes a stream on a connection that has room, or on one that is being
// made.
func (p *Pool) get2(t *loop.Task, cl *Cluster, h *Host, b *Breakers, use Use) (Stream, error) {
	for _, c := range h.shared {
		if !use.Fresh && c.serves(cl, use) {
			return c.open(t, b, use)
		}
	}
	if !h.admits(b, use) {
		return nil, ErrBusy
	}
	c := &conn2{link: p.link(cl, h, b, use), limit: cl.MaxRequestsPerConnection, patience: cl.ConnectTimeout}
	c.task = p.loop.Go(c)
	nc, err := c.connect(c.task, cl)
	if err != nil {
		c.err = err
		return nil, err
	}
	c.begin(nc, cl)
	return c.open(t, b, use)
}

// begin makes the connection one that takes streams.
func (c *conn2) begin(nc *loop.Conn, cl *Cluster) {
	c.Conn = nc
	p, opt := c.pool, cl.http2
	opt.Pool, opt.Now = &p.memory, p.nanos
	opt.SettingsTimeout, opt.HeadTimeout = settingsTimeout, settingsTimeout
	if opt.ConnWindow == 0 {
		opt.ConnWindow = connWindow
	}
	c.h2 = http2.NewClient(nc, opt)
	c.host.shared = append(c.host.shared, c)
}

// settingsTimeout is how long an endpoint may take to send its SETTINGS and to
// acknowledge ours (RFC 9113, section 6.5.3), and to complete a head that it has
// begun. It is long: nobody else has such a limit, and a service may be slow when
// it starts.
const settingsTimeout = time.Minute

func (p *Pool) nanos() int64 { return int64(p.loop.Now()) }

// serves reports whether the connection takes one more stream of the cluster.
func (c *conn2) serves(cl *Cluster, use Use) bool {
	if !c.up && c.patience > 0 && c.pool.loop.Now()-c.born >= loop.Time(c.patience) {
		return false
	}
	return c.err == nil && c.h2.CanOpen() && !c.h2.Congested() && c.tls == cl.TLS && c.named(cl, use.Authority) && !c.old() &&
		(c.limit == 0 || c.count < c.limit)
}

func (c *conn2) open(t *loop.Task, b *Breakers, use Use) (Stream, error) {
	st, err := c.h2.Open()
	if err != nil {
		return nil, err
	}
	c.count++
	s := c.pool.stream2()
	*s = stream2{conn: c, task: t, stream: st, pos: len(c.streams), asked: b, upgrade: use.Upgrade}
	c.streams = append(c.streams, s)
	st.Bind(t)
	c.host.lend(c.pool)
	return s, nil
}

// stream2 is a stream's memory, used again.
func (p *Pool) stream2() *stream2 {
	if n := len(p.streams); n > 0 {
		s := p.streams[n-1]
		p.streams = p.streams[:n-1]
		return s
	}
	return &stream2{}
}

const maxFreeStreams = 1024

// connWindow is what a connection's endpoint may send beyond what was taken, in
// bytes, where the cluster does not say. It is much more than some streams'
// windows together, so that clients that do not read hold up only themselves.
const connWindow = 32 << 20

// Run reads the connection until it ends. It is the connection's task.
func (c *conn2) Run(t *loop.Task) {
	defer c.end()
	for c.err == nil {
		if !c.up {
			ok, err := c.Connected()
			if err != nil {
				c.err = err
				return
			}
			if ok && c.auto && !chosen2(c.Conn) {
				c.host.chose2, c.err = false, errOtherProtocol
				return
			}
			if c.up = ok; ok {
				c.wake()
			} else if len(c.streams) == 0 { // nobody waits for it any more
				c.err = io.EOF
				return
			}
		}
		if c.up {
			settled, _ := c.h2.Settled()
			if c.err = c.turn(); c.err == nil {
				c.err = c.h2.Late()
			}
			if c.err != nil || c.done() {
				return
			}
			if now, _ := c.h2.Settled(); now != settled {
				c.wake()
			}
			t.SetDeadline(loop.Time(c.h2.Deadline()))
		}
		if t.Park() != nil {
			c.err = loop.ErrStopped
		}
	}
}

// done reports whether nobody uses the connection or will do so again.
func (c *conn2) done() bool {
	if len(c.streams) > 0 {
		return false
	}
	rested := c.pool.loop.Now() - c.since
	if c.Conn.Pending() > 0 {
		if rested >= loop.Time(stalled) {
			c.err = io.EOF
		}
		return c.err != nil
	}
	idle := c.host.idleTimeout
	if c.host.gone || c.unwanted || c.old() || c.h2.Over() || !c.h2.CanOpen() ||
		c.limit > 0 && c.count >= c.limit || idle > 0 && rested >= loop.Time(idle) {
		c.err = io.EOF
		return true
	}
	return false
}

// stalled is how long an endpoint may leave unread what was sent to it after
// the last stream has ended.
const stalled = 10 * time.Second

// perTurn is how many reads a connection may take before others get their turn.
const perTurn = 8

// turn takes in what has come, and lets streams write on.
func (c *conn2) turn() error {
	for range perTurn {
		c.h2.Flush()
		if c.h2.Congested() { // the endpoint does not read: then it is not read either
			return c.WriteErr()
		}
		if in := c.In(); len(in) > 0 {
			used, err := c.h2.Feed(in)
			c.Consume(used)
			if err != nil {
				c.Drained()
				return err
			}
			if used > 0 {
				continue
			}
		}
		n, err := c.Fill()
		switch {
		case err == loop.ErrFull:
			c.Grow()
		case err != nil:
			return err
		case n == 0:
			return c.WriteErr()
		}
	}
	c.task.Wake() // there may be more
	return nil
}

// wake tells every stream that something has changed.
func (c *conn2) wake() {
	for _, s := range c.streams {
		s.task.Wake()
	}
}

// end closes the connection; its streams find out by themselves.
func (c *conn2) end() {
	if c.err == nil {
		c.err = errPanicked
	}
	if c.Conn == nil {
		return
	}
	shared := c.host.shared
	for i, o := range shared {
		if o == c {
			shared[i] = shared[len(shared)-1]
			shared[len(shared)-1] = nil
			c.host.shared = shared[:len(shared)-1]
			break
		}
	}
	c.h2.Abandon(c.err)
	c.wake()
	c.parted(c.Conn)
	c.Close()
}

var errPanicked = errors.New("upstream: the connection's task has ended")

func (s *stream2) Host() *Host { return s.conn.host }

func (s *stream2) Local() netip.AddrPort { return s.conn.Local() }

func (s *stream2) Connected() (bool, error) {
	switch {
	case !s.conn.up:
		return false, s.conn.err
	case s.upgrade && !s.sent:
		return s.ask()
	}
	return true, nil
}

func (s *stream2) Fate() Fate {
	switch {
	case s.heard:
		return FateUnknown
	case s.stream.Refused():
		return FateRefused
	case s.conn.err != nil && s.conn.count > 1:
		return FateStale
	}
	return FateUnknown
}

func (s *stream2) Send(h *traffic.Head, f traffic.Framing) {
	if s.upgrade {
		s.asking = &traffic.Head{}
		s.asking.CopyFrom(h)
		return
	}
	s.stream.SendHead(h, f, f.Empty())
}

func (s *stream2) Write(p []byte) { s.stream.Write(p) }

func (s *stream2) End(trailers *traffic.Head) { s.stream.End(trailers) }

// Pending counts what waits for the stream's and the connection's windows, and
// while there is no connection what waits for that.
func (s *stream2) Pending() int {
	n := s.stream.Pending()
	if !s.conn.up {
		n += s.conn.Pending()
	}
	return n
}

func (s *stream2) Full() bool { return s.stream.Full() }

func (s *stream2) Drained() bool {
	s.conn.Drained()
	s.conn.h2.Flush()
	return s.stream.Pending() == 0 || s.WriteErr() != nil
}

func (s *stream2) WriteErr() error {
	if s.conn.err != nil {
		return s.conn.err
	}
	return s.stream.Err()
}

func (s *stream2) Head(h *traffic.Head) (f traffic.Framing, ok bool, err error) {
	head, f, ok := s.stream.Head()
	if ok {
		h.CopyFrom(head)
		s.heard = true
		if s.upgrade && h.Status/100 == 2 {
			s.switched(h)
		}
		return f, true, nil
	}
	return f, false, s.broken()
}

// broken is why no more of the answer will come.
func (s *stream2) broken() error {
	if err := s.stream.Err(); err != nil {
		return err
	}
	if s.conn.err != nil {
		return io.EOF
	}
	return nil
}

func (s *stream2) Next() (p []byte, done bool, err error) {
	p, done, err = s.stream.Next()
	s.used = len(p)
	if err == nil && !done && len(p) == 0 && s.conn.err != nil {
		err = io.EOF
	}
	return p, done, err
}

func (s *stream2) Advance() {
	s.stream.Consume(s.used)
	s.used = 0
}

func (s *stream2) Trailers() *traffic.Head { return s.stream.Trailers() }

func (s *stream2) Quiet() bool { return s.broken() == nil }

func (s *stream2) Tunnel() *loop.Conn { return nil }

func (s *stream2) Release() { s.leave() }

// Drop resets the stream where it is not over on both sides.
func (s *stream2) Drop(bool) { s.leave() }

// leave gives the stream back. One that has not ended on both sides is reset.
func (s *stream2) leave() {
	c := s.conn
	c.host.unlend(c.pool)
	s.asked.DoneRequest()
	s.stream.Release()
	last := len(c.streams) - 1
	c.streams[s.pos] = c.streams[last]
	c.streams[s.pos].pos = s.pos
	c.streams[last] = nil
	c.streams = c.streams[:last]
	c.since = c.pool.loop.Now()
	c.host.next()
	if last == 0 {
		c.task.Wake() // it may be done
	}
	if len(c.pool.streams) < maxFreeStreams {
		*s = stream2{}
		c.pool.streams = append(c.pool.streams, s)
	}
}
