package upstream

import (
	"io"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// conn1 is an HTTP/1.1 connection to an endpoint: a Stream for one exchange at
// a time, and idle in its host's list between them.
type conn1 struct {
	*loop.Conn
	link
	limit    uint32 // requests that it may serve; 0 any number
	requests uint32
	since    loop.Time // when it came to rest
	asked    *Breakers // that count the request

	// The request.
	method  [16]byte
	methodN int
	chunked bool
	ended   bool

	// The answer.
	scan    http1.Scanner
	body    http1.Body
	framing traffic.FramingKind
	keep    bool
	heard   bool // some of it has come
	done    bool
	used    int // of the input, by the piece that Next has returned
}

var _ Stream = (*conn1)(nil)

func (c *conn1) Host() *Host { return c.host }

func (c *conn1) Fate() Fate {
	if c.requests > 1 && !c.heard && len(c.In()) == 0 {
		return FateStale
	}
	return FateUnknown
}

// lend readies the connection for one more exchange.
func (c *conn1) lend(b *Breakers) {
	c.requests++
	c.asked = b
	c.heard, c.done, c.ended, c.keep, c.used = false, false, false, false, 0
	c.host.lend(c.pool)
}

func (c *conn1) Send(h *traffic.Head, f traffic.Framing) {
	c.methodN = copy(c.method[:], h.Method())
	if h.HTTP2 && f.Kind == traffic.FramingLength && f.Length > 0 && h.Has("trailer") {
		f.Kind = traffic.FramingChunked // with a length there would be no trailers
	}
	c.chunked = f.Kind == traffic.FramingChunked
	c.ended = f.Empty()
	c.SetOut(http1.AppendRequest(c.Out(), h, f))
}

func (c *conn1) Write(p []byte) {
	if !c.chunked {
		c.Conn.Write(p)
		return
	}
	c.SetOut(http1.AppendChunkHead(c.Out(), len(p)))
	c.Conn.Write(p)
	c.Conn.Write(crlf)
}

var crlf = []byte("\r\n")

func (c *conn1) End(trailers *traffic.Head) {
	if c.chunked {
		c.SetOut(http1.AppendEnd(c.Out(), trailers))
	}
	c.ended = true
}

func (c *conn1) Head(h *traffic.Head) (f traffic.Framing, ok bool, err error) {
	for {
		if in := c.In(); len(in) > 0 {
			n, err := c.scan.End(in, http1.Limits{})
			if err != nil {
				return f, false, err
			}
			if n > 0 {
				f, err = http1.ParseResponse(h, in[:n], c.method[:c.methodN], http1.Limits{})
				if err != nil {
					return f, false, err
				}
				c.begin(h, f, n)
				return f, true, nil
			}
		}
		if more, err := c.fill(); !more {
			return f, false, err
		}
	}
}

// begin takes note of a head of n bytes.
func (c *conn1) begin(h *traffic.Head, f traffic.Framing, n int) {
	c.Consume(n)
	c.scan.Reset()
	c.heard = true
	if h.Status < 200 && h.Status != 101 {
		return
	}
	c.framing = f.Kind
	c.done = f.Empty()
	c.keep = http1.KeepAlive(h)
	c.body.Reset(f, http1.Limits{})
}

// fill reads what there is, and reports whether that was anything.
func (c *conn1) fill() (more bool, err error) {
	n, err := c.Fill()
	if err == loop.ErrFull {
		c.Grow() // a head; the scanner bounds it
		return true, nil
	}
	return n > 0, err
}

func (c *conn1) Next() (p []byte, done bool, err error) {
	for {
		if len(c.In()) > 0 {
			p, c.used, c.done, err = c.body.Next(c.In())
			if err != nil || c.done || len(p) > 0 {
				return p, c.done, err
			}
			c.Advance()
		}
		more, err := c.fill()
		if err == io.EOF && c.framing == traffic.FramingClose {
			c.done = true
			return nil, true, nil
		}
		if !more {
			return nil, false, err
		}
	}
}

func (c *conn1) Advance() {
	c.Consume(c.used)
	c.used = 0
}

func (c *conn1) Trailers() *traffic.Head { return c.body.Trailers() }

func (c *conn1) Quiet() bool {
	if !c.keep || c.framing == traffic.FramingClose {
		return false
	}
	n, err := c.Fill()
	return n == 0 && err == nil && c.WriteErr() == nil
}

func (c *conn1) Tunnel() *loop.Conn { return c.Conn }

// Release keeps the connection for the next exchange if it may serve one.
func (c *conn1) Release() {
	c.Advance()
	if !c.ended || !c.done {
		c.Drop(true)
		return
	}
	if !c.keep || c.framing == traffic.FramingClose || c.Pending() > 0 || len(c.In()) > 0 {
		c.Drop(false)
		return
	}
	c.unlend()
	if c.host.gone || c.old() || c.limit > 0 && c.requests >= c.limit || !c.Rest(c) {
		c.close(false)
		return
	}
	c.since = c.pool.loop.Now()
	c.host.idle = append(c.host.idle, c)
	c.host.next()
}

func (c *conn1) unlend() {
	c.host.unlend(c.pool)
	c.asked.DoneRequest()
}

func (c *conn1) Drop(reset bool) {
	c.unlend()
	c.close(reset)
}

func (c *conn1) close(reset bool) {
	if c.Closed() {
		return
	}
	c.parted(c.Conn)
	if reset {
		c.Abort()
	} else {
		c.Close()
	}
}

// leave takes a resting connection out of its host's list.
func (c *conn1) leave() {
	idle := c.host.idle
	for i, o := range idle {
		if o == c {
			copy(idle[i:], idle[i+1:])
			idle[len(idle)-1] = nil
			c.host.idle = idle[:len(idle)-1]
			return
		}
	}
}

// ConnReadable drops a resting connection that its endpoint has closed, or
// has sent to unasked.
func (c *conn1) ConnReadable(*loop.Conn) {
	c.leave()
	c.close(false)
}
