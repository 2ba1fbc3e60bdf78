package proxy

import (
	"io"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// tunnelEnd is one end of a tunnel: a whole connection, or the bodies of a
// stream of HTTP/2, which client2 and upstream.Stream are.
type tunnelEnd interface {
	Next() (p []byte, done bool, err error)
	Advance()
	Write(p []byte)
	End(trailers *traffic.Head)
	Full() bool
}

// wholeConn is a connection as one end of a tunnel.
type wholeConn struct{ *loop.Conn }

func (c wholeConn) Next() (p []byte, done bool, err error) {
	if len(c.In()) == 0 {
		if _, err := c.Fill(); err != nil && err != loop.ErrFull {
			if err == io.EOF {
				return nil, true, nil
			}
			return nil, false, err
		}
	}
	return c.In(), false, nil
}

func (c wholeConn) Advance() { c.Consume(len(c.In())) }

func (c wholeConn) End(*traffic.Head) { c.CloseSend() }

// tunnel moves bytes both ways until both sides have ended, one has failed,
// nothing has moved for the route's idle timeout, or max_stream_duration is over.
func (x *exchange) tunnel(f *route.Forward) {
	x.v.counters[x.clusterID].count(x.resp.Status)
	broken := !x.pour(x.idle(f))
	x.respDone = true
	x.up.Drop(broken)
	x.up = nil
	switch {
	case !broken:
	case x.tunneled != nil:
		x.tunneled.Abort()
	default:
		x.client.Break()
	}
}

// ends are the tunnel's two.
func (x *exchange) ends() (down, up tunnelEnd) {
	down, up = x.client, x.up
	if x.tunneled != nil {
		down = wholeConn{x.tunneled}
	}
	if c := x.up.Tunnel(); c != nil {
		up = wholeConn{c}
	}
	return down, up
}

// pour reports whether both sides have ended and got all that the other sent.
func (x *exchange) pour(idle time.Duration) bool {
	down, up := x.ends()
	sent, received := false, false // all that there is
	for {
		var m1, m2 bool
		var err1, err2 error
		if !sent {
			m1, sent, err1 = move(down, up, &x.reqBytes)
		}
		if !received {
			m2, received, err2 = move(up, down, &x.respBytes)
		}
		switch {
		case err1 != nil || err2 != nil || x.up.WriteErr() != nil || x.client.Gone(false):
			return false
		case sent && received && x.up.Drained():
			return true
		case m1 || m2:
			x.lastTraffic = x.w.loop.Now()
			if x.t.Yield() != nil {
				return false
			}
			continue
		}
		if x.tunnelLate(idle) || x.t.Park() != nil {
			return false
		}
	}
}

// tunnelLate reports whether the tunnel's time is over, and sets the deadline
// for when it will be.
func (x *exchange) tunnelLate(idle time.Duration) bool {
	var at loop.Time
	if idle > 0 {
		at = x.lastTraffic + loop.Time(idle)
	}
	if d := x.cfg.maxStreamDuration; d > 0 && (at == 0 || x.start+loop.Time(d) < at) {
		at = x.start + loop.Time(d)
	}
	x.t.SetDeadline(at)
	if !x.t.Expired() {
		return false
	}
	x.details = "max_duration_timeout"
	if idle > 0 && x.w.since(x.lastTraffic) >= idle {
		x.flags |= traffic.FlagIdleTimeout
		x.details = "stream_idle_timeout"
	}
	return true
}

// move takes a piece from one end to the other, and its end, where that has
// come.
func move(from, to tunnelEnd, n *int64) (moved, done bool, err error) {
	if to.Full() {
		return false, false, nil
	}
	p, done, err := from.Next()
	if err != nil {
		return false, false, err
	}
	if moved = len(p) > 0; moved {
		to.Write(p)
		*n += int64(len(p))
	}
	from.Advance()
	if done {
		to.End(nil)
	}
	return moved || done, done, nil
}
