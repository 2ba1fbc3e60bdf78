package mirror

import (
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// gathered is a request whose body is to be redacted, which takes the whole of
// it: until that is there, nothing is sent.
type gathered struct {
	head, trailers traffic.Head
	body           []byte
}

// gather has the copy wait for its whole body.
func (c *Copy) gather() {
	c.whole = &gathered{}
	c.whole.head.CopyFrom(&c.side.head)
}

// take adds a piece of the body.
func (c *Copy) take(p []byte) {
	c.whole.body = append(c.whole.body, p...)
	if int64(len(c.whole.body)) > c.policy.Limits.Buffer {
		c.giveUp(traffic.Overrun)
	}
}

// keep keeps the trailers, which may be nil.
func (g *gathered) keep(trailers *traffic.Head) {
	if trailers != nil {
		g.trailers.CopyFrom(trailers)
	}
}

// redactAside is the size of a body, in bytes, from which on it is redacted
// away from the loop.
const redactAside = 32 << 10

// sendWhole sends the request that was gathered. What cannot be redacted is
// not sent: the shadow gets no request at all. It runs in the copy's task.
func (c *Copy) sendWhole(t *loop.Task) {
	g := c.whole
	var body []byte
	var err error
	if len(g.body) < redactAside {
		body, err = c.policy.Redactor.Body(&c.side.scratch, &g.head, nil, g.body)
	} else {
		head := &traffic.Head{}
		head.CopyFrom(&g.head)
		redactor, whole := c.policy.Redactor, g.body // if the loop ends, nobody waits for the other goroutine
		var redacted []byte
		var failed error
		if t.Offload(func() { redacted, failed = redactor.Body(&redact.Scratch{}, head, nil, whole) }) != nil {
			c.outcome = traffic.Reset
			return
		}
		body, err = redacted, failed
		g.head.CopyFrom(head)
	}
	c.whole = nil
	switch {
	case c.outcome != traffic.InFlight:
	case err != nil:
		c.giveUp(traffic.Unsupported)
	default:
		c.stream.Send(&g.head, traffic.Framing{Kind: traffic.FramingLength, Length: int64(len(body))})
		c.stream.Write(body)
		c.stream.End(&g.trailers)
	}
	c.hold()
}
