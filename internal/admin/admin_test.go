package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/admin"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// fakeProxy has a status that tests set, and counts drains.
type fakeProxy struct {
	status proxy.Status
	drains int
}

func (p *fakeProxy) Status() proxy.Status { return p.status }
func (p *fakeProxy) DrainListeners()      { p.drains++ }

func serving() *fakeProxy {
	return &fakeProxy{status: proxy.Status{
		Snapshot: &envoy.Snapshot{
			Clusters: []*cluster.Cluster{{Name: "a", CircuitBreakers: &cluster.CircuitBreakers{
				Thresholds: []*cluster.CircuitBreakers_Thresholds{{MaxRequests: wrapperspb.UInt32(7)}},
			}}},
			Routes:    []*route.RouteConfiguration{{Name: "15001"}},
			Endpoints: []*endpoint.ClusterLoadAssignment{{ClusterName: "a"}},
		},
		Applied:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Listeners: []proxy.ListenerStatus{{Name: "0.0.0.0_80", Address: netip.MustParseAddrPort("127.0.0.1:8080")}},
		Clusters: []proxy.ClusterStatus{{Name: "a", Endpoints: []proxy.EndpointStatus{{
			Address: netip.MustParseAddrPort("127.0.0.1:28001"), Weight: 1, CxActive: 1, CxTotal: 2, RqTotal: 3, RqSuccess: 3,
		}}}},
		Ledger: mirror.Report{Forwarded: 3, Routes: []mirror.RouteReport{
			{Route: "r", Forwarded: 2, Mirrors: []mirror.MirrorReport{{
				Cluster: "s", Share: 0.5, InForce: 0.25, Outcomes: map[string]uint64{"completed": 2},
				Brake: &mirror.BrakeReport{
					Factor: 0.5, Cause: "p99", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), StepsDown: 1,
					RatioP99: &mirror.RatioReport{Value: 1.5, Low: 1.25},
				},
			}}},
			{Route: "plain", Forwarded: 1},
		}},
		Stats: []proxy.Stat{
			{Name: "http.p.downstream_rq_total", Value: 3},
			{Name: "cluster.a.upstream_rq_total", Value: 3},
			{Name: "cluster.a.upstream_cx_active", Gauge: true, Value: 1},
			{Name: "cluster.a.upstream_rq_5xx"},
		},
	}}
}

func newServer(p *fakeProxy) *admin.Server {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") })
	return admin.New(admin.NewState(p, time.Now().Add(-90*time.Second)), p, admin.Options{
		Version: "v9", Metrics: metrics, CommandLine: &adminv3.CommandLineOptions{Concurrency: 2},
	})
}

func do(h http.Handler, method, target string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, target, nil))
	return rec
}

func TestReadyFollowsTheState(t *testing.T) {
	p := &fakeProxy{}
	s := newServer(p)
	check := func(code int, body string) {
		t.Helper()
		if rec := do(s, "GET", "/ready"); rec.Code != code || rec.Body.String() != body {
			t.Errorf("got %d %q, want %d %q", rec.Code, rec.Body, code, body)
		}
	}
	check(503, "PRE_INITIALIZING\n")
	p.status = serving().status
	check(200, "LIVE\n")
	if rec := do(s, "GET", "/drain_listeners"); rec.Code != 405 || rec.Body.String() != "Method GET not allowed, POST required." || rec.Header().Get("Allow") != "POST" {
		t.Errorf("GET /drain_listeners: %d %q", rec.Code, rec.Body)
	}
	if p.drains != 0 {
		t.Error("GET drained")
	}
	if rec := do(s, "POST", "/drain_listeners"); rec.Code != 200 || rec.Body.String() != "OK\n" || p.drains != 1 {
		t.Errorf("POST /drain_listeners: %d %q, %d drains", rec.Code, rec.Body, p.drains)
	}
	check(503, "DRAINING\n")
}

func TestForeignPagesCannotPost(t *testing.T) {
	p := serving()
	s := newServer(p)
	for name, header := range map[string][2]string{
		"by fetch metadata": {"Sec-Fetch-Site", "cross-site"},
		"by origin":         {"Origin", "http://evil.example"},
	} {
		r := httptest.NewRequest("POST", "/drain_listeners", nil)
		r.Header.Set(header[0], header[1])
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		if rec.Code != 403 || p.drains != 0 {
			t.Errorf("%s: %d, %d drains", name, rec.Code, p.drains)
		}
	}
}

func TestTextPages(t *testing.T) {
	s := newServer(serving())
	tests := []struct {
		target, want string
	}{
		{"/listeners", "0.0.0.0_80::127.0.0.1:8080\n"},
		{"/stats?filter=^cluster", "cluster.a.upstream_cx_active: 1\ncluster.a.upstream_rq_5xx: 0\ncluster.a.upstream_rq_total: 3\n"},
		{"/stats?usedonly&filter=rq", "cluster.a.upstream_rq_total: 3\nhttp.p.downstream_rq_total: 3\n"},
		{"/stats?type=Gauges&filter=cluster", "cluster.a.upstream_cx_active: 1\n"},
		{"/stats?filter=server", "server.live: 1\nserver.state: 0\nserver.uptime: 90\n"},
		{"/stats?type=Histograms", ""},
		{"/stats/prometheus?usedonly", "metrics"},
		{"/stats?format=prometheus", "metrics"},
		{"/clusters", `a::observability_name::a
a::default_priority::max_connections::1024
a::default_priority::max_pending_requests::1024
a::default_priority::max_requests::7
a::default_priority::max_retries::3
a::high_priority::max_connections::1024
a::high_priority::max_pending_requests::1024
a::high_priority::max_requests::1024
a::high_priority::max_retries::3
a::added_via_api::true
a::127.0.0.1:28001::cx_active::1
a::127.0.0.1:28001::cx_connect_fail::0
a::127.0.0.1:28001::cx_total::2
a::127.0.0.1:28001::rq_active::0
a::127.0.0.1:28001::rq_error::0
a::127.0.0.1:28001::rq_success::3
a::127.0.0.1:28001::rq_timeout::0
a::127.0.0.1:28001::rq_total::3
a::127.0.0.1:28001::hostname::
a::127.0.0.1:28001::health_flags::healthy
a::127.0.0.1:28001::weight::1
a::127.0.0.1:28001::region::
a::127.0.0.1:28001::zone::
a::127.0.0.1:28001::sub_zone::
a::127.0.0.1:28001::canary::false
a::127.0.0.1:28001::priority::0
a::127.0.0.1:28001::success_rate::-1
a::127.0.0.1:28001::local_origin_success_rate::-1
`},
	}
	for _, tt := range tests {
		rec := do(s, "GET", tt.target)
		if diff := cmp.Diff(tt.want, rec.Body.String()); rec.Code != 200 || diff != "" {
			t.Errorf("%s: %d %s", tt.target, rec.Code, diff)
		}
	}
}

func TestJSONPages(t *testing.T) {
	s := newServer(serving())
	tests := []struct{ target, want string }{
		{"/listeners?format=json", `{"listener_statuses":[{"name":"0.0.0.0_80","local_address":{"socket_address":{"address":"127.0.0.1","port_value":8080}}}]}`},
		{"/clusters?format=json", `{"cluster_statuses":[{"name":"a","added_via_api":true,"observability_name":"a","host_statuses":[{
			"address":{"socket_address":{"address":"127.0.0.1","port_value":28001}},"health_status":{"eds_health_status":"HEALTHY"},"weight":1,"locality":{},
			"stats":[{"name":"cx_active","type":"GAUGE","value":"1"},{"name":"cx_connect_fail"},{"name":"cx_total","value":"2"},{"name":"rq_active","type":"GAUGE"},
			{"name":"rq_error"},{"name":"rq_success","value":"3"},{"name":"rq_timeout"},{"name":"rq_total","value":"3"}]}]}]}`},
		{"/stats?format=json&filter=rq_total", `{"stats":[{"name":"cluster.a.upstream_rq_total","value":3},{"name":"http.p.downstream_rq_total","value":3}]}`},
		{"/ledger", `{"forwarded":3,"routes":[{"route":"r","forwarded":2,"mirrors":[{"cluster":"s","share":0.5,"share_in_force":0.25,"outcomes":{"completed":2},
			"brake":{"factor":0.5,"cause":"p99","since":"2026-01-02T03:04:05Z","steps_down":1,"ratio_p99":{"value":1.5,"low":1.25}}}]},{"route":"plain","forwarded":1,"mirrors":[]}]}`},
		{"/config_dump?resource=dynamic_route_configs", `{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.RoutesConfigDump.DynamicRouteConfig","version_info":"` +
			serving().status.Snapshot.Version() + `","route_config":{"@type":"type.googleapis.com/envoy.config.route.v3.RouteConfiguration","name":"15001"},"last_updated":"2026-01-02T03:04:05Z"}]}`},
	}
	for _, tt := range tests {
		rec := do(s, "GET", tt.target)
		var got, want any
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v in %s", tt.target, err, rec.Body)
			continue
		}
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); rec.Code != 200 || diff != "" || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %s", tt.target, rec.Code, rec.Header(), diff)
		}
	}
}

// The dump is read back by Envoy's own types; endpoints come on demand.
func TestConfigDumpParts(t *testing.T) {
	s := newServer(serving())
	for target, want := range map[string][]string{
		"/config_dump":             {"ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"},
		"/config_dump?include_eds": {"ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump", "RoutesConfigDump"},
	} {
		var dump adminv3.ConfigDump
		if err := protojson.Unmarshal(do(s, "GET", target).Body.Bytes(), &dump); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range dump.GetConfigs() {
			got = append(got, string(c.MessageName().Name()))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", target, diff)
		}
	}
}

func TestServerInfo(t *testing.T) {
	var info adminv3.ServerInfo
	if err := protojson.Unmarshal(do(newServer(serving()), "GET", "/server_info").Body.Bytes(), &info); err != nil {
		t.Fatal(err)
	}
	if info.GetVersion() != "v9" || info.GetState() != adminv3.ServerInfo_LIVE || info.GetUptimeCurrentEpoch().GetSeconds() != 90 || info.GetCommandLineOptions().GetConcurrency() != 2 {
		t.Errorf("server info %v", &info)
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(serving())
	tests := []struct {
		method, target string
		code           int
		body           string
	}{
		{"GET", "/nothing", 404, "invalid path. admin commands are:\n  /: Admin home page\n"},
		{"POST", "/stats", 405, "Method POST not allowed, GET required."},
		{"GET", "/stats?filter=(", 400, "invalid regex in ?filter="},
		{"GET", "/stats?type=Odd", 400, `type "Odd" is not known`},
		{"GET", "/clusters?format=xml", 400, `format "xml" is not known`},
		{"GET", "/stats/prometheus?filter=a", 400, "?filter= is not supported"},
		{"GET", "/config_dump?mask=a", 400, "?mask= is not supported"},
		{"GET", "/config_dump?resource=nothing", 404, "nothing not found in config dump"},
	}
	for _, tt := range tests {
		rec := do(s, tt.method, tt.target)
		if rec.Code != tt.code || !strings.HasPrefix(rec.Body.String(), tt.body) {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, rec.Code, rec.Body, tt.code, tt.body)
		}
	}
}

func TestProfiles(t *testing.T) {
	s := newServer(serving())
	for target, want := range map[string]string{
		"/debug/pprof/":                  "full goroutine stack dump",
		"/debug/pprof/goroutine?debug=1": "goroutine profile: total ",
		"/debug/pprof/cmdline":           "admin.test",
		"/debug/pprof/symbol":            "num_symbols: 1",
		"/debug/pprof/nothing":           "Unknown profile",
	} {
		if rec := do(s, "GET", target); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %q, want %q in it", target, rec.Code, rec.Body, want)
		}
	}
	if rec := do(s, "POST", "/debug/pprof/profile"); rec.Code != 405 {
		t.Errorf("POST: %d", rec.Code)
	}
}

func TestIndexAndHelpListEveryPath(t *testing.T) {
	s := newServer(serving())
	for _, target := range []string{"/", "/help"} {
		body := do(s, "GET", target).Body.String()
		for _, path := range []string{"/ledger", "/ready", "/config_dump", "/drain_listeners", "/stats/prometheus"} {
			if !strings.Contains(body, path) {
				t.Errorf("%s does not name %s", target, path)
			}
		}
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer(serving()).Run(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/ready")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}
