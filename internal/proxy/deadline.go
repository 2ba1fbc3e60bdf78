package proxy

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// deadline sets the task's deadline for what the try waits for now, and tells
// what has passed.
func (x *exchange) deadline(f *route.Forward) (state, route.Failure) {
	now := x.w.loop.Now()
	var next loop.Time
	due := func(from loop.Time, d time.Duration) bool {
		at := from + loop.Time(d)
		if d <= 0 {
			return false
		}
		if now >= at {
			return true
		}
		if next == 0 || at < next {
			next = at
		}
		return false
	}
	if x.respDone {
		if due(x.lastTraffic, restOfUpload) || due(x.lastTraffic, x.idle(f)) || due(x.start, x.cfg.maxStreamDuration) {
			return answered, 0
		}
		x.t.SetDeadline(next)
		return going, 0
	}
	if x.reqDone && due(x.reqEnd, f.Timeout) {
		x.timedOut()
		return x.late(bodyTimeout), route.FailedTimeout
	}
	switch {
	case !x.connected:
		if due(x.tryStart, x.cluster.ConnectTimeout) {
			x.up.Host().CxConnectFail++
			return failed, route.FailedConnect
		}
	case x.outDone:
		if f.Retry != nil && !x.respBegun && due(max(x.tryStart, x.reqEnd), f.Retry.PerTryTimeout) {
			x.v.counters[x.clusterID].rqPerTryTimeout++
			x.up.Host().RqTimeout++
			return failed, route.FailedTimeout
		}
	}
	switch {
	case due(x.lastTraffic, x.idle(f)):
		x.flags |= traffic.FlagIdleTimeout
		x.details = "stream_idle_timeout"
		return x.late(bodyIdle), route.FailedTimeout
	case due(x.start, x.cfg.maxStreamDuration):
		x.details = "max_duration_timeout"
		return x.late(bodyDuration), route.FailedTimeout
	case !x.reqDone && !x.respBegun && due(x.start, x.cfg.requestTimeout):
		x.details = "request_overall_timeout"
		return x.late(bodySlowRequest), route.FailedTimeout
	}
	x.t.SetDeadline(next)
	return going, 0
}

// idle is how long nothing may move; 0 for ever.
func (x *exchange) idle(f *route.Forward) time.Duration {
	if f.IdleTimeout < 0 {
		return x.cfg.streamIdleTimeout
	}
	return f.IdleTimeout
}

func (x *exchange) timedOut() {
	x.flags |= traffic.FlagUpstreamTimeout
	x.details = "response_timeout"
	x.v.counters[x.clusterID].rqTimeout++
	x.up.Host().RqTimeout++
	x.cluster.Outliers.LocalFailure(x.w.id, x.endpoint)
}

// late ends a try whose time is over for good: with 408 where the request was
// not complete, else 504, and the body that Envoy says then.
func (x *exchange) late(body string) state {
	if x.respBegun {
		return truncated
	}
	status := 504
	if !x.reqDone {
		x.client.Last()
		status = 408
	}
	x.up.Drop(true)
	x.up = nil
	x.v.counters[x.clusterID].count(status)
	x.reply(status, []byte(body))
	return replied
}
