package loop

import (
	"errors"
	"io"
	"net/netip"
)

// ErrFull is Fill's error when the input buffer holds as much as it can.
var ErrFull = errors.New("loop: input buffer full")

// HighWater is how much output may wait on a connection before whoever writes
// to it ought to pause: see Conn.Full.
const HighWater = 64 << 10

// SocketOptions are options of a connection's socket; on Linux only, and where
// the process may. Zero fields leave the system's defaults.
type SocketOptions struct {
	Mark          int // SO_MARK
	ReceiveBuffer int // SO_RCVBUF, in bytes
}

// Conn is a stream connection of a loop. Its events resume the task that is
// bound to it. It borrows buffers from the loop while they hold bytes.
type Conn struct {
	loop          *Loop
	task          *Task
	idle          IdleHandler
	local, remote netip.AddrPort

	in   []byte // cap is what may be read into
	r    int    // in[r:] is unread
	out  []byte
	off  int // out[off:] is unwritten
	rerr error
	werr error

	dirty, closed, sendClosed, wantsSendClose bool

	low *Wire // nil: what goes in and out is what the socket carries

	sock
}

// IdleHandler is told when a connection that no task is bound to has become
// readable, which for an idle HTTP/1.1 connection to a server means that it is
// dead.
type IdleHandler interface{ ConnReadable(c *Conn) }

// Bind makes the connection's events resume t from now on.
func (c *Conn) Bind(t *Task) { c.task, c.idle = t, nil }

// Rest parts the connection from its task and reports whether it is quiet; h
// is told of the next event. It is not quiet when the peer has sent something
// or has gone: then it is of no more use, and the caller closes it.
func (c *Conn) Rest(h IdleHandler) bool {
	if n, err := c.Fill(); n > 0 || err != nil || c.werr != nil || c.low != nil && c.low.tired() {
		return false
	}
	c.task, c.idle = nil, h
	return true
}

func (c *Conn) event() {
	switch {
	case c.low != nil && c.low.setup != nil:
		c.low.setup.Wake()
	case c.task != nil:
		c.task.Wake()
	case c.idle != nil:
		if c.low != nil && !c.low.stirs() {
			return
		}
		h := c.idle
		c.idle = nil
		h.ConnReadable(c)
	}
}

// Local is the connection's own address.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Remote is the peer's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Closed reports whether Close or Abort was called.
func (c *Conn) Closed() bool { return c.closed }

// In is the input that has been read and not consumed.
func (c *Conn) In() []byte { return c.in[c.r:] }

// Consume drops n bytes of the input.
func (c *Conn) Consume(n int) {
	c.r += n
	if c.r == len(c.in) {
		c.loop.bufs.put(c.in)
		c.in, c.r = nil, 0
	}
}

// Fill reads what there is, once, and returns how many bytes were added to the
// input: 0 and no error when the peer has sent nothing yet. After io.EOF or
// another error it returns that same error. ErrFull means that input must be
// consumed first, or Grow be called.
func (c *Conn) Fill() (int, error) {
	if c.rerr != nil {
		return 0, c.rerr
	}
	if c.low != nil && !c.low.mayOpen() || c.low == nil && !c.sock.mayRead() {
		return 0, nil
	}
	switch {
	case c.in == nil:
		c.in = c.loop.bufs.get()
	case len(c.in) == cap(c.in):
		if c.r == 0 {
			return 0, ErrFull
		}
		n := copy(c.in, c.in[c.r:])
		c.in, c.r = c.in[:n], 0
	}
	n, err := c.read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if err != nil {
		c.rerr = err
	}
	if len(c.in) == c.r {
		c.Consume(0)
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	if c.low != nil {
		return c.low.open(p)
	}
	return c.sock.read(c, p)
}

// Grow doubles the input buffer.
func (c *Conn) Grow() {
	bigger := make([]byte, len(c.in)-c.r, 2*max(cap(c.in), bufferSize))
	copy(bigger, c.in[c.r:])
	c.loop.bufs.put(c.in)
	c.in, c.r = bigger, 0
}

// EOF reports whether the peer has ended its side, and all was read.
func (c *Conn) EOF() bool { return c.rerr == io.EOF }

// Out is the output that waits. Append to it and give it back to SetOut.
func (c *Conn) Out() []byte {
	if c.low != nil {
		return c.low.out(0)
	}
	if c.out == nil {
		c.out = c.loop.bufs.get()
	}
	return c.out
}

// SetOut takes the output back; it is written at the end of the round.
func (c *Conn) SetOut(out []byte) {
	if c.low != nil {
		c.low.plain = out
	} else {
		c.out = out
	}
	c.markDirty()
}

// direct is from how many bytes on Write tries the socket at once, to spare a
// copy.
const direct = 8 << 10

// Write adds p to the output. It never waits: whoever writes much looks at
// Full.
func (c *Conn) Write(p []byte) {
	if c.low != nil {
		c.low.write(p)
		return
	}
	if len(p) >= direct && len(c.out) == 0 && !c.closed && c.werr == nil {
		p = p[c.sock.writeNow(c, p):]
		if len(p) == 0 {
			return
		}
	}
	out := c.Out()
	if cap(out)-len(out) < len(p) {
		out = c.loop.bufs.grow(out, len(p))
	}
	c.SetOut(append(out, p...))
}

// Pending is how many bytes of the output have not been written, in the form
// in which they wait: sealed by the Layer already or not.
func (c *Conn) Pending() int {
	if c.low != nil {
		return len(c.low.plain) - c.low.off + len(c.out) - c.off
	}
	return len(c.out) - c.off
}

// Full reports whether more than HighWater bytes of output wait although the
// socket was offered them. An event follows when it has taken some.
func (c *Conn) Full() bool {
	if c.Pending() <= HighWater {
		return false
	}
	c.flush()
	return c.Pending() > HighWater
}

// Drained offers the output to the socket and reports whether none is left
// waiting, be it that it cannot be written any more. If some is, an event
// follows.
func (c *Conn) Drained() bool {
	c.sock.probe(c)
	c.flush()
	return c.Pending() == 0 || c.werr != nil
}

// Connected reports whether a connection that Connect began is up, its Layer
// included, or why it failed.
func (c *Conn) Connected() (bool, error) {
	switch {
	case c.low == nil:
		return c.socketConnected()
	case c.low.err != nil:
		return false, c.low.err
	}
	return c.low.setup == nil, nil
}

// WriteErr is why output could not be written, nil while it can.
func (c *Conn) WriteErr() error { return c.werr }

func (c *Conn) markDirty() {
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// flush writes as much as the socket takes.
func (c *Conn) flush() {
	if c.closed {
		return
	}
	for {
		if c.low != nil {
			c.low.seal()
		}
		if c.off < len(c.out) && c.werr == nil {
			c.sock.write(c)
		}
		if c.werr != nil {
			c.off = len(c.out)
		}
		if c.off < len(c.out) {
			return
		}
		if c.out != nil {
			c.loop.bufs.put(c.out)
			c.out, c.off = nil, 0
		}
		if c.low == nil || !c.low.more() {
			break
		}
	}
	if c.wantsSendClose && !c.sendClosed && (c.low == nil || c.low.setup == nil) {
		c.sendClosed = true
		c.sock.closeWrite()
	}
}

// failWrite records why writing is over and tells the task.
func (c *Conn) failWrite(err error) {
	c.werr = err
	c.event()
}

// CloseSend ends this side of the connection once the output is written.
func (c *Conn) CloseSend() {
	c.wantsSendClose = true
	c.markDirty()
}

// Close writes what can be written at once and closes the connection.
func (c *Conn) Close() {
	if c.low != nil && c.low.layer != nil {
		c.wantsSendClose, c.sendClosed = true, true // the layer's announcement; closing does the rest
	}
	c.flush()
	c.release(false)
}

// Abort closes the connection with a reset, so that the peer cannot take what
// it got so far for complete.
func (c *Conn) Abort() { c.release(true) }

func (c *Conn) release(reset bool) {
	if c.closed {
		return
	}
	c.closed = true
	c.task, c.idle = nil, nil
	if c.low != nil {
		c.low.closed()
	}
	c.loop.bufs.put(c.in)
	c.loop.bufs.put(c.out)
	c.in, c.r, c.out, c.off = nil, 0, nil, 0
	if c.rerr == nil {
		c.rerr = io.ErrClosedPipe
	}
	if c.werr == nil {
		c.werr = io.ErrClosedPipe
	}
	c.loop.drop(c, reset)
}
