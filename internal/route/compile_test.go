package route_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// config reads a route configuration from YAML.
func config(t testing.TB, text string) *routev3.RouteConfiguration {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rc := &routev3.RouteConfiguration{}
	if err := protojson.Unmarshal(raw, rc); err != nil {
		t.Fatal(err)
	}
	return rc
}

// clusters knows every name but "unknown"; the index is the name's length.
func clusters(name string) (int, bool) { return len(name), name != "unknown" }

func compile(t testing.TB, text string) *route.Table {
	t.Helper()
	table, err := route.Compile(config(t, text), clusters)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// oneRoute is a table of one virtual host "v" for all domains with one route,
// whose YAML (indented by nothing) is given.
func oneRoute(t testing.TB, routeYAML string) *route.Table {
	t.Helper()
	return compile(t, wrap(routeYAML))
}

func wrap(routeYAML string) string {
	indented := strings.ReplaceAll(strings.TrimSpace(routeYAML), "\n", "\n    ")
	return "name: rc\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n  - " + indented + "\n"
}

// request makes a head of "GET authority/path" and "name: value" lines.
func request(start string, lines ...string) *traffic.Head {
	h := &traffic.Head{}
	h.Reset()
	method, url, _ := strings.Cut(start, " ")
	authority, path, _ := strings.Cut(url, "/")
	h.SetMethod([]byte(method))
	h.SetAuthority([]byte(authority))
	h.SetPath([]byte("/" + path))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, []byte(value))
	}
	return h
}

// text is the head's control data and fields, one per line.
func text(h *traffic.Head) string {
	var b strings.Builder
	if h.Status == 0 {
		b.WriteString(string(h.Method()) + " " + string(h.Authority()) + string(h.Path()) + "\n")
	}
	for i := range h.Len() {
		name, value := h.Field(i)
		b.WriteString(string(name) + ": " + string(value) + "\n")
	}
	return b.String()
}

func TestCompileErrors(t *testing.T) {
	for _, test := range []struct{ name, route, want string }{
		{"no path", "match: {}\ndirect_response: {status: 200}", `route configuration "rc": virtual host "v": routes[0]: match: has no path`},
		{"bad regex", "name: r\nmatch: {safe_regex: {regex: '('}}\ndirect_response: {status: 200}", `route "r": match.safe_regex: error parsing regexp`},
		{"regex that eats its closing bracket", "match: {safe_regex: {regex: 'a)(?:b'}}\ndirect_response: {status: 200}", "match.safe_regex"},
		{"no action", "match: {prefix: /}", "action: is none of"},
		{"filter action", "match: {prefix: /}\nnon_forwarding_action: {}", "non_forwarding_action: is not supported"},
		{"tls match", "match: {prefix: /, tls_context: {presented: true}}\nroute: {cluster: a}", "tls_context: is not supported"},
		{"subset", "match: {prefix: /}\nroute: {cluster: a, metadata_match: {}}", "metadata_match: is not supported"},
		{"hedging", "match: {prefix: /}\nroute: {cluster: a, hedge_policy: {}}", "hedge_policy: is not supported"},
		{"no weight", "match: {prefix: /}\nroute: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}", "the weights sum to 0"},
		{"mirror by header", "match: {prefix: /}\nroute: {cluster: a, request_mirror_policies: [{cluster_header: x}]}", "request_mirror_policies[0]: cluster_header: is not supported"},
		{"host as a header", "match: {prefix: /}\nroute: {cluster: a}\nrequest_headers_to_add: [{header: {key: Host, value: b}}]", `"Host" cannot be changed here`},
		{"framing", "match: {prefix: /}\nroute: {cluster: a}\nresponse_headers_to_remove: [Content-Length]", `"Content-Length" says how the body ends`},
		{"bad header name", "match: {prefix: /}\nroute: {cluster: a}\nrequest_headers_to_add: [{header: {key: 'a b', value: b}}]", "is not a header name"},
		{"line break", "match: {prefix: /}\nroute: {cluster: a}\nrequest_headers_to_add: [{header: {key: a, value: \"b\\r\\nc: d\"}}]", "line break"},
		{"unknown operator", "match: {prefix: /}\nroute: {cluster: a}\nrequest_headers_to_add: [{header: {key: a, value: '%NOPE%'}}]", "%NOPE% is not a supported command operator"},
		{"open operator", "match: {prefix: /}\nroute: {cluster: a}\nrequest_headers_to_add: [{header: {key: a, value: '100%'}}]", "not closed"},
		{"retry condition", "match: {prefix: /}\nroute: {cluster: a, retry_policy: {retry_on: '5xx,sometimes'}}", `"sometimes" is not a known condition`},
		{"two rewrites", "match: {prefix: /}\nroute: {cluster: a, prefix_rewrite: /b, regex_rewrite: {pattern: {regex: a}, substitution: b}}", "more than one rewrite"},
		{"substitution", "match: {prefix: /}\nroute: {cluster: a, regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}}", "asks for group 1"},
		{"path with a space", "match: {prefix: /}\nroute: {cluster: a, prefix_rewrite: '/a b'}", "control character"},
		{"other filter", "match: {prefix: /}\nroute: {cluster: a}\ntyped_per_filter_config: {x: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig}}", "typed_per_filter_config: x is not supported"},
		{"status", "match: {prefix: /}\ndirect_response: {status: 99}", "99 is not from 200"},
		{"file", "match: {prefix: /}\ndirect_response: {status: 200, body: {filename: /etc/passwd}}", "only inline_string"},
		{"separated", "match: {path_separated_prefix: /a/}\nroute: {cluster: a}", "must not end with a slash"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := route.Compile(config(t, wrap(test.route)), clusters)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestCompileReportsAllErrors(t *testing.T) {
	_, err := route.Compile(config(t, `
name: rc
virtual_hosts:
- name: one
  domains: [a.com, A.com]
  routes:
  - match: {prefix: /}
- name: two
  domains: [a.*.com, '*', '*']
  cors: {}
  routes:
  - {match: {prefix: /}, route: {cluster: unknown}}
validate_clusters: true
`), clusters)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`virtual host "one": routes[0]: action:`, `"A.com" is there twice`, `"a.*.com": one asterisk`,
		`"*" is there twice`, `virtual host "two": cors: is not supported`,
		`cluster: "unknown" is not there`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

// The route that Istio makes of a mirrored VirtualService, defaults and all.
func TestCompileIstioRoute(t *testing.T) {
	table := oneRoute(t, `
match: {prefix: /headers, case_sensitive: true}
route:
  cluster: outbound|8000|v1|httpbin.default.svc.cluster.local
  timeout: 0s
  max_grpc_timeout: 0s
  retry_policy:
    retry_on: connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes
    num_retries: 2
    retry_host_predicate:
    - name: envoy.retry_host_predicates.previous_hosts
      typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}
    host_selection_retry_max_attempts: "5"
    retriable_status_codes: [503]
  request_mirror_policies:
  - cluster: unknown
    runtime_fraction: {default_value: {numerator: 500000, denominator: MILLION}}
    trace_sampled: false
decorator: {operation: httpbin}
metadata: {filter_metadata: {istio: {config: x}}}
`)
	_, r := table.Match(request("GET httpbin:8000/headers"), 0)
	if r == nil {
		t.Fatal("no route")
	}
	if want := "v/prefix /headers"; r.Key != want {
		t.Errorf("key %q, want %q", r.Key, want)
	}
	f := r.Forward
	wantMirrors := []route.Mirror{{Name: "unknown", Cluster: -1, Numerator: 500_000, Denominator: 1_000_000}}
	if diff := cmp.Diff(wantMirrors, f.Mirrors, cmpopts.IgnoreUnexported(route.Mirror{})); diff != "" {
		t.Error(diff)
	}
	wantRetry := &route.Retry{
		On:       route.OnConnectFailure | route.OnRefusedStream | route.OnUnavailable | route.OnCancelled | route.OnRetriableStatusCodes,
		Attempts: 2, StatusCodes: []int{503}, PreviousHosts: true, HostSelectionAttempts: 5,
		BackoffBase: 25 * time.Millisecond, BackoffMax: 250 * time.Millisecond,
	}
	if diff := cmp.Diff(wantRetry, f.Retry, cmpopts.IgnoreUnexported(route.Retry{})); diff != "" {
		t.Error(diff)
	}
	if f.Timeout != 0 || f.IdleTimeout >= 0 || f.GRPCTimeoutMax != 0 || f.ClusterNotFound != 503 {
		t.Errorf("timeouts and the like: %+v", f)
	}
	c := f.Pick(1)
	if c.Name != "outbound|8000|v1|httpbin.default.svc.cluster.local" || c.Cluster != len(c.Name) {
		t.Errorf("cluster %+v", c)
	}
}

func TestCompileDefaults(t *testing.T) {
	table := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a}")
	_, r := table.Match(request("GET a/"), 0)
	if f := r.Forward; f.Timeout != 15*time.Second || f.Retry != nil || f.Mirrors != nil || f.MaxStreamDuration >= 0 {
		t.Errorf("%+v", f)
	}
}

// Lists of mirrors are never merged: the most specific one that is not empty
// counts. The same goes for retry policies and faults.
func TestInheritance(t *testing.T) {
	table := compile(t, `
name: rc
request_mirror_policies: [{cluster: table}]
virtual_hosts:
- name: one
  domains: [one]
  request_mirror_policies: [{cluster: host}]
  retry_policy: {retry_on: 5xx}
  typed_per_filter_config:
    envoy.filters.http.fault:
      '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
      abort: {http_status: 418, percentage: {numerator: 100}}
  routes:
  - match: {path: /own}
    route: {cluster: a, retry_policy: {retry_on: reset, num_retries: 0}, request_mirror_policies: [{cluster: x}, {cluster: z}]}
    typed_per_filter_config:
      envoy.filters.http.fault:
        '@type': type.googleapis.com/envoy.config.route.v3.FilterConfig
        disabled: true
  - match: {path: /host}
    route: {cluster: a}
- name: two
  domains: [two]
  routes:
  - match: {path: /table}
    route: {cluster: a}
`)
	for _, test := range []struct{ url, mirrors, retry, fault string }{
		{"one/own", "x z", "reset 0", "none"},
		{"one/host", "host", "5xx 1", "418"},
		{"two/table", "table", "none", "none"},
	} {
		_, r := table.Match(request("GET "+test.url), 0)
		var names []string
		for _, m := range r.Forward.Mirrors {
			names = append(names, m.Name)
		}
		retry, fault := "none", "none"
		if p := r.Forward.Retry; p != nil {
			retry = fmt.Sprint(p.On, " ", p.Attempts)
		}
		if r.Fault != nil {
			fault = fmt.Sprint(r.Fault.AbortStatus)
		}
		if got := strings.Join(names, " "); got != test.mirrors || retry != test.retry || fault != test.fault {
			t.Errorf("%s: mirrors %q, retry %q, fault %q; want %+v", test.url, got, retry, fault, test)
		}
	}
}

// Keys name rows of the ledger: they are unique, and say what the route is.
func TestKeys(t *testing.T) {
	table := compile(t, `
name: rc
virtual_hosts:
- name: v
  domains: ['*']
  routes:
  - {name: named, match: {path: /a}, direct_response: {status: 200}}
  - {match: {path: /b, headers: [{name: ':method', string_match: {exact: GET}}]}, direct_response: {status: 200}}
  - {match: {path: /c, headers: [{name: x, present_match: true}], query_parameters: [{name: q, string_match: {prefix: z}}]}, direct_response: {status: 200}}
  - {match: {prefix: /d}, direct_response: {status: 200}}
  - {match: {prefix: /d, runtime_fraction: {default_value: {numerator: 50}}}, direct_response: {status: 200}}
  - {match: {path: /e}, direct_response: {status: 200}}
  - {match: {path: /e, case_sensitive: false}, direct_response: {status: 200}}
  - {name: named, match: {path: /f}, direct_response: {status: 200}}
`)
	var got []string
	for _, r := range table.Routes() {
		got = append(got, r.Key)
	}
	want := []string{
		"v/named", "v/path /b method GET", "v/path /c header x query q prefix z", "v/prefix /d", "v/prefix /d fraction 0.5",
		"v/path /e", "v/path /e ignoring case", "v/named #2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
