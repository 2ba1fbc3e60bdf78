package tlsconn_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a loop until the test ends.
func start(t testing.TB) *loop.Loop {
	t.Helper()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := l.Panics(); n != 0 {
			t.Errorf("%d tasks panicked", n)
		}
	})
	return l
}

// on runs f as a task and waits for its end.
func on(t testing.TB, l *loop.Loop, f func(*loop.Task)) {
	t.Helper()
	done := make(chan struct{})
	l.Post(func() {
		l.Go(loop.RunnerFunc(func(task *loop.Task) {
			defer close(done)
			f(task)
		}))
	})
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("the task did not end")
	}
}

// serve runs handle as a task for each connection to a new listener.
func serve(t testing.TB, l *loop.Loop, handle func(*loop.Task, *loop.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := loop.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- ln.Serve(func() *loop.Loop { return l }, func(l *loop.Loop, c *loop.Conn) {
			c.Bind(l.Go(loop.RunnerFunc(func(task *loop.Task) { handle(task, c) })))
		})
	}()
	t.Cleanup(func() {
		if err := errors.Join(ln.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr()
}

// read waits for input; an error at the end of it.
func read(t *loop.Task, c *loop.Conn) error {
	for len(c.In()) == 0 {
		if n, err := c.Fill(); n > 0 {
			return nil
		} else if err != nil {
			return err
		}
		if err := t.Park(); err != nil {
			return err
		}
	}
	return nil
}

// drain waits until all output is written.
func drain(t *loop.Task, c *loop.Conn) {
	for !c.Drained() && t.Park() == nil {
	}
}

// echo answers with what comes, as an application on a plain connection would.
func echo(t *loop.Task, c *loop.Conn) error {
	defer c.Close()
	for {
		if err := read(t, c); err != nil {
			c.CloseSend()
			drain(t, c)
			return err
		}
		c.Write(c.In())
		c.Consume(len(c.In()))
		for c.Full() && c.WriteErr() == nil {
			if err := t.Park(); err != nil {
				return err
			}
		}
	}
}

// echoTLS is a TLS server that echoes; result gets how each connection ended.
func echoTLS(t testing.TB, l *loop.Loop, s *tlsconn.Server, result chan<- error) netip.AddrPort {
	return serve(t, l, func(task *loop.Task, c *loop.Conn) {
		task.SetDeadline(l.In(20 * time.Second))
		_, err := s.Handshake(task, c)
		task.SetDeadline(0)
		if err == nil {
			err = echo(task, c)
		}
		c.Close()
		if result != nil {
			result <- err
		}
	})
}

func certificate(p certtest.Pair) *tlsv3.TlsCertificate {
	return &tlsv3.TlsCertificate{CertificateChain: inline(p.Cert), PrivateKey: inline(p.Key)}
}

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

// expired is a certificate whose time was over a minute ago.
func expired(ca *certtest.CA, name string) certtest.Pair {
	tmpl := certtest.Template(name)
	tmpl.NotAfter = time.Now().Add(-time.Minute)
	return ca.Sign(tmpl, certtest.ECDSA())
}

// downstream is a server's context with one certificate.
func downstream(certs ...certtest.Pair) *tlsv3.DownstreamTlsContext {
	ctx := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{}}
	for _, p := range certs {
		ctx.CommonTlsContext.TlsCertificates = append(ctx.CommonTlsContext.TlsCertificates, certificate(p))
	}
	return ctx
}

// upstream is a client's context that trusts a.
func upstream(a *certtest.CA, edit func(*tlsv3.CertificateValidationContext)) *tlsv3.UpstreamTlsContext {
	v := &tlsv3.CertificateValidationContext{TrustedCa: inline(a.PEM)}
	if edit != nil {
		edit(v)
	}
	return &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v},
	}}
}

func compileServer(t testing.TB, ctx *tlsv3.DownstreamTlsContext) *tlsconn.Server {
	t.Helper()
	s, err := tlsconn.CompileServer(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compileClient(t testing.TB, ctx *tlsv3.UpstreamTlsContext) *tlsconn.Client {
	t.Helper()
	c, err := tlsconn.CompileClient(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect makes a connection with TLS and waits for it.
func connect(t *loop.Task, cl *tlsconn.Client, addr netip.AddrPort, name string) (*loop.Conn, error) {
	c, err := t.Loop().Connect(t, addr, loop.SocketOptions{})
	if err != nil {
		return nil, err
	}
	cl.Begin(c, t, name)
	for {
		ok, err := c.Connected()
		if err != nil {
			c.Close()
			return nil, err
		}
		if ok {
			return c, nil
		}
		if err := t.Park(); err != nil {
			return nil, err
		}
	}
}
