package proxy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func retries(on string, n uint32, codes ...uint32) *routev3.RetryPolicy {
	return &routev3.RetryPolicy{
		RetryOn: on, NumRetries: wrapperspb.UInt32(n), RetriableStatusCodes: codes,
		RetryHostPredicate: []*routev3.RetryPolicy_RetryHostPredicate{{Name: "envoy.retry_host_predicates.previous_hosts"}},

		HostSelectionRetryMaxAttempts: 5,
		RetryBackOff:                  &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(time.Millisecond)},
	}
}

// TestConnectFailureGoesElsewhere has one endpoint of three that listens. No
// byte was sent before, so a POST is tried again, too.
func TestConnectFailureGoesElsewhere(t *testing.T) {
	var shadowed atomic.Int32
	good := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Attempt", r.Header.Get("X-Envoy-Attempt-Count"))
		echo(w, r)
	})
	s := newScene(good, backend(t, func(http.ResponseWriter, *http.Request) { shadowed.Add(1) }))
	s.clusters[0] = static("primary", refused(t), refused(t), good)
	s.action.RetryPolicy = retries("connect-failure", 10)
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	attempts := map[string]bool{}
	const n = 30
	for i := range n {
		c.send("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", i)
		resp, body := c.response("POST")
		if want := fmt.Sprintf("POST /%d hello", i); resp.StatusCode != 200 || body != want {
			t.Fatalf("%d %q, want %q", resp.StatusCode, body, want)
		}
		attempts[resp.Header.Get("X-Attempt")] = true
		if got := sink.wait(t, traffic.Answered, i).primary; got.Flags != "-" || got.Upstream != good {
			t.Errorf("recorded %+v", got)
		}
	}
	if !attempts["3"] { // past both dead ones
		t.Errorf("attempts seen: %v", attempts)
	}
	wantCompleted(t, p, n)
	if shadowed.Load() != n {
		t.Errorf("%d copies", shadowed.Load())
	}
}

// TestStatusRetryReplaysBody fails twice before it answers.
func TestStatusRetryReplaysBody(t *testing.T) {
	var tries atomic.Int32
	var mu sync.Mutex
	var bodies, attempts []string
	primary := peer(t, func(w *wire) {
		for r, body := w.request(); r != nil; r, body = w.request() {
			mu.Lock()
			bodies, attempts = append(bodies, body), append(attempts, r.Header.Get("X-Envoy-Attempt-Count"))
			mu.Unlock()
			if tries.Add(1)%3 != 0 {
				w.send("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nfail")
			} else {
				w.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
			}
		}
	})
	s := newScene(primary)
	s.action.RetryPolicy = retries("retriable-status-codes", 2, 503)
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := client(t)
	for _, body := range []string{"", "x", strings.Repeat("body ", 20000)} {
		for _, hide := range []bool{false, true} {
			bodies, attempts = nil, nil
			r := http.NoBody
			req, _ := http.NewRequest("POST", "http://"+addr, r)
			if body != "" {
				req, _ = http.NewRequest("POST", "http://"+addr, strings.NewReader(body))
				if hide {
					req, _ = http.NewRequest("POST", "http://"+addr, unsized{strings.NewReader(body)})
				}
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			mu.Lock()
			if resp.StatusCode != 200 || !slices.Equal(bodies, []string{body, body, body}) || !slices.Equal(attempts, []string{"1", "2", "3"}) {
				t.Errorf("%d after attempts %v with %d bodies", resp.StatusCode, attempts, len(bodies))
			}
			mu.Unlock()
		}
	}
}

func TestRetriesExhausted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		primary func(t *testing.T) string
		policy  *routev3.RetryPolicy
		status  int
		flags   string
		body    string
	}{
		{
			"status", func(t *testing.T) string {
				return backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); fmt.Fprint(w, "own words") })
			},
			retries("5xx", 2), 503, "URX", "own words",
		},
		{
			"connection", func(t *testing.T) string { return refused(t) }, retries("connect-failure", 2), 503, "UF,URX",
			"upstream connect error or disconnect/reset before headers. retried and the latest reset reason: " +
				"remote connection failure, transport failure reason: delayed connect error: Connection refused",
		},
		{
			"reset", func(t *testing.T) string { return peer(t, resetAtOnce) }, retries("reset", 1), 503, "UC,URX",
			"upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination",
		},
		{
			"per-try timeout", func(t *testing.T) string { return peer(t, noAnswer) },
			func() *routev3.RetryPolicy {
				r := retries("5xx", 1)
				r.PerTryTimeout = durationpb.New(50 * time.Millisecond)
				return r
			}(), 504, "UT,URX", "upstream request timeout",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(tt.primary(t))
			s.action.RetryPolicy = tt.policy
			sink := &recorder{}
			p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if resp, body := c.response("GET"); resp.StatusCode != tt.status || body != tt.body {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
			if got := sink.wait(t, traffic.Answered, 0).primary; got.Flags != tt.flags {
				t.Errorf("flags %s, want %s", got.Flags, tt.flags)
			}
			if n := stat(p, "cluster.primary.upstream_rq_retry"); n != uint64(tt.policy.NumRetries.Value) {
				t.Errorf("%d retries", n)
			}
		})
	}
}

func stat(p *proxy.Proxy, name string) uint64 {
	for _, s := range p.Status().Stats {
		if s.Name == name {
			return s.Value
		}
	}
	return 0
}

// TestPerTryTimeout has an endpoint that hangs and one that does not.
func TestPerTryTimeout(t *testing.T) {
	good := backend(t, echo)
	s := newScene(good)
	s.clusters[0] = static("primary", peer(t, noAnswer), good)
	s.action.RetryPolicy = retries("reset", 3)
	s.action.RetryPolicy.PerTryTimeout = durationpb.New(50 * time.Millisecond)
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 6 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.response("GET"); resp.StatusCode != 200 {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
}

// TestNoRetryAfterAnswerHasBegun breaks off an answer.
func TestNoRetryAfterAnswerHasBegun(t *testing.T) {
	var tries atomic.Int32
	primary := peer(t, func(w *wire) {
		if r, _ := w.request(); r != nil {
			tries.Add(1)
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
		}
	})
	s := newScene(primary)
	s.action.RetryPolicy = retries("5xx,reset", 5)
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	all, _ := c.rest()
	if strings.Count(all, "HTTP/1.1 ") != 1 || tries.Load() != 1 {
		t.Errorf("%d tries, %q", tries.Load(), all)
	}
}

// TestDeadPooledConnection ends keep-alive connections at the moment when their
// second request comes. What may be sent again is, once; POST never.
func TestDeadPooledConnection(t *testing.T) {
	for _, tt := range []struct {
		method string
		body   string
		again  bool
	}{{"GET", "", true}, {"PUT", "hello", true}, {"DELETE", "", true}, {"POST", "hello", false}, {"POST", "", false}, {"PATCH", "", false}} {
		for _, end := range []func(*wire){func(*wire) {}, (*wire).reset} {
			var second atomic.Int32
			primary := peer(t, func(w *wire) {
				if r, _ := w.request(); r == nil {
					return
				}
				w.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				if r, _ := w.request(); r != nil && r.Method == tt.method {
					second.Add(1)
				}
				end(w)
			})
			sink := &recorder{}
			_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			last := -1
			var resp *http.Response
			var body string
			for second.Load() == 0 { // a connection is not always used again
				c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				c.response("GET")
				c.send("%s / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tt.method, len(tt.body), tt.body)
				resp, body = c.response(tt.method)
				last += 2
			}
			if again := resp.StatusCode == 200; again != tt.again {
				t.Errorf("%s %q: %d %q", tt.method, tt.body, resp.StatusCode, body)
			}
			got := sink.wait(t, traffic.Answered, last).primary
			if want := map[bool]string{true: "-", false: "UC"}[tt.again]; got.Flags != want {
				t.Errorf("%s: flags %s, want %s", tt.method, got.Flags, want)
			}
		}
	}
}

// TestResentOnce has a primary that answers the first connection only.
func TestResentOnce(t *testing.T) {
	var conns atomic.Int32
	primary := peer(t, func(w *wire) {
		if r, _ := w.request(); r != nil && conns.Add(1) == 1 {
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			w.request()
		}
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for i, want := range []int{200, 503} {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.response("GET"); resp.StatusCode != want {
			t.Errorf("request %d: %d %q", i, resp.StatusCode, body)
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want one fresh one", n)
	}
}
