package http2_test

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// body is an endless text of which each stream has a part.
func fillBody(p []byte, seed, at int64) {
	const period = 251
	for i := range min(len(p), period) {
		p[i] = byte(seed*31) + byte((at+int64(i))%period)
	}
	for n := period; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// side is one end of one exchange: it sends and checks what it receives.
type side struct {
	stream      *http2.Stream
	seed        int64
	sends, sent int64
	wants, got  int64
	length      bool // announced
	trailers    bool
	headSent    bool
	ended       bool
	peerDone    bool
	over        bool
	due         bool
	client      bool
}

// wakeSet makes a side due when its stream wakes it.
type wakeSet struct {
	p *pair
	s *side
}

func (w *wakeSet) Wake() { w.p.wake(w.s) }

// pair is two Conns and the two byte streams between them.
type pair struct {
	t              *testing.T
	rnd            *rand.Rand
	client, server *http2.Conn
	up, down       output
	toServer       []byte
	toClient       []byte
	due            []*side
	pool           http2.Pool
	nextSeed       int64
	params         map[int64][2]int64 // bytes up and down of an exchange
	done, broken   int
	cancels        bool
	resizes        bool
	now            int64
}

func (p *pair) Opened(s *http2.Stream) {
	h, _, ok := s.Head()
	if !ok {
		p.t.Fatal("Opened without a head")
	}
	var seed int64
	if _, err := fmt.Sscanf(string(h.Path()), "/%d", &seed); err != nil {
		p.t.Fatal(err)
	}
	n := p.params[seed]
	p.add(&side{stream: s, seed: seed, sends: n[1], wants: n[0], length: seed%3 == 0, trailers: seed%5 == 0})
}

func (p *pair) add(x *side) {
	x.stream.Bind(&wakeSet{p, x})
	p.wake(x)
}

func (p *pair) wake(x *side) {
	if !x.due {
		x.due = true
		p.due = append(p.due, x)
	}
}

func (p *pair) open() {
	s, err := p.client.Open()
	if err != nil {
		return
	}
	p.nextSeed++
	seed := p.nextSeed
	sizes := []int64{0, 1, 100, 5000, 70000, 300000}
	up, down := sizes[p.rnd.Intn(len(sizes))], sizes[p.rnd.Intn(len(sizes))]
	p.params[seed] = [2]int64{up, down}
	p.add(&side{client: true, stream: s, seed: seed, sends: up, wants: down, length: seed%2 == 0, trailers: seed%7 == 0})
}

// move carries some bytes one way.
func (p *pair) move(from *output, to *[]byte, conn, back *http2.Conn) {
	n := p.rnd.Intn(len(from.buf) + 1)
	if p.rnd.Intn(4) == 0 {
		n = min(n, 20)
	}
	*to = append(*to, from.buf[:n]...)
	from.buf = from.buf[:copy(from.buf, from.buf[n:])]
	if n > 0 {
		back.Flush()
	}
	if conn.Congested() {
		return
	}
	used, err := conn.Feed(*to)
	if err != nil {
		p.t.Fatalf("Feed: %v", err)
	}
	*to = (*to)[:copy(*to, (*to)[used:])]
}

// run does what the side can do now.
func (p *pair) run(x *side) {
	if x.over {
		return
	}
	s := x.stream
	if !x.headSent {
		x.headSent = true
		f, empty := chunked, x.sends == 0 && !x.trailers
		if x.length {
			f = length(x.sends)
		}
		h := response(200)
		if x.client {
			h = request("POST", fmt.Sprintf("/%d", x.seed))
		}
		if x.trailers {
			h.Add("trailer", []byte("sum"))
		}
		s.SendHead(h, f, empty)
		x.ended = empty
	}
	if p.cancels && p.rnd.Intn(200) == 0 {
		p.broken++
		x.over = true
		if p.rnd.Intn(2) == 0 {
			s.Reset(http2.ErrCodeCancel)
		}
		s.Release()
		return
	}
	p.send(x)
	if x.client {
		s.Head()
	}
	if !p.receive(x) {
		return
	}
	if x.ended && x.peerDone {
		x.over = true
		p.done++
		s.Release()
	}
}

func (p *pair) send(x *side) {
	var buf [40000]byte
	s := x.stream
	for x.sent < x.sends && !s.Full() && p.rnd.Intn(8) > 0 {
		n := min(x.sends-x.sent, int64(1+p.rnd.Intn(len(buf))))
		fillBody(buf[:n], x.seed, x.sent)
		s.Write(buf[:n])
		x.sent += n
	}
	if x.sent == x.sends && !x.ended {
		x.ended = true
		var trailers *traffic.Head
		if x.trailers {
			trailers = response(0, "sum", fmt.Sprint(x.sends))
		}
		s.End(trailers)
	}
	if x.sent < x.sends && !s.Full() {
		p.wake(x)
	}
}

func (p *pair) receive(x *side) bool {
	s := x.stream
	for !x.peerDone && p.rnd.Intn(8) > 0 {
		b, done, err := s.Next()
		if err != nil {
			if !p.cancels {
				p.t.Fatalf("stream %d: %v", s.ID(), err)
			}
			p.broken++
			x.over = true
			s.Release()
			return false
		}
		n := len(b)
		if n > 0 {
			n = 1 + p.rnd.Intn(n)
		}
		want := make([]byte, n)
		fillBody(want, x.seed, x.got)
		if string(want) != string(b[:n]) {
			p.t.Fatalf("stream %d: other bytes than were sent, after %d", s.ID(), x.got)
		}
		x.got += int64(n)
		done = done && n == len(b)
		s.Consume(n)
		if done {
			x.peerDone = true
			p.checkEnd(x)
		} else if n == 0 {
			return true
		}
	}
	if !x.peerDone {
		p.wake(x)
	}
	return true
}

func (p *pair) checkEnd(x *side) {
	if x.got != x.wants {
		p.t.Fatalf("stream %d: %d bytes, want %d", x.stream.ID(), x.got, x.wants)
	}
}

func newPair(t *testing.T, seed int64, opt http2.Options) *pair {
	p := &pair{t: t, rnd: rand.New(rand.NewSource(seed)), params: map[int64][2]int64{}}
	opt.Pool = &p.pool
	opt.Now = func() int64 { return p.now }
	p.server = http2.NewServer(&p.down, p, opt)
	p.client = http2.NewClient(&p.up, opt)
	return p
}

// loop runs n exchanges to their end.
func (p *pair) loop(n int) {
	t := p.t
	const most = 40
	for turn := 0; ; turn++ {
		if turn > 300000 {
			t.Fatalf("stalled: %d done, %d broken, %d and %d streams", p.done, p.broken, p.client.Streams(), p.server.Streams())
		}
		for p.nextSeed < int64(n) && p.client.Streams() < most && p.client.CanOpen() {
			p.open()
		}
		p.now += 1e7
		if p.resizes && p.rnd.Intn(20) == 0 {
			windows := []uint32{0, 1, 100, 5000, 70000, 300000}
			[]*http2.Conn{p.client, p.server}[p.rnd.Intn(2)].Resize(windows[p.rnd.Intn(len(windows))])
		}
		now := p.due
		p.due = nil
		for _, x := range now {
			x.due = false
			p.run(x)
		}
		p.move(&p.up, &p.toServer, p.server, p.client)
		p.move(&p.down, &p.toClient, p.client, p.server)
		if p.nextSeed == int64(n) && p.client.Streams()+p.server.Streams() == 0 &&
			len(p.up.buf)+len(p.down.buf)+len(p.toServer)+len(p.toClient) == 0 {
			return
		}
	}
}

// TestDuplex runs many exchanges, full duplex, with bodies larger than all
// windows, over byte streams chopped at random. In the end nothing is left.
func TestDuplex(t *testing.T) {
	for _, tt := range []struct {
		name             string
		opt              http2.Options
		cancels, resizes bool
	}{
		{"windows by default", http2.Options{}, false, false},
		{"small windows", http2.Options{StreamWindow: 20000, ConnWindow: 66000}, false, false},
		{"tiny stream windows", http2.Options{StreamWindow: 2000}, false, false},
		{"windows that change", http2.Options{}, false, true},
		{"windows that change, small at first, and cancels", http2.Options{StreamWindow: 100, ConnWindow: 66000}, true, true},
		{"cancels", http2.Options{}, true, false},
		{"cancels, small windows", http2.Options{StreamWindow: 20000, ConnWindow: 66000}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range int64(3) {
				p := newPair(t, seed, tt.opt)
				p.cancels, p.resizes = tt.cancels, tt.resizes
				p.loop(100)
				if why := p.client.Idle(p.server); why != "" {
					t.Errorf("seed %d, client: %s", seed, why)
				}
				if why := p.server.Idle(p.client); why != "" {
					t.Errorf("seed %d, server: %s", seed, why)
				}
				if p.client.Held()+p.server.Held() > 64<<10 {
					t.Errorf("seed %d: %d and %d bytes are kept", seed, p.client.Held(), p.server.Held())
				}
				if !tt.cancels && p.done != 200 {
					t.Errorf("seed %d: %d sides of exchanges done, want 200", seed, p.done)
				}
				if tt.cancels && (p.broken == 0 || p.done == 0) {
					t.Errorf("seed %d: %d done, %d broken", seed, p.done, p.broken)
				}
			}
		})
	}
}
