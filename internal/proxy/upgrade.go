package proxy

import (
	"io"
	"net/netip"
	"strings"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// switching passes on a 101, after which both connections carry another
// protocol (RFC 9110, section 7.8).
func (x *exchange) switching() (state, error) {
	h := &x.resp
	if x.upgrade == nil {
		return failed, errUnasked
	}
	protocol, _ := h.Get("upgrade")
	http1.RemoveHopByHop(h)
	h.Set("connection", []byte("upgrade"))
	h.Set("upgrade", protocol)
	x.route.RewriteResponse(h, x.dest, &x.ctx)
	h.Set("server", x.cfg.serverName)
	if !h.Has("date") {
		h.Add("date", x.w.dateNow())
	}
	x.tunneled = x.client.Switch(h)
	x.respBegun = true
	x.details = "via_upstream"
	return upgraded, nil
}

var errUnasked = &http1.Error{Status: 502, Reason: "101 although no upgrade was asked for", Details: "http1.codec_error"}

// dial answers a CONNECT with a connection to an endpoint of the route's
// cluster (RFC 9110, section 9.3.6), and tries again as the route says.
func (x *exchange) dial(f *route.Forward) {
	x.client.Last()
	for x.dialOnce(f) {
		x.v.counters[x.clusterID].rqRetry++
		if !x.backOff(f.Retry) {
			return
		}
	}
}

// dialOnce reports whether another endpoint is to be tried.
func (x *exchange) dialOnce(f *route.Forward) (another bool) {
	e := x.pick(f)
	if e == nil {
		x.noEndpoint()
		return false
	}
	x.tries++
	x.endpoint, x.ctx.Upstream = e, e.Addr
	x.resent = true // only a fresh connection will do
	up, err := x.acquire(f, e)
	switch err {
	case upstream.ErrOverflow, errWaited, errClientGone:
		x.notSent(err)
		return false
	}
	if x.tries == 1 {
		x.book()
	}
	if err != nil {
		return x.giveUp(f, route.FailedConnect, err)
	}
	x.up = up
	x.t.SetDeadline(x.w.loop.In(x.cluster.ConnectTimeout))
	for {
		ok, err := up.Connected()
		if ok {
			break
		}
		if err != nil || x.t.Expired() {
			x.up.Host().CxConnectFail++
			x.dropUp()
			return x.giveUp(f, route.FailedConnect, err)
		}
		if x.client.Gone(false) || x.t.Park() != nil {
			x.hangUp(gone)
			return false
		}
	}
	x.upLocal = up.Local()
	x.resp.Reset()
	x.resp.Status = 200
	x.tunneled = x.client.Switch(&x.resp)
	x.respBegun = true
	x.details = "via_upstream"
	x.tunnel(f)
	return false
}

// tunnel moves bytes both ways until both sides have ended, one has failed, or
// nothing has moved for the route's idle timeout.
func (x *exchange) tunnel(f *route.Forward) {
	idle := x.idle(f)
	up, down := x.up.Tunnel(), x.tunneled
	x.v.counters[x.clusterID].count(x.resp.Status)
	broken := false
	for !broken {
		m1, err1 := pour(down, up, &x.reqBytes)
		m2, err2 := pour(up, down, &x.respBytes)
		if err1 == io.EOF && err2 == io.EOF && up.Drained() {
			break
		}
		broken = err1 != nil && err1 != io.EOF || err2 != nil && err2 != io.EOF || up.WriteErr() != nil || down.WriteErr() != nil
		switch {
		case broken:
		case m1 || m2:
			x.lastTraffic = x.w.loop.Now()
			broken = x.t.Yield() != nil
		default:
			if idle > 0 {
				x.t.SetDeadline(x.lastTraffic + loop.Time(idle))
			}
			broken = x.t.Park() != nil || idle > 0 && x.w.since(x.lastTraffic) >= idle
		}
	}
	x.respDone = true
	x.up.Drop(broken)
	x.up = nil
	if broken {
		down.Abort()
	}
}

// pour moves what there is from one connection to the other. The error is the
// first one's end, io.EOF or another, which comes after all of it was moved.
func pour(from, to *loop.Conn, n *int64) (moved bool, err error) {
	if to.Full() {
		return false, nil
	}
	if len(from.In()) == 0 {
		if _, err := from.Fill(); err != nil {
			to.CloseSend()
			return false, err
		}
	}
	in := from.In()
	if len(in) == 0 {
		return false, nil
	}
	to.Write(in)
	*n += int64(len(in))
	from.Consume(len(in))
	return true, nil
}

// originalDst is the endpoint that a client of an ORIGINAL_DST cluster wanted:
// where its connection was going, or what an explicit proxy's request names.
func (x *exchange) originalDst() *upstream.Endpoint {
	if x.from.original.IsValid() {
		return &upstream.Endpoint{Addr: x.from.original, Weight: 1, Slot: -1, Ready: true}
	}
	return x.resolve(string(x.req.Authority()))
}

// resolve finds the address of an authority, off the loop.
func (x *exchange) resolve(authority string) *upstream.Endpoint {
	if a, err := netip.ParseAddrPort(authority); err == nil {
		return &upstream.Endpoint{Addr: a, Weight: 1, Slot: -1, Ready: true}
	}
	var addr netip.AddrPort
	var err error
	if x.t.Offload(func() { addr, err = lookup(authority) }) != nil || err != nil {
		return nil
	}
	return &upstream.Endpoint{Addr: addr, Hostname: authority, Weight: 1, Slot: -1, Ready: true}
}

// errText is the last word of an error, with a capital as Envoy writes it:
// "Connection refused".
func errText(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 {
		s = s[i+2:]
	}
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
