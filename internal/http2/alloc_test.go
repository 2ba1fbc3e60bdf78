package http2_test

import (
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// exchanger runs exchanges between two Conns in memory.
type exchanger struct {
	client, server *http2.Conn
	up, down       output
	pool           http2.Pool
	req, resp, end traffic.Head
	body           [20000]byte
	opened         *http2.Stream
	failed         error
}

func (x *exchanger) Opened(s *http2.Stream) { x.opened = s }

func (x *exchanger) Wake() {}

func newExchanger() *exchanger {
	x := &exchanger{}
	opt := http2.Options{Pool: &x.pool}
	x.server = http2.NewServer(&x.down, x, opt)
	x.client = http2.NewClient(&x.up, opt)
	x.req = *request("POST", "/v1/things?n=1", "user-agent", "test", "accept", "*/*", "x-request-id", "5f0c")
	x.resp = *response(200, "content-type", "application/grpc", "server", "test")
	x.end = *response(0, "grpc-status", "0")
	return x
}

func (x *exchanger) carry() {
	for len(x.up.buf)+len(x.down.buf) > 0 {
		n, err := x.server.Feed(x.up.buf)
		if err != nil {
			x.failed = err
		}
		x.up.buf = x.up.buf[:copy(x.up.buf, x.up.buf[n:])]
		if n, err = x.client.Feed(x.down.buf); err != nil {
			x.failed = err
		}
		x.down.buf = x.down.buf[:copy(x.down.buf, x.down.buf[n:])]
		x.client.Flush()
		x.server.Flush()
	}
}

// message sends one way and reads the other.
func (x *exchanger) message(from, to *http2.Stream) int {
	from.Write(x.body[:])
	from.End(&x.end)
	x.carry()
	n := 0
	for {
		p, done, err := to.Next()
		if err != nil {
			x.failed = err
		}
		n += len(p)
		to.Consume(len(p))
		if done || len(p) == 0 || err != nil {
			return n
		}
	}
}

func (x *exchanger) exchange() int {
	s, err := x.client.Open()
	if err != nil {
		x.failed = err
		return 0
	}
	s.Bind(x)
	s.SendHead(&x.req, chunked, false)
	x.carry()
	o := x.opened
	o.Bind(x)
	o.Head()
	n := x.message(s, o)
	o.SendHead(&x.resp, chunked, false)
	n += x.message(o, s)
	s.Head()
	o.Release()
	s.Release()
	return n
}

func TestNoAllocation(t *testing.T) {
	x := newExchanger()
	exchange := func() {
		if n := x.exchange(); n != 2*len(x.body) || x.failed != nil {
			t.Fatalf("%d bytes came, error %v", n, x.failed)
		}
	}
	for range 300 { // buffers grow, windows turn over
		exchange()
	}
	if n := testing.AllocsPerRun(300, exchange); n != 0 {
		t.Errorf("%v allocations for an exchange over two connections, want 0", n)
	}
}

func TestNoAllocationForMany(t *testing.T) {
	x := newExchanger()
	var streams [50]*http2.Stream
	round := func() {
		for i := range streams {
			s, err := x.client.Open()
			if err != nil {
				t.Fatal(err)
			}
			streams[i] = s
			s.SendHead(&x.req, traffic.Framing{}, true)
			x.carry()
			if i%2 == 1 {
				x.opened.SendHead(&x.resp, length(2), false)
				x.opened.Write(x.body[:2])
			}
			x.opened.Release()
		}
		x.carry()
		for _, s := range streams {
			s.Release()
		}
		x.carry()
	}
	for range 50 {
		round()
	}
	if n := testing.AllocsPerRun(50, round); n != 0 {
		t.Errorf("%v allocations for %d streams, half of them reset; want 0", n, len(streams))
	}
}

func BenchmarkSmallExchange(b *testing.B) {
	x := newExchanger()
	b.ReportAllocs()
	for b.Loop() {
		s, err := x.client.Open()
		if err != nil {
			b.Fatal(err)
		}
		s.SendHead(&x.req, traffic.Framing{}, true)
		x.carry()
		o := x.opened
		o.Head()
		o.SendHead(&x.resp, length(100), false)
		o.Write(x.body[:100])
		o.Release()
		x.carry()
		s.Head()
		s.Release()
	}
	if x.failed != nil {
		b.Fatal(x.failed)
	}
}
