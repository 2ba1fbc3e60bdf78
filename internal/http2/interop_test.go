package http2_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
)

// carrier runs a Conn on a socket: one goroutine has the Conn, two others read
// and write.
type carrier struct {
	conn   net.Conn
	h2     *http2.Conn
	out    output
	in     chan []byte
	ready  chan struct{} // the writer is
	writes chan []byte
	rest   []byte
	poll   func() (more bool)
	pool   http2.Pool
}

func newCarrier(conn net.Conn) *carrier {
	c := &carrier{conn: conn, in: make(chan []byte), ready: make(chan struct{}, 1), writes: make(chan []byte, 1)}
	c.ready <- struct{}{}
	return c
}

func (c *carrier) read() {
	defer close(c.in)
	for {
		b := make([]byte, 20000)
		n, err := c.conn.Read(b)
		if err != nil {
			return
		}
		c.in <- b[:n]
	}
}

func (c *carrier) write() {
	for b := range c.writes {
		if _, err := c.conn.Write(b); err != nil {
			break
		}
		c.ready <- struct{}{}
	}
	for range c.writes { // what cannot be written
		c.ready <- struct{}{}
	}
}

// run ends when poll wants no more, or the connection is lost.
func (c *carrier) run() error {
	defer c.conn.Close()
	go c.read()
	go c.write()
	defer close(c.writes)
	defer func() {
		go func() {
			for range c.in { // ends with the connection
			}
		}()
	}()
	writable := false
	for {
		for c.poll() {
			c.h2.Flush()
		}
		if c.h2.Over() {
			return nil
		}
		if writable && len(c.out.buf) > 0 {
			writable = false
			c.writes <- c.out.take()
			c.h2.Flush()
		}
		in := c.in
		if c.h2.Congested() {
			in = nil
		}
		ready := c.ready
		if writable {
			ready = nil
		}
		select {
		case b, ok := <-in:
			if !ok {
				c.h2.Abandon(io.ErrUnexpectedEOF)
				continue
			}
			c.rest = append(c.rest, b...)
			used, err := c.h2.Feed(c.rest)
			c.rest = c.rest[:copy(c.rest, c.rest[used:])]
			if err != nil {
				return err
			}
		case <-ready:
			writable = true
		}
	}
}

// echo answers with what it gets.
type echo struct{ live []*http2.Stream }

func (e *echo) Opened(s *http2.Stream) {
	h, _, _ := s.Head()
	s.SendHead(response(200, "x-path", string(h.Path()), "trailer", "sum"), chunked, false)
	e.live = append(e.live, s)
}

func (e *echo) poll() (more bool) {
	live := e.live[:0]
	for _, s := range e.live {
		p, done, err := s.Next()
		switch {
		case err != nil:
			s.Release()
			continue
		case s.Full():
		default:
			s.Write(p)
			s.Consume(len(p))
			if done {
				s.End(response(0, "sum", fmt.Sprint(s.SentBytes()+int64(s.Pending()))))
				s.Release()
				continue
			}
			more = more || len(p) > 0
		}
		live = append(live, s)
	}
	e.live = live
	return more
}

// text is n bytes that are like no other's.
func text(seed, n int) []byte {
	b := make([]byte, n)
	fillBody(b, int64(seed), int64(seed))
	return b
}

var textSizes = []int{0, 1, 1000, 16384, 70000, 400000}

func plainHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// TestStockClient has the client of net/http talk to our server.
func TestStockClient(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				e := &echo{}
				c := newCarrier(conn)
				c.h2 = http2.NewServer(&c.out, e, http2.Options{Pool: &c.pool})
				c.poll = e.poll
				if err := c.run(); err != nil {
					t.Errorf("server: %v", err)
				}
			})
		}
	})
	tr := &http.Transport{Protocols: plainHTTP2()}
	client := &http.Client{Transport: tr}
	defer wg.Wait()
	defer ln.Close()
	defer tr.CloseIdleConnections()
	var posts sync.WaitGroup
	for worker := range 12 {
		posts.Go(func() {
			for i := range 12 {
				if err := stockPost(client, "http://"+ln.Addr().String()+"/x", worker*100+i, textSizes[(worker+i)%len(textSizes)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	posts.Wait()
}

func stockPost(client *http.Client, url string, seed, size int) error {
	want := text(seed, size)
	resp, err := client.Post(url, "text/plain", bytes.NewReader(want))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if seed%5 == 0 && size > 1000 { // somebody changes their mind
		_, err := io.ReadFull(resp.Body, make([]byte, 1000))
		return err
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) || resp.Header.Get("x-path") != "/x" || resp.Trailer.Get("sum") != fmt.Sprint(size) {
		return fmt.Errorf("%d bytes came back of %d, trailer %q", len(got), size, resp.Trailer.Get("sum"))
	}
	return nil
}

// call is an exchange of our client.
type call struct {
	s      *http2.Stream
	want   []byte
	sent   int
	got    bytes.Buffer
	ended  bool
	status int
}

func (x *call) poll(t *testing.T) (done, more bool) {
	for x.sent < len(x.want) && !x.s.Full() {
		n := min(len(x.want)-x.sent, 30000)
		x.s.Write(x.want[x.sent : x.sent+n])
		x.sent += n
	}
	if x.sent == len(x.want) && !x.ended {
		x.ended = true
		x.s.End(nil)
	}
	if h, _, ok := x.s.Head(); ok {
		x.status = h.Status
	}
	p, end, err := x.s.Next()
	if err != nil {
		t.Errorf("stream %d: %v", x.s.ID(), err)
		return true, false
	}
	x.got.Write(p)
	x.s.Consume(len(p))
	if end {
		sum, _ := x.s.Trailers().Get("sum")
		if x.status != 200 || !bytes.Equal(x.got.Bytes(), x.want) || string(sum) != fmt.Sprint(len(x.want)) {
			t.Errorf("stream %d: status %d, %d bytes of %d, trailer %q", x.s.ID(), x.status, x.got.Len(), len(x.want), sum)
		}
	}
	return end, len(p) > 0
}

// TestStockServer has our client talk to the server of net/http.
func TestStockServer(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("trailer", "sum")
		w.Header().Set("x-long", strings.Repeat("x", 20000)) // CONTINUATION
		w.WriteHeader(200)
		_ = http.NewResponseController(w).EnableFullDuplex()
		_ = http.NewResponseController(w).Flush()
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("sum", fmt.Sprint(n))
	}))
	srv.Config.Protocols = plainHTTP2()
	srv.Start()
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newCarrier(conn)
	c.h2 = http2.NewClient(&c.out, http2.Options{Pool: &c.pool})
	const total = 150
	begun, over := 0, 0
	var live []*call
	c.poll = func() (again bool) {
		for begun < total && len(live) < 20 && c.h2.CanOpen() {
			s, err := c.h2.Open()
			if err != nil {
				t.Error(err)
				return false
			}
			x := &call{s: s, want: text(begun, textSizes[begun%len(textSizes)])}
			s.SendHead(request("POST", "/x", "x-long", strings.Repeat("y", 20000)), chunked, false)
			live = append(live, x)
			begun++
		}
		left := live[:0]
		for _, x := range live {
			done, more := x.poll(t)
			again = again || more
			if done {
				x.s.Release()
				over++
				continue
			}
			left = append(left, x)
		}
		live = left
		if over == total {
			c.h2.Drain()
		}
		return again && over < total
	}
	if err := c.run(); err != nil {
		t.Error(err)
	}
	if over != total {
		t.Errorf("%d exchanges of %d", over, total)
	}
	if why := c.h2.Idle(nil); why != "" {
		t.Error(why)
	}
}
