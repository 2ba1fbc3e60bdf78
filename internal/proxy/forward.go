package proxy

import (
	mathrand "math/rand/v2"
	"strconv"
	"time"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// forward sends the request to an endpoint of the route's cluster, again where
// the route's retry policy says so, and the answer to the client.
func (x *exchange) forward() {
	f := x.route.Forward
	if !x.choose(f) {
		return
	}
	if (x.upgrade != nil || x.connect) && !x.mayUpgrade(f) {
		x.details = "upgrade_failed"
		x.reply(403, nil)
		return
	}
	if x.connect {
		x.dial(f)
		return
	}
	x.finishHead(f)
	for {
		e := x.pick(f)
		if e == nil {
			x.noEndpoint()
			return
		}
		switch again, fresh := x.try(f, e); {
		case !again:
			return
		case fresh:
			x.resent = true
			x.tries-- // it does not count as a retry
		default:
			x.v.counters[x.clusterID].rqRetry++
			if !x.backOff(f.Retry) {
				return
			}
		}
	}
}

// noEndpoint answers a request that no endpoint is there for.
func (x *exchange) noEndpoint() {
	x.v.counters[x.clusterID].noEndpoint++
	x.flags |= traffic.FlagNoHealthyUpstream
	x.details = "no_healthy_upstream"
	x.reply(503, []byte(bodyNoUpstream))
}

// choose picks the destination cluster.
func (x *exchange) choose(f *route.Forward) bool {
	x.clusterID = -1
	if x.dest = f.Pick(x.number); x.dest != nil {
		x.clusterID = x.dest.Cluster
	} else if name, ok := x.req.Get(f.ClusterHeader); ok {
		if i, ok := x.v.index[string(name)]; ok {
			x.clusterID = i
		}
	}
	if x.clusterID < 0 {
		x.flags |= traffic.FlagNoCluster
		x.details = "cluster_not_found"
		x.reply(f.ClusterNotFound, nil)
		return false
	}
	x.cluster = x.v.clusters[x.clusterID]
	x.ctx.Cluster = x.cluster.Name
	return true
}

func (x *exchange) mayUpgrade(f *route.Forward) bool {
	if x.connect {
		if allowed, said := f.Upgrade(x.req.Method()); said {
			return allowed
		}
		return x.cfg.connect
	}
	if allowed, said := f.Upgrade(x.upgrade); said {
		return allowed
	}
	return x.cfg.webSocket && traffic.EqualFold(x.upgrade, "websocket")
}

// finishHead makes the head what the endpoint gets, but for the count of
// tries.
func (x *exchange) finishHead(f *route.Forward) {
	h := &x.req
	x.hash, x.hashed, x.cookies = f.Hash.Hash(h, &x.ctx)
	x.route.RewriteRequest(h, x.dest, &x.ctx)
	expected := f.Timeout
	if f.Retry != nil && f.Retry.PerTryTimeout > 0 {
		expected = f.Retry.PerTryTimeout
	}
	if expected > 0 {
		var buf [20]byte
		h.Set("x-envoy-expected-rq-timeout-ms", strconv.AppendInt(buf[:0], expected.Milliseconds(), 10))
	}
	if x.upgrade != nil {
		x.finishUpgrade()
	}
	x.outFraming = x.reqFraming
	switch {
	case x.keepsBody(f):
		x.keep = maxReplay
	case x.cluster.Protocol != upstream.HTTP1: // which may refuse a stream unseen
		x.keep = maxRefused
	}
}

// keepsBody reports whether the body must be kept for a try after some of it
// was sent.
func (x *exchange) keepsBody(f *route.Forward) bool {
	if x.reqDone {
		return true // there is none
	}
	if idempotent(x.req.Method()) {
		return true
	}
	const onAnswer = route.On5xx | route.OnGatewayError | route.OnReset | route.OnRetriable4xx |
		route.OnEnvoyRatelimited | route.OnRetriableHeaders
	const onGRPC = route.OnCancelled | route.OnDeadlineExceeded | route.OnInternal | route.OnResourceExhausted | route.OnUnavailable
	r := f.Retry
	switch {
	case r == nil || r.Attempts == 0 || !r.Wants(&x.req):
		return false
	case r.On&onAnswer != 0, r.On&route.OnRetriableStatusCodes != 0 && len(r.StatusCodes) > 0:
		return true
	case r.On&onGRPC != 0:
		kind, _ := x.req.Get("content-type")
		return len(kind) >= 16 && string(kind[:16]) == "application/grpc"
	}
	return false
}

// pick chooses the endpoint of the next try.
func (x *exchange) pick(f *route.Forward) *upstream.Endpoint {
	if x.cluster.Type == upstream.OriginalDst {
		return x.originalDst()
	}
	var tried []*upstream.Endpoint
	more := 0
	if f.Retry != nil && f.Retry.PreviousHosts {
		tried, more = x.tried, f.Retry.HostSelectionAttempts
	}
	e := x.v.balancers[x.clusterID].Pick(x.cluster, x.w.primary.Active(), upstream.Choice{
		Hash: x.hash, Hashed: x.hashed, Tried: tried, Attempts: more, Now: x.w.loop.Wall(x.w.loop.Now()),
	})
	if e != nil && len(x.tried) < 16 {
		x.tried = append(x.tried, e)
	}
	return e
}

// backOff waits before a retry: at random up to an interval that doubles.
func (x *exchange) backOff(r *route.Retry) bool {
	limit := min(r.BackoffBase*time.Duration(1<<min(x.tries, 20)-1), r.BackoffMax)
	if limit <= 0 {
		return true
	}
	wait := time.Duration(mathrand.New(x.w.random).Int64N(int64(limit)))
	if x.t.Sleep(wait) != nil {
		x.client.Last()
		return false
	}
	return true
}

// idempotent methods may be sent again (RFC 9110, section 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// mayRetry asks the cluster's breaker for a retry that the policy wants.
func (x *exchange) mayRetry(wanted bool) bool {
	if !wanted {
		return false
	}
	x.doneRetry()
	if !x.cluster.Breakers.TryRetry() {
		x.flags |= traffic.FlagUpstreamOverflow
		return false
	}
	x.retrying = x.cluster.Breakers
	return true
}

// doneRetry tells the breaker that a retry is over.
func (x *exchange) doneRetry() {
	x.retrying.DoneRetry()
	x.retrying = nil
}

// retries reports whether the retry policy has a try left.
func (x *exchange) retries(f *route.Forward) bool {
	return f.Retry != nil && x.tries <= f.Retry.Attempts && !x.lost && !x.respBegun && f.Retry.Wants(&x.req)
}

// send writes the request's head and what is known of its body to a new try's
// connection.
func (x *exchange) send() {
	if x.vhost.RequestAttemptCount {
		var buf [10]byte
		x.req.Set("x-envoy-attempt-count", strconv.AppendUint(buf[:0], uint64(x.tries), 10))
	}
	x.up.Send(&x.req, x.outFraming)
	x.outDone = x.reqDone && x.reqFraming.Empty()
	x.replayed = 0
	x.tryStart = x.w.loop.Now()
	x.connected = false
}
