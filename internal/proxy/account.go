package proxy

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// record is the exchange as the sink gets it. It waits for the shadows.
type record struct {
	traffic.Exchange
	w        *worker
	waiting  int // shadows that have not settled
	answered bool
}

// record begins the exchange for the sink, where one wants it.
func (x *exchange) record() {
	sink := x.w.p.opt.Sink
	if x.rec != nil || sink == nil || !sink.Enabled() {
		return
	}
	w := x.w
	if n := len(w.records); n > 0 {
		x.rec = w.records[n-1]
		w.records = w.records[:n-1]
		x.rec.waiting, x.rec.answered = 0, false
	} else {
		x.rec = &record{w: w}
	}
}

// finish counts the exchange and hands it to the sink.
func (x *exchange) finish() {
	if x.t != nil {
		x.t.SetDeadline(0)
	}
	if c := x.resp.Status / 100; c > 0 && c < len(x.stats.rqClass) {
		x.stats.rqClass[c]++
	}
	if x.flags&traffic.FlagDownstreamClosed != 0 {
		x.stats.rxReset++
	}
	x.w.meter.Observe(x.brake, x.mirrored, x.w.since(x.start))
	x.stats.bytesIn += uint64(x.reqBytes)
	x.stats.bytesOut += uint64(x.respBytes)
	r := x.rec
	if r == nil {
		return
	}
	x.rec = nil
	r.Start = x.ctx.Start
	r.Listener = x.cfg.listener
	r.DownstreamLocal, r.DownstreamRemote = x.ctx.DownstreamLocal, x.ctx.DownstreamRemote
	if x.vhost != nil {
		r.VirtualHost = x.vhost.Name
	}
	if x.route != nil {
		r.Route, r.RouteKey = x.route.Name, x.route.Key
		if x.route.Forward != nil {
			r.Redact = x.v.routes[x.route.ID].redact
		}
	}
	r.Request.CopyFrom(&x.req)
	r.RequestBytes = x.reqBytes
	p := &r.Primary
	if x.cluster != nil {
		p.Cluster = x.cluster.Name
	}
	p.Upstream, p.UpstreamLocal = x.ctx.Upstream, x.upLocal
	p.Response.CopyFrom(&x.resp)
	p.ResponseBytes = x.respBytes
	p.Flags, p.Details, p.TransportFailure = x.flags, x.details, x.failure
	p.Duration = time.Duration(x.w.loop.Now() - x.start)
	p.ServiceTime = x.serviceTime
	p.Outcome = traffic.Completed
	x.w.p.opt.Sink.Offer(traffic.Answered, &r.Exchange)
	r.answered = true
	r.settle()
}

// ShadowSettled is told by each copy of the request.
func (r *record) ShadowSettled() {
	r.waiting--
	r.settle()
}

const maxRecords = 1024

func (r *record) settle() {
	if r.waiting > 0 || !r.answered {
		return
	}
	r.w.p.opt.Sink.Offer(traffic.Settled, &r.Exchange)
	r.Reset()
	if len(r.w.records) < maxRecords {
		r.w.records = append(r.w.records, r)
	}
}
