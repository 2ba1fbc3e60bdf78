package proxy_test

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

const upstreamError = "upstream connect error or disconnect/reset before headers. reset reason: "

func noAnswer(w *wire) {
	w.request()
	_, _ = w.rest()
}

func closeAtOnce(w *wire) { w.request() }

func resetAtOnce(w *wire) {
	w.request()
	w.reset()
}

// TestNoAnswer is about what the client, and the access log, get when the
// primary gives no answer.
func TestNoAnswer(t *testing.T) {
	const connected = "upstream_reset_before_response_started{"
	for _, tt := range []struct {
		name    string
		primary func(t *testing.T) string
		status  int
		body    string
		want    answer // but for Cluster, Status, Bytes and Outcome
	}{
		{
			name: "refused", primary: func(t *testing.T) string { return refused(t) }, status: 503,
			body: upstreamError + "remote connection failure, transport failure reason: delayed connect error: Connection refused",
			want: answer{
				Flags: "UF", Details: connected + "remote_connection_failure|delayed_connect_error:_Connection_refused}",
				Failure: "delayed connect error: Connection refused",
			},
		},
		{
			name: "no connection in time", primary: func(t *testing.T) string { return blackhole(t) }, status: 503,
			body: upstreamError + "connection timeout", want: answer{Flags: "UF", Details: connected + "connection_timeout}"},
		},
		{
			name: "no answer in time", primary: func(t *testing.T) string { return peer(t, noAnswer) }, status: 504,
			body: "upstream request timeout", want: answer{Flags: "UT", Details: "response_timeout"},
		},
		{
			name: "closed", primary: func(t *testing.T) string { return peer(t, closeAtOnce) }, status: 503,
			body: upstreamError + "connection termination", want: answer{Flags: "UC", Details: connected + "connection_termination}"},
		},
		{
			name: "reset", primary: func(t *testing.T) string { return peer(t, resetAtOnce) }, status: 503,
			body: upstreamError + "connection termination", want: answer{Flags: "UC", Details: connected + "connection_termination}"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(tt.primary(t))
			s.action.Timeout = durationpb.New(400 * time.Millisecond)
			s.clusters[0].ConnectTimeout = durationpb.New(200 * time.Millisecond)
			sink := &recorder{}
			_, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			for i := range 2 { // the client's connection stays
				c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, body := c.response("GET")
				if resp.StatusCode != tt.status || body != tt.body || resp.Header.Get("Content-Type") != "text/plain" || resp.Close {
					t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
				}
				want := tt.want
				want.Cluster, want.Status, want.Bytes, want.Outcome = "primary", tt.status, int64(len(tt.body)), "completed"
				got := sink.wait(t, traffic.Answered, i)
				want.Upstream = got.primary.Upstream
				if diff := cmp.Diff(want, got.primary); diff != "" || want.Upstream == "" {
					t.Errorf("upstream %q (-want +got)\n%s", want.Upstream, diff)
				}
			}
		})
	}
}

// TestTimeoutBeforeConnection has a route whose timeout ends before that of its
// cluster's connections.
func TestTimeoutBeforeConnection(t *testing.T) {
	s := newScene(blackhole(t))
	s.action.Timeout = durationpb.New(100 * time.Millisecond)
	s.clusters[0].ConnectTimeout = durationpb.New(patience)
	sink := &recorder{}
	_, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, body := c.response("GET"); resp.StatusCode != 504 || body != "upstream request timeout" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if got := sink.wait(t, traffic.Answered, 0).primary; got.Flags != "UT" {
		t.Errorf("recorded %+v", got)
	}
}

func direct(status uint32, body string) *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
		Status: status, Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}},
	}}
}

func faulty(t *testing.T, f *faultv3.HTTPFault) map[string]*anypb.Any {
	a, err := anypb.New(f)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*anypb.Any{"envoy.filters.http.fault": a}
}

func always() *typev3.FractionalPercent { return &typev3.FractionalPercent{Numerator: 100} }

func fixedDelay(d time.Duration) *commonfaultv3.FaultDelay {
	return &commonfaultv3.FaultDelay{
		FaultDelaySecifier: &commonfaultv3.FaultDelay_FixedDelay{FixedDelay: durationpb.New(d)}, Percentage: always(),
	}
}

// TestOwnAnswers is about requests that never get to an endpoint. None of them
// is mirrored.
func TestOwnAnswers(t *testing.T) {
	s := newScene(backend(t, echo), refused(t))
	s.clusters = append(s.clusters, static("empty"))
	abort := &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: 555}, Percentage: always()}
	delay := fixedDelay(50 * time.Millisecond)
	forward := func(cluster string) *routev3.Route_Route {
		return &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier:      &routev3.RouteAction_Cluster{Cluster: cluster},
			RequestMirrorPolicies: s.action.RequestMirrorPolicies,
		}}
	}
	s.routes = []*routev3.Route{
		{Name: "direct", Match: prefix("/direct"), Action: direct(418, "tea")},
		{Name: "redirect", Match: prefix("/redirect"), Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{
			HostRedirect: "elsewhere", PathRewriteSpecifier: &routev3.RedirectAction_PathRedirect{PathRedirect: "/there"},
			ResponseCode: routev3.RedirectAction_FOUND,
		}}},
		{Name: "empty", Match: prefix("/empty"), Action: forward("empty")},
		{Name: "abort", Match: prefix("/abort"), Action: forward("primary"), TypedPerFilterConfig: faulty(t, &faultv3.HTTPFault{Abort: abort})},
		{Name: "both", Match: prefix("/both"), Action: forward("primary"), TypedPerFilterConfig: faulty(t, &faultv3.HTTPFault{Abort: abort, Delay: delay})},
		{Name: "delay", Match: prefix("/delay"), Action: forward("primary"), TypedPerFilterConfig: faulty(t, &faultv3.HTTPFault{Delay: delay})},
	}
	s.action.ClusterSpecifier = &routev3.RouteAction_ClusterHeader{ClusterHeader: "x-cluster"}
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	for i, tt := range []struct {
		path, route    string
		status         int
		body           string
		flags, details string
		cluster        string
	}{
		{"/direct", "direct", 418, "tea", "-", "direct_response", ""},
		{"/redirect", "redirect", 302, "", "-", "direct_response", ""},
		{"/empty", "empty", 503, "no healthy upstream", "UH", "no_healthy_upstream", "empty"},
		{"/abort", "abort", 555, "fault filter abort", "FI", "fault_filter_abort", ""},
		{"/both", "both", 555, "fault filter abort", "DI,FI", "fault_filter_abort", ""},
		{"/delay", "delay", 200, "GET /delay ", "DI", "via_upstream", "primary"},
		{"/", "main", 503, "", "NC", "cluster_not_found", ""},
	} {
		c.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", tt.path)
		resp, body := c.response("GET")
		if resp.StatusCode != tt.status || body != tt.body || resp.Close {
			t.Errorf("%s: %d %q, close %v", tt.path, resp.StatusCode, body, resp.Close)
		}
		if tt.route == "redirect" && resp.Header.Get("Location") != "http://elsewhere/there" {
			t.Errorf("location %q", resp.Header.Get("Location"))
		}
		got := sink.wait(t, traffic.Answered, i)
		have := []string{got.route, got.primary.Flags, got.primary.Details, got.primary.Cluster}
		if diff := cmp.Diff([]string{tt.route, tt.flags, tt.details, tt.cluster}, have); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.path, diff)
		}
	}
	if l := p.Status().Ledger; l.Forwarded != 1 { // the one that was only delayed
		t.Errorf("%d forwarded", l.Forwarded)
	}

	// A client that waits for 100 before its body is told at once, and no more.
	c.send("POST /direct HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	if resp, body := c.response("POST"); resp.StatusCode != 418 || body != "tea" || !resp.Close {
		t.Errorf("%d %q, close %v", resp.StatusCode, body, resp.Close)
	}
	c.wantEnd("with the body unread")
}

func TestNoRoute(t *testing.T) {
	s := newScene(backend(t, echo), refused(t))
	s.match = prefix("/only")
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, body := c.response("GET"); resp.StatusCode != 404 || body != "" || resp.Header.Get("Server") != "envoy" {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
	want := answer{Outcome: "completed", Flags: "NR", Details: "route_not_found", Status: 404}
	if diff := cmp.Diff(want, sink.wait(t, traffic.Answered, 0).primary); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if l := p.Status().Ledger; l.Forwarded != 0 {
		t.Errorf("%d forwarded", l.Forwarded)
	}
}
