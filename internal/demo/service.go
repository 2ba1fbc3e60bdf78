package demo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
)

// seen is a request as a service got it.
type seen struct {
	method, path, host, forwardedFor string
	internal                         bool // x-envoy-internal: true
}

// service is a real httpbin that remembers what it was asked.
type service struct {
	name string
	addr netip.AddrPort
	srv  *http.Server
	bin  http.Handler

	mu   sync.Mutex
	seen []seen
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

// ServeHTTP notes the request and lets httpbin answer.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, seen{
		method: r.Method, path: r.URL.Path, host: r.Host,
		forwardedFor: r.Header.Get("X-Forwarded-For"), internal: r.Header.Get("X-Envoy-Internal") == "true",
	})
	s.mu.Unlock()
	s.bin.ServeHTTP(w, r)
}

// take returns what was seen since the last time.
func (s *service) take() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.seen
	s.seen = nil
	return got
}
