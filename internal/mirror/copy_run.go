package mirror

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

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
	looked := int64(0) // what waited when the task woke itself last
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
		if !connecting && c.held > 0 && c.held != looked {
			looked = c.held
			t.Wake() // after this round has written, which nothing tells
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
