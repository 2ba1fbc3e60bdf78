package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// get sends n requests and wants each answered with 200.
func get(t testing.TB, addr string, n int) {
	t.Helper()
	c := dial(t, addr)
	for range n {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.response("GET"); resp.StatusCode != 200 {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	_ = c.Close()
}

// collector is a shadow that keeps the ids of the requests it gets.
type collector struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[r.Header.Get("X-Request-Id")] = true
}

// seen is a copy of the ids so far.
func (c *collector) seen() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.ids)
}

// Rule 1: shares nest, and all mirrors of a request agree.
func TestSharesNest(t *testing.T) {
	shares := []uint32{0, 50_000, 500_000, 500_000, 1_000_000}
	shadows := make([]*collector, len(shares))
	addrs := make([]string, len(shares))
	for i := range shadows {
		shadows[i] = &collector{ids: map[string]bool{}}
		addrs[i] = backend(t, shadows[i].ServeHTTP)
	}
	s := newScene(backend(t, echo), addrs...).share(0)
	for i, m := range s.action.RequestMirrorPolicies {
		m.RuntimeFraction.DefaultValue.Numerator = shares[i]
	}
	p, addr := serve(t, s, proxy.Options{Concurrency: 2})
	const n = 600
	get(t, addr, n/2)
	get(t, addr, n/2)
	eventually(t, "all copies", func() bool {
		for i := range shares {
			if outcome(p, i, "completed")+outcome(p, i, "not_sampled") != n {
				return false
			}
		}
		return true
	})
	got := make([]int, len(shares))
	for i, s := range shadows {
		ids := s.seen()
		got[i] = len(ids)
		if i == 0 {
			continue
		}
		for id := range shadows[i-1].seen() {
			if !ids[id] {
				t.Errorf("mirror %d has a request that mirror %d, with no smaller share, lacks", i-1, i)
			}
		}
	}
	if got[0] != 0 || got[4] != n || got[2] != got[3] || got[2] < n*4/10 || got[2] > n*6/10 || got[1] > n/8 {
		t.Errorf("copies %v of %d", got, n)
	}
	r := p.Status().Ledger.Routes[0].Mirrors
	if r[0].Share != 0 || r[1].Share != 0.05 || r[4].Share != 1 {
		t.Errorf("shares %v", r)
	}
}

// Rule 4: the head of a copy.
func TestHeadOfCopy(t *testing.T) {
	for _, tt := range []struct {
		host, want string
		off        bool
	}{
		{host: "httpbin:8000", want: "httpbin-shadow:8000"},
		{host: "httpbin", want: "httpbin-shadow"},
		{host: "[::1]:80", want: "[::1]-shadow:80"},
		{host: "[::1]", want: "[::1]-shadow"},
		{host: "httpbin:8000", want: "httpbin:8000", off: true},
	} {
		primary, primaries := mirrorBack(t)
		copies := make(chan *http.Request, 1)
		shadow := backend(t, func(_ http.ResponseWriter, r *http.Request) { copies <- r.Clone(t.Context()) })
		s := newScene(primary, shadow)
		s.hcm.UseRemoteAddress = wrapperspb.Bool(true)
		s.action.PrefixRewrite = "/new/"
		s.action.RequestMirrorPolicies[0].DisableShadowHostSuffixAppend = tt.off
		sink := &recorder{}
		_, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
		c := dial(t, addr)
		c.send("GET /a?b HTTP/1.1\r\nHost: %s\r\nX-Own: 1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n", tt.host)
		c.response("GET")
		r, h := <-copies, <-primaries
		if r.Host != tt.want || r.URL.String() != "/new/a?b" || r.Header.Get("X-Own") != "1" || r.Header.Get("X-Envoy-Internal") != "true" {
			t.Errorf("%s: %s %s %v", tt.host, r.Host, r.URL, r.Header)
		}
		hop, ok := strings.CutPrefix(r.Header.Get("X-Forwarded-For"), "9.9.9.9,127.0.0.1,")
		if !ok || strings.Contains(hop, ",") || hop == "" {
			t.Errorf("x-forwarded-for %q", r.Header.Get("X-Forwarded-For"))
		}
		if h.Get("X-Forwarded-For") != "9.9.9.9,127.0.0.1" || h.Get("X-Envoy-Internal") != "" {
			t.Errorf("the primary's head has changed: %v", h)
		}
		if h.Get("X-Request-Id") != r.Header.Get("X-Request-Id") || r.Header.Get("X-Envoy-Attempt-Count") != "1" {
			t.Errorf("copy %v of %v", r.Header, h)
		}
		got := sink.wait(t, traffic.Settled, 0).shadows
		if len(got) != 1 || got[0].Authority != tt.want || got[0].Cluster != "shadow0" || got[0].Outcome != "completed" || got[0].Upstream != shadow {
			t.Errorf("recorded %+v", got)
		}
	}
}

// Rule 3: a healthy shadow gets the same bytes.
func TestBodyOfCopy(t *testing.T) {
	sums := make(chan string, 2)
	take := func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		sums <- fmt.Sprintf("%d %x %v %v %v", n, h.Sum(nil), r.TransferEncoding, r.Trailer, err)
	}
	// The buffer holds all, so that a slow machine does not count.
	s := newScene(backend(t, take), backend(t, take))
	_, addr := serve(t, s, proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Buffer: 32 << 20}})
	c := client(t)
	for _, n := range bodySizes {
		for _, chunked := range []bool{false, true} {
			body := payload(n)
			req, _ := http.NewRequest("POST", "http://"+addr, bytes.NewReader(body))
			if chunked {
				req, _ = http.NewRequest("POST", "http://"+addr, unsized{bytes.NewReader(body)})
				req.Trailer = http.Header{"X-Sum": {"1"}}
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			one, two := <-sums, <-sums
			if want := fmt.Sprintf("%d %x ", n, sha256.Sum256(body)); one != two || !strings.HasPrefix(one, want) || !strings.HasSuffix(one, "<nil>") {
				t.Errorf("%d bytes, chunked %v: %s\nand %s\nwant %s", n, chunked, one, two, want)
			}
		}
	}
}

// Rule 3: an upload much larger than the buffer flows on to a shadow that
// keeps up.
func TestUploadBeyondBuffer(t *testing.T) {
	var got atomic.Int64
	shadow := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buf)
			got.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	p, addr := serve(t, newScene(backend(t, echo), shadow), proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Buffer: 256 << 10}})
	c := dial(t, addr)
	const piece, n = 128 << 10, 32
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", piece*n)
	for i := range n {
		if _, err := c.Write(payload(piece)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the shadow to catch up", func() bool { return got.Load() == int64(i+1)*piece })
	}
	if resp, _ := c.response("POST"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	wantCompleted(t, p, 1)
}

// Rule 4: a process never mirrors its own shadows.
func TestOwnShadowIsNotMirrored(t *testing.T) {
	if loop.Driver != "epoll" {
		t.Skip("needs the connections' local addresses early")
	}
	s := newScene(backend(t, echo), "127.0.0.1:1")
	p, addr := serve(t, s, proxy.Options{Concurrency: 2})
	s.clusters[1] = static("shadow0", addr) // the proxy itself
	if err := p.Apply(s.snapshot(t)); err != nil {
		t.Fatal(err)
	}
	const n = 50
	get(t, addr, n)
	eventually(t, "every copy answered, none copied again", func() bool {
		return outcome(p, 0, "completed") == n && outcome(p, 0, "filtered") == n
	})
	if l := p.Status().Ledger; l.Forwarded != 2*n {
		t.Errorf("%d forwarded", l.Forwarded)
	}
}

// Rule 6: a complete copy goes on whatever the client does.
func TestCopyOutlivesClient(t *testing.T) {
	came, may := make(chan bool, 2), make(chan bool)
	shadow := backend(t, func(http.ResponseWriter, *http.Request) { came <- true; <-may })
	primary := peer(t, func(w *wire) {
		w.request()
		came <- true
		_, _ = w.rest()
	})
	sink := &recorder{}
	p, addr := serve(t, newScene(primary, shadow), proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	<-came
	_ = c.Close()
	if got := sink.wait(t, traffic.Answered, 0); got.primary.Flags != "DC" {
		t.Errorf("recorded %+v", got.primary)
	}
	if n := outcome(p, 0, "in_flight"); n != 1 {
		t.Errorf("%d in flight after the client has left", n)
	}
	close(may)
	if got := sink.wait(t, traffic.Settled, 0).shadows; len(got) != 1 || got[0].Outcome != "completed" || got[0].Status != 200 {
		t.Errorf("recorded %+v", got)
	}
}

// Rule 5: the newest copies are dropped when the budget is full.
func TestBudgetOfRequests(t *testing.T) {
	may := make(chan bool)
	shadow := backend(t, func(http.ResponseWriter, *http.Request) { <-may })
	sink := &recorder{}
	p, addr := serve(t, newScene(backend(t, echo), shadow), proxy.Options{Concurrency: 2, Sink: sink, Shadow: mirror.Limits{MaxRequests: 3}})
	get(t, addr, 5)
	get(t, addr, 5)
	if n, m := outcome(p, 0, "in_flight"), outcome(p, 0, "dropped_budget"); n != 3 || m != 7 {
		t.Errorf("%d in flight, %d dropped", n, m)
	}
	if got := sink.wait(t, traffic.Settled, 0).shadows; len(got) != 1 || got[0].Outcome != "dropped_budget" || got[0].Cluster != "shadow0" {
		t.Errorf("recorded %+v", got)
	}
	close(may)
	wantCompleted(t, p, 3)
	get(t, addr, 1)
	wantCompleted(t, p, 4)
	wantNoBudgetUsed(t, p)
}

func TestBudgetOfBytes(t *testing.T) {
	shadow := peer(t, func(w *wire) { // reads nothing
		_ = w.SetReadBuffer(4 << 10)
		<-t.Context().Done()
	})
	limits := mirror.Limits{MaxBytes: 512 << 10, Buffer: 64 << 20, Timeout: time.Minute}
	p, addr := serve(t, newScene(backend(t, echo), shadow), proxy.Options{Concurrency: 1, Shadow: limits})
	resp, err := client(t).Post("http://"+addr, "", bytes.NewReader(payload(24<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n < 24<<20 || err != nil {
		t.Errorf("the primary's answer: %d bytes, %v", n, err)
	}
	resp.Body.Close()
	eventually(t, "the copy dropped", func() bool { return outcome(p, 0, "dropped_budget") == 1 })
	wantNoBudgetUsed(t, p)
}

// TestFullBudgetBeginsNothing: while copies that wait fill the budget, others
// cost no connection.
func TestFullBudgetBeginsNothing(t *testing.T) {
	s := newScene(backend(t, echo), blackhole(t))
	s.clusters[1].ConnectTimeout = durationpb.New(time.Minute)
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Shadow: mirror.Limits{MaxBytes: 16 << 20, Timeout: time.Minute}})
	body := payload(256 << 10)
	for outcome(p, 0, "dropped_budget") == 0 {
		post(t, addr, body)
	}
	waiting, begun := outcome(p, 0, "in_flight"), p.Status().Clusters[1].Endpoints[0].CxTotal
	for range 10 {
		post(t, addr, body)
	}
	now := p.Status().Clusters[1].Endpoints[0].CxTotal
	if n, dropped := outcome(p, 0, "in_flight"), outcome(p, 0, "dropped_budget"); n != waiting || dropped != 11 || now != begun {
		t.Errorf("%d copies wait, then %d; %d were dropped; %d connections, then %d", waiting, n, dropped, begun, now)
	}
}

// TestBudgetCountsWhatWaits: what the network has taken counts no more, although
// the shadow does not read it.
func TestBudgetCountsWhatWaits(t *testing.T) {
	for _, up := range []protocol{h1, h2c} {
		shadow := peer(t, func(*wire) { <-t.Context().Done() })
		p, addr := serve(t, newScene(backend(t, echo), shadow).over(t, h1, up), proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Timeout: time.Minute}})
		const n = 20
		for range n {
			post(t, addr, payload(2<<10))
		}
		eventually(t, "nothing waits", func() bool {
			requests, bytes := p.BudgetsInUse()
			return requests == n && bytes == 0
		})
	}
}

func post(t *testing.T, addr string, body []byte) {
	t.Helper()
	resp, err := client(t).Post("http://"+addr, "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func TestShadowWithoutEndpoint(t *testing.T) {
	s := newScene(backend(t, echo), "127.0.0.1:1")
	s.clusters[1] = static("shadow0")
	s.action.RequestMirrorPolicies = append(s.action.RequestMirrorPolicies, &routev3.RouteAction_RequestMirrorPolicy{Cluster: "unknown"})
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	get(t, addr, 3)
	if outcome(p, 0, "no_endpoint") != 3 || outcome(p, 1, "no_endpoint") != 3 {
		t.Errorf("%+v", p.Status().Ledger)
	}
	got := sink.wait(t, traffic.Settled, 2).shadows
	if len(got) != 2 || got[0].Cluster != "shadow0" || got[1].Cluster != "unknown" || got[1].Outcome != "no_endpoint" {
		t.Errorf("recorded %+v", got)
	}
}
