package proxy

import (
	"errors"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// Why a request that waited for a connection got none.
var (
	errWaited     = errors.New("proxy: no connection came free in time")
	errClientGone = errors.New("proxy: the client has gone")
)

// longestWait is how long a request waits for a connection where its route has
// no timeout.
const longestWait = time.Minute

// acquire gets a stream to the endpoint. Where the cluster has as many
// connections as it may, the request waits for one, as many as may
// (max_connections, max_pending_requests).
func (x *exchange) acquire(f *route.Forward, e *upstream.Endpoint) (upstream.Stream, error) {
	use := x.use()
	up, err := x.w.primary.Get(x.t, x.cluster, e, use)
	if err == upstream.ErrBusy && use.Fresh && !x.connect { // rather any than none
		use.Fresh = false
		up, err = x.w.primary.Get(x.t, x.cluster, e, use)
	}
	if err != upstream.ErrBusy {
		return up, err
	}
	b := x.cluster.Breakers
	if !b.TryPending() {
		return nil, upstream.ErrOverflow
	}
	defer b.DonePending()
	limit := f.Timeout
	if limit <= 0 {
		limit = longestWait
	}
	x.t.SetDeadline(x.w.loop.Now() + loop.Time(limit))
	defer x.t.SetDeadline(0)
	for err == upstream.ErrBusy {
		if x.t.Expired() {
			return nil, errWaited
		}
		if x.client.Gone(x.reqDone) || x.t.Park() != nil {
			return nil, errClientGone
		}
		up, err = x.w.primary.Get(x.t, x.cluster, e, use)
	}
	return up, err
}

// notSent ends a request that no endpoint was given.
func (x *exchange) notSent(err error) {
	if !x.reqDone {
		x.client.Last()
	}
	switch err {
	case upstream.ErrOverflow:
		x.flags |= traffic.FlagUpstreamOverflow
		x.details = upstream.OverflowDetails
		x.v.counters[x.clusterID].count(upstream.OverflowStatus)
		x.replyWith(upstream.OverflowStatus, []byte(bodyReset+"overflow"), "x-envoy-overloaded", []byte("true"))
	case errWaited:
		x.flags |= traffic.FlagUpstreamTimeout
		x.details = "response_timeout"
		x.v.counters[x.clusterID].count(504)
		x.reply(504, []byte(bodyTimeout))
	default:
		x.client.Last()
		x.flags |= traffic.FlagDownstreamClosed
		x.details = "downstream_remote_disconnect"
	}
}
