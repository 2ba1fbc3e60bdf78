package loop_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// flip is a Layer that inverts every byte, ends with a zero byte, and answers
// each byte 0x7f that it opens with 64 bytes of its own.
type flip struct {
	wire  *loop.Wire
	ended bool
}

func (f *flip) Open(p []byte) (int, error) {
	if f.ended {
		return 0, io.EOF
	}
	n, err := f.wire.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	for i := range n {
		p[i] ^= 0xff
		if p[i] == 0xff {
			f.ended = true
			return i, nil
		}
		if p[i] == 0x7f {
			f.wire.Write(bytes.Repeat([]byte{1}, 64))
		}
	}
	return n, err
}

func (f *flip) Buffered() bool { return f.ended }

func (f *flip) Seal(p []byte) error {
	q := bytes.Clone(p)
	for i := range q {
		q[i] ^= 0xff
	}
	f.wire.Write(q)
	return nil
}

func (f *flip) End() error {
	f.wire.Write([]byte{0})
	return nil
}

func flipped(t *loop.Task, c *loop.Conn) {
	w := c.Lower(t)
	w.Up(&flip{wire: w})
}

func TestLayerEchoesMuch(t *testing.T) {
	l := start(t, loop.Options{})
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		if !read(task, c) { // what came before the layer goes through it, too
			t.Error("no input")
		}
		flipped(task, c)
		echo(task, c)
	})
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	go func() {
		_, _ = nc.Write(sent)
		_, _ = nc.Write([]byte{0})
	}()
	got, err := io.ReadAll(nc)
	if want := append(sent, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
	}
}

// TestLayerAnswersAreBounded is about a peer that has the layer answer (as TLS
// does a key update), and never reads.
func TestLayerAnswersAreBounded(t *testing.T) {
	l := start(t, loop.Options{})
	var most, seen atomic.Int64
	stuck := make(chan struct{})
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		flipped(task, c)
		task.SetDeadline(l.In(300 * time.Millisecond))
		for !task.Expired() {
			n, err := c.Fill()
			c.Consume(len(c.In()))
			most.Store(max(most.Load(), int64(c.Pending())))
			seen.Add(int64(n))
			if err != nil {
				t.Error(err)
				break
			}
			if n == 0 && task.Park() != nil {
				break
			}
		}
		close(stuck)
		task.SetDeadline(0)
		for c.WriteErr() == nil { // goes on when the peer reads
			n, err := c.Fill()
			c.Consume(len(c.In()))
			seen.Add(int64(n))
			if err != nil || n == 0 && task.Park() != nil {
				break
			}
		}
		for !c.Drained() && task.Park() == nil {
		}
		c.Close()
	})
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const asked = 1_000_000 // for 64 MB
	wrote := make(chan error, 1)
	go func() {
		for range asked / 1000 {
			if _, err := nc.Write(bytes.Repeat([]byte{0x80}, 1000)); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nc.(*net.TCPConn).CloseWrite()
	}()
	<-stuck
	if n := most.Load(); n == 0 || n > 3*loop.HighWater+64*16<<10 {
		t.Errorf("%d bytes of answers waited at once", n)
	}
	if n := seen.Load(); n == asked {
		t.Error("everything was read though no answer was")
	}
	got, err := io.Copy(io.Discard, nc)
	if err := errors.Join(err, <-wrote); err != nil || got < asked*64 {
		t.Errorf("got %d bytes of answers: %v", got, err)
	}
	if n := seen.Load(); n != asked {
		t.Errorf("%d of %d bytes were read in the end", n, asked)
	}
}

// tiny is a Layer whose every byte is a record.
type tiny struct{ flip }

func (f *tiny) Open(p []byte) (int, error) { return f.flip.Open(p[:1]) }

func TestTinyRecordsShareTheLoop(t *testing.T) {
	l := start(t, loop.Options{})
	got, most, lastTurn := 0, 0, 0
	const sent = 100_000
	done := make(chan struct{})
	turns := 0
	stop := false
	l.Post(func() {
		l.Go(loop.RunnerFunc(func(o *loop.Task) {
			for !stop && o.Yield() == nil {
				turns++
			}
		}))
	})
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		defer close(done)
		defer c.Close()
		w := c.Lower(task)
		w.Up(&tiny{flip{wire: w}})
		inTurn := 0
		for got < sent {
			n, err := c.Fill()
			c.Consume(len(c.In()))
			got += n
			if turns != lastTurn {
				lastTurn, inTurn = turns, 0
			}
			inTurn += n
			most = max(most, inTurn)
			if err != nil {
				t.Error(err)
				break
			}
			if n == 0 && task.Park() != nil {
				break
			}
		}
		stop = true
	})
	nc, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(bytes.Repeat([]byte{1}, sent)); err != nil {
		t.Fatal(err)
	}
	<-done
	if got != sent || most > 1024 {
		t.Errorf("got %d of %d records, up to %d in one turn", got, sent, most)
	}
}

func TestFailedLayer(t *testing.T) {
	l := start(t, loop.Options{})
	addr := serve(t, l, echo)
	broken := errors.New("told by a test")
	on(t, l, func(task *loop.Task) {
		c, err := l.Connect(task, addr, loop.SocketOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		w := c.Lower(l.Go(loop.RunnerFunc(func(*loop.Task) {})))
		c.Write([]byte("waits"))
		if ok, err := c.Connected(); ok || err != nil || c.Drained() || c.Pending() != 5 {
			t.Errorf("set up: %v, %v, %d pending", ok, err, c.Pending())
		}
		w.Fail(broken)
		_, err = c.Connected()
		if _, rerr := c.Fill(); err != broken || rerr != broken || c.WriteErr() != broken || !c.Drained() || c.Pending() != 0 {
			t.Errorf("failed: %v, %v, %v, %d pending", err, rerr, c.WriteErr(), c.Pending())
		}
	})
}

// bomb is a Layer that panics.
type bomb struct{ flip }

func (b *bomb) Seal([]byte) error { panic("told by a test") }

func (b *bomb) Open([]byte) (int, error) { panic("told by a test") }

func TestPanicInALayerEndsOneConnection(t *testing.T) {
	l := start(t, loop.Options{Logger: slog.New(slog.DiscardHandler)})
	addr := serve(t, l, echo)
	h := idle{make(chan struct{})}
	on(t, l, func(task *loop.Task) {
		for _, rests := range []bool{false, true} {
			c, err := l.Connect(task, addr, loop.SocketOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			c.Write([]byte("x"))
			w := c.Lower(task)
			for ok := false; !ok; ok, _ = w.Connected() {
				if task.Park() != nil {
					return
				}
			}
			w.Up(&bomb{flip{wire: w}})
			if rests {
				// The echo may not have come yet: then its event finds a
				// connection that rests.
				if func() (quiet bool) {
					defer func() { _ = recover() }()
					return c.Rest(h)
				}() {
					continue
				}
				c.Close()
				close(h.got)
				continue
			}
			c.Write([]byte("y"))
			for c.WriteErr() == nil {
				if task.Yield() != nil {
					return
				}
			}
			c.Close()
		}
	})
	<-h.got
	on(t, l, func(task *loop.Task) { _ = task.Yield() })
}

func TestOneHeavyTaskEachTurn(t *testing.T) {
	l := start(t, loop.Options{})
	on(t, l, func(task *loop.Task) {
		const many = 50
		done := 0
		for range many {
			l.Go(loop.RunnerFunc(func(o *loop.Task) {
				if o.AwaitTurn() == nil {
					done++
				}
			}))
		}
		for i := range many {
			if err := task.Yield(); err != nil {
				t.Fatal(err)
			}
			if done > i+1 {
				t.Fatalf("after %d turns %d tasks had theirs", i+1, done)
			}
		}
		for range 2 {
			_ = task.Yield()
		}
		if done != many {
			t.Errorf("%d of %d tasks had a turn", done, many)
		}
	})
}

func TestComputeOneAtATime(t *testing.T) {
	l := start(t, loop.Options{})
	on(t, l, func(task *loop.Task) {
		var running, most atomic.Int32
		var order []int
		left := 20
		for i := range 20 {
			l.Go(loop.RunnerFunc(func(o *loop.Task) {
				_ = o.Compute(func() {
					most.Store(max(most.Load(), running.Add(1)))
					order = append(order, i) // the race detector watches
					running.Add(-1)
				})
				left--
				task.Wake()
			}))
		}
		for left > 0 {
			if task.Park() != nil {
				return
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d ran at once", most.Load())
		}
		for i, n := range order {
			if i != n {
				t.Errorf("the order was %v", order)
				break
			}
		}
	})
}
