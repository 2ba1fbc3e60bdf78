package proxy

import (
	"io"
	"strconv"
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// maxReplay bounds the body that is kept for another try, as Envoy's
// per_connection_buffer_limit_bytes does by default.
const maxReplay = 1 << 20

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
			x.upstreamData(x.replay[x.replayed:])
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
		if len(x.client.In()) == 0 {
			if x.wants100 {
				x.wants100 = false
				x.client.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
			}
			n, err := x.client.Fill()
			if err != nil {
				return moved, gone
			}
			if n == 0 {
				return moved, going
			}
		}
		if !x.takeBody() {
			return moved, gone
		}
		moved = true
	}
	return moved, going
}

// takeBody reads a piece of the body off the client's input. It reports false
// when the body is broken.
func (x *exchange) takeBody() bool {
	x.wants100 = false
	data, used, done, err := x.reqBody.Next(x.client.In())
	if err != nil {
		x.brokenBody(err.(*http1.Error))
		return false
	}
	if len(data) > 0 {
		x.reqBytes += int64(len(data))
		x.upstreamData(data)
		for _, c := range x.copies {
			c.Body(data)
		}
		x.remember(data)
	}
	x.client.Consume(used)
	if done {
		x.reqDone = true
		x.reqEnd = x.w.loop.Now()
		for i, c := range x.copies {
			c.End(x.reqBody.Trailers())
			x.copies[i] = nil
		}
		x.copies = x.copies[:0]
	}
	return true
}

// remember keeps a piece of the body for another try, within bounds.
func (x *exchange) remember(data []byte) {
	if x.lost || !x.keepBody || len(x.replay)+len(data) > maxReplay {
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
	x.keep = false
	if !x.respBegun {
		x.reply(bad.Status, []byte(bad.Reason))
	}
}

func (x *exchange) upstreamData(data []byte) {
	if x.outFraming.Kind != traffic.FramingChunked {
		x.up.Write(data)
		return
	}
	x.up.SetOut(http1.AppendChunkHead(x.up.Out(), len(data)))
	x.up.Write(data)
	x.up.Write(crlf)
}

var crlf = []byte("\r\n")

func (x *exchange) upstreamEndOfBody() {
	if x.outFraming.Kind == traffic.FramingChunked {
		x.up.SetOut(http1.AppendEnd(x.up.Out(), x.reqBody.Trailers()))
	}
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
		used := false
		if len(x.up.In()) > 0 {
			if !x.respBegun {
				used, st, err = x.takeHead(f)
			} else {
				used, st = x.passBody()
			}
			if st == failed {
				return moved, failed, route.FailedReset, err
			}
			if st != going {
				return moved, st, 0, nil
			}
		}
		if used {
			moved = true
			continue
		}
		n, err := x.up.Fill()
		switch {
		case n > 0:
		case err == loop.ErrFull:
			x.up.Grow()
		case err == io.EOF && x.respBegun && x.respFraming.Kind == traffic.FramingClose:
			x.endOfAnswer()
			return moved, answered, 0, nil
		case err != nil:
			st, how, err = x.upstreamEnd(err)
			return moved, st, how, err
		case x.up.WriteErr() != nil && x.up.EOF():
			st, how, err = x.upstreamEnd(x.up.WriteErr())
			return moved, st, how, err
		default:
			return moved, going, 0, nil
		}
	}
}

// takeHead reads the answer's head, if it has come, and passes it on.
func (x *exchange) takeHead(f *route.Forward) (used bool, st state, err error) {
	in := x.up.In()
	n, err := x.respScan.End(in, http1.Limits{})
	if err != nil {
		return false, failed, err
	}
	if n == 0 {
		return false, going, nil
	}
	framing, err := http1.ParseResponse(&x.resp, in[:n], x.req.Method(), http1.Limits{})
	if err != nil {
		return false, failed, err
	}
	x.up.Consume(n)
	x.respScan.Reset()
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
	if x.retries(f) && f.Retry.RetryStatus(x.resp.Status, &x.resp) {
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
	if x.resp.Status != 100 && x.req.Minor > 0 {
		http1.RemoveHopByHop(&x.resp)
		x.client.SetOut(http1.AppendResponse(x.client.Out(), &x.resp, traffic.Framing{}))
	}
	x.resp.Reset()
}

// passHead sends the answer's head to the client.
func (x *exchange) passHead(f traffic.Framing) {
	h := &x.resp
	x.respFraming = f
	x.respKeep = http1.KeepAlive(h)
	x.respBody.Reset(f, http1.Limits{})
	http1.RemoveHopByHop(h)
	var buf [20]byte
	h.Set("x-envoy-upstream-service-time", strconv.AppendInt(buf[:0], x.serviceTime.Milliseconds(), 10))
	if x.vhost.ResponseAttemptCount {
		h.Set("x-envoy-attempt-count", strconv.AppendUint(buf[:0], uint64(x.tries), 10))
	}
	x.route.RewriteResponse(h, x.dest, &x.ctx)
	x.downFraming = f
	if f.Kind == traffic.FramingChunked || f.Kind == traffic.FramingClose {
		x.downFraming = traffic.Framing{Kind: traffic.FramingChunked}
		if x.req.Minor == 0 {
			x.downFraming.Kind = traffic.FramingClose
			x.keep = false
		}
	}
	x.details = "via_upstream"
	x.respond(x.downFraming)
	if f.Empty() {
		x.respDone = true
	}
}

// passBody moves a piece of the answer's body.
func (x *exchange) passBody() (used bool, st state) {
	data, n, done, err := x.respBody.Next(x.up.In())
	if err != nil {
		x.flags |= traffic.FlagUpstreamProtocol
		x.details = "upstream_reset_after_response_started{protocol_error}"
		return false, truncated
	}
	if len(data) > 0 {
		x.respBytes += int64(len(data))
		if x.downFraming.Kind == traffic.FramingChunked {
			x.client.SetOut(http1.AppendChunkHead(x.client.Out(), len(data)))
			x.client.Write(data)
			x.client.Write(crlf)
		} else {
			x.client.Write(data)
		}
	}
	x.up.Consume(n)
	if done {
		x.endOfAnswer()
		return true, answered
	}
	return n > 0, going
}

func (x *exchange) endOfAnswer() {
	if x.downFraming.Kind == traffic.FramingChunked {
		trailers := x.respBody.Trailers()
		x.client.SetOut(http1.AppendEnd(x.client.Out(), trailers))
	}
	x.respDone = true
}
