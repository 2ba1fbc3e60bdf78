package proxy

import (
	"strconv"
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// maxReplay bounds the body that is kept for another try, as Envoy's
// per_connection_buffer_limit_bytes does by default.
const maxReplay = 1 << 20

// maxRefused is how much is kept where only a refused stream would be tried
// again: the refusal comes within a round trip, or not at all.
const maxRefused = 64 << 10

// perTurn is how many pieces of a body, of 16 KiB each at most, one direction
// moves before the other has its turn, and after fairTurns other tasks.
const perTurn = 8

// pumpUp moves the request's body from the client to the endpoint and to the
// copies, as far as it goes without waiting. Nothing that a copy does holds it
// up.
func (x *exchange) pumpUp() (moved bool, st state) {
	for pieces := 0; !x.outDone; pieces++ {
		if pieces == perTurn {
			return true, going
		}
		if x.up.Full() {
			return moved, going
		}
		if x.replayed < len(x.replay) {
			x.up.Write(x.replay[x.replayed:])
			x.replayed = len(x.replay)
			if x.reqDone {
				x.upstreamEndOfBody()
			}
			moved = true
			continue
		}
		if x.reqDone {
			x.upstreamEndOfBody()
			return true, going
		}
		took, st := x.takeBody()
		if !took {
			return moved, st
		}
		moved = true
	}
	return moved, going
}

// takeBody reads a piece of the body from the client, if one has come.
func (x *exchange) takeBody() (took bool, st state) {
	data, done, err := x.client.Next()
	if err != nil {
		if bad, ok := err.(*http1.Error); ok {
			x.brokenBody(bad)
		}
		return false, gone
	}
	if len(data) == 0 && !done {
		if x.wants100 {
			x.wants100 = false
			x.continues()
		}
		return false, going
	}
	x.wants100 = false
	if len(data) > 0 {
		x.reqBytes += int64(len(data))
		x.up.Write(data)
		if x.rec != nil {
			x.rec.RequestBody.Append(data)
		}
		for _, c := range x.copies {
			c.Body(data)
		}
		x.remember(data)
	}
	x.client.Advance()
	if done {
		x.reqDone = true
		x.reqEnd = x.w.loop.Now()
		for i, c := range x.copies {
			c.End(x.client.Trailers())
			x.copies[i] = nil
		}
		x.copies = x.copies[:0]
	}
	return true, going
}

// continues tells a client that waits for it to send its body (RFC 9110,
// section 10.1.1).
func (x *exchange) continues() {
	x.resp.Reset()
	x.resp.Status = 100
	x.client.Interim(&x.resp)
	x.resp.Reset()
}

// remember keeps a piece of the body for another try, within bounds.
func (x *exchange) remember(data []byte) {
	if x.lost || len(x.replay)+len(data) > x.keep {
		x.lost = true
		x.replay, x.replayed = x.replay[:0], 0
		return
	}
	x.replay = append(x.replay, data...)
	x.replayed = len(x.replay)
}

// brokenBody answers a body that breaks the rules of its framing.
func (x *exchange) brokenBody(bad *http1.Error) {
	x.stats.rqError++
	x.flags |= traffic.FlagDownstreamProtocol
	x.details = bad.Details
	x.client.Last()
	if !x.respBegun {
		x.reply(bad.Status, []byte(bad.Reason))
	}
}

func (x *exchange) upstreamEndOfBody() {
	x.up.End(x.client.Trailers())
	x.outDone = true
}

// pumpDown moves the answer from the endpoint to the client, as far as it goes
// without waiting.
func (x *exchange) pumpDown(f *route.Forward) (moved bool, st state, how route.Failure, err error) {
	for pieces := 0; ; pieces++ {
		if pieces == perTurn {
			return true, going, 0, nil
		}
		if x.respBegun && x.client.Full() {
			return moved, going, 0, nil
		}
		var took bool
		if x.respBegun {
			took, st, err = x.passBody()
		} else {
			took, st, err = x.takeHead(f)
		}
		switch {
		case err != nil:
			st, how, err = x.upstreamEnd(err)
			return moved, st, how, err
		case st != going:
			return moved, st, 0, nil
		case !took:
			return moved, going, 0, nil
		}
		moved = true
	}
}

// takeHead reads the answer's head, if it has come, and passes it on.
func (x *exchange) takeHead(f *route.Forward) (took bool, st state, err error) {
	framing, ok, err := x.up.Head(&x.resp)
	if err != nil || !ok {
		return false, going, err
	}
	if s := x.resp.Status; s < 200 && s != 101 {
		x.interim()
		return true, going, nil
	}
	x.serviceTime = time.Duration(x.w.loop.Now() - x.tryStart)
	x.upLocal = x.up.Local()
	if x.resp.Status == 101 {
		st, err := x.switching()
		return true, st, err
	}
	if x.unswitched() {
		return false, going, errNotSwitched
	}
	x.cluster.Outliers.Status(x.w.id, x.endpoint, httpStatus(&x.resp))
	if x.mayRetry(x.retries(f) && f.Retry.RetryStatus(x.resp.Status, &x.resp)) {
		x.v.counters[x.clusterID].count(x.resp.Status)
		return true, again, nil
	}
	if f.Retry != nil && f.Retry.Attempts > 0 && x.tries > f.Retry.Attempts && f.Retry.RetryStatus(x.resp.Status, &x.resp) {
		x.flags |= traffic.FlagRetryExhausted
	}
	x.passHead(framing)
	if x.respDone {
		return true, answered, nil
	}
	return true, going, nil
}

// interim passes a 1xx on, but for the 100 that answers the proxy's own
// expectation (RFC 9110, section 15.2).
func (x *exchange) interim() {
	if x.resp.Status != 100 {
		http1.RemoveHopByHop(&x.resp)
		x.client.Interim(&x.resp)
	}
	x.resp.Reset()
}

// passHead sends the answer's head to the client.
func (x *exchange) passHead(f traffic.Framing) {
	h := &x.resp
	if x.rec != nil && x.rec.Compared {
		x.rec.Received.CopyFrom(h)
	}
	http1.RemoveHopByHop(h)
	var buf [20]byte
	h.Set("x-envoy-upstream-service-time", strconv.AppendInt(buf[:0], x.serviceTime.Milliseconds(), 10))
	if x.vhost.ResponseAttemptCount {
		h.Set("x-envoy-attempt-count", strconv.AppendUint(buf[:0], uint64(x.tries), 10))
	}
	x.route.RewriteResponse(h, x.dest, &x.ctx)
	x.route.Forward.Hash.SetCookies(h, &x.ctx, x.cookies)
	x.details = "via_upstream"
	x.respond(f)
	x.respDone = f.Empty()
}

// passBody moves a piece of the answer's body.
func (x *exchange) passBody() (took bool, st state, err error) {
	data, done, err := x.up.Next()
	if err != nil {
		return false, going, err
	}
	if len(data) > 0 {
		x.respBytes += int64(len(data))
		if x.rec != nil {
			x.rec.Primary.Body.Append(data)
		}
		x.client.Write(data)
	}
	x.up.Advance()
	if done {
		x.client.End(x.up.Trailers())
		if x.rec != nil {
			x.rec.Primary.KeepTrailers(x.up.Trailers())
		}
		x.respDone = true
		return true, answered, nil
	}
	return len(data) > 0, going, nil
}
