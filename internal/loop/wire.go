package loop

import (
	"errors"
	"net"
)

// Layer is what lies between a connection's socket and its input and output:
// TLS. None of its methods may park; it reaches the socket through its Wire.
type Layer interface {
	// Open puts into p what the peer has sent, as far as it has come: 0 and no
	// error when nothing is complete. io.EOF is the end that the peer has
	// announced, io.ErrUnexpectedEOF one that it has not.
	Open(p []byte) (int, error)
	// Buffered reports whether Open may have something to give without
	// another byte from the socket.
	Buffered() bool
	// Seal writes p to the wire, all of it.
	Seal(p []byte) error
	// End writes the announcement that nothing more follows.
	End() error
}

// The layer's output: how much one Seal gets (a TLS record holds no more), and
// how much may wait in sealed form before no more is sealed.
const (
	sealSize   = 16 << 10
	sealWindow = 4 * sealSize
)

// Wire is the socket's side of a connection that has a Layer, or is about to
// have one. Until Up the connection looks like one that is being made: it has
// no input, and its output waits.
type Wire struct {
	c     *Conn
	layer Layer // nil until Up
	setup *Task // gets the connection's events until Up or Fail
	err   error // why there is no layer, told by Connected

	early []byte // came before the layer; a lent buffer
	r     int
	rerr  error // the socket's
	lerr  error // the layer's, to be told when the input before it has been

	turn  uint64 // of the loop, in which
	opens int    // calls of Open were made

	plain   []byte // output that is not sealed yet
	off     int
	sealing bool
	ended   bool
}

// Lower puts a wire under the connection, for t to set up a layer on it. The
// connection's events resume t until then. Input that has not been consumed
// goes to the wire; output that waits goes out as it is. It must not be called
// twice for a connection.
func (c *Conn) Lower(t *Task) *Wire {
	w := &Wire{c: c, setup: t, early: c.in, r: c.r, rerr: c.rerr}
	c.in, c.r, c.rerr = nil, 0, nil
	c.low = w
	return w
}

// Up ends the set-up: from now on all input and output of the connection goes
// through layer. The task that is bound to the connection is woken.
func (w *Wire) Up(layer Layer) {
	if w.c.closed || w.setup == nil {
		return
	}
	w.layer, w.setup = layer, nil
	w.c.markDirty()
	w.c.event()
}

// Fail ends the set-up without a layer: the connection is of no use, and its
// Connected, Fill and WriteErr tell why.
func (w *Wire) Fail(err error) {
	if w.c.closed || w.setup == nil {
		return
	}
	w.setup, w.err = nil, err
	w.c.rerr = err
	w.c.failWrite(err)
	w.c.markDirty()
}

// Connected is Conn.Connected for the socket alone.
func (w *Wire) Connected() (bool, error) {
	w.c.sock.probe(w.c)
	return w.c.socketConnected()
}

// Read reads what the socket has, once: 0 and no error when nothing has come.
func (w *Wire) Read(p []byte) (int, error) {
	c := w.c
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case w.r < len(w.early):
		n := copy(p, w.early[w.r:])
		if w.r += n; w.r == len(w.early) {
			c.loop.bufs.put(w.early)
			w.early, w.r = nil, 0
		}
		return n, nil
	case w.rerr != nil:
		return 0, w.rerr
	case len(p) == 0 || !w.mayRead():
		return 0, nil
	}
	n, err := c.sock.read(c, p)
	if err != nil {
		w.rerr = err
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// Write adds p to what goes out. It never waits. After the connection's end it
// does nothing.
func (w *Wire) Write(p []byte) {
	c := w.c
	if c.closed || c.werr != nil {
		return
	}
	if c.out == nil {
		c.out = c.loop.bufs.get()
	}
	if cap(c.out)-len(c.out) < len(p) {
		c.out = c.loop.bufs.grow(c.out, len(p))
	}
	c.out = append(c.out, p...)
	if !w.sealing {
		c.markDirty()
	}
}

// Sent reports whether all that was written to the wire has gone out, or
// cannot any more. If not, an event follows.
func (w *Wire) Sent() bool {
	w.c.flush()
	return w.c.werr != nil || w.c.off == len(w.c.out)
}

// CloseSend ends the socket's sending side during the set-up, when all is Sent:
// the peer sees the end, and may be read on. It reports false where the socket
// is of no more use.
func (w *Wire) CloseSend() bool {
	c := w.c
	if c.closed || c.werr != nil || w.setup == nil || !w.Sent() {
		return false
	}
	if !c.sendClosed {
		c.sendClosed = true
		c.sock.closeWrite()
	}
	return true
}

// Conn is the connection above.
func (w *Wire) Conn() *Conn { return w.c }

// Layer is what lies between the socket and the input and output, nil if
// nothing does.
func (c *Conn) Layer() Layer {
	if c.low == nil {
		return nil
	}
	return c.low.layer
}

// mayRead keeps a peer that has the layer answer, but reads nothing, from
// filling the memory with answers.
func (w *Wire) mayRead() bool {
	if w.backlog() > 2*HighWater {
		w.c.flush()
		if w.backlog() > 2*HighWater {
			return false
		}
	}
	return w.c.sock.mayRead()
}

func (w *Wire) backlog() int { return len(w.c.out) - w.c.off }

// opensPerTurn bounds what a peer that sends tiny records can have the loop do
// at a time. In records of full size it is 4 MiB.
const opensPerTurn = 256

// mayOpen reports whether open is worth a call. If it is not because of
// opensPerTurn, the task is woken in the next turn.
func (w *Wire) mayOpen() bool {
	switch {
	case w.layer == nil:
		return false
	case w.tired():
		if t := w.c.task; t != nil && !t.queued {
			t.queued = true
			w.c.loop.yielded = append(w.c.loop.yielded, t)
		}
		return false
	}
	return w.lerr != nil || w.layer.Buffered() || w.r < len(w.early) || w.rerr != nil || w.mayRead()
}

func (w *Wire) tired() bool { return w.opens >= opensPerTurn && w.turn == w.c.loop.turn }

// open is the socket's read for the connection above: it goes on until p is
// full or the socket has no more, since no event tells of what the layer holds.
func (w *Wire) open(p []byte) (int, error) {
	n := 0
	for n < len(p) && w.lerr == nil && w.mayOpen() {
		if w.turn != w.c.loop.turn {
			w.turn, w.opens = w.c.loop.turn, 0
		}
		w.opens++
		var more int
		more, w.lerr = w.layer.Open(p[n:])
		if n += more; more == 0 {
			break
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, w.lerr
}

// stirs reports whether an event on a connection that rests is more than the
// layer's own affair.
func (w *Wire) stirs() (stirs bool) {
	stirs = true
	defer w.c.loop.recovered() // it runs outside of tasks
	n, err := w.c.Fill()
	return n > 0 || err != nil || w.c.werr != nil
}

// out is the plain output with room for more bytes.
func (w *Wire) out(more int) []byte {
	if w.plain == nil {
		w.plain = w.c.loop.bufs.get()
	}
	if cap(w.plain)-len(w.plain) < more {
		if w.off > 0 {
			w.plain, w.off = w.plain[:copy(w.plain, w.plain[w.off:])], 0
		}
		if cap(w.plain)-len(w.plain) < more {
			w.plain = w.c.loop.bufs.grow(w.plain, more)
		}
	}
	return w.plain
}

// errLayer ends a connection whose layer panicked.
var errLayer = errors.New("loop: panic in the connection's layer")

// seal seals output as long as little of it waits in that form, and then the
// end, if it was asked for. It runs outside of tasks, too.
func (w *Wire) seal() {
	if w.layer == nil || w.c.werr != nil || !w.more() {
		return
	}
	defer func() {
		if w.sealing {
			w.sealing = false
			w.c.failWrite(errLayer)
		}
	}()
	defer w.c.loop.recovered()
	w.sealing = true
	w.sealAll()
	w.sealing = false
}

func (w *Wire) sealAll() {
	for w.off < len(w.plain) && w.backlog() < sealWindow {
		p := w.plain[w.off:min(len(w.plain), w.off+sealSize)]
		w.off += len(p)
		if !w.sealOne(p) {
			return
		}
	}
	if w.off < len(w.plain) {
		return
	}
	w.drop()
	if w.c.wantsSendClose && !w.ended {
		w.ended = true
		if err := w.layer.End(); err != nil {
			w.c.failWrite(err)
		}
	}
}

// more reports whether seal has something to do. It cleans up where nothing
// can be done any more.
func (w *Wire) more() bool {
	if w.c.werr != nil {
		w.drop()
	}
	return w.layer != nil && w.c.werr == nil && (w.off < len(w.plain) || w.c.wantsSendClose && !w.ended)
}

func (w *Wire) sealOne(p []byte) bool {
	err := w.layer.Seal(p)
	if err != nil {
		w.c.failWrite(err)
	}
	return err == nil
}

// write is Conn.Write.
func (w *Wire) write(p []byte) {
	if len(p) >= direct && len(w.plain) == 0 {
		p = p[w.sealNow(p):]
	}
	if len(p) > 0 {
		w.c.SetOut(append(w.out(len(p)), p...))
	}
}

// sealNow seals and writes what it can of p without another copy, and returns
// how much that was.
func (w *Wire) sealNow(p []byte) (n int) {
	for w.layer != nil && n < len(p) && w.backlog() == 0 && w.c.werr == nil {
		w.sealing = true
		for n < len(p) && w.backlog() < sealWindow {
			more := min(len(p)-n, sealSize)
			if !w.sealOne(p[n : n+more]) {
				w.sealing = false
				return len(p)
			}
			n += more
		}
		w.sealing = false
		w.c.flush()
	}
	return n
}

// drop gives the buffer of the plain output back.
func (w *Wire) drop() {
	if w.plain != nil {
		w.c.loop.bufs.put(w.plain)
		w.plain, w.off = nil, 0
	}
}

// closed releases what the wire holds when the connection ends.
func (w *Wire) closed() {
	w.drop()
	if w.early != nil {
		w.c.loop.bufs.put(w.early)
		w.early, w.r = nil, 0
	}
	if t := w.setup; t != nil {
		w.setup = nil
		t.Wake()
	}
}
