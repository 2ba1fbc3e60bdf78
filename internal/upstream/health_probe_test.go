package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// probed is a cluster of one real endpoint under checks.
type probed struct {
	*testing.T
	c   *upstream.Cluster
	m   *upstream.Monitor
	end func()
}

// probing checks the endpoint at addr, which begins failing. The check's text
// has everything but timeout and thresholds: an endpoint that is well fails at
// the third failure in a row.
func probing(t *testing.T, addr, check string, opt upstream.MonitorOptions) *probed {
	t.Helper()
	return probingNext(t, upstream.NewSlots(nil), addr, check, opt)
}

// probingWell is probing of an endpoint that served before there were checks,
// so that it begins well.
func probingWell(t *testing.T, addr, check string) *probed {
	t.Helper()
	slots := upstream.NewSlots(nil)
	compile(t, slots, nil, static(addr))
	return probingNext(t, slots, addr, check, upstream.MonitorOptions{})
}

func probingNext(t *testing.T, slots *upstream.Slots, addr, check string, opt upstream.MonitorOptions) *probed {
	t.Helper()
	c := compile(t, slots, nil, static(addr)+"health_checks: [{timeout: 5s, unhealthy_threshold: 3, healthy_threshold: 1, "+check+"}]")
	return monitor(t, c, opt)
}

// monitor makes the checks of c until the test, or end, ends them.
func monitor(t *testing.T, c *upstream.Cluster, opt upstream.MonitorOptions) *probed {
	t.Helper()
	m := upstream.NewMonitor(opt)
	m.Serve([]*upstream.Cluster{c})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	p := &probed{t, c, m, sync.OnceFunc(func() { cancel(); wg.Wait() })}
	t.Cleanup(p.end)
	return p
}

func (p *probed) healthy() bool { return p.c.Endpoints().All[0].Ailments() == 0 }

// until waits for a condition, which comes or is a failure.
func (p *probed) until(what string, f func(upstream.CheckStats) bool) {
	p.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for patience := time.After(10 * time.Second); !f(p.c.Checks.Stats()); {
		select {
		case <-look.C:
		case <-patience:
			p.Fatalf("no %s; %+v", what, p.c.Checks.Stats())
		}
	}
}

func (p *probed) concluded(n uint64) {
	p.Helper()
	p.until("result", func(s upstream.CheckStats) bool { return s.Success+s.Failure >= n })
}

const (
	hourly = "interval: 3600s, no_traffic_interval: 3600s, "
	often  = "interval: 0.001s, no_traffic_interval: 0.001s, "
)

// answers is a server that speaks HTTP/1.1 and HTTP/2 with prior knowledge.
func answers(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestHTTPCheckRequest(t *testing.T) {
	tests := []struct{ name, check, want string }{
		{"plain", "path: /healthz", "HTTP/1.1 GET /healthz c agent=Envoy/HC"},
		{"host", "path: /healthz, host: x.example", "HTTP/1.1 GET /healthz x.example agent=Envoy/HC"},
		{"query", "path: '/a%20b?c=%2F'", "HTTP/1.1 GET /a%20b?c=%2F c agent=Envoy/HC"},
		{"method", "path: /, method: HEAD", "HTTP/1.1 HEAD / c agent=Envoy/HC"},
		{"http2", "path: /x, codec_client_type: HTTP2", "HTTP/2.0 GET /x c agent=Envoy/HC"},
		{
			"headers", "path: /, request_headers_to_add: [{header: {key: x-a, value: '50%%'}}, {header: {key: x-b, value: b}, append_action: ADD_IF_ABSENT}, {header: {key: user-agent, value: me}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]",
			"HTTP/1.1 GET / c agent=me a=50% b=b",
		},
		{
			"headers again", "path: /, request_headers_to_add: [{header: {key: x-a, value: a}}, {header: {key: x-a, value: b}}, {header: {key: x-a, value: c}, append_action: ADD_IF_ABSENT}, {header: {key: x-b, value: b}, append_action: OVERWRITE_IF_EXISTS}]",
			"HTTP/1.1 GET / c agent=Envoy/HC a=a,b",
		},
		{"header removed", "path: /, request_headers_to_remove: [user-agent]", "HTTP/1.1 GET / c agent="},
		{"body", "path: /, method: POST, send: {text: '6869'}", "HTTP/1.1 POST / c agent=Envoy/HC body=hi"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got atomic.Value
			addr := answers(t, func(_ http.ResponseWriter, r *http.Request) {
				s := fmt.Sprintf("%s %s %s %s agent=%s", r.Proto, r.Method, r.RequestURI, r.Host, r.UserAgent())
				for _, name := range []string{"a", "b"} {
					if v := r.Header["X-"+strings.ToUpper(name)]; v != nil {
						s += " " + name + "=" + strings.Join(v, ",")
					}
				}
				if b, _ := io.ReadAll(r.Body); len(b) > 0 {
					s += " body=" + string(b)
				}
				got.Store(s)
			})
			p := probing(t, addr, hourly+"http_health_check: {"+tt.check+"}", upstream.MonitorOptions{})
			p.concluded(1)
			if diff := cmp.Diff(tt.want, got.Load()); diff != "" || !p.healthy() {
				t.Errorf("healthy %v %s", p.healthy(), diff)
			}
		})
	}
}

// TestHTTPCheckVerdict has what an answer does to an endpoint that was well.
func TestHTTPCheckVerdict(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	const (
		well      = 0
		illAtOnce = 1
		illLater  = 3
	)
	tests := []struct {
		name, check string
		answer      http.HandlerFunc
		want        uint64 // failures until it is unhealthy
		network     bool
	}{
		{"200", "path: /", status(200), well, false},
		{"204", "path: /", status(204), illAtOnce, false},
		{"a redirect is not followed", "path: /", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, illAtOnce, false},
		{"204 expected", "path: /, expected_statuses: [{start: 200, end: 205}]", status(204), well, false},
		{"the end is not part of it", "path: /, expected_statuses: [{start: 200, end: 204}]", status(204), illAtOnce, false},
		{"200 not expected", "path: /, expected_statuses: [{start: 204, end: 205}]", status(200), illAtOnce, false},
		{"503", "path: /", status(503), illAtOnce, false},
		{"retriable", "path: /, retriable_statuses: [{start: 500, end: 600}]", status(503), illLater, false},
		{"expected goes before retriable", "path: /, expected_statuses: [{start: 503, end: 504}], retriable_statuses: [{start: 500, end: 600}]", status(503), well, false},
		{"body", "path: /, receive: [{text: '6f6b'}, {binary: IQ==}]", body("it is ok, they say!"), well, false},
		{"body in another order", "path: /, receive: [{text: '6f6b'}, {binary: IQ==}]", body("!ok"), illAtOnce, false},
		{"body too far", "path: /, response_buffer_size: 4, receive: [{text: '6f6b'}]", body("it is ok"), illAtOnce, false},
		{"body, all of it", "path: /, response_buffer_size: 0, receive: [{text: '6f6b'}]", body(strings.Repeat(" ", 5000) + "ok"), well, false},
		{"no answer", "path: /", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, illLater, true},
		{"half an answer", "path: /", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}, illLater, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := answers(t, tt.answer)
			check := "http_health_check: {" + tt.check + "}"
			once := probingWell(t, addr, hourly+check)
			once.concluded(1)
			if once.healthy() != (tt.want != illAtOnce) {
				t.Errorf("after one check: healthy %v", once.healthy())
			}
			once.end()

			p := probingWell(t, addr, often+check)
			if tt.want == well {
				p.concluded(4)
			} else {
				p.until("end", func(upstream.CheckStats) bool { return !p.healthy() })
			}
			p.end()
			s := p.c.Checks.Stats()
			if tt.want == well && s.Failure > 0 || tt.want != well && s.Success > 0 || s.Failure < tt.want || (s.NetworkFailure > 0) != tt.network {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestChecksReuseConnections(t *testing.T) {
	kinds := map[string]string{
		"http1": "http_health_check: {path: /}",
		"http2": "http_health_check: {path: /, codec_client_type: HTTP2}",
		"grpc":  "grpc_health_check: {}",
		"tcp":   "tcp_health_check: {send: {text: '" + fmt.Sprintf("%x", "GET / HTTP/1.1\r\nHost: x\r\n\r\n") + "'}, receive: [{text: '4f4b'}]}",
	}
	for kind, check := range kinds {
		for _, reuse := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, reuse), func(t *testing.T) {
				addr := answers(t, health("", func(w io.Writer) { _, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, 1}) }, "0"))
				var dialled atomic.Int64
				control := func(string, string, syscall.RawConn) error { dialled.Add(1); return nil }
				p := probing(t, addr, fmt.Sprintf(often+"reuse_connection: %v, %s", reuse, check), upstream.MonitorOptions{Control: control})
				p.concluded(5)
				p.end()
				if s := p.c.Checks.Stats(); s.Failure > 0 || !p.healthy() {
					t.Errorf("%+v", s)
				}
				if n := dialled.Load(); reuse && n != 1 || !reuse && n < 5 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// health answers like a gRPC health service, for the service of that name.
func health(service string, answer func(io.Writer), status string) http.HandlerFunc {
	want := append([]byte{0, 0, 0, 0, 0}, service...)
	if service != "" {
		want = append([]byte{0, 0, 0, 0, byte(len(service) + 2), 0x0a, byte(len(service))}, service...)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		if r.ProtoMajor < 2 || r.URL.Path == "/" {
			_, _ = io.WriteString(w, "OK")
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.Method != http.MethodPost || r.URL.Path != "/grpc.health.v1.Health/Check" || r.Header.Get("Content-Type") != "application/grpc" ||
			r.Header.Get("Te") != "trailers" || r.Header.Get("Grpc-Timeout") != "5000m" || string(got) != string(want) {
			w.Header().Set("Grpc-Status", "3")
			return
		}
		w.Header().Set("Trailer", "Grpc-Status")
		if answer == nil {
			w.Header().Set("Grpc-Status", status) // without a message or trailers
			w.WriteHeader(http.StatusOK)
			return
		}
		answer(w)
		w.Header().Set("Grpc-Status", status)
	}
}

func TestGRPCCheck(t *testing.T) {
	write := func(b ...byte) func(io.Writer) { return func(w io.Writer) { _, _ = w.Write(b) } }
	tests := []struct {
		name, check, service string
		answer               func(io.Writer)
		status               string
		healthy              bool
	}{
		{"serving", "", "", write(0, 0, 0, 0, 2, 8, 1), "0", true},
		{"of a service", "service_name: a.B", "a.B", write(0, 0, 0, 0, 2, 8, 1), "0", true},
		{"another field before", "", "", write(0, 0, 0, 0, 5, 0x12, 1, 'x', 8, 1), "0", true},
		{"not serving", "", "", write(0, 0, 0, 0, 2, 8, 2), "0", false},
		{"unknown", "", "", write(0, 0, 0, 0, 0), "0", false},
		{"service unknown", "", "", write(0, 0, 0, 0, 2, 8, 3), "0", false},
		{"status not OK", "", "", write(0, 0, 0, 0, 2, 8, 1), "14", false},
		{"unimplemented", "", "", nil, "12", false},
		{"OK without a message", "", "", nil, "0", false},
		{"compressed", "", "", write(1, 0, 0, 0, 2, 8, 1), "0", false},
		{"cut", "", "", write(0, 0, 0, 0, 3, 8, 1), "0", false},
		{"two messages", "", "", write(0, 0, 0, 0, 2, 8, 1, 0, 0, 0, 0, 2, 8, 1), "0", false},
		{"garbage", "", "", write(0, 0, 0, 0, 2, 0xff, 0xff), "0", false},
		{"another service is asked for", "service_name: a.C", "a.B", write(0, 0, 0, 0, 2, 8, 1), "0", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := answers(t, health(tt.service, tt.answer, tt.status))
			p := probing(t, addr, hourly+"grpc_health_check: {"+tt.check+"}", upstream.MonitorOptions{})
			p.concluded(1)
			if s := p.c.Checks.Stats(); p.healthy() != tt.healthy || s.NetworkFailure > 0 {
				t.Errorf("healthy %v, %+v", p.healthy(), s)
			}
		})
	}
}

func TestGRPCCheckHead(t *testing.T) {
	var got atomic.Value
	addr := answers(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Host + " " + r.Header.Get("X-A") + " " + r.UserAgent())
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	p := probing(t, addr, hourly+"grpc_health_check: {authority: x.example, initial_metadata: [{header: {key: x-a, value: a}}]}", upstream.MonitorOptions{})
	p.concluded(1)
	if got.Load() != "x.example a Envoy/HC" || p.healthy() {
		t.Errorf("%v, healthy %v", got.Load(), p.healthy())
	}
}

func TestTCPCheck(t *testing.T) {
	tests := []struct {
		name, check string
		serve       func(net.Conn)
		healthy     bool
	}{
		{"connects", "{}", func(net.Conn) {}, true},
		{"nothing to expect", "{send: {text: '00'}}", func(net.Conn) {}, true},
		{"answers", "{send: {text: '70696e67'}, receive: [{text: '706f6e67'}]}", func(c net.Conn) {
			b := make([]byte, 4)
			if _, err := io.ReadFull(c, b); err == nil && string(b) == "ping" {
				_, _ = io.WriteString(c, "po")
				_, _ = io.WriteString(c, "ng")
			}
		}, true},
		{"greets, with more between", "{receive: [{binary: YQ==}, {binary: Yg==}]}", func(c net.Conn) { _, _ = io.WriteString(c, "1a2b3") }, true},
		{"greets in another way", "{receive: [{binary: YQ==}, {binary: Yg==}]}", func(c net.Conn) { _, _ = io.WriteString(c, "ba") }, false},
		{"says too much", "{receive: [{binary: YQ==}]}", func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("x", 100<<10)) }, false},
		{"hangs up", "{receive: [{binary: YQ==}]}", func(net.Conn) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			defer ln.Close()
			wg.Go(func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					tt.serve(c)
					c.Close()
				}
			})
			p := probing(t, ln.Addr().String(), hourly+"tcp_health_check: "+tt.check, upstream.MonitorOptions{})
			p.concluded(1)
			if s := p.c.Checks.Stats(); p.healthy() != tt.healthy || (s.NetworkFailure == 1) == tt.healthy {
				t.Errorf("healthy %v, %+v", p.healthy(), s)
			}
			p.end()
		})
	}
}

func TestTCPCheckTimeout(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // it never accepts, the kernel does
	p := probing(t, ln.Addr().String(), hourly+"tcp_health_check: {receive: [{binary: YQ==}]}", upstream.MonitorOptions{})
	p.until("check", func(s upstream.CheckStats) bool { return s.Attempt == 1 })
	begun := time.Now()
	p.end() // ends the check under way, and does not wait for its timeout
	if d := time.Since(begun); d > 4*time.Second || p.healthy() {
		t.Errorf("Run took %v to end", d)
	}
}

func TestCheckRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	p := probing(t, addr, often+"http_health_check: {path: /}", upstream.MonitorOptions{})
	p.concluded(3)
	p.end()
	if s := p.c.Checks.Stats(); s.Success > 0 || s.NetworkFailure != s.Failure || p.healthy() {
		t.Errorf("%+v", s)
	}
}
