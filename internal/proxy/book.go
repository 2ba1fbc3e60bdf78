package proxy

import (
	"math/bits"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// book enters a request into the ledger when its first endpoint was picked,
// and starts its copies.
func (x *exchange) book() {
	rows := &x.v.routes[x.route.ID]
	rows.row.Forward(rows.mirrors)
	if len(rows.mirrors) == 0 {
		return
	}
	policies, rules := x.v.policies[x.route.ID], x.v.rules[x.route.ID]
	if x.rec != nil { // copies keep pointers into it
		x.rec.ReserveShadows(len(policies))
	}
	number := x.number
	if rules != nil {
		number = rules.Number(number, x.w.p.sampler, &x.req, x.ctx.DownstreamRemote.Addr())
	}
	x.sample(policies, rows.mirrors, rules, number)
	x.keepAnswers(rules)
	for _, i := range x.order {
		p := policies[i]
		x.mirror(p, rows.mirrors[i], false)
		if p.Role == traffic.Again {
			continue
		}
		for range p.Copies(number) - 1 {
			x.mirror(p, rows.mirrors[i], true)
		}
	}
}

// sample decides which mirrors get a copy, and puts them into x.order.
func (x *exchange) sample(policies []*mirror.Policy, rows []*mirror.Row, rules *mirror.Rules, number uint64) {
	x.order = x.order[:0]
	admitted, asked := traffic.InFlight, rules == nil // the rules are asked once, when a share takes the request
	for i, p := range policies {
		switch {
		case x.upgrade != nil || x.connect:
			rows[i].Count(traffic.Unsupported)
		case x.from.own:
			rows[i].Count(traffic.Filtered)
		case p.Role == traffic.Again:
			x.sampleAgain(i, p, rows[i], number)
		case p.Copies(number) == 0:
			rows[i].Count(p.LeftOut(number))
			x.brake = p.Brake
		default:
			if !asked {
				admitted, asked = rules.Admit(x.w.loop.Wall(x.w.loop.Now()), &x.ctx), true
			}
			if admitted != traffic.InFlight {
				rows[i].Count(admitted)
				continue
			}
			x.brake, x.mirrored = p.Brake, true
			x.order = append(x.order, i)
		}
	}
}

// sampleAgain decides whether the primary is asked again: a part of those safe
// requests that another mirror copies. It is the last mirror.
func (x *exchange) sampleAgain(i int, p *mirror.Policy, row *mirror.Row, number uint64) {
	switch {
	case !safe(x.req.Method()) || !x.reqDone:
		row.Count(traffic.Filtered)
	case len(x.order) == 0 || p.Share.Copies(bits.ReverseBytes64(number)) == 0 || !p.Rate.Take(x.w.loop.Wall(x.w.loop.Now()), 1):
		row.Count(traffic.NotSampled)
	default:
		x.order = append(x.order, i)
	}
}

// safe methods change nothing (RFC 9110, section 9.2.1), so the proxy may ask
// for the same again.
func safe(method []byte) bool { return string(method) == "GET" || string(method) == "HEAD" }

// keepAnswers has the bodies of the exchange kept where its answers are
// compared, and its copies go out in random order, so that none of them is
// always the first.
func (x *exchange) keepAnswers(rules *mirror.Rules) {
	if x.rec == nil || rules == nil || rules.Keep == 0 || len(x.order) == 0 {
		return
	}
	x.rec.Compared = true
	x.rec.RequestBody.Open(x.w.bodies, rules.Keep)
	x.rec.Primary.Body.Open(x.w.bodies, rules.Keep)
	for i := len(x.order) - 1; i > 0; i-- {
		j, _ := bits.Mul64(x.w.random.Uint64(), uint64(i+1))
		x.order[i], x.order[j] = x.order[j], x.order[i]
	}
}

// mirror starts a copy. Answers of further copies are not looked at.
func (x *exchange) mirror(p *mirror.Policy, row *mirror.Row, further bool) {
	req := mirror.Request{Head: &x.req, Framing: x.outFraming, Context: &x.ctx, Cluster: p.Cluster, Further: further}
	at := p.Mirror.Cluster
	if p.Role == traffic.Again {
		at, req.Cluster = x.clusterID, x.cluster
	}
	if at >= 0 {
		req.Balancer = &x.v.shadowing[at]
	}
	if x.rec != nil && !further {
		x.rec.waiting++
		req.Answer, req.Observer = x.rec.AddShadow(), x.rec
		if x.rec.Compared {
			req.Answer.Body.Open(x.w.bodies, int64(x.v.rules[x.route.ID].Keep))
		}
	}
	if c := x.w.side.Start(p, row, req); c != nil {
		if x.reqDone {
			c.End(nil)
			return
		}
		x.copies = append(x.copies, c)
	}
}
