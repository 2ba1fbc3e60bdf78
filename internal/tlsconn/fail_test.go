package tlsconn_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
)

func TestEndWithoutCloseNotify(t *testing.T) {
	ca := certtest.NewCA()
	ends := make(chan error, 1)
	addr := echoTLS(t, start(t), compileServer(t, downstream(ca.Issue("a.example"))), ends)
	for _, polite := range []bool{true, false} {
		raw, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		nc := tls.Client(raw, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
		if _, err := nc.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		want := io.ErrUnexpectedEOF
		if polite {
			want = io.EOF
			err = nc.CloseWrite()
		} else {
			err = raw.(*net.TCPConn).CloseWrite()
		}
		if got := <-ends; !errors.Is(got, want) || err != nil {
			t.Errorf("polite %v: the server saw %v, want %v (%v)", polite, got, want, err)
		}
		if n, err := nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("polite %v: the client read %d, %v; want the server's close_notify", polite, n, err)
		}
		_ = raw.Close()
	}
}

func TestStalledClientMeetsTheDeadline(t *testing.T) {
	ca := certtest.NewCA()
	l := start(t)
	s := compileServer(t, downstream(ca.Issue("a.example")))
	ends := make(chan error, 1)
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		defer c.Close()
		task.SetDeadline(l.In(50 * time.Millisecond))
		_, err := s.Handshake(task, c)
		ends <- err
	})
	for _, first := range []string{"", "\x16\x03\x01\x02"} {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write([]byte(first))
		if err := <-ends; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the handshake ended with %v, want a deadline's error", err)
		}
		_ = nc.Close()
	}
}

func TestGarbage(t *testing.T) {
	ca := certtest.NewCA()
	ends := make(chan error, 1)
	addr := echoTLS(t, start(t), compileServer(t, downstream(ca.Issue("a.example"))), ends)
	for _, p := range []string{
		"GET / HTTP/1.1\r\nhost: a\r\n\r\n", strings.Repeat("\x00", 100), "\x16\x03\x01\x00\x04\x02\x00\x00\x00",
		"\x16\x03\x01\xff\xff" + strings.Repeat("x", 70000), "\x80\x2e\x01\x03\x01", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
	} {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write([]byte(p))
		if err := <-ends; err == nil {
			t.Errorf("%.10q: the handshake succeeded", p)
		}
		_ = nc.Close()
	}
}

func TestOldVersionsRefused(t *testing.T) {
	ca := certtest.NewCA()
	addr := echoTLS(t, start(t), compileServer(t, downstream(ca.Issue("a.example"))), nil)
	nc, err := tls.Dial("tcp", addr.String(), &tls.Config{
		RootCAs: ca.Pool(), ServerName: "a.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	})
	if err == nil {
		_ = nc.Close()
		t.Fatal("TLS 1.1 was accepted")
	}
	if !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("the client was told %q, want an alert about the version", err)
	}
}

// TestHandshakeFailureIsTold to whoever waits for the connection.
func TestHandshakeFailureIsTold(t *testing.T) {
	ca := certtest.NewCA()
	addr := goEcho(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("a.example").TLS()}})
	l := start(t)
	cl := compileClient(t, upstream(certtest.NewCA(), nil))
	on(t, l, func(task *loop.Task) {
		c, err := l.Connect(task, addr, loop.SocketOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		cl.Begin(c, task, "a.example")
		c.Write([]byte("secret"))
		for c.WriteErr() == nil {
			if task.Park() != nil {
				return
			}
		}
		_, connErr := c.Connected()
		_, readErr := c.Fill()
		for _, err := range []error{connErr, readErr, c.WriteErr()} {
			if err == nil || !strings.Contains(err.Error(), "unknown authority") {
				t.Errorf("error %v, want one about the authority", err)
			}
		}
		if !c.Drained() {
			t.Error("a dead connection claims to have output that waits")
		}
	})
}

func TestCloseEndsTheHandshake(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l, cl := start(t), compileClient(t, &tlsv3.UpstreamTlsContext{})
	on(t, l, func(task *loop.Task) {
		for range 20 {
			c, err := l.Connect(task, ln.Addr().(*net.TCPAddr).AddrPort(), loop.SocketOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			cl.Begin(c, task, "a.example")
			c.Write([]byte("x"))
			_ = task.Yield()
			_ = task.Yield()
			c.Close()
			_ = task.Yield()
		}
	})
}

// TestShutdownDuringHandshakes leaves no goroutine behind, parked tasks and
// signatures under way included.
func TestShutdownDuringHandshakes(t *testing.T) {
	ca := certtest.NewCA()
	addr := echoTLS(t, start(t), compileServer(t, downstream(ca.IssueRSA("a.example"))), nil)
	p := hello(&tls.Config{ServerName: "a.example"})
	for i := range 40 {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		if _, err := nc.Write(p[:len(p)*(i%4)/3]); err != nil {
			t.Fatal(err)
		}
	}
}
