package loop_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a loop until the test ends.
func start(t *testing.T, opt loop.Options) *loop.Loop {
	t.Helper()
	l, err := loop.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return l
}

// on runs f as a task and waits for its end.
func on(t *testing.T, l *loop.Loop, f func(*loop.Task)) {
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
	case <-time.After(30 * time.Second):
		t.Fatal("the task did not end")
	}
}

// serve runs handle as a task for each connection to a new listener.
func serve(t *testing.T, l *loop.Loop, handle func(*loop.Task, *loop.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := loop.Listen(t.Context(), "127.0.0.1:0")
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

// read waits for input; false at the end of it.
func read(t *loop.Task, c *loop.Conn) bool {
	for len(c.In()) == 0 {
		if n, err := c.Fill(); n > 0 {
			return true
		} else if err != nil || t.Park() != nil {
			return false
		}
	}
	return true
}

func echo(t *loop.Task, c *loop.Conn) {
	defer c.Close()
	for read(t, c) {
		c.Write(c.In())
		c.Consume(len(c.In()))
		for c.Full() && c.WriteErr() == nil {
			if t.Park() != nil {
				return
			}
		}
	}
	c.CloseSend()
	for !c.Drained() {
		if t.Park() != nil {
			return
		}
	}
}

func TestEchoLargerThanEveryBuffer(t *testing.T) {
	l := start(t, loop.Options{})
	addr := serve(t, l, echo)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	for range 3 {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = nc.Write(want)
			_ = nc.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(nc)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
		}
		_ = nc.Close()
	}
}

func TestConnect(t *testing.T) {
	l := start(t, loop.Options{})
	addr := serve(t, l, echo)
	on(t, l, func(task *loop.Task) {
		c, err := l.Connect(task, addr, loop.SocketOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.Write([]byte("early"))
		if !read(task, c) || string(c.In()) != "early" {
			t.Errorf("got %q", c.In())
		}
		if ok, err := c.Connected(); !ok || err != nil {
			t.Errorf("Connected() = %v, %v", ok, err)
		}
		if c.Remote() != addr || c.Local().Port() == 0 {
			t.Errorf("addresses %v, %v", c.Local(), c.Remote())
		}
	})
}

func TestConnectRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	_ = ln.Close()
	l := start(t, loop.Options{})
	on(t, l, func(task *loop.Task) {
		c, err := l.Connect(task, addr, loop.SocketOptions{})
		if err != nil {
			return // refused at once is right, too
		}
		defer c.Close()
		for {
			ok, err := c.Connected()
			if ok {
				t.Error("connected to a closed port")
			}
			if ok || err != nil || task.Park() != nil {
				return
			}
		}
	})
}

// idle reports readability of a resting connection.
type idle struct{ got chan struct{} }

func (i idle) ConnReadable(c *loop.Conn) {
	c.Close()
	close(i.got)
}

func TestRestTellsOfTheEnd(t *testing.T) {
	l := start(t, loop.Options{})
	release := make(chan struct{})
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		_ = task.Offload(func() { <-release })
		c.Close()
	})
	h := idle{make(chan struct{})}
	on(t, l, func(task *loop.Task) {
		c, err := l.Connect(task, addr, loop.SocketOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		for ok := false; !ok; ok, _ = c.Connected() {
			if task.Park() != nil {
				return
			}
		}
		if !c.Rest(h) {
			t.Error("a quiet connection is called not quiet")
		}
	})
	close(release)
	<-h.got
}

func TestAbortResets(t *testing.T) {
	l := start(t, loop.Options{})
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		if read(task, c) {
			c.Abort()
		}
	})
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v; want a reset", n, err)
	}
}

func TestDeadlines(t *testing.T) {
	var clock atomic.Int64
	l := start(t, loop.Options{Clock: func() time.Duration { return time.Duration(clock.Load()) }})
	for _, d := range []time.Duration{1, 10 * time.Millisecond, 639 * time.Millisecond, time.Second, time.Minute, 3 * time.Hour, 60 * time.Hour} {
		woke := make(chan time.Duration, 1)
		begin := time.Duration(clock.Load())
		l.Post(func() {
			l.Go(loop.RunnerFunc(func(task *loop.Task) {
				task.SetDeadline(l.In(d + time.Hour)) // moved to earlier below
				if task.Sleep(d) == nil {
					woke <- time.Duration(clock.Load()) - begin
				}
			}))
		})
		step := max(d/20, 5*time.Millisecond)
		var got time.Duration
		for got == 0 {
			turned := make(chan struct{})
			l.Post(func() { close(turned) })
			<-turned
			select {
			case got = <-woke:
			default:
				clock.Add(int64(step))
			}
		}
		if got < d || got > d+3*step+20*time.Millisecond {
			t.Errorf("a deadline of %v came after %v", d, got)
		}
	}
}

func TestPanicEndsOneTaskOnly(t *testing.T) {
	l := start(t, loop.Options{})
	cleaned := make(chan struct{})
	l.Post(func() {
		l.Go(loop.RunnerFunc(func(*loop.Task) {
			defer close(cleaned)
			panic("told by a test")
		}))
	})
	<-cleaned
	on(t, l, func(task *loop.Task) { _ = task.Yield() })
	if l.Panics() != 1 {
		t.Errorf("%d panics counted, want 1", l.Panics())
	}
}

func TestShutdownRunsDefers(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var parked, stopped int
	for range 100 {
		l.Post(func() {
			l.Go(loop.RunnerFunc(func(task *loop.Task) {
				if parked++; parked == 100 {
					cancel()
				}
				for {
					if err := task.Park(); err != nil {
						stopped++
						return
					}
				}
			}))
		})
	}
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if stopped != 100 {
		t.Errorf("%d of 100 tasks ended", stopped)
	}
	if l.Post(func() {}) {
		t.Error("a stopped loop takes work")
	}
}

func TestYieldIsFair(t *testing.T) {
	l := start(t, loop.Options{})
	on(t, l, func(task *loop.Task) {
		other := 0
		l.Go(loop.RunnerFunc(func(o *loop.Task) {
			for other < 50 {
				other++
				_ = o.Yield()
			}
		}))
		for i := range 50 {
			_ = task.Yield()
			if other < i {
				t.Fatalf("after %d turns the other task ran %d times", i, other)
			}
		}
	})
}

func TestListenTakenByAnother(t *testing.T) {
	a, err := loop.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if b, err := loop.Listen(t.Context(), a.Addr().String()); err == nil {
		_ = b.Close()
		t.Error("the same address was bound twice")
	}
}
