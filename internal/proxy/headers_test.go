package proxy_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// mirrorBack is a primary that returns the head of what it got.
func mirrorBack(t testing.TB) (addr string, heads <-chan http.Header) {
	ch := make(chan http.Header, 100)
	return backend(t, func(w http.ResponseWriter, r *http.Request) { ch <- r.Header.Clone() }), ch
}

func TestRequestID(t *testing.T) {
	for _, tt := range []struct {
		name                     string
		edge, preserve, dontMake bool
		sent                     string
		kept, fresh              bool
	}{
		{name: "made inside", fresh: true},
		{name: "made at the edge", edge: true, fresh: true},
		{name: "kept inside", sent: "mine", kept: true},
		{name: "replaced at the edge", edge: true, sent: "mine", fresh: true},
		{name: "kept at an edge that preserves it", edge: true, preserve: true, sent: "mine", kept: true},
		{name: "not made where that is off", dontMake: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			primary, heads := mirrorBack(t)
			s := newScene(primary)
			s.hcm.UseRemoteAddress = wrapperspb.Bool(tt.edge)
			s.hcm.PreserveExternalRequestId = tt.preserve
			s.hcm.GenerateRequestId = wrapperspb.Bool(!tt.dontMake)
			_, addr := serve(t, s, proxy.Options{Concurrency: 1})
			c := dial(t, addr)
			ids := map[string]bool{}
			for range 3 {
				c.send("GET / HTTP/1.1\r\nHost: x\r\n")
				if tt.sent != "" {
					c.send("X-Request-Id: %s\r\n", tt.sent)
				}
				c.send("\r\n")
				c.response("GET")
				id := (<-heads).Get("X-Request-Id")
				if tt.kept && id != tt.sent || tt.fresh && (!uuid4.MatchString(id) || ids[id]) || !tt.kept && !tt.fresh && id != "" {
					t.Errorf("x-request-id %q", id)
				}
				ids[id] = true
			}
		})
	}
}

func TestClientAddress(t *testing.T) {
	const sent = "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-Proto: https\r\n"
	for _, tt := range []struct {
		name                           string
		edge, skip                     bool
		hops                           uint32
		sent                           string
		forwarded, proto, external, ip string
	}{
		{name: "inside", proto: "http", ip: "127.0.0.1"},
		{name: "inside, behind a proxy", sent: sent, forwarded: "1.2.3.4, 5.6.7.8", proto: "https", ip: "5.6.7.8"},
		{name: "edge", edge: true, forwarded: "127.0.0.1", proto: "http", external: "127.0.0.1", ip: "127.0.0.1"},
		{
			name: "edge, the client says too much", edge: true, sent: sent + "X-Envoy-External-Address: 9.9.9.9\r\n",
			forwarded: "1.2.3.4, 5.6.7.8,127.0.0.1", proto: "http", external: "127.0.0.1", ip: "127.0.0.1",
		},
		{
			name: "edge behind one trusted proxy", edge: true, hops: 1, sent: sent,
			forwarded: "1.2.3.4, 5.6.7.8,127.0.0.1", proto: "https", external: "5.6.7.8", ip: "5.6.7.8",
		},
		{
			name: "edge behind two trusted proxies", edge: true, hops: 2, sent: sent,
			forwarded: "1.2.3.4, 5.6.7.8,127.0.0.1", proto: "https", external: "1.2.3.4", ip: "1.2.3.4",
		},
		{name: "edge that appends nothing", edge: true, skip: true, proto: "http", external: "127.0.0.1", ip: "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			primary, heads := mirrorBack(t)
			s := newScene(primary)
			s.hcm.UseRemoteAddress = wrapperspb.Bool(tt.edge)
			s.hcm.SkipXffAppend = tt.skip
			s.hcm.XffNumTrustedHops = tt.hops
			sink := &recorder{}
			_, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			for i := range 2 {
				c.send("GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", tt.sent)
				c.response("GET")
				h := <-heads
				got := []string{
					h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Proto"), h.Get("X-Envoy-External-Address"),
					sink.wait(t, traffic.Answered, i).client,
				}
				if diff := cmp.Diff([]string{tt.forwarded, tt.proto, tt.external, tt.ip}, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestUntrustedHeadersAreStripped(t *testing.T) {
	always := []string{
		"X-Envoy-Retry-On", "X-Envoy-Max-Retries", "X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Upstream-Alt-Stat-Name",
		"X-Envoy-Force-Trace", "X-Envoy-Original-Url", "X-Envoy-Ip-Tags", "X-Envoy-Retriable-Status-Codes",
	}
	edge := []string{"X-Envoy-Internal", "X-Envoy-Decorator-Operation", "X-Envoy-Downstream-Service-Cluster", "X-Envoy-Original-Path"}
	for _, useRemote := range []bool{false, true} {
		primary, heads := mirrorBack(t)
		s := newScene(primary)
		s.hcm.UseRemoteAddress = wrapperspb.Bool(useRemote)
		_, addr := serve(t, s, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n")
		for _, name := range append(append([]string{"X-Envoy-Own"}, always...), edge...) {
			c.send("%s: v\r\n", name)
		}
		c.send("\r\n")
		c.response("GET")
		h := <-heads
		for _, name := range always {
			if h.Get(name) != "" {
				t.Errorf("edge %v: %s came through", useRemote, name)
			}
		}
		for _, name := range edge {
			if (h.Get(name) != "") == useRemote {
				t.Errorf("edge %v: %s: %q", useRemote, name, h.Get(name))
			}
		}
		if h.Get("X-Envoy-Own") != "v" {
			t.Errorf("edge %v: a header of nobody's list is lost", useRemote)
		}
	}
}

func TestTimeoutAndAttemptHeaders(t *testing.T) {
	for _, tt := range []struct {
		name            string
		timeout, perTry *durationpb.Duration
		want            string
	}{
		{name: "default", want: "15000"},
		{name: "none", timeout: durationpb.New(0)},
		{name: "own", timeout: durationpb.New(1500 * time.Millisecond), want: "1500"},
		{name: "per try", timeout: durationpb.New(3 * time.Second), perTry: durationpb.New(time.Second), want: "1000"},
	} {
		primary, heads := mirrorBack(t)
		s := newScene(primary)
		s.action.Timeout = tt.timeout
		if tt.perTry != nil {
			s.action.RetryPolicy = &routev3.RetryPolicy{RetryOn: "connect-failure", PerTryTimeout: tt.perTry}
		}
		_, addr := serve(t, s, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\nX-Envoy-Expected-Rq-Timeout-Ms: 7\r\nX-Envoy-Attempt-Count: 9\r\n\r\n")
		c.response("GET")
		h := <-heads
		if got := h.Get("X-Envoy-Expected-Rq-Timeout-Ms"); got != tt.want {
			t.Errorf("%s: expected timeout %q, want %q", tt.name, got, tt.want)
		}
		if got := h.Values("X-Envoy-Attempt-Count"); len(got) != 1 || got[0] != "1" {
			t.Errorf("%s: attempt count %q", tt.name, got)
		}
	}
}

func TestResponseHeaders(t *testing.T) {
	primary := peer(t, func(w *wire) {
		for r, _ := w.request(); r != nil; r, _ = w.request() {
			w.send("HTTP/1.1 200 Fine\r\nServer: gunicorn\r\nX-Envoy-Upstream-Service-Time: 99999\r\nContent-Length: 0\r\n")
			if r.URL.Path == "/dated" {
				w.send("Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n")
			}
			w.send("\r\n")
		}
	})
	for serverName, want := range map[string]string{"": "envoy", "istio-envoy": "istio-envoy"} {
		s := newScene(primary)
		s.hcm.ServerName = serverName
		s.routes = []*routev3.Route{{Match: prefix("/direct"), Action: direct(418, "tea")}}
		_, addr := serve(t, s, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		for _, path := range []string{"/", "/dated", "/direct"} {
			c.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			resp, _ := c.response("GET")
			if got := resp.Header.Values("Server"); len(got) != 1 || got[0] != want {
				t.Errorf("%s: server %q, want %q", path, got, want)
			}
			date, err := time.Parse(http.TimeFormat, resp.Header.Get("Date"))
			if dated := path == "/dated"; err != nil || (date.Year() == 1994) != dated {
				t.Errorf("%s: date %q", path, resp.Header.Get("Date"))
			}
			times := resp.Header.Values("X-Envoy-Upstream-Service-Time")
			if path == "/direct" {
				if len(times) > 0 || resp.StatusCode != 418 {
					t.Errorf("%s: %d, service time %q", path, resp.StatusCode, times)
				}
			} else if len(times) != 1 || !regexp.MustCompile(`^[0-9]{1,4}$`).MatchString(times[0]) || resp.Status != "200 Fine" {
				t.Errorf("%s: %s, service time %q", path, resp.Status, times)
			}
		}
	}
}

// TestParseAddress compares with netip.
func TestParseAddress(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[0-9]{1,4}(\.[0-9]{1,4}){3}`), rapid.StringMatching(`[0-9.]{0,16}`), rapid.StringMatching(`[0-9a-f:.%]{0,20}`))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "address")
		want, err := netip.ParseAddr(s)
		if got, ok := proxy.ParseAddress([]byte(s)); ok != (err == nil) || ok && got != want {
			t.Fatalf("%q: %v %v, want %v %v", s, got, ok, want, err)
		}
	})
}
