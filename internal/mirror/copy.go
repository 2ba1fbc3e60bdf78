package mirror

import (
	"io"
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
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
	Balancer *upstream.Balancer
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
	conn   *upstream.Conn

	outcome traffic.Outcome // InFlight until it is known
	chunked bool
	method  [16]byte
	methodN int
	fed     bool // the request's task lets go
	ended   bool // the whole request was handed over
	settled bool
	held    int64 // bytes that count in the budget
	began   loop.Time
	started loop.Time // of the phase that the deadline is for

	scan    http1.Scanner
	head    traffic.Head
	body    http1.Body
	framing traffic.FramingKind
	keep    bool
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
	row.Count(traffic.InFlight)
	s.live++
	if r.Answer != nil {
		r.Answer.Cluster = p.Mirror.Name
	}
	if n := p.Budget.requests.Add(1); n > int64(p.Limits.MaxRequests) {
		return c.refuse(traffic.DroppedBudget)
	}
	var e *upstream.Endpoint
	if p.Cluster != nil {
		e = r.Balancer.Pick(p.Cluster, s.pool.Active(), nil, 0)
	}
	if e == nil {
		return c.refuse(traffic.NoEndpoint)
	}
	if s.loop.Now() < s.pool.Host(p.Cluster, e).NotBefore {
		return c.refuse(traffic.ConnectFailed)
	}
	c.chunked = r.Framing.Kind == traffic.FramingChunked
	c.methodN = copy(c.method[:], r.Head.Method())
	c.task = s.loop.Go(c)
	conn, err := s.pool.Get(c.task, p.Cluster, e, false)
	if err != nil {
		c.outcome, c.fed = traffic.ConnectFailed, true
		return nil
	}
	c.conn = conn
	s.rewrite(p, r)
	if r.Answer != nil {
		r.Answer.Upstream = e.Addr
		r.Answer.Authority = string(s.head.Authority())
	}
	conn.SetOut(http1.AppendRequest(conn.Out(), &s.head, r.Framing))
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
	head, body, scan := c.head, c.body, c.scan
	head.Reset()
	scan.Reset()
	*c = Copy{side: c.side, head: head, body: body, scan: scan}
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
	if c.chunked {
		c.conn.SetOut(http1.AppendChunkHead(c.conn.Out(), len(p)))
		c.conn.Write(p)
		c.conn.Write(crlf)
	} else {
		c.conn.Write(p)
	}
	if c.behind() && !c.conn.Drained() && c.behind() {
		c.giveUp(c.behindBecause())
		return
	}
	c.hold()
}

// behind reports whether more waits for the shadow than its buffer holds.
func (c *Copy) behind() bool { return int64(c.conn.Pending()) > c.policy.Limits.Buffer }

// behindBecause tells a shadow that is slow from one that is not there.
func (c *Copy) behindBecause() traffic.Outcome {
	if ok, _ := c.conn.Connected(); !ok {
		return traffic.ConnectFailed
	}
	return traffic.Overrun
}

var crlf = []byte("\r\n")

// End says that the request is complete. The copy goes on by itself.
func (c *Copy) End(trailers *traffic.Head) {
	if !c.fed && c.outcome == traffic.InFlight {
		if c.chunked {
			c.conn.SetOut(http1.AppendEnd(c.conn.Out(), trailers))
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
	c.outcome = o
	c.drop(true)
	c.task.Wake()
}

func (c *Copy) drop(reset bool) {
	if c.conn != nil {
		c.conn.Drop(reset)
		c.conn = nil
	}
}

// hold brings the budget up to date with what waits in the connection.
func (c *Copy) hold() {
	now := int64(0)
	if c.conn != nil {
		now = int64(c.conn.Pending())
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
		if connecting {
			ok, err := c.conn.Connected()
			if err != nil {
				c.conn.Host.CxConnectFail++
				c.conn.Host.NotBefore = c.side.loop.In(afterRefusal)
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
		t.SetDeadline(c.started + loop.Time(min(c.policy.Limits.Timeout, c.policy.Cluster.ConnectTimeout)))
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
		c.conn.Host.CxConnectFail++
		return
	}
	c.conn.Host.RqTimeout++
}

// read takes in what the shadow has sent, and reports whether the copy is over.
func (c *Copy) read() bool {
	for range 16 { // then let others run
		for len(c.conn.In()) > 0 {
			over, more := c.parse()
			if over {
				return true
			}
			if more {
				break
			}
		}
		n, err := c.conn.Fill()
		switch {
		case n > 0:
		case err == loop.ErrFull:
			c.conn.Grow() // a head; the scanner bounds it
		case err == io.EOF && c.head.Status != 0 && c.framing == traffic.FramingClose:
			return c.finish(false)
		case err != nil:
			c.outcome = traffic.Reset
			return true
		default:
			return false
		}
	}
	c.task.Wake()
	return false
}

// parse takes the input apart: first the head, then the body, which is
// dropped. more asks for more input.
func (c *Copy) parse() (over, more bool) {
	in := c.conn.In()
	if c.head.Status == 0 {
		n, err := c.scan.End(in, http1.Limits{})
		if err != nil {
			c.outcome = traffic.Reset
			return true, false
		}
		if n == 0 {
			return false, true
		}
		f, err := http1.ParseResponse(&c.head, in[:n], c.method[:c.methodN], http1.Limits{})
		if err != nil {
			c.outcome = traffic.Reset
			return true, false
		}
		c.scan.Reset()
		c.conn.Consume(n)
		if c.head.Status < 200 && c.head.Status != 101 {
			c.head.Reset()
			return false, false
		}
		c.framing = f.Kind
		if a := c.req.Answer; a != nil {
			a.UpstreamLocal, a.Details = c.conn.Local(), "via_upstream"
			a.ServiceTime = time.Duration(c.side.loop.Now() - c.began)
		}
		c.keep = http1.KeepAlive(&c.head)
		c.body.Reset(f, http1.Limits{})
		in = c.conn.In()
	}
	data, used, done, err := c.body.Next(in)
	c.answerN += int64(len(data))
	c.conn.Consume(used)
	if err != nil {
		c.outcome = traffic.Reset
		return true, false
	}
	if done {
		return c.finish(true), false
	}
	return false, used == 0
}

// finish ends a copy that was answered.
func (c *Copy) finish(framed bool) bool {
	c.outcome = traffic.Completed
	if c.head.Status < 500 {
		c.conn.Host.RqSuccess++
	} else {
		c.conn.Host.RqError++
	}
	if framed && c.keep && c.ended && c.conn.Pending() == 0 && len(c.conn.In()) == 0 {
		c.conn.Put(c.policy.Cluster.MaxRequestsPerConnection)
		c.conn = nil
	}
	return true
}

// settle writes the outcome into the ledger and gives everything back.
func (c *Copy) settle() {
	if c.outcome == traffic.InFlight { // the task panicked
		c.outcome = traffic.Reset
	}
	c.drop(c.outcome != traffic.Completed || !c.ended || c.conn != nil && c.conn.Pending() > 0)
	c.hold()
	c.policy.Budget.requests.Add(-1)
	c.row.Settle(c.outcome)
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
