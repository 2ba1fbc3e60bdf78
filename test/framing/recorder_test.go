package framing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// recorded is one request as the upstream got it.
type recorded struct {
	number               int
	method, target, host string
	fields               [][2]string
	body                 []byte
	whole                bool
	ambiguous            error // the proxy wrote what can be read in two ways
}

func (r *recorded) String() string {
	end := ""
	if !r.whole {
		end = "..."
	}
	return fmt.Sprintf("%s %s of %s with %d bytes %.60q%s", r.method, r.target, r.host, len(r.body), r.body, end)
}

// upstream reads requests strictly, keeps them, and answers each with its
// number, or as a script says.
type upstream struct {
	address string
	active  atomic.Int64 // when something last happened, in nanoseconds

	mu       sync.Mutex
	requests []*recorded
	next     int
	script   func(r *recorded) (out []byte, end bool) // nil: the number
	conns    map[net.Conn]bool
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u := &upstream{address: ln.Addr().String(), conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.conns[c] = true
			u.mu.Unlock()
			wg.Go(func() {
				u.serve(c)
				_ = c.Close()
				u.mu.Lock()
				delete(u.conns, c)
				u.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		u.mu.Lock()
		for c := range u.conns {
			_ = c.Close()
		}
		u.mu.Unlock()
		wg.Wait()
	})
	return u
}

func (u *upstream) touch() { u.active.Store(time.Now().UnixNano()) }

// begin forgets what there was, and answers by the script from now on.
func (u *upstream) begin(script func(*recorded) ([]byte, bool)) {
	u.mu.Lock()
	u.requests, u.script = nil, script
	u.mu.Unlock()
	u.touch()
}

// got are the requests in the order in which they began, as they are now.
func (u *upstream) got() []recorded {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]recorded, 0, len(u.requests))
	for _, r := range u.requests {
		c := *r
		c.body = bytes.Clone(r.body)
		out = append(out, c)
	}
	return out
}

type touching struct {
	net.Conn
	u *upstream
}

func (c touching) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.u.touch()
	return n, err
}

func (u *upstream) serve(conn net.Conn) {
	r := bufio.NewReader(touching{conn, u})
	for {
		h, err := readHead(r)
		if err != nil && !errors.Is(err, errNot) {
			return
		}
		q := u.add(h, err)
		if q.ambiguous != nil {
			return
		}
		length, _ := h.framing()
		if length != -2 {
			err = readBody(r, length, func(p []byte) {
				u.mu.Lock()
				q.body = append(q.body, p...)
				u.mu.Unlock()
			})
		}
		u.mu.Lock()
		q.whole = err == nil
		if errors.Is(err, errNot) {
			q.ambiguous = err
		}
		script := u.script
		u.mu.Unlock()
		if err != nil {
			return
		}
		out, end := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nx-number: %d\r\ncontent-length: 0\r\n\r\n", q.number), false
		if script != nil {
			out, end = script(q)
		}
		u.touch()
		if _, err := conn.Write(out); err != nil || end {
			return
		}
	}
}

// add notes a request whose head has come.
func (u *upstream) add(h head, err error) *recorded {
	q := &recorded{host: h.first("host"), fields: h.fields, ambiguous: err}
	parts := strings.Split(h.start, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[1] == "" || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		q.ambiguous = errors.Join(q.ambiguous, not("request line %q", h.start))
	} else {
		q.method, q.target = parts[0], parts[1]
	}
	if _, err := h.framing(); err != nil {
		q.ambiguous = errors.Join(q.ambiguous, err)
	}
	if n := len(h.all("host")); n != 1 {
		q.ambiguous = errors.Join(q.ambiguous, not("%d Host fields", n))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.next++
	q.number = u.next
	u.requests = append(u.requests, q)
	return q
}
