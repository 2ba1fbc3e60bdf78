package mirror

import (
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// Observer is told when a copy has settled and its answer is filled in.
type Observer interface{ ShadowSettled() }

// Request is what a copy is made of.
type Request struct {
	Head     *traffic.Head // as the primary got it
	Framing  traffic.Framing
	Context  *route.Context
	Cluster  *upstream.Cluster // nil when there is none of that name
	Balancer *upstream.Balancer
	// Further says that the request has another copy for the same mirror.
	Further bool
	// Answer is filled in where it is not nil, and then Observer is told.
	Answer   *traffic.Answer
	Observer Observer
}

// Copy is one request on its way to a shadow. The request's own task feeds it
// the body; the copy's task waits for the answer.
type Copy struct {
	side   *Side
	policy *Policy
	row    *Row
	req    Request
	task   *loop.Task
	stream upstream.Stream

	outcome traffic.Outcome // InFlight until it is known
	fed     bool            // the request's task lets go
	empty   bool            // the request has no body
	ended   bool            // the whole request was handed over
	turn    turn            // in side.readers
	settled bool
	held    int64     // bytes that count in the budget
	whole   *gathered // the request, until its body can be redacted; nil: it is sent as it comes
	began   loop.Time
	started loop.Time // of the phase that the deadline is for

	head    traffic.Head
	headed  bool // head is that of the answer
	answerN int64
}

// Start begins a copy: its head is written to a connection of its own, and its
// body is to follow by Body and End, or Break. It returns nil when there is no
// copy to feed; the outcome stands in the row already.
func (s *Side) Start(p *Policy, row *Row, r Request) *Copy {
	c := s.get()
	c.policy, c.row, c.req = p, row, r
	c.began = s.loop.Now()
	c.started = c.began
	row.begin(r.Further)
	s.live++
	if r.Answer != nil {
		r.Answer.Cluster, r.Answer.Role = p.Mirror.Name, p.Role
	}
	if n := p.Budget.requests.Add(1); n > int64(p.Limits.MaxRequests) || !p.Budget.room(p.Limits.MaxBytes) {
		return c.refuse(traffic.DroppedBudget)
	}
	var e *upstream.Endpoint
	if r.Cluster != nil {
		e = r.Balancer.Pick(r.Cluster, s.pool.Active(), upstream.Choice{Now: s.loop.Wall(s.loop.Now())})
	}
	if e == nil {
		return c.refuse(traffic.NoEndpoint)
	}
	if s.loop.Now() < s.pool.Host(r.Cluster, e).NotBefore {
		return c.refuse(traffic.ConnectFailed)
	}
	c.task = s.loop.Go(c)
	stream, err := s.pool.Get(c.task, r.Cluster, e, upstream.Use{HTTP2: r.Head.HTTP2, Authority: r.Head.Authority(), Hostname: e.Hostname})
	if err != nil {
		c.outcome, c.fed = traffic.ConnectFailed, true
		return nil
	}
	c.stream = stream
	s.rewrite(p, r)
	if r.Answer != nil {
		r.Answer.Upstream = e.Addr
		r.Answer.Authority = string(s.head.Authority())
	}
	c.empty = r.Framing.Empty()
	if p.Redactor != nil && !c.empty && p.Redactor.NeedsBody(&s.head) {
		c.gather()
	} else {
		stream.Send(&s.head, r.Framing)
	}
	c.hold()
	if c.outcome != traffic.InFlight { // the budget is full
		c.fed = true
		return nil
	}
	return c
}

// release keeps the copy for later once both of its tasks have let go.
func (c *Copy) release() {
	if !c.fed || !c.settled || len(c.side.free) >= maxFree {
		return
	}
	head := c.head
	head.Reset()
	*c = Copy{side: c.side, head: head}
	c.side.free = append(c.side.free, c)
}

// refuse settles a copy that was never sent.
func (c *Copy) refuse(o traffic.Outcome) *Copy {
	c.fed = true
	c.outcome = o
	c.settle()
	return nil
}

// Body hands over a piece of the request's body.
func (c *Copy) Body(p []byte) {
	if c.fed || c.outcome != traffic.InFlight || len(p) == 0 {
		return
	}
	if c.whole != nil {
		c.take(p)
		c.hold()
		return
	}
	c.stream.Write(p)
	if c.behind() && !c.stream.Drained() && c.behind() {
		c.giveUp(c.behindBecause())
		return
	}
	c.hold()
}

// behind reports whether more waits for the shadow than its buffer holds.
func (c *Copy) behind() bool { return int64(c.stream.Pending()) > c.policy.Limits.Buffer }

// behindBecause tells a shadow that is slow from one that is not there.
func (c *Copy) behindBecause() traffic.Outcome {
	if ok, _ := c.stream.Connected(); !ok {
		return traffic.ConnectFailed
	}
	return traffic.Overrun
}

// End says that the request is complete. The copy goes on by itself.
func (c *Copy) End(trailers *traffic.Head) {
	if !c.fed && c.outcome == traffic.InFlight {
		switch {
		case c.whole != nil:
			c.whole.keep(c.side.redactTrailers(c.policy, trailers))
		case !c.empty:
			c.stream.End(c.side.redactTrailers(c.policy, trailers))
		}
		c.ended, c.started = true, c.side.loop.Now()
		c.hold()
		c.task.Wake() // its deadline begins
	}
	c.letGo()
}

// Break says that the client broke its request off.
func (c *Copy) Break() {
	if !c.fed && c.outcome == traffic.InFlight {
		c.giveUp(traffic.RequestIncomplete)
	}
	c.letGo()
}

func (c *Copy) letGo() {
	if !c.fed {
		c.fed = true
		c.release()
	}
}

// giveUp resets the connection, so that what the shadow got can never pass for
// a complete request, and leaves the rest to the copy's task.
func (c *Copy) giveUp(o traffic.Outcome) {
	c.outcome, c.whole = o, nil
	c.drop(true)
	c.task.Wake()
}

func (c *Copy) drop(reset bool) {
	if c.stream != nil {
		c.stream.Drop(reset)
		c.stream = nil
	}
}

// hold brings the budget up to date with what waits in the connection.
func (c *Copy) hold() {
	now := int64(0)
	if c.stream != nil {
		now = int64(c.stream.Pending())
	}
	if c.whole != nil {
		now += int64(len(c.whole.body))
	}
	if now == c.held {
		return
	}
	sum := c.policy.Budget.bytes.Add(now - c.held)
	grew := now > c.held
	c.held = now
	if grew && sum > c.policy.Limits.MaxBytes && c.outcome == traffic.InFlight {
		c.policy.Budget.full.Store(true)
		c.giveUp(traffic.DroppedBudget)
	}
}
