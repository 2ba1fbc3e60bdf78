package http2

import (
	"encoding/binary"

	"github.com/sundog-mesh/sundog/internal/http2/hpack"
)

// Conn is one side of a connection.
type Conn struct {
	out     Output
	handler Handler // of servers
	opt     Options
	client  bool

	err     *ConnError
	over    error // once nothing can be sent any more
	preface int   // bytes of the client's preface that have come
	settled bool  // the peer's first SETTINGS have come

	streams  *Stream // all that are in use, a doubly linked list
	running  int     // how many those are
	open     table   // those of them that are open on the wire
	reserved int     // of a client: in use, and without an identifier yet
	history  history
	last     uint32 // identifier of the latest stream that the client has begun

	data    payload
	block   block
	decoder hpack.Decoder
	scratch [32]byte

	recvWindow int64 // what the peer may still send
	consumed   int64 // what it has sent, was consumed, and was not given back
	sendWindow int64
	ready      schedule
	flushes    bool // windows have grown

	ours   ownSettings
	peer   peerSettings
	away   goAway
	calm   bucket // frames that carry nothing
	resets bucket // streams that the client has reset

	pings, pongs int

	waits int64 // since when SETTINGS and their acknowledgement are waited for; 0: not yet
	begun int64 // when the frame or header block began that is not complete; 0: none is

	begunHead bool // and it is, or begins, a head
}

// ownSettings are what we have announced.
type ownSettings struct {
	window int64 // of a new stream
	acked  bool
	unsure int64 // by how much the peer may take it for larger until then
}

// peerSettings are what the peer has announced.
type peerSettings struct {
	window     int64
	maxStreams uint32
	connect    bool // it takes extended CONNECT
	table      uint32
	shrunk     bool // its table is to be smaller than we have confirmed
}

// goAway is how far the connection is from its end.
type goAway struct {
	draining bool // the peer was told to stop
	sent     bool // and which stream is the last
	lastSent uint32
	received bool
	lastRecv uint32
}

// NewServer makes the server's side of a connection. SETTINGS are in the
// output when it returns.
func NewServer(out Output, h Handler, opt Options) *Conn {
	c := newConn(out, opt, false)
	c.handler = h
	return c
}

// NewClient makes the client's side of a connection. The preface and SETTINGS
// are in the output when it returns, so streams may be opened at once.
func NewClient(out Output, opt Options) *Conn {
	c := newConn(out, opt, true)
	c.preface = len(clientPreface)
	return c
}

func newConn(out Output, opt Options, client bool) *Conn {
	opt = opt.withDefaults(client)
	now := opt.Now()
	c := &Conn{
		out: out, opt: opt, client: client,
		recvWindow: int64(opt.ConnWindow), sendWindow: defaultWindow,
		ours:   ownSettings{window: int64(opt.StreamWindow), unsure: max(0, defaultWindow-int64(opt.StreamWindow))},
		peer:   peerSettings{window: defaultWindow, maxStreams: unboundStreams, table: tableSize},
		calm:   bucket{left: calmBurst, most: calmBurst, perSecond: calmPerSecond, filled: now},
		resets: bucket{left: resetBurst, most: resetBurst, perSecond: resetPerSecond, filled: now},
	}
	if client {
		c.peer.maxStreams = defaultMaxStreams // until it says more
	}
	c.decoder.Init(tableSize)
	if opt.ExtendedConnect && !client {
		c.decoder.AllowConnect()
	}
	c.begin()
	return c
}

// begin writes what a connection starts with (RFC 9113, section 3.4).
func (c *Conn) begin() {
	b := make([]byte, 0, 96)
	settings := make([]byte, 0, 4*settingLength)
	add := func(id uint16, value uint32) {
		settings = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(settings, id), value)
	}
	if c.client {
		b = append(b, clientPreface...)
		add(settingPush, 0)
	} else {
		add(settingMaxStreams, c.opt.MaxStreams)
	}
	if c.opt.ExtendedConnect && !c.client {
		add(settingConnect, 1)
	}
	add(settingWindow, c.opt.StreamWindow)
	add(settingHeaderList, uint32(c.opt.Limits.Bytes))
	b = appendFrameHeader(b, len(settings), frameSettings, 0, 0)
	b = append(b, settings...)
	if more := c.opt.ConnWindow - defaultWindow; more > 0 {
		b = appendFrameHeader(b, 4, frameWindowUpdate, 0, 0)
		b = binary.BigEndian.AppendUint32(b, more)
	}
	c.out.Write(b)
}

// Congested reports whether so much output waits that no more input may be
// read: a peer that makes us answer and does not read the answers would fill
// the memory. Feed stops by itself then. The reader continues once output has
// been written.
func (c *Conn) Congested() bool {
	return c.out.Pending() > congested && c.over == nil && c.out.Full() && c.out.Pending() > congested
}

// Feed takes the bytes that were read, as many as make sense at present, and
// returns how many those are; the rest is to be given again with more. It
// tells Wakers and the Handler what has happened.
//
// An error is a *ConnError: GOAWAY is in the output, every stream has failed,
// and the connection is to be closed once the output is written.
func (c *Conn) Feed(in []byte) (used int, err error) {
	if c.err != nil {
		return len(in), c.err
	}
	if c.over != nil {
		return len(in), nil
	}
	for used < len(in) && !c.Congested() {
		n, bad := c.step(in[used:])
		if bad != nil {
			c.fail(bad)
			return len(in), bad
		}
		if n == 0 || c.over != nil {
			used += n
			break
		}
		used += n
		if !c.block.open {
			c.begun = 0
		}
	}
	c.unfinished(in[used:])
	if c.flushes {
		c.flushes = false
		c.Flush()
	}
	return used, nil
}

// fail ends the connection.
func (c *Conn) fail(bad *ConnError) {
	c.err = bad
	c.writeGoAway(c.lastProcessed(), bad.Code)
	c.Abandon(bad)
}

// lastProcessed is the identifier for our GOAWAY.
func (c *Conn) lastProcessed() uint32 {
	switch {
	case c.client:
		return 0 // the server begins none
	case c.away.sent:
		return c.away.lastSent
	}
	return c.last
}

// Abandon says that the connection is lost, and why. Every stream fails that
// has not received all; nothing is sent any more.
func (c *Conn) Abandon(cause error) {
	if c.over != nil {
		return
	}
	if c.over = cause; cause == nil {
		c.over = errAbandoned
	}
	for s := c.streams; s != nil; {
		next := s.next
		s.lost(c.over)
		s = next
	}
	c.opt.Pool.putChunk(c.block.buf)
	c.block.buf = nil
}

// Drain asks the peer to begin no further streams. What it has begun is
// completed: Over tells when. A server first announces the end, and after a
// round trip says which stream was the last (RFC 9113, section 6.8).
func (c *Conn) Drain() {
	if c.over != nil || c.away.draining {
		return
	}
	c.away.draining = true
	if c.client {
		c.finalGoAway()
		return
	}
	c.writeGoAway(maxStreamID, ErrCodeNo)
	c.writePing(0, drainPing)
}

// drainPing is the payload of the PING whose answer ends a server's grace.
const drainPing = 0x647261696e696e67

// finalGoAway tells the peer which of its streams is the last.
func (c *Conn) finalGoAway() {
	if c.away.sent || c.over != nil {
		return
	}
	c.away.draining, c.away.sent, c.away.lastSent = true, true, c.lastProcessed()
	c.writeGoAway(c.away.lastSent, ErrCodeNo)
}

// GoAway is Drain without the grace: streams that are on their way to a server
// are left out, and a client knows that they may be tried again.
func (c *Conn) GoAway() { c.finalGoAway() }

// Over reports whether the connection is of no more use: it is lost, or one of
// the sides has said that it is the end and no stream is left.
func (c *Conn) Over() bool {
	if c.over != nil {
		return true
	}
	return c.open.n+c.reserved == 0 && (c.away.sent || c.away.received)
}

// ActiveStreams is how many streams are in use: not released, or not yet
// complete on the wire.
func (c *Conn) ActiveStreams() int { return c.running }

// Ping asks the peer for a sign of life.
func (c *Conn) Ping() {
	if c.over == nil {
		c.pings++
		c.writePing(0, uint64(c.pings))
	}
}

// Pings is how many times Ping was called and how often the peer has answered.
func (c *Conn) Pings() (sent, answered int) { return c.pings, c.pongs }

// Open makes a stream of a client for one request, which SendHead begins. The
// error is ErrNoStreams.
func (c *Conn) Open() (*Stream, error) {
	if !c.CanOpen() {
		return nil, ErrNoStreams
	}
	s := c.newStream()
	c.reserved++
	return s, nil
}

// CanOpen reports whether the peer, and our own limit, allow a further stream.
func (c *Conn) CanOpen() bool {
	n := uint32(c.open.n + c.reserved)
	return c.client && c.over == nil && !c.away.received && !c.away.draining &&
		n < c.opt.MaxStreams && n < c.peer.maxStreams &&
		c.last+2*uint32(c.reserved)+2 < maxStreamID
}

// newStream is a stream that is in use and not yet on the wire.
func (c *Conn) newStream() *Stream {
	s := c.opt.Pool.stream()
	s.conn = c
	s.left = -1
	s.sendLeft = -1
	s.head.Reset()
	s.trailers.Reset()
	s.next = c.streams
	if s.next != nil {
		s.next.prev = s
	}
	c.streams = s
	c.running++
	return s
}

// discard gives a stream's memory back.
func (c *Conn) discard(s *Stream) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		c.streams = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	c.running--
	s.dropInput()
	s.out.drop(s.out.n, c.opt.Pool)
	for _, h := range s.early {
		c.opt.Pool.putHead(h)
	}
	clear(s.early)
	if s.taken != nil {
		c.opt.Pool.putHead(s.taken)
	}
	c.opt.Pool.putStream(s)
}

// enter puts a stream on the wire.
func (c *Conn) enter(s *Stream, id uint32) {
	s.id = id
	s.sendWindow = c.peer.window
	s.recvWindow = c.ours.window
	if !c.ours.acked {
		s.recvWindow += c.ours.unsure
	}
	c.last = id
	c.history.open(id)
	c.open.put(s)
	c.calm.earn(calmPerStream)
}

// leave takes a stream off the wire, for good.
func (c *Conn) leave(s *Stream) {
	if s.closed {
		return
	}
	s.closed = true
	c.ready.remove(s)
	if s.id == 0 {
		c.reserved--
		return
	}
	c.open.remove(s.id)
}
