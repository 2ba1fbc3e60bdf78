package proxy

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// state is how a try stands.
type state uint8

const (
	going     state = iota
	waiting         // nothing more to do until an event
	answered        // the client has, or will get, the whole answer
	gone            // the client has gone, or its request is broken
	again           // the answer's status asks for another try
	failed          // no answer; x.failed says how
	truncated       // the answer broke off after its head was passed on
	replied         // the proxy has answered by itself
	upgraded        // the connections are a tunnel now
)

// try sends the request to the endpoint. It reports whether another try is to
// be made, and whether that is on a fresh connection because this one, used
// before, turned out to be dead.
func (x *exchange) try(f *route.Forward, e *upstream.Endpoint) (another, fresh bool) {
	x.tries++
	x.endpoint, x.ctx.Upstream = e, e.Addr
	if f.AutoHost && e.Hostname != "" {
		f.SetHost(&x.req, []byte(e.Hostname))
	}
	up, err := x.acquire(f, e)
	switch err {
	case nil:
		x.up = up
		x.send()
	case upstream.ErrOverflow, errWaited, errClientGone:
		x.notSent(err)
		return false, false
	}
	if x.tries == 1 && !x.resent {
		x.book()
	}
	if err != nil {
		return x.giveUp(f, route.FailedConnect, err), false
	}
	st, how, err := x.relay(f)
	switch st {
	case answered:
		x.release()
		return false, false
	case upgraded:
		x.tunnel(f)
		return false, false
	case gone, truncated:
		x.hangUp(st)
		return false, false
	case replied:
		return false, false
	case again:
		x.dropUp()
		return true, false
	}
	fate := upstream.FateUnknown
	if how == route.FailedReset && !isProtocol(err) {
		fate = x.up.Fate()
	}
	x.dropUp()
	if fate == upstream.FateRefused {
		how = route.FailedRefusedStream
	}
	if !x.resent && !x.lost && (fate == upstream.FateRefused || fate == upstream.FateStale && idempotent(x.req.Method())) {
		return true, true
	}
	return x.giveUp(f, how, err), false
}

// use is what the try's stream is for.
func (x *exchange) use() upstream.Use {
	return upstream.Use{
		Fresh: x.resent, HTTP2: x.req.HTTP2, Raw: x.upgrade != nil || x.connect,
		Authority: x.req.Authority(), Hostname: x.endpoint.Hostname,
	}
}

func (x *exchange) dropUp() {
	x.up.Drop(!x.outDone)
	x.up = nil
	x.resp.Reset()
	x.t.SetDeadline(0)
}

// hangUp ends an exchange that the client does not see the end of.
func (x *exchange) hangUp(st state) {
	x.client.Last()
	if st == gone && !x.respDone {
		x.flags |= traffic.FlagDownstreamClosed
		if x.details == "" {
			x.details = "downstream_remote_disconnect"
		}
	}
	x.breakCopies()
	if x.respBegun && !x.respDone {
		x.client.Break()
	}
	x.up.Drop(true)
	x.up = nil
}

// release gives the connection back after a complete answer.
func (x *exchange) release() {
	x.v.counters[x.clusterID].count(x.resp.Status)
	if x.resp.Status < 500 {
		x.up.Host().RqSuccess++
	} else {
		x.up.Host().RqError++
	}
	if x.tries > 1 {
		x.v.counters[x.clusterID].rqRetrySuccess++
	}
	if !x.outDone { // an early answer: the upload is broken off
		x.client.Last()
		x.breakCopies()
		x.up.Drop(true)
	} else {
		x.up.Release()
	}
	x.up = nil
}

func (c *clusterCounters) count(status int) {
	c.rqTotal++
	if class := status / 100; class > 0 && class < len(c.rqClass) {
		c.rqClass[class]++
	}
}

// relay moves the request up and the answer down until one of them is at its
// end.
func (x *exchange) relay(f *route.Forward) (st state, how route.Failure, err error) {
	for turns := 1; ; turns++ {
		if !x.connected {
			ok, err := x.up.Connected()
			if err != nil {
				x.up.Host().CxConnectFail++
				return failed, route.FailedConnect, err
			}
			x.connected = ok
			if ok {
				x.cluster.Outliers.LocalSuccess(x.w.id, x.endpoint)
			}
		}
		moved := false
		if x.connected {
			m, st := x.pumpUp()
			if st != going {
				return st, 0, nil
			}
			moved = m
			m, st, how, err = x.down(f)
			if st != going {
				return st, how, err
			}
			moved = moved || m
		}
		if x.client.Gone(x.reqDone) {
			return gone, 0, nil
		}
		if moved {
			x.lastTraffic = x.w.loop.Now()
			if turns%fairTurns == 0 && x.t.Yield() != nil {
				return gone, 0, nil
			}
			continue
		}
		if st, how := x.deadline(f); st != going {
			return st, how, nil
		}
		if x.t.Park() != nil {
			return gone, 0, nil
		}
	}
}

// down moves the answer. One that is complete before the request is does not
// end the try: the rest of the upload goes on to an endpoint that takes it, and
// to the copies, so that all connections stay of use.
func (x *exchange) down(f *route.Forward) (moved bool, st state, how route.Failure, err error) {
	if !x.respDone {
		moved, st, how, err = x.pumpDown(f)
		if st == answered && !x.outDone && x.up.Quiet() {
			return true, going, 0, nil
		}
		return moved, st, how, err
	}
	if x.outDone && x.up.Drained() || !x.up.Quiet() {
		return false, answered, 0, nil
	}
	return false, going, 0, nil
}

// restOfUpload is how long an upload may stand still that the endpoint has
// answered already.
const restOfUpload = 30 * time.Second

// fairTurns is after how many turns with something to move others get theirs.
const fairTurns = 2

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
		if due(x.lastTraffic, restOfUpload) {
			return answered, 0
		}
		x.t.SetDeadline(next)
		return going, 0
	}
	if x.reqDone && due(x.reqEnd, f.Timeout) {
		x.timedOut()
		return x.late(), route.FailedTimeout
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
		return x.late(), route.FailedTimeout
	case due(x.start, x.cfg.maxStreamDuration):
		x.flags |= traffic.FlagDurationTimeout
		x.details = "max_duration_timeout"
		return x.late(), route.FailedTimeout
	case !x.reqDone && due(x.start, x.cfg.requestTimeout):
		x.details = "request_overall_timeout"
		return x.late(), route.FailedTimeout
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

// late ends a try whose time is over for good.
func (x *exchange) late() state {
	if x.respBegun {
		return truncated
	}
	if !x.reqDone {
		x.client.Last()
	}
	status, body := 504, bodyTimeout
	switch {
	case x.reqDone:
	case x.flags&traffic.FlagIdleTimeout != 0:
		status, body = 408, "stream timeout"
	default:
		status, body = 408, "request timeout"
	}
	x.up.Drop(true)
	x.up = nil
	x.v.counters[x.clusterID].count(status)
	x.reply(status, []byte(body))
	return replied
}

// giveUp is for a try without an answer: it reports whether there is another,
// or answers the client itself.
func (x *exchange) giveUp(f *route.Forward, how route.Failure, err error) bool {
	x.cluster.Outliers.LocalFailure(x.w.id, x.endpoint)
	if x.mayRetry(x.retries(f) && f.Retry.RetryFailure(how)) {
		return true
	}
	c := x.v.counters[x.clusterID]
	if f.Retry != nil && x.tries > f.Retry.Attempts && f.Retry.Attempts > 0 && f.Retry.RetryFailure(how) {
		x.flags |= traffic.FlagRetryExhausted
	}
	if !x.reqDone {
		x.client.Last()
	}
	status, reason := 503, "connection termination"
	switch {
	case how == route.FailedTimeout:
		c.count(504)
		x.flags |= traffic.FlagUpstreamTimeout
		x.details = "upstream_per_try_timeout"
		x.reply(504, []byte(bodyTimeout))
		return false
	case how == route.FailedConnect && err == nil:
		x.flags |= traffic.FlagUpstreamFailure
		reason = "connection timeout"
	case how == route.FailedConnect:
		x.flags |= traffic.FlagUpstreamFailure
		reason = "remote connection failure"
		x.failure = "delayed connect error: " + errText(err)
	case isProtocol(err):
		x.flags |= traffic.FlagUpstreamProtocol
		status, reason = 502, "protocol error"
	case err == errReset:
		x.flags |= traffic.FlagUpstreamReset
		reason = "remote reset"
	default:
		x.flags |= traffic.FlagUpstreamTermination
	}
	c.rqReset++
	c.count(status)
	text, why := bodyReset+reason, reason
	if x.tries > 1 {
		text = bodyRetried + reason
	}
	if x.failure != "" {
		text, why = text+", transport failure reason: "+x.failure, why+"|"+x.failure
	}
	x.details = "upstream_reset_before_response_started{" + strings.ReplaceAll(why, " ", "_") + "}"
	x.reply(status, []byte(text))
	return false
}

func isProtocol(err error) bool {
	_, ok := err.(*http1.Error)
	return ok
}

// What became of a stream of HTTP/2 whose own error goes with it.
var (
	errReset     = errors.New("remote reset")
	errBadStream = &http1.Error{Status: 502, Reason: "protocol error", Details: "http2.codec_error"}
)

// lasting is an error of the endpoint's side that can be kept.
func lasting(err error) error {
	e, ok := err.(*http2.StreamError)
	if !ok {
		return err
	}
	_, broken := e.Cause.(*http2.ConnError)
	switch {
	case e.Remote:
		return errReset
	case broken, e.Cause == nil:
		return errBadStream
	}
	return io.EOF
}

// upstreamEnd tells why the endpoint's side ended before the answer did.
func (x *exchange) upstreamEnd(err error) (state, route.Failure, error) {
	err = lasting(err)
	switch {
	case x.respBegun && isProtocol(err):
		x.flags |= traffic.FlagUpstreamProtocol
		x.details = "upstream_reset_after_response_started{protocol_error}"
		return truncated, 0, err
	case x.respBegun && err == errReset:
		x.flags |= traffic.FlagUpstreamReset
		x.details = "upstream_reset_after_response_started{remote_reset}"
		return truncated, 0, err
	case x.respBegun:
		x.flags |= traffic.FlagUpstreamTermination
		x.details = "upstream_reset_after_response_started{connection_termination}"
		return truncated, 0, err
	}
	if err == io.EOF {
		err = nil
	}
	return failed, route.FailedReset, err
}
