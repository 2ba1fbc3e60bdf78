package proxy

import (
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/overload"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// exchange is one request from its head to the end of its answer. It is used
// again for the session's next request, and then for other sessions.
type exchange struct {
	from   *downstream
	w      *worker
	t      *loop.Task
	client client
	c1     client1
	c2     client2
	v      *view
	cfg    *httpConfig
	stats  *httpCounters

	start      loop.Time
	number     uint64 // what shares and splits are decided by
	wants100   bool   // the client waits for 100 (Continue)
	upgrade    []byte // the protocol that the client wants to change to; nil
	ownKey     bool   // its Sec-WebSocket-Key is the proxy's
	connect    bool   // the method is CONNECT
	ctx        route.Context
	vhost      *route.VirtualHost
	route      *route.Route
	dest       *route.WeightedCluster
	cluster    *upstream.Cluster
	clusterID  int
	scratch    []byte
	remoteText []byte // the client's address; empty until it is asked for

	// The request.
	req        traffic.Head
	reqFraming traffic.Framing // as the client sends it
	outFraming traffic.Framing // as the endpoint gets it
	reqBytes   int64
	reqDone    bool // all of it came from the client
	reqEnd     loop.Time
	copies     []*mirror.Copy
	order      []int         // mirrors that get a copy, in the order of their sending
	brake      *mirror.Brake // nil where the request's latency is not to be compared
	mirrored   bool

	// The current try.
	up          upstream.Stream
	tried       []*upstream.Endpoint
	tries       uint32
	resent      bool   // it was sent once more because a pooled connection was dead
	replay      []byte // the body so far, for another try
	keep        int    // how much of the body is kept for another try, in bytes
	lost        bool   // some of the body was sent and is not in replay
	replayed    int
	outDone     bool // the endpoint was given all of the request
	connected   bool
	tryStart    loop.Time
	lastTraffic loop.Time
	upLocal     netip.AddrPort // of the connection that brought the answer

	// The answer.
	resp        traffic.Head
	respBegun   bool // the client has been sent the head
	respDone    bool
	respBytes   int64
	serviceTime time.Duration
	flags       traffic.Flags
	details     string
	failure     string // transport failure reason
	endpoint    *upstream.Endpoint
	hash        uint64 // what the endpoint is chosen by
	hashed      bool
	cookies     route.HashCookies
	retrying    *upstream.Breakers // that count the retry under way
	rec         *record
	tunneled    *loop.Conn // the client's connection once it carries another protocol
}

// begin makes the exchange ready for a request that has just come in.
func (x *exchange) begin(v *view, cfg *httpConfig) {
	x.v, x.cfg, x.stats = v, cfg, x.w.counters(cfg)
	x.start = x.w.loop.Now()
	x.lastTraffic = x.start
	x.number, x.wants100, x.upgrade, x.ownKey, x.connect = 0, false, nil, false, false
	x.vhost, x.route, x.dest, x.cluster, x.clusterID = nil, nil, nil, nil, -1
	x.req.Reset()
	x.resp.Reset()
	x.reqFraming, x.outFraming = traffic.Framing{}, traffic.Framing{}
	x.reqBytes, x.respBytes = 0, 0
	x.reqDone, x.outDone, x.respBegun, x.respDone = false, false, false, false
	x.copies = x.copies[:0]
	x.brake, x.mirrored = nil, false
	x.up, x.tried, x.tries, x.resent = nil, x.tried[:0], 0, false
	x.replay, x.keep, x.lost, x.replayed = x.replay[:0], 0, false, 0
	x.serviceTime, x.flags, x.details, x.failure = 0, 0, "", ""
	x.ctx.DownstreamDirectRemote = x.from.conn.Remote()
	x.ctx.DownstreamRemote = x.from.remote
	x.ctx.DownstreamLocal = x.from.local
	x.ctx.Request = &x.req
	x.ctx.Route, x.ctx.Cluster, x.ctx.Upstream = nil, "", netip.AddrPort{}
	x.upLocal = netip.AddrPort{}
	x.ctx.TLS = x.from.secure != nil
	x.ctx.Start = x.w.loop.Wall(x.start)
	x.hash, x.hashed, x.cookies = 0, false, 0
	x.endpoint, x.retrying = nil, nil
	x.rec, x.tunneled = nil, nil
}

// serve answers the request whose head has been read.
func (x *exchange) serve(t *loop.Task, f traffic.Framing) {
	x.t = t
	defer x.abandon()
	x.stats.rqTotal++
	if x.req.HTTP2 {
		x.stats.rqHTTP2++
	}
	x.reqFraming = f
	x.reqDone = f.Empty()
	x.reqEnd = x.start
	x.record()
	if x.w.p.opt.Overload.Level() >= overload.RefuseConnections {
		x.stats.overload++
		x.flags, x.details = traffic.FlagOverload, "overload"
		x.client.Last()
		x.reply(503, []byte("overloaded"))
		x.finish()
		return
	}
	if x.from.looped() {
		x.details = "redirected_to_itself"
		x.client.Last()
		x.reply(503, []byte("the proxy's own connection was redirected back to it"))
		x.finish()
		return
	}
	if !x.prepare() {
		x.finish()
		return
	}
	x.find()
	switch r := x.route; {
	case r == nil:
		x.flags, x.details = traffic.FlagNoRoute, "route_not_found"
		x.reply(404, nil)
	case x.faulted():
	case r.Redirect != nil:
		x.scratch = r.Location(x.scratch[:0], &x.req, string(x.scheme()), &x.ctx)
		x.details = "direct_response"
		x.replyWith(r.Redirect.Status, nil, "location", x.scratch)
	case r.Direct != nil:
		x.details = "direct_response"
		x.reply(r.Direct.Status, r.Direct.Body(x.scratch[:0], &x.req, &x.ctx)) // maybe the route's own bytes
	default:
		x.forward()
	}
	x.finish()
}

// find looks the request's route up.
func (x *exchange) find() {
	x.vhost, x.route = x.cfg.table.Match(&x.req, x.number)
	x.ctx.Route = x.route
}

// faulted applies the route's fault, and reports whether that was the end of
// the request.
func (x *exchange) faulted() bool {
	f := x.route.Fault
	if f == nil {
		return false
	}
	delay, abort := f.Decide(&x.req, x.number)
	if delay > 0 {
		x.flags |= traffic.FlagFaultDelay
		if x.t.Sleep(delay) != nil {
			x.client.Last()
			return true
		}
	}
	if abort == 0 {
		return false
	}
	x.flags |= traffic.FlagFaultAbort
	x.details = "fault_filter_abort"
	x.reply(abort, f.AbortBody)
	return true
}

// abandon gives back what the exchange still holds, whatever ended it.
func (x *exchange) abandon() {
	x.breakCopies()
	x.doneRetry()
	if x.up != nil {
		x.up.Drop(!x.respDone)
		x.up = nil
	}
	if cap(x.replay) > 64<<10 {
		x.replay = nil
	}
}

func (x *exchange) breakCopies() {
	for i, c := range x.copies {
		c.Break()
		x.copies[i] = nil
	}
	x.copies = x.copies[:0]
}
