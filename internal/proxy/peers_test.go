package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// patience bounds every wait of a test.
const patience = 20 * time.Second

// client makes an HTTP client of the test's own.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// peer is a TCP server of which each connection behaves as handle does. What
// handle returns from is closed.
func peer(t testing.TB, handle func(w *wire)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]struct{}{}
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = struct{}{}
			mu.Unlock()
			all.Go(func() {
				handle(newWire(t, nc))
				_ = nc.Close()
				mu.Lock()
				delete(open, nc)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// wire is one end of a connection, with a reader.
type wire struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func newWire(t testing.TB, nc net.Conn) *wire {
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &wire{nc.(*net.TCPConn), t, bufio.NewReader(nc)}
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return newWire(t, nc)
}

// send writes text, and is silent where the other side has gone: what it said
// before counts.
func (w *wire) send(format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	_, _ = io.WriteString(w.TCPConn, format)
}

// request reads a request and its body; nil at the end of the connection.
func (w *wire) request() (*http.Request, string) {
	r, err := http.ReadRequest(w.r)
	if err != nil {
		return nil, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, ""
	}
	return r, string(body)
}

// response reads the response to a request of that method, and its body.
func (w *wire) response(method string) (*http.Response, string) {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("reading a response: %v", err)
	}
	if resp.StatusCode < 200 {
		return resp, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("reading the body of a response: %v", err)
	}
	return resp, string(body)
}

// rest reads until the connection ends, and tells how: io.EOF for cleanly.
func (w *wire) rest() (string, error) {
	all, err := io.ReadAll(w.r)
	if err == nil {
		err = io.EOF
	}
	return string(all), err
}

func (w *wire) wantEnd(what string) {
	w.t.Helper()
	if got, err := w.rest(); got != "" || err != io.EOF {
		w.t.Errorf("%s: %q and %v, want the connection's end", what, got, err)
	}
}

// reset closes with a reset.
func (w *wire) reset() {
	_ = w.SetLinger(0)
	_ = w.Close()
}

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

// answer is an Answer as a test looks at it.
type answer struct {
	Cluster, Upstream, Authority, Outcome, Flags, Details, Failure string
	Status                                                         int
	Bytes                                                          int64
}

func answerOf(a *traffic.Answer) answer {
	s := answer{
		Cluster: a.Cluster, Authority: a.Authority, Outcome: a.Outcome.String(), Flags: a.Flags.String(),
		Details: a.Details, Failure: a.TransportFailure, Status: a.Response.Status, Bytes: a.ResponseBytes,
	}
	if a.Upstream.IsValid() {
		s.Upstream = a.Upstream.String()
	}
	return s
}

// seen is an exchange as a sink got it.
type seen struct {
	event   traffic.Event
	route   string
	client  string // the address that it is taken for
	bytes   int64
	primary answer
	shadows []answer
}

// recorder is a sink that keeps everything.
type recorder struct {
	mu  sync.Mutex
	all []seen
}

func (r *recorder) Enabled() bool { return true }

func (r *recorder) Offer(ev traffic.Event, e *traffic.Exchange) bool {
	s := seen{event: ev, route: e.Route, client: e.DownstreamRemote.Addr().String(), bytes: e.RequestBytes, primary: answerOf(&e.Primary)}
	if ev == traffic.Settled {
		for i := range e.Shadows {
			s.shadows = append(s.shadows, answerOf(&e.Shadows[i]))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, s)
	return true
}

// wait returns the i-th exchange that came with the event.
func (r *recorder) wait(t testing.TB, ev traffic.Event, i int) (found seen) {
	t.Helper()
	eventually(t, fmt.Sprintf("exchange %d with event %d", i, ev), func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := 0
		for _, s := range r.all {
			if s.event != ev {
				continue
			}
			if n == i {
				found = s
				return true
			}
			n++
		}
		return false
	})
	return found
}

// refused is an address at which nobody listens.
func refused(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// blackhole is an address that does not take a connection: a listening socket
// whose backlog is full.
func blackhole(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for {
		nc, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = nc.Close() })
	}
}

// seen is all that came with Answered so far.
func (r *recorder) seen() (all []seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.all {
		if s.event == traffic.Answered {
			all = append(all, s)
		}
	}
	return all
}
