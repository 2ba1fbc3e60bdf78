package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// payload is n bytes in which no two places look alike.
func payload(n int) []byte {
	p := make([]byte, 0, n+16)
	for i := 0; len(p) < n; i++ {
		p = fmt.Appendf(p, "%x,", i*7919)
	}
	return p[:n]
}

func versions(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) { f(t, v) })
	}
}

func TestServerEchoesMuch(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		ca := certtest.NewCA()
		ends := make(chan error, 1)
		addr := echoTLS(t, start(t), compileServer(t, downstream(ca.Issue("a.example"))), ends)
		nc, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		want := payload(16 << 20)
		sent := make(chan error, 1)
		go func() {
			_, err := nc.Write(want)
			sent <- errors.Join(err, nc.CloseWrite())
		}()
		got, err := io.ReadAll(nc)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
		}
		if err := errors.Join(<-sent); err != nil {
			t.Error(err)
		}
		if err := <-ends; !errors.Is(err, io.EOF) {
			t.Errorf("the server saw %v, want io.EOF", err)
		}
	})
}

func TestClientEchoesMuch(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		ca := certtest.NewCA()
		addr := goEcho(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("a.example").TLS()}, MaxVersion: version})
		l, cl := start(t), compileClient(t, upstream(ca, nil))
		want := payload(16 << 20)
		on(t, l, func(task *loop.Task) {
			c, err := connect(task, cl, addr, "a.example")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			got, err := exchange(task, c, want)
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
			}
			if info, ok := tlsconn.State(c); !ok || info.Version != version || info.Peer == nil || info.ServerName != "a.example" {
				t.Errorf("State() = %+v, %v", info, ok)
			}
		})
	})
}

// exchange writes p and the end, and reads to the end, both at once.
func exchange(t *loop.Task, c *loop.Conn, p []byte) (got []byte, err error) {
	for {
		for len(p) > 0 && !c.Full() {
			n := min(len(p), 20_000)
			c.Write(p[:n])
			if p = p[n:]; len(p) == 0 {
				c.CloseSend()
			}
		}
		n, err := c.Fill()
		got = append(got, c.In()...)
		c.Consume(len(c.In()))
		if err != nil {
			return got, err
		}
		if n == 0 {
			if err := t.Park(); err != nil {
				return got, err
			}
		}
	}
}

// goEcho is an echo server by crypto/tls alone.
func goEcho(t testing.TB, cfg *tls.Config) netip.AddrPort {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				_, _ = io.Copy(nc, nc)
			}()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// TestOutputBeforeTheHandshake is written when nothing is connected yet.
func TestOutputBeforeTheHandshake(t *testing.T) {
	ca := certtest.NewCA()
	l := start(t)
	addr := echoTLS(t, l, compileServer(t, downstream(ca.IssueRSA("a.example"))), nil)
	cl := compileClient(t, upstream(ca, nil))
	on(t, l, func(task *loop.Task) {
		c, err := l.Connect(task, addr, loop.SocketOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		cl.Begin(c, task, "a.example")
		if ok, err := c.Connected(); ok || err != nil {
			t.Errorf("Connected() = %v, %v before the handshake", ok, err)
		}
		c.Write([]byte("early"))
		c.SetOut(append(c.Out(), " bird"...))
		c.CloseSend() // that waits, too
		if c.Pending() != 10 || c.Drained() {
			t.Errorf("%d bytes pending, want 10", c.Pending())
		}
		for len(c.In()) < 10 {
			if _, err := c.Fill(); err != nil {
				t.Error(err)
				return
			}
			if len(c.In()) < 10 && task.Park() != nil {
				return
			}
		}
		if string(c.In()) != "early bird" {
			t.Errorf("got %q", c.In())
		}
		if c.Pending() != 0 || !c.Drained() {
			t.Errorf("%d bytes pending after the answer", c.Pending())
		}
		c.Consume(len(c.In()))
		if err := read(task, c); !errors.Is(err, io.EOF) || !c.EOF() {
			t.Errorf("the end was %v, want io.EOF", err)
		}
	})
}

// chopper is a net.Conn that writes n bytes at a time.
type chopper struct {
	net.Conn
	n int
}

func (c chopper) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += c.n {
		if _, err := c.Conn.Write(p[at:min(len(p), at+c.n)]); err != nil {
			return at, err
		}
	}
	return len(p), nil
}

func TestRecordsInPieces(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		ca := certtest.NewCA()
		addr := echoTLS(t, start(t), compileServer(t, downstream(ca.Issue("a.example"))), nil)
		for _, n := range []int{1, 2, 3, 5, 7, 516, 517, 518} {
			raw, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			nc := tls.Client(chopper{raw, n}, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", MaxVersion: version})
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			for _, size := range []int{1, 300, 5000} {
				want, got := payload(size), make([]byte, size)
				if _, err := nc.Write(want); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("pieces of %d: %v", n, err)
				}
			}
			_ = nc.Close()
		}
	})
}

// TestManySmallRecords come in one segment: none may be left lying.
func TestManySmallRecords(t *testing.T) {
	ca := certtest.NewCA()
	addr := echoTLS(t, start(t), compileServer(t, downstream(ca.Issue("a.example"))), nil)
	raw, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	joined := &joiner{Conn: raw}
	nc := tls.Client(joined, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
	defer nc.Close()
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	for _, count := range []int{1, 2, 3, 10, 100, 2000} {
		joined.hold = true
		var want []byte
		for i := range count {
			p := payload(1 + i%40)
			want = append(want, p...)
			if _, err := nc.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		joined.release()
		got := make([]byte, len(want))
		if n, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d records: got %d of %d bytes: %v", count, n, len(want), err)
		}
	}
}

// joiner collects what is written while it holds.
type joiner struct {
	net.Conn
	hold bool
	buf  []byte
}

func (j *joiner) Write(p []byte) (int, error) {
	if j.hold {
		j.buf = append(j.buf, p...)
		return len(p), nil
	}
	return j.Conn.Write(p)
}

func (j *joiner) release() {
	j.hold = false
	_, _ = j.Conn.Write(j.buf)
	j.buf = nil
}

func TestSlowReaderBoundsMemory(t *testing.T) {
	ca := certtest.NewCA()
	l := start(t)
	s := compileServer(t, downstream(ca.Issue("a.example")))
	const total = 16 << 20
	most := make(chan int, 1)
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		defer c.Close()
		if _, err := s.Handshake(task, c); err != nil {
			t.Error(err)
			return
		}
		p, pending := payload(total), 0
		for len(p) > 0 && c.WriteErr() == nil {
			if c.Full() {
				if task.Park() != nil {
					return
				}
				continue
			}
			n := min(len(p), 10_000)
			c.SetOut(append(c.Out(), p[:n]...))
			p = p[n:]
			pending = max(pending, c.Pending())
		}
		c.CloseSend()
		drain(task, c)
		most <- pending
	})
	nc, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	want, got := payload(total), 0
	buf := make([]byte, 3000)
	for got < total {
		n, err := nc.Read(buf)
		if !bytes.Equal(buf[:n], want[got:got+n]) {
			t.Fatalf("wrong bytes at %d", got)
		}
		if got += n; err != nil {
			t.Fatalf("after %d of %d bytes: %v", got, total, err)
		}
		if got < 256<<10 {
			on(t, l, func(task *loop.Task) { _ = task.Yield() }) // the server has the time to fill everything
		}
	}
	if n, err := nc.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d more, %v", n, err)
	}
	if n := <-most; n > 160<<10 {
		t.Errorf("%d bytes were pending at once", n)
	}
}

// resting is told of what a resting connection gets.
type resting struct{ got chan string }

func (r *resting) ConnReadable(c *loop.Conn) {
	_, _ = c.Fill()
	r.got <- string(c.In())
	c.Close()
}

func TestRest(t *testing.T) {
	ca := certtest.NewCA()
	l := start(t)
	s := compileServer(t, downstream(ca.Issue("a.example")))
	r := &resting{make(chan string, 1)}
	rests := make(chan bool, 1)
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		if _, err := s.Handshake(task, c); err != nil {
			t.Error(err)
		}
		rests <- c.Rest(r)
	})
	raw, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	j := &joiner{Conn: raw}
	nc := tls.Client(j, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if !<-rests {
		t.Fatal("a quiet connection is called not quiet")
	}
	j.hold = true
	if _, err := nc.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	for _, b := range j.buf[:len(j.buf)-1] { // a record that is not whole is no event
		if _, err := raw.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	on(t, l, func(task *loop.Task) { _ = task.Sleep(20 * time.Millisecond) })
	select {
	case got := <-r.got:
		t.Fatalf("told of %q before the record was whole", got)
	default:
	}
	_, _ = raw.Write(j.buf[len(j.buf)-1:])
	if got := <-r.got; got != "hello" {
		t.Errorf("told of %q", got)
	}
}
