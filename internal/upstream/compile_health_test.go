package upstream_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func TestHealthErrors(t *testing.T) {
	outlier := func(s string) string { return "outlier_detection: {" + s + "}" }
	check := func(s string) string {
		return "health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, " + s + "}]"
	}
	http := func(s string) string { return check("http_health_check: {" + s + "}") }
	budget := func(s string) string { return "circuit_breakers: {thresholds: [{retry_budget: {" + s + "}}]}" }
	tests := []struct{ yaml, want string }{
		{outlier("interval: 0s"), `cluster "c": outlier_detection.interval: must be above 0`},
		{outlier("base_ejection_time: -1s"), "outlier_detection.base_ejection_time: must be above 0"},
		{outlier("max_ejection_time: 29s"), "outlier_detection.max_ejection_time: is 29s, less than base_ejection_time, 30s"},
		{outlier("base_ejection_time: 400s"), ""},
		{outlier("max_ejection_time_jitter: -1s"), "outlier_detection.max_ejection_time_jitter: must not be below 0"},
		{outlier("max_ejection_percent: 101"), "outlier_detection.max_ejection_percent: must be 0 to 100, not 101"},
		{outlier("failure_percentage_threshold: 101"), "outlier_detection.failure_percentage_threshold: must be"},
		{outlier("enforcing_consecutive_5xx: 101"), "outlier_detection.enforcing_consecutive_5xx: must be"},
		{outlier("enforcing_consecutive_gateway_failure: 101"), "outlier_detection.enforcing_consecutive_gateway_failure: must be"},
		{outlier("enforcing_consecutive_local_origin_failure: 101"), "outlier_detection.enforcing_consecutive_local_origin_failure: must be"},
		{outlier("enforcing_success_rate: 101"), "outlier_detection.enforcing_success_rate: must be"},
		{outlier("enforcing_local_origin_success_rate: 101"), "outlier_detection.enforcing_local_origin_success_rate: must be"},
		{outlier("enforcing_failure_percentage: 101"), "outlier_detection.enforcing_failure_percentage: must be"},
		{outlier("enforcing_failure_percentage_local_origin: 101"), "outlier_detection.enforcing_failure_percentage_local_origin: must be"},

		{budget("budget_percent: {value: 101}"), "circuit_breakers.thresholds.retry_budget.budget_percent: must be 0 to 100, not 101"},
		{budget("budget_percent: {value: NaN}"), "must be 0 to 100, not NaN"},

		{"health_checks: [{}]", "health_checks[0].timeout: must be above 0"},
		{"health_checks: [{}]", "health_checks[0].interval: must be above 0"},
		{"health_checks: [{}]", "health_checks[0].healthy_threshold: is not set"},
		{"health_checks: [{}]", "health_checks[0].unhealthy_threshold: is not set"},
		{"health_checks: [{}]", "health_checks[0]: says nothing to check"},
		{"health_checks: [{}, {}]", "health_checks: only one is supported, not 2"},
		{check("tcp_health_check: {}"), ""},
		{check("no_traffic_interval: 0s, tcp_health_check: {}"), "health_checks[0].no_traffic_interval: must be above 0"},
		{check("no_traffic_healthy_interval: 0s, tcp_health_check: {}"), "health_checks[0].no_traffic_healthy_interval: must be above 0"},
		{check("unhealthy_interval: 0s, tcp_health_check: {}"), "health_checks[0].unhealthy_interval: must be above 0"},
		{check("unhealthy_edge_interval: 0s, tcp_health_check: {}"), "health_checks[0].unhealthy_edge_interval: must be above 0"},
		{check("healthy_edge_interval: 0s, tcp_health_check: {}"), "health_checks[0].healthy_edge_interval: must be above 0"},
		{check("interval_jitter: -1s, tcp_health_check: {}"), "health_checks[0].interval_jitter: must not be below 0"},
		{check("custom_health_check: {name: redis}"), "health_checks[0].custom_health_check: redis is not supported"},
		{check("tcp_health_check: {proxy_protocol_config: {}}"), "tcp_health_check.proxy_protocol_config: is not supported"},
		{check("tcp_health_check: {send: {text: 'xy'}}"), `tcp_health_check.send.text: "xy" is not hexadecimal`},
		{check("tcp_health_check: {receive: [{text: '00'}, {}]}"), "tcp_health_check.receive[1]: is empty"},
		{http(""), `http_health_check.path: "" is not a path`},
		{http("path: healthz"), `http_health_check.path: "healthz" is not a path`},
		{http("path: 'http://x/'"), "is not a path"},
		{http("path: '*'"), "is not a path"},
		{http("path: /, method: CONNECT"), "http_health_check.method: CONNECT asks for nothing"},
		{http("path: /, send: {text: '00'}"), "http_health_check.send: a request with the method GET has no body"},
		{http("path: /, receive: [{text: '0001'}], response_buffer_size: 1"), "http_health_check.receive: has 2 bytes, but only 1"},
		{http("path: /, codec_client_type: HTTP3"), "HTTP/3 is not supported"},
		{http("path: /, service_name_matcher: {exact: x}"), "http_health_check.service_name_matcher: is not supported"},
		{http("path: /, expected_statuses: [{start: 99, end: 200}]"), "expected_statuses[0]: [99, 200) is no range within [100, 600)"},
		{http("path: /, retriable_statuses: [{start: 500, end: 601}]"), "retriable_statuses[0]: [500, 601) is no range"},
		{http("path: /, expected_statuses: [{start: 200, end: 200}]"), "expected_statuses[0]: [200, 200) is no range"},
		{http("path: /, request_headers_to_add: [{header: {key: host, value: x}}]"), "request_headers_to_add[0]: host cannot be set here"},
		{http("path: /, request_headers_to_add: [{header: {key: ':path', value: x}}]"), "request_headers_to_add[0]: :path cannot be set here"},
		{http("path: /, request_headers_to_add: [{header: {key: 'a b', value: x}}]"), `"a b" is not a header's name`},
		{http(`path: /, request_headers_to_add: [{header: {key: a, value: "x\ny"}}]`), "is not a header's value"},
		{http("path: /, request_headers_to_add: [{header: {key: a, value: '%START_TIME%'}}]"), "substitution is not supported"},
		{check("tcp_health_check: {}, tls_options: {alpn_protocols: [h2]}"), ""},
		{check("tcp_health_check: {}, tls_options: {alpn_protocols: [h2, '']}"), "tls_options.alpn_protocols[1]"},
		{check("grpc_health_check: {initial_metadata: [{header: {key: a, value: '%%%X%'}}]}"), "initial_metadata[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.yaml, func(t *testing.T) {
			_, err := upstream.Compile(clusterProto(t, "name: c\n"+tt.yaml), nil, nil, upstream.NewSlots(nil), nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestHealthIgnored(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, `
name: c
circuit_breakers:
  thresholds: [{max_connection_pools: 5, retry_budget: {budget_interval: 1s}}, {priority: HIGH}]
  per_host_thresholds: [{max_connections: 1}]
outlier_detection: {detect_degraded_hosts: true}
health_checks:
- timeout: 1s
  interval: 1s
  unhealthy_threshold: 1
  healthy_threshold: 1
  alt_port: 5
  event_log_path: /x
  http_health_check: {path: /, use_alpn_protocol: true}
`)
	want := []string{
		"circuit_breakers.per_host_thresholds",
		"circuit_breakers.thresholds[1] (of priority HIGH)",
		"circuit_breakers.thresholds.max_connection_pools",
		"circuit_breakers.thresholds.retry_budget.budget_interval",
		"outlier_detection.detect_degraded_hosts",
		"health_checks[0].http_health_check.use_alpn_protocol",
		"health_checks[0].event_log_path",
		"health_checks[0].alt_port",
	}
	if diff := cmp.Diff(want, c.Ignored); diff != "" {
		t.Error(diff)
	}
	if c = compile(t, upstream.NewSlots(nil), nil, "name: c\ncircuit_breakers: {thresholds: [{max_connection_pools: 4294967295}]}"); len(c.Ignored) > 0 {
		t.Error(c.Ignored)
	}
}

func TestHealthCheckConfigErrors(t *testing.T) {
	const checks = "\nhealth_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}]"
	endpoint := func(address, config string) string {
		return "name: c\ntype: STRICT_DNS\nload_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: " + address +
			", port_value: 80}}, health_check_config: {" + config + "}}}]}]}" + checks
	}
	for _, tt := range []struct{ config, want string }{
		{"port_value: 70000", "endpoints[0].lb_endpoints[0].endpoint.health_check_config.port_value: 70000 is no port"},
		{"address: {socket_address: {address: a.com, port_value: 1}}", `health_check_config.address: "a.com" is not an IP address`},
	} {
		if _, err := upstream.Compile(clusterProto(t, endpoint("10.0.0.1", tt.config)), nil, nil, upstream.NewSlots(nil), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v", tt.config, err)
		}
	}
	c := compile(t, upstream.NewSlots(nil), nil, endpoint("a.com", "port_value: 81"))
	if diff := cmp.Diff([]string{"endpoints[0].lb_endpoints[0].endpoint.health_check_config (of an endpoint that is given by name)"}, c.Ignored); diff != "" {
		t.Error(diff)
	}
}
