package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// limit sets the breakers of a cluster.
func limit(c *clusterv3.Cluster, edit func(*clusterv3.CircuitBreakers_Thresholds)) {
	th := &clusterv3.CircuitBreakers_Thresholds{TrackRemaining: true}
	edit(th)
	c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{th}}
}

// wantBreakersAtRest wants nothing counted any more but the connections there.
func wantBreakersAtRest(t *testing.T, p *proxy.Proxy, th *clusterv3.CircuitBreakers_Thresholds) {
	t.Helper()
	wantQuiet(t, p)
	const prefix = "cluster.primary.circuit_breakers.default."
	orElse := func(v *wrapperspb.UInt32Value, n uint64) uint64 {
		if v == nil {
			return n
		}
		return uint64(v.GetValue())
	}
	eventually(t, "the breakers to be at rest", func() bool {
		return stat(p, prefix+"remaining_pending") == orElse(th.MaxPendingRequests, 1024) &&
			stat(p, prefix+"remaining_rq") == orElse(th.MaxRequests, 1024) &&
			stat(p, prefix+"remaining_retries") == orElse(th.MaxRetries, 3) &&
			stat(p, prefix+"remaining_cx")+stat(p, "cluster.primary.upstream_cx_active") == orElse(th.MaxConnections, 1024)
	})
}

// TestOneConnectionForAll lets ten clients share one connection.
func TestOneConnectionForAll(t *testing.T) {
	for _, up := range []protocol{h1, h2c} {
		for _, down := range []protocol{h1, h2c} {
			t.Run(fmt.Sprintf("%s to %s", down, up), func(t *testing.T) {
				var now atomic.Int32
				primary := up.backend(t, func(w http.ResponseWriter, r *http.Request) {
					if n := now.Add(1); n > 1 && up == h1 {
						t.Errorf("%d requests at a time", n)
					}
					body, _ := io.ReadAll(r.Body)
					now.Add(-1)
					_, _ = w.Write(body)
				})
				s := newScene(primary, up.backend(t, echo)).over(t, up, up)
				limit(s.clusters[0], func(th *clusterv3.CircuitBreakers_Thresholds) { th.MaxConnections = wrapperspb.UInt32(1) })
				p, addr := serve(t, s, proxy.Options{Concurrency: 1})
				c := down.client(t)
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						for range 20 {
							resp, err := c.Post("http://"+addr, "", strings.NewReader("body"))
							if err != nil {
								t.Error(err)
								return
							}
							got, err := io.ReadAll(resp.Body)
							resp.Body.Close()
							if resp.StatusCode != 200 || string(got) != "body" || err != nil {
								t.Errorf("%d %q %v", resp.StatusCode, got, err)
							}
						}
					})
				}
				all.Wait()
				wantCompleted(t, p, 200)
				if n := p.Status().Clusters[0].Endpoints[0].CxTotal; n != 1 && loop.Driver == "epoll" {
					t.Errorf("%d connections", n)
				}
				wantBreakersAtRest(t, p, s.clusters[0].CircuitBreakers.Thresholds[0])
			})
		}
	}
}

// held is a primary that answers when told.
func held(t *testing.T, up protocol) (addr string, came, may chan bool) {
	came, may = make(chan bool, 100), make(chan bool)
	return up.backend(t, func(http.ResponseWriter, *http.Request) {
		came <- true
		<-may
	}), came, may
}

func TestPendingOverflow(t *testing.T) {
	primary, came, may := held(t, h1)
	s := newScene(primary, backend(t, echo))
	limit(s.clusters[0], func(th *clusterv3.CircuitBreakers_Thresholds) {
		th.MaxConnections, th.MaxPendingRequests = wrapperspb.UInt32(1), wrapperspb.UInt32(2)
	})
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	waiters := make([]*wire, 3)
	for i := range waiters {
		waiters[i] = dial(t, addr)
		waiters[i].send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "it to wait", func() bool { return stat(p, "cluster.primary.upstream_rq_pending_active") == uint64(i) })
		if i == 0 {
			<-came
		}
	}
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	resp, body := c.response("POST")
	if resp.StatusCode != 503 || resp.Header.Get("X-Envoy-Overloaded") != "true" || !strings.HasSuffix(body, "reset reason: overflow") {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
	if got := sink.wait(t, traffic.Answered, 0); got.primary.Flags != "UO" {
		t.Errorf("recorded %+v", got.primary)
	}
	_ = waiters[2].Close() // one that waits leaves
	eventually(t, "it to be forgotten", func() bool { return stat(p, "cluster.primary.upstream_rq_pending_active") == 1 })
	close(may)
	for _, w := range waiters[:2] {
		if resp, _ := w.response("GET"); resp.StatusCode != 200 {
			t.Errorf("a request that waited: %d", resp.StatusCode)
		}
	}
	wantBreakersAtRest(t, p, s.clusters[0].CircuitBreakers.Thresholds[0])
	// A request that no endpoint was given has no copy, and is not forwarded.
	if l := p.Status().Ledger; l.Forwarded != 2 || outcome(p, 0, "completed") != 2 {
		t.Errorf("%+v", l)
	}
}

func TestMaxRequests(t *testing.T) {
	for _, up := range []protocol{h1, h2c} {
		t.Run(string(up), func(t *testing.T) {
			primary, came, may := held(t, up)
			s := newScene(primary).over(t, up)
			limit(s.clusters[0], func(th *clusterv3.CircuitBreakers_Thresholds) { th.MaxRequests = wrapperspb.UInt32(2) })
			p, addr := serve(t, s, proxy.Options{Concurrency: 1})
			f := dialFrames(t, addr)
			f.ask(1, "GET", "/", true)
			f.ask(3, "GET", "/", true)
			<-came
			<-came
			f.ask(5, "GET", "/", true)
			if status, body := f.answered(5); status != "503" || !strings.HasSuffix(body, "overflow") {
				t.Errorf("%s %q", status, body)
			}
			_ = f.WriteRSTStream(3, http2.ErrCodeCancel) // makes room
			eventually(t, "room", func() bool { return stat(p, "cluster.primary.circuit_breakers.default.remaining_rq") == 1 })
			f.ask(7, "GET", "/", true)
			<-came
			close(may)
			for range 2 {
				if h := want[*http2.MetaHeadersFrame](f); h.PseudoValue("status") != "200" {
					t.Errorf("%v", h)
				}
			}
			wantBreakersAtRest(t, p, s.clusters[0].CircuitBreakers.Thresholds[0])
		})
	}
}

// TestMaxRetries lets one retry run at a time.
func TestMaxRetries(t *testing.T) {
	var tries atomic.Int32
	came, may := make(chan bool, 10), make(chan bool)
	primary := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) == 2 { // the first one's second try
			came <- true
			<-may
			return
		}
		w.WriteHeader(500)
	})
	s := newScene(primary)
	s.action.RetryPolicy = retries("5xx", 1)
	limit(s.clusters[0], func(th *clusterv3.CircuitBreakers_Thresholds) { th.MaxRetries = wrapperspb.UInt32(1) })
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	one, two := dial(t, addr), dial(t, addr)
	one.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	two.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := two.response("GET"); resp.StatusCode != 500 {
		t.Errorf("without a retry: %d", resp.StatusCode)
	}
	if got := sink.wait(t, traffic.Answered, 0); got.primary.Flags != "UO" {
		t.Errorf("recorded %+v", got.primary)
	}
	close(may)
	if resp, _ := one.response("GET"); resp.StatusCode != 200 {
		t.Errorf("retried: %d", resp.StatusCode)
	}
	if n := stat(p, "cluster.primary.upstream_rq_retry_overflow"); n != 1 {
		t.Errorf("%d retries refused", n)
	}
	wantBreakersAtRest(t, p, s.clusters[0].CircuitBreakers.Thresholds[0])
}

// TestShadowsHaveNoBreakers limits the shadow's cluster to nothing.
func TestShadowsHaveNoBreakers(t *testing.T) {
	for _, shadow := range []protocol{h1, h2c} {
		s := newScene(backend(t, echo), shadow.backend(t, echo)).over(t, h1, shadow)
		limit(s.clusters[1], func(th *clusterv3.CircuitBreakers_Thresholds) {
			th.MaxConnections, th.MaxPendingRequests, th.MaxRequests = wrapperspb.UInt32(0), wrapperspb.UInt32(0), wrapperspb.UInt32(0)
		})
		p, addr := serve(t, s, proxy.Options{Concurrency: 1})
		get(t, addr, 20)
		wantCompleted(t, p, 20)
	}
}

// TestRefusedStreamWithOneConnection has a stream refused where no second
// connection may be made.
func TestRefusedStreamWithOneConnection(t *testing.T) {
	var tries atomic.Int32
	up := framed(t, nil, func(f *frames) {
		for h := f.requestHead(); h != nil; h = f.requestHead() {
			if tries.Add(1) == 1 {
				_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
			} else {
				f.head(h.StreamID, true, ":status", "200")
			}
		}
	})
	s := newScene(up).over(t, h2c)
	limit(s.clusters[0], func(th *clusterv3.CircuitBreakers_Thresholds) { th.MaxConnections = wrapperspb.UInt32(1) })
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
	if resp, body := c.response("POST"); resp.StatusCode != 200 {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	wantBreakersAtRest(t, p, s.clusters[0].CircuitBreakers.Thresholds[0])
}
