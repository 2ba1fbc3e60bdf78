package proxy

import (
	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// client1 is an HTTP/1.1 connection as the client's side of an exchange.
type client1 struct {
	conn    *loop.Conn
	w       *worker
	keep    bool // it may serve another request
	minor   int  // of the request's HTTP/1
	head    bool // its method is HEAD
	body    http1.Body
	used    int                 // of the input, by the piece that Next has returned
	framing traffic.FramingKind // of the answer, as it is sent
}

var _ client = (*client1)(nil)

// begin makes c ready for a request.
func (c *client1) begin() {
	c.keep, c.minor, c.head, c.used, c.framing = false, 1, false, 0, traffic.FramingNone
}

// read takes the request's head, the first n bytes of the input.
func (c *client1) read(h *traffic.Head, n int, limits http1.Limits) (traffic.Framing, error) {
	f, err := http1.ParseRequest(h, c.conn.In()[:n], limits)
	c.conn.Consume(n)
	if err != nil {
		return f, err
	}
	c.keep = http1.KeepAlive(h) && !c.w.p.draining.Load()
	c.minor, c.head = h.Minor, string(h.Method()) == "HEAD"
	c.body.Reset(f, limits)
	return f, nil
}

func (c *client1) Next() (p []byte, done bool, err error) {
	for {
		if len(c.conn.In()) > 0 {
			p, c.used, done, err = c.body.Next(c.conn.In())
			if err != nil || done || len(p) > 0 {
				return p, done, err
			}
			c.Advance()
		}
		n, err := c.conn.Fill()
		if n == 0 {
			return nil, false, err
		}
	}
}

func (c *client1) Advance() {
	c.conn.Consume(c.used)
	c.used = 0
}

func (c *client1) Trailers() *traffic.Head { return c.body.Trailers() }

func (c *client1) Interim(h *traffic.Head) {
	if c.minor > 0 {
		c.conn.SetOut(http1.AppendResponse(c.conn.Out(), h, traffic.Framing{}))
	}
}

func (c *client1) Respond(h *traffic.Head, f traffic.Framing) {
	switch { // what HTTP/2 can say without, HTTP/1.1 says by its framing
	case !h.HTTP2:
	case f.Kind == traffic.FramingNone && !c.head && h.Status != 204 && h.Status != 304:
		f.Kind = traffic.FramingLength
	case f.Kind == traffic.FramingLength && f.Length > 0 && h.Has("trailer"):
		f.Kind = traffic.FramingChunked
	}
	if f.Kind == traffic.FramingChunked || f.Kind == traffic.FramingClose {
		f = traffic.Framing{Kind: traffic.FramingChunked}
		if c.minor == 0 {
			f.Kind = traffic.FramingClose
			c.keep = false
		}
	}
	c.framing = f.Kind
	c.keep = c.keep && !c.w.p.draining.Load()
	switch {
	case !c.keep:
		h.Add("connection", []byte("close"))
	case c.minor == 0:
		h.Add("connection", []byte("keep-alive"))
	}
	c.conn.SetOut(http1.AppendResponse(c.conn.Out(), h, f))
}

func (c *client1) Write(p []byte) {
	if c.framing != traffic.FramingChunked {
		c.conn.Write(p)
		return
	}
	c.conn.SetOut(http1.AppendChunkHead(c.conn.Out(), len(p)))
	c.conn.Write(p)
	c.conn.Write(crlf)
}

var crlf = []byte("\r\n")

func (c *client1) End(trailers *traffic.Head) {
	if c.framing == traffic.FramingChunked {
		c.conn.SetOut(http1.AppendEnd(c.conn.Out(), trailers))
	}
}

func (c *client1) Full() bool { return c.conn.Full() }

func (c *client1) Gone(complete bool) bool {
	if c.conn.WriteErr() != nil {
		return true
	}
	if !complete || len(c.conn.In()) > 0 {
		return false
	}
	_, err := c.conn.Fill()
	return err != nil && err != loop.ErrFull
}

func (c *client1) Last() { c.keep = false }

func (c *client1) Break() {
	c.keep = false
	if c.framing == traffic.FramingClose {
		c.conn.Abort() // or the end would pass for that of the answer
	}
}

func (c *client1) Switch(h *traffic.Head) *loop.Conn {
	c.keep = false
	c.conn.SetOut(http1.AppendResponse(c.conn.Out(), h, traffic.Framing{}))
	return c.conn
}
