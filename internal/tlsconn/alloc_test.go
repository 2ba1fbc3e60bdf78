package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
)

// allocations counts those of f, all goroutines of the process included.
func allocations(f func()) (n, size uint64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
}

// TestAllocations: one for each read that brings something, none for a write.
// Both ends are connections of one loop.
func TestAllocations(t *testing.T) {
	if raced || loop.Driver != "epoll" {
		t.Skip("allocations are counted without the race detector, under epoll")
	}
	ca := certtest.NewCA()
	l := start(t)
	addr := echoTLS(t, l, compileServer(t, downstream(ca.Issue("a.example"))), nil)
	cl := compileClient(t, upstream(ca, nil))
	msg := payload(300)
	on(t, l, func(task *loop.Task) {
		c, err := connect(task, cl, addr, "a.example")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		turn := func() {
			c.Write(msg)
			if err := read(task, c); err != nil || !bytes.Equal(c.In(), msg) {
				t.Fatalf("got %q, %v", c.In(), err)
			}
			c.Consume(len(msg))
			for range 5 { // looking again in vain costs nothing
				if n, err := c.Fill(); n != 0 || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		for range 100 {
			turn()
		}
		const turns = 2000
		n, size := allocations(func() {
			for range turns {
				turn()
			}
		})
		t.Logf("%.3f allocations and %.1f bytes for each read", float64(n)/turns/2, float64(size)/turns/2)
		if n > turns*2+turns/20 {
			t.Errorf("%d allocations for %d round trips of two reads and two writes each; want one for each read", n, turns)
		}
	})
}

func TestMemoryOfIdleConnections(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own")
	}
	const many = 300
	ca := certtest.NewCA()
	l := start(t)
	s := compileServer(t, downstream(ca.Issue("a.example")))
	rests := make(chan *loop.Conn, many)
	r := &resting{make(chan string, many)}
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		if _, err := s.Handshake(task, c); err != nil {
			t.Error(err)
			return
		}
		if err := read(task, c); err != nil {
			t.Error(err)
		}
		c.Write(c.In())
		c.Consume(len(c.In()))
		for !c.Rest(r) {
			t.Error("not quiet")
		}
		rests <- c
	})
	// The clients are kept as raw sockets: all their TLS state is garbage.
	raws := make([]net.Conn, many)
	for range 2 * 100 { // warm: the loop's own pools
		nc, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
		if err != nil {
			t.Fatal(err)
		}
		_ = roundTrip(nc)
		<-rests
		_ = nc.Close()
		<-r.got
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range raws {
		raw, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		raws[i] = raw
		nc := tls.Client(raw, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
		if err := roundTrip(nc); err != nil {
			t.Fatal(err)
		}
		<-rests
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many
	stacks := (int64(after.StackInuse) - int64(before.StackInuse)) / many
	t.Logf("%d bytes of heap and %d of stacks for each idle connection", each, stacks)
	if each > 12<<10 && loop.Driver == "epoll" { // elsewhere a goroutine and its buffer wait in each
		t.Errorf("an idle connection takes %d bytes", each)
	}
	for _, raw := range raws {
		_ = raw.Close()
		<-r.got
	}
}

// TestOthersGoOnDuringHandshakes measures the round trips of a connection that
// is up, alone and beside a flood of RSA handshakes on the same loop.
func TestOthersGoOnDuringHandshakes(t *testing.T) {
	if raced {
		t.Skip("measures time")
	}
	ca := certtest.NewCA()
	for kind, p := range map[string]certtest.Pair{"EC": ca.Issue("a.example"), "RSA": ca.IssueRSA("a.example")} {
		t.Run(kind, func(t *testing.T) {
			l := start(t)
			s := compileServer(t, downstream(p))
			addr := echoTLS(t, l, s, nil)
			nc, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			measure := func() (p50, p99 time.Duration) {
				var took []time.Duration
				for first := time.Now(); time.Since(first) < 300*time.Millisecond || len(took) < 100; {
					began := time.Now()
					if err := roundTrip(nc); err != nil {
						t.Fatal(err)
					}
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				return took[len(took)/2], took[len(took)*99/100]
			}
			p50, p99 := measure()
			hello := clientHello(t)
			var handshakes atomic.Int64
			stop := make(chan struct{})
			var flood sync.WaitGroup
			for range 16 { // the server's flight is all they want
				flood.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						raw, err := net.Dial("tcp", addr.String())
						if err != nil {
							return
						}
						_, _ = raw.Write(hello)
						_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
						if _, err := io.ReadFull(raw, make([]byte, 500)); err == nil {
							handshakes.Add(1)
						}
						_ = raw.(*net.TCPConn).SetLinger(0)
						_ = raw.Close()
					}
				})
			}
			began := time.Now()
			f50, f99 := measure()
			rate := float64(handshakes.Load()) / time.Since(began).Seconds()
			close(stop)
			flood.Wait()
			t.Logf("%s: p50 %v, p99 %v; beside %.0f handshakes/s: p50 %v, p99 %v", kind, p50, p99, rate, f50, f99)
			if rate == 0 || f50 > 100*time.Millisecond {
				t.Errorf("the connection or the handshakes starve")
			}
		})
	}
}

func clientHello(t *testing.T) []byte {
	t.Helper()
	return hello(&tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS13})
}

// BenchmarkHandshake is of the server's side and crypto/tls's client on one
// machine; SUNDOG_TLS_KEY=rsa takes the other key.
func BenchmarkHandshake(b *testing.B) {
	ca := certtest.NewCA()
	key := certtest.ECDSA()
	if os.Getenv("SUNDOG_TLS_KEY") == "rsa" {
		key = certtest.RSA()
	}
	l := start(b)
	addr := echoTLS(b, l, compileServer(b, downstream(ca.Sign(certtest.Template("a.example"), key))), nil)
	cfg := &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"}
	for b.Loop() {
		nc, err := tls.Dial("tcp", addr.String(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		_ = nc.Close()
	}
}

// BenchmarkEcho is one round trip between two connections of one loop.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{300, 16 << 10, 64 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			ca := certtest.NewCA()
			l := start(b)
			addr := echoTLS(b, l, compileServer(b, downstream(ca.Issue("a.example"))), nil)
			cl := compileClient(b, upstream(ca, nil))
			msg := payload(size)
			on(b, l, func(task *loop.Task) {
				c, err := connect(task, cl, addr, "a.example")
				if err != nil {
					b.Error(err)
					return
				}
				defer c.Close()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					c.Write(msg)
					for got := 0; got < size; {
						if err := read(task, c); err != nil {
							b.Error(err)
							return
						}
						got += len(c.In())
						c.Consume(len(c.In()))
					}
				}
			})
		})
	}
}
