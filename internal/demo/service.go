package demo

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// seen is a request as a service got it, and what it answered.
type seen struct {
	method, path, host, forwardedFor string
	internal                         bool // x-envoy-internal: true
	status                           int
}

// service is a real httpbin that remembers what it was asked.
type service struct {
	name string
	addr netip.AddrPort
	srv  *http.Server
	bin  http.Handler

	mu    sync.Mutex
	seen  []seen
	total int
}

// startService serves on a free port until stop.
func startService(ctx context.Context, name string) (*service, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{name: name, bin: httpbin.New().Handler()}
	s.addr = ln.Addr().(*net.TCPAddr).AddrPort()
	s.srv = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			panic("demo: internal error: " + err.Error())
		}
	}()
	return s, nil
}

func (s *service) stop() { _ = s.srv.Close() }

// ServeHTTP lets httpbin answer and notes the request before the answer leaves.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := seen{
		method: r.Method, path: r.URL.Path, host: r.Host,
		forwardedFor: r.Header.Get("X-Forwarded-For"), internal: r.Header.Get("X-Envoy-Internal") == "true",
	}
	s.bin.ServeHTTP(&noting{ResponseWriter: w, note: func(status int) {
		got.status = status
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, got)
		s.total++
	}}, r)
}

// take returns what was seen since the last time.
func (s *service) take() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.seen
	s.seen = nil
	return got
}

// count is how many requests were seen in all.
func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// noting is a response that tells its status once.
type noting struct {
	http.ResponseWriter
	note  func(status int)
	noted bool
}

func (n *noting) WriteHeader(status int) {
	if !n.noted && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		n.noted = true
		n.note(status)
	}
	n.ResponseWriter.WriteHeader(status)
}

func (n *noting) Write(p []byte) (int, error) {
	if !n.noted {
		n.WriteHeader(http.StatusOK)
	}
	return n.ResponseWriter.Write(p)
}

// Flush and Hijack are what some of httpbin's paths need.
func (n *noting) Flush() {
	if f, ok := n.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

func (n *noting) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(n.ResponseWriter).Hijack()
}
