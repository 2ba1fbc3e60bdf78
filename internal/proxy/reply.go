package proxy

import (
	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Bodies of the proxy's own answers: Envoy's texts.
const (
	bodyNoUpstream = "no healthy upstream"
	bodyTimeout    = "upstream request timeout"
	bodyIdle       = "stream timeout"
	bodyDuration   = "downstream duration timeout"

	bodySlowRequest = "request timeout"
	bodyReset       = "upstream connect error or disconnect/reset before headers. reset reason: "
	bodyRetried     = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: "
)

// reply answers the request by the proxy itself.
func (x *exchange) reply(status int, body []byte) { x.replyWith(status, body, "", nil) }

func (x *exchange) replyWith(status int, body []byte, name string, value []byte) {
	x.respBegun = true
	if !x.reqDone {
		x.client.Last() // the rest of the body is of no use
	}
	h := &x.resp
	h.Reset()
	h.Status = status
	if name != "" {
		h.Add(name, value)
	}
	grpc := isGRPC(&x.req)
	if grpc {
		replyGRPC(h, status, body)
		if x.details == errLongStream.Details {
			h.Set("grpc-status", []byte("4")) // DEADLINE_EXCEEDED
		}
		body = nil
	}
	f := traffic.Framing{Kind: traffic.FramingLength, Length: int64(len(body))}
	if grpc && x.req.HTTP2 {
		f = traffic.Framing{}
	}
	if len(body) > 0 {
		h.Add("content-type", []byte("text/plain"))
	}
	if x.route != nil {
		x.route.RewriteResponse(h, x.dest, &x.ctx)
	}
	x.respond(f)
	if string(x.req.Method()) != "HEAD" {
		x.client.Write(body)
		x.respBytes = int64(len(body))
		if len(body) > 0 {
			x.client.End(nil)
		}
	}
	x.respDone = true
}

// respond writes x.resp as the head of the answer.
func (x *exchange) respond(f traffic.Framing) {
	h := &x.resp
	if !h.Has("date") {
		h.Add("date", x.w.dateNow())
	}
	h.Set("server", x.cfg.serverName)
	x.client.Respond(h, f)
	x.respBegun = true
}

// malformed takes note of what could not be read as a request.
func (x *exchange) malformed(details string) {
	x.stats.rqError++
	x.flags |= traffic.FlagDownstreamProtocol
	x.details = details
	x.req.Reset() // it holds nothing useful
	x.reqDone = true
	x.record()
}

// protocolError answers what could not be read as a request.
func (x *exchange) protocolError(bad *http1.Error) {
	x.malformed(bad.Details)
	x.client.Last()
	x.reply(bad.Status, []byte(bad.Reason))
	x.finish()
}
