package mirror

import (
	"time"

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
	if n := p.Budget.requests.Add(1); n > int64(p.Limits.MaxRequests) {
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
		c.giveUp(traffic.DroppedBudget)
	}
}

// afterRefusal is how long no copy tries an endpoint that has refused one: to
// find that out each time costs the primary's loop more than a whole copy.
const afterRefusal = 100 * time.Millisecond

// Run waits for the shadow's answer. It is the copy's task.
func (c *Copy) Run(t *loop.Task) {
	defer c.settle()
	c.await(t)
}

func (c *Copy) await(t *loop.Task) {
	connecting := true
	for c.outcome == traffic.InFlight {
		if c.whole != nil { // nothing was sent
			if c.ended {
				c.sendWhole(t)
			} else if t.Park() != nil {
				c.outcome = traffic.Reset
			}
			continue
		}
		if connecting {
			ok, err := c.stream.Connected()
			if err != nil {
				host := c.stream.Host()
				host.CxConnectFail++
				host.NotBefore = c.side.loop.In(afterRefusal)
				c.outcome = traffic.ConnectFailed
				return
			}
			connecting = !ok
		}
		c.arm(t, connecting)
		c.hold()
		if c.outcome != traffic.InFlight || c.read() {
			return
		}
		if t.Expired() {
			c.expire(connecting)
			return
		}
		if t.Park() != nil {
			c.outcome = traffic.Reset
			return
		}
	}
}

// arm sets the deadline of the phase that the copy is in: to connect, then,
// once the request is complete, to answer.
func (c *Copy) arm(t *loop.Task, connecting bool) {
	switch {
	case connecting:
		t.SetDeadline(c.started + loop.Time(min(c.policy.Limits.Timeout, c.req.Cluster.ConnectTimeout)))
	case !c.ended:
		t.SetDeadline(0)
	default:
		t.SetDeadline(c.started + loop.Time(c.policy.Limits.Timeout))
	}
}

func (c *Copy) expire(connecting bool) {
	c.outcome = traffic.TimedOut
	if connecting {
		c.outcome = traffic.ConnectFailed
		c.stream.Host().CxConnectFail++
		return
	}
	c.stream.Host().RqTimeout++
}

// read takes in what the shadow has sent, and reports whether the copy is over.
// What it may take in one turn of the loop is little, and few copies take turns
// with large answers: a shadow that sends without an end must not keep the loop
// from the primary.
func (c *Copy) read() bool {
	if !c.side.readers.enter(c) {
		return false
	}
	before, more := c.answerN, true
	for i := 0; i < perTurn && more; i++ {
		var over bool
		if over, more = c.step(); over {
			c.side.readers.leave(c)
			return true
		}
	}
	c.side.readers.next(c, int(c.answerN-before), more)
	return false
}

// perTurn is how many pieces of an answer, of 16 KiB each at most, a copy reads
// in one turn.
const perTurn = 2

// step takes in a head or a piece of the body, which is dropped. more asks to
// be called again.
func (c *Copy) step() (over, more bool) {
	if !c.headed {
		f, ok, err := c.stream.Head(&c.head)
		switch {
		case err != nil:
			c.broken()
			return true, false
		case !ok:
			return false, false
		case c.head.Status < 200 && c.head.Status != 101:
			c.head.Reset()
			return false, true
		}
		c.headed = true
		if a := c.req.Answer; a != nil {
			a.UpstreamLocal, a.Details = c.stream.Local(), "via_upstream"
			a.ServiceTime = time.Duration(c.side.loop.Now() - c.began)
		}
		if f.Empty() {
			return c.finish(), false
		}
	}
	data, done, err := c.stream.Next()
	c.answerN += int64(len(data))
	a := c.req.Answer
	if a != nil {
		a.Body.Append(data)
	}
	if err != nil {
		c.broken()
		return true, false
	}
	c.stream.Advance()
	if done {
		if a != nil {
			a.KeepTrailers(c.stream.Trailers())
		}
		return c.finish(), false
	}
	return false, len(data) > 0
}

// broken settles a copy whose shadow broke off its answer. One that
// does so again and again is left alone for a moment: a new connection for each
// copy costs the primary's loop more than the copy.
func (c *Copy) broken() {
	c.outcome = traffic.Reset
	host := c.stream.Host()
	if host.Broken++; host.Broken >= brokenInARow {
		host.Broken = 0
		host.NotBefore = c.side.loop.In(afterRefusal)
	}
}

// brokenInARow is how many copies in a row a shadow may break off.
const brokenInARow = 5

// finish ends a copy that was answered.
func (c *Copy) finish() bool {
	c.outcome = traffic.Completed
	host := c.stream.Host()
	host.Broken = 0
	if c.head.Status < 500 {
		host.RqSuccess++
	} else {
		host.RqError++
	}
	if c.ended && c.stream.Pending() == 0 {
		c.stream.Release()
		c.stream = nil
	}
	return true
}

// settle writes the outcome into the ledger and gives everything back.
func (c *Copy) settle() {
	if c.outcome == traffic.InFlight { // the task panicked
		c.outcome = traffic.Reset
	}
	c.side.readers.leave(c)
	c.drop(true)
	c.hold()
	c.policy.Budget.requests.Add(-1)
	c.row.settle(c.outcome, c.req.Further)
	c.side.live--
	c.settled = true
	if a := c.req.Answer; a != nil {
		a.Outcome = c.outcome
		a.ResponseBytes = c.answerN
		a.Duration = time.Duration(c.side.loop.Now() - c.began)
		a.Response.CopyFrom(&c.head)
	}
	if c.req.Observer != nil {
		c.req.Observer.ShadowSettled()
	}
	c.release()
}
