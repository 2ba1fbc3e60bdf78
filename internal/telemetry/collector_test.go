package telemetry_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/telemetry"
)

type fixed proxy.Status

func (f fixed) Status() proxy.Status { return proxy.Status(f) }

func TestPrometheusNames(t *testing.T) {
	tests := []struct {
		stat, name string
		labels     []string // pairs
	}{
		{"cluster.outbound|8000||a.b.upstream_rq_total", "envoy_cluster_upstream_rq_total", []string{"envoy_cluster_name=outbound|8000||a.b"}},
		{"cluster.a.upstream_rq_2xx", "envoy_cluster_upstream_rq_xx", []string{"envoy_cluster_name=a", "envoy_response_code_class=2"}},
		{"cluster.a.upstream_rq_503", "envoy_cluster_upstream_rq", []string{"envoy_cluster_name=a", "envoy_response_code=503"}},
		{"cluster.a.internal.upstream_rq_200", "envoy_cluster_internal_upstream_rq", []string{"envoy_cluster_name=a", "envoy_response_code=200"}},
		{"cluster.a.circuit_breakers.default.rq_open", "envoy_cluster_circuit_breakers_default_rq_open", []string{"envoy_cluster_name=a"}},
		{"cluster.a.upstream_rq_timeout", "envoy_cluster_upstream_rq_timeout", []string{"envoy_cluster_name=a"}},
		{"http.outbound_0.0.0.0_80.downstream_rq_total", "envoy_http_downstream_rq_total", []string{"envoy_http_conn_manager_prefix=outbound_0.0.0.0_80"}},
		{"http.p.downstream_rq_5xx", "envoy_http_downstream_rq_xx", []string{"envoy_http_conn_manager_prefix=p", "envoy_response_code_class=5"}},
		{"listener.0.0.0.0_80.downstream_cx_total", "envoy_listener_downstream_cx_total", []string{"envoy_listener_address=0.0.0.0_80"}},
		{"listener.0.0.0.0_80.http.p.downstream_rq_2xx", "envoy_listener_http_downstream_rq_xx", []string{"envoy_listener_address=0.0.0.0_80", "envoy_http_conn_manager_prefix=p", "envoy_response_code_class=2"}},
		{"server.live", "envoy_server_live", nil},
		{"listener_manager.listener_create_success", "envoy_listener_manager_listener_create_success", nil},
	}
	for _, tt := range tests {
		name, labels, values := telemetry.PrometheusName(tt.stat)
		var pairs []string
		for i := range labels {
			pairs = append(pairs, labels[i]+"="+values[i])
		}
		if diff := cmp.Diff(tt.labels, pairs); name != tt.name || diff != "" {
			t.Errorf("%s: %s, want %s\n%s", tt.stat, name, tt.name, diff)
		}
	}
}

func TestMetricsPage(t *testing.T) {
	st := fixed{
		Stats: []proxy.Stat{
			{Name: "cluster.a.upstream_rq_total", Value: 7},
			{Name: "cluster.a.upstream_cx_active", Gauge: true, Value: 2},
			{Name: "http.p.downstream_rq_2xx", Value: 5},
			{Name: "http.q.downstream_rq_2xx", Value: 6},
		},
		Ledger: mirror.Report{Forwarded: 9, Routes: []mirror.RouteReport{{
			Route: "r", Forwarded: 9,
			Mirrors: []mirror.MirrorReport{{
				Cluster: "s", Share: 0.5, InForce: 0.125, Outcomes: map[string]uint64{"completed": 5, "not_sampled": 3, "in_flight": 1},
				Brake: &mirror.BrakeReport{
					Factor: 0.25, StepsDown: 2,
					Mirrored: &mirror.LatencyReport{P99: mirror.BoundReport{Value: 20, Low: 19}},
					RatioP50: &mirror.RatioReport{Value: 2, Low: 1.5, High: 2.5},
				},
			}},
		}}, Process: &mirror.BrakeReport{Factor: 0.5}, DroppedNotes: 3},
	}
	rec := httptest.NewRecorder()
	h := telemetry.Handler(telemetry.NewCollector(st, telemetry.NewAccessLog(telemetry.LogOptions{})))
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/stats/prometheus", nil))
	body := rec.Body.String()
	for _, want := range []string{
		"# TYPE envoy_cluster_upstream_rq_total counter\n",
		`envoy_cluster_upstream_rq_total{envoy_cluster_name="a"} 7` + "\n",
		"# TYPE envoy_cluster_upstream_cx_active gauge\n",
		`envoy_http_downstream_rq_xx{envoy_http_conn_manager_prefix="q",envoy_response_code_class="2"} 6` + "\n",
		`sundog_forwarded_total{route="r"} 9` + "\n",
		`sundog_mirror_share{cluster="s",route="r"} 0.5` + "\n",
		`sundog_mirror_share_in_force{cluster="s",route="r"} 0.125` + "\n",
		"sundog_mirror_process_factor 0.5\n",
		"sundog_mirror_unmeasured_total 3\n",
		`sundog_mirror_brake_steps_total{route="r"} 2` + "\n",
		`sundog_mirror_latency_seconds{bound="low",mirrored="true",quantile="0.99",route="r"} 0.019` + "\n",
		`sundog_mirror_latency_ratio{bound="high",quantile="0.5",route="r"} 2.5` + "\n",
		`sundog_mirror_in_flight{cluster="s",route="r"} 1` + "\n",
		`sundog_mirror_outcomes_total{cluster="s",outcome="completed",route="r"} 5` + "\n",
		`sundog_mirror_outcomes_total{cluster="s",outcome="timed_out",route="r"} 0` + "\n",
		"sundog_access_log_dropped_total 0\n",
		"go_goroutines ",
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, `bound="high",mirrored="true"`) {
		t.Error("a bound that is not known is shown")
	}
	if strings.Contains(body, `outcome="in_flight"`) {
		t.Error("in_flight is among the outcomes, which only ever grow")
	}
}
