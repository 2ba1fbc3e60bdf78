package http2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
	xhttp2 "golang.org/x/net/http2"
)

// subject is a Conn that is fed with whatever comes.
type subject struct {
	conn    *http2.Conn
	out     output
	pool    http2.Pool
	streams []*http2.Stream
	err     error
	act     func(s *http2.Stream)
}

func (x *subject) Opened(s *http2.Stream) {
	x.streams = append(x.streams, s)
	if x.act != nil {
		x.act(s)
	}
}

func newSubject(client bool) *subject {
	x := &subject{}
	opt := http2.Options{MaxStreams: 20, StreamWindow: 70000, Pool: &x.pool, Now: func() int64 { return 0 }}
	if !client {
		x.conn = http2.NewServer(&x.out, x, opt)
		return x
	}
	x.conn = http2.NewClient(&x.out, opt)
	for i := range 5 {
		s, err := x.conn.Open()
		if err != nil {
			panic(err)
		}
		x.streams = append(x.streams, s)
		method := []string{"GET", "HEAD"}[i%2]
		s.SendHead(request(method, "/"), traffic.Framing{}, i%3 == 0)
	}
	return x
}

// state is all that can be seen of a subject.
func (x *subject) state() string {
	var b strings.Builder
	fmt.Fprintf(&b, "error %v, over %t\n", x.err, x.conn.Over())
	for _, s := range x.streams {
		fmt.Fprintf(&b, "stream %d: %v", s.ID(), s.Err())
		for h, f, ok := s.Head(); ok; h, f, ok = s.Head() {
			fmt.Fprintf(&b, " head %s %s %d %d %v", h.Method(), h.Path(), h.Status, h.Len(), f)
		}
		p, done, err := s.Next()
		fmt.Fprintf(&b, " payload %q %t %v trailers %v\n", p, done, err, s.Trailers() != nil)
	}
	fmt.Fprintf(&b, "%x", x.out.buf)
	return b.String()
}

// bounded checks that no more is kept than may be.
func (x *subject) bounded(t *testing.T) {
	t.Helper()
	if n := x.conn.Held(); n > 3<<20 {
		t.Fatalf("%d bytes are kept", n)
	}
	if n := x.conn.Streams(); n > 40 {
		t.Fatalf("there are %d streams", n)
	}
	if n := len(x.out.buf); n > 1<<20 {
		t.Fatalf("%d bytes of output", n)
	}
}

// feed gives all of in to the subject, in pieces whose sizes are chosen by
// rnd; nil: all at once.
func (x *subject) feed(t *testing.T, in []byte, rnd *rand.Rand, then func()) {
	var rest []byte
	for len(in) > 0 && x.err == nil && !x.conn.Congested() {
		n := len(in)
		if rnd != nil {
			n = min(n, 1+rnd.Intn(1+rnd.Intn(40)))
		}
		rest = append(rest, in[:n]...)
		in = in[n:]
		used, err := x.conn.Feed(rest)
		x.err = err
		rest = rest[:copy(rest, rest[used:])]
		x.bounded(t)
		if then != nil {
			then()
		}
	}
}

// exercise uses the streams at random.
func (x *subject) exercise(rnd *rand.Rand) {
	if rnd.Intn(3) == 0 {
		x.out.buf = nil
		x.conn.Flush()
	}
	if len(x.streams) == 0 {
		return
	}
	i := rnd.Intn(len(x.streams))
	s := x.streams[i]
	switch rnd.Intn(7) {
	case 0:
		s.SendHead(response(200), chunked, rnd.Intn(4) == 0)
	case 1:
		if !s.Full() {
			s.Write(make([]byte, rnd.Intn(20000)))
		}
	case 2:
		s.End(response(0, "a", "b"))
	case 3:
		p, _, _ := s.Next()
		s.Consume(rnd.Intn(len(p) + 1))
	case 4:
		s.Head()
		s.Trailers()
	case 5:
		s.Reset(http2.ErrCodeCancel)
	case 6:
		s.Release()
		x.streams = append(x.streams[:i], x.streams[i+1:]...)
	}
}

// seeds are byte streams for servers or for clients.
func seeds(client bool) [][]byte {
	var all [][]byte
	write := func(f func(p *peer)) {
		p := newPeer(nopTB{}, client, http2.Options{})
		p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 5}, xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0}))
		f(p)
		all = append(all, bytes.Clone(p.input.Bytes()))
	}
	head, more := getFields, []string{":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "content-length", "5"}
	if client {
		head, more = []string{":status", "200"}, []string{":status", "404", "content-length", "5"}
	}
	write(func(p *peer) {
		p.headers(1, true, head...)
		p.headers(3, false, more...)
		p.do(p.WriteDataPadded(3, false, []byte("hel"), make([]byte, 3)))
		p.do(p.WriteData(3, true, []byte("lo")))
	})
	write(func(p *peer) {
		b := p.block(head...)
		p.do(p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:1], PadLength: 1, Priority: xhttp2.PriorityParam{StreamDep: 3}}))
		p.do(p.WriteContinuation(1, true, b[1:]))
		p.do(p.WriteData(1, false, make([]byte, 300)))
		p.headers(1, true, "sum", "1")
		p.do(p.WriteWindowUpdate(1, 100))
		p.do(p.WriteWindowUpdate(0, 1<<20))
		p.do(p.WriteRSTStream(1, xhttp2.ErrCodeCancel))
	})
	write(func(p *peer) {
		p.do(p.WriteSettingsAck())
		p.headers(1, false, head...)
		p.do(p.WritePing(false, [8]byte{1}))
		p.do(p.WritePing(true, [8]byte([]byte("draining"))))
		p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 70000}, xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 1}))
		p.do(p.WriteGoAway(3, xhttp2.ErrCodeNo, []byte("bye")))
		p.do(p.WritePriority(5, xhttp2.PriorityParam{StreamDep: 1}))
		p.headers(5, true, head...)
		p.do(p.WriteRawFrame(0x20, 0xff, 1, []byte("x")))
	})
	if client {
		write(func(p *peer) {
			p.headers(1, false, ":status", "103")
			p.headers(1, false, ":status", "200")
			p.do(p.WriteData(1, true, []byte("x")))
			p.do(p.WriteRSTStream(1, xhttp2.ErrCodeNo))
			p.do(p.WriteData(9, true, nil))
		})
	}
	return all
}

// nopTB serves where nothing can fail.
type nopTB struct{ testing.TB }

func (nopTB) Helper() {}

func fuzz(f *testing.F, client bool) {
	all := seeds(client)
	if len(all) < 3 {
		f.Fatal("no seeds")
	}
	for i, b := range all {
		f.Add(b, int64(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed int64) {
		if !client {
			in = append([]byte(xhttp2.ClientPreface), bytes.TrimPrefix(in, []byte(xhttp2.ClientPreface))...)
		}
		// Chopping makes no difference.
		answer := func(s *http2.Stream) {
			switch s.ID() % 8 {
			case 1:
				s.SendHead(response(200), chunked, true)
			case 3:
				s.SendHead(response(200), chunked, false)
			}
		}
		whole, chopped := newSubject(client), newSubject(client)
		whole.act, chopped.act = answer, answer
		whole.feed(t, in, nil, nil)
		chopped.feed(t, in, rand.New(rand.NewSource(seed)), nil)
		if !whole.conn.Congested() && !chopped.conn.Congested() {
			if diff := cmp.Diff(whole.state(), chopped.state()); diff != "" {
				t.Fatalf("whole and chopped differ (-whole +chopped):\n%s", diff)
			}
		}
		readable(t, client, whole.out.buf)
		// Nothing that is done to the streams breaks it.
		rnd := rand.New(rand.NewSource(seed))
		used := newSubject(client)
		used.feed(t, in, rnd, func() { used.exercise(rnd) })
		for _, s := range used.streams {
			s.Release()
		}
		used.conn.Abandon(nil)
		if used.conn.Streams() != 0 {
			t.Fatalf("%d streams are left", used.conn.Streams())
		}
	})
}

// readable checks that the stock Framer can read what was written.
func readable(t *testing.T, client bool, out []byte) {
	t.Helper()
	if client {
		out = out[len(xhttp2.ClientPreface):]
	}
	fr := xhttp2.NewFramer(io.Discard, bytes.NewReader(out))
	for {
		_, err := fr.ReadFrame()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the output is not readable: %v", err)
		}
	}
}

func FuzzServer(f *testing.F) { fuzz(f, false) }

func FuzzClient(f *testing.F) { fuzz(f, true) }
