package proxy

import (
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// client2 is a stream of HTTP/2 as the client's side of an exchange.
type client2 struct {
	stream  *http2.Stream
	session *session2
	head    bool // the request's method is HEAD
	tunnel  bool // the stream carries another protocol
	used    int  // of the input, by the piece that Next has returned
}

var _ client = (*client2)(nil)

func (c *client2) Next() (p []byte, done bool, err error) {
	p, done, err = c.stream.Next()
	c.used = len(p)
	return p, done, err
}

func (c *client2) Advance() {
	c.stream.Consume(c.used)
	c.used = 0
}

func (c *client2) Trailers() *traffic.Head { return c.stream.Trailers() }

func (c *client2) Interim(h *traffic.Head) { c.stream.SendHead(h, traffic.Framing{}, false) }

func (c *client2) Respond(h *traffic.Head, f traffic.Framing) {
	c.stream.SendHead(h, f, f.Empty() || c.head)
}

func (c *client2) Write(p []byte) { c.stream.Write(p) }

func (c *client2) End(trailers *traffic.Head) { c.stream.End(trailers) }

func (c *client2) Full() bool { return c.stream.Full() }

func (c *client2) Gone(bool) bool { return c.stream.Err() != nil }

func (c *client2) Last() {}

func (c *client2) Break() {
	code := http2.ErrCodeInternal
	if c.tunnel { // RFC 9113, section 8.5
		code = http2.ErrCodeConnect
	}
	c.stream.Reset(code)
}

// Switch says 200 for 101, which HTTP/2 does not have (RFC 8441, section 5).
func (c *client2) Switch(h *traffic.Head) *loop.Conn {
	c.tunnel = true
	status := h.Status
	h.Status = 200
	c.stream.SendHead(h, traffic.Framing{Kind: traffic.FramingChunked}, false)
	h.Status = status
	return nil
}
