package proxy

import (
	"net/netip"
	"strings"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

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
