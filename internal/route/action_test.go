package route_test

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// rewritten runs the request through the only route of a table.
func rewritten(t *testing.T, routeYAML, start string, lines ...string) string {
	t.Helper()
	h := request(start, lines...)
	_, r := oneRoute(t, routeYAML).Match(h, 0)
	if r == nil {
		t.Fatal("no route")
	}
	r.RewriteRequest(h, r.Forward.Pick(0), &route.Context{Request: h, Route: r})
	return text(h)
}

func TestRewrites(t *testing.T) {
	for _, test := range []struct{ name, match, action, start, want string }{
		{"none", "prefix: /", "", "GET host/a", "GET host/a\n"},
		{"prefix", "prefix: /a", "prefix_rewrite: /b", "GET host/a/c?q=/a", "GET host/b/c?q=/a\nx-envoy-original-path: /a/c?q=/a\n"},
		{"prefix of a path", "path: /a", "prefix_rewrite: /b", "GET host/a?q", "GET host/b?q\nx-envoy-original-path: /a?q\n"},
		{"prefix of a regex", "safe_regex: {regex: '/a.*'}", "prefix_rewrite: /b", "GET host/abc?q", "GET host/b?q\nx-envoy-original-path: /abc?q\n"},
		{"prefix, whatever the case", "prefix: /Ab, case_sensitive: false", "prefix_rewrite: /x", "GET host/aBc", "GET host/xc\nx-envoy-original-path: /aBc\n"},
		{"separated prefix", "path_separated_prefix: /a", "prefix_rewrite: /x", "GET host/a/b", "GET host/x/b\nx-envoy-original-path: /a/b\n"},
		{
			"regex", "prefix: /", `regex_rewrite: {pattern: {regex: '^/service/([^/]+)(/.*)$'}, substitution: '\2/$x/\1\\'}`,
			"GET host/service/foo/v1/api?q", "GET host/v1/api/$x/foo\\?q\nx-envoy-original-path: /service/foo/v1/api?q\n",
		},
		{"regex, all matches", "prefix: /", "regex_rewrite: {pattern: {regex: one}, substitution: two}", "GET host/xone/one/zone?one", "GET host/xtwo/two/ztwo?one\nx-envoy-original-path: /xone/one/zone?one\n"},
		{"path format", "prefix: /", "path_rewrite: '/%REQ(x-v)%/p'", "GET host/a?q", "GET host/2/p?q\nx-v: 2\nx-envoy-original-path: /a?q\n"},
		{"host", "prefix: /", "host_rewrite_literal: other:80", "GET host/a", "GET other:80/a\nx-envoy-original-host: host\n"},
		{"host from a header", "prefix: /", "host_rewrite_header: X-V", "GET host/a", "GET 2/a\nx-v: 2\nx-envoy-original-host: host\n"},
		{"host from the path", "prefix: /", `host_rewrite_path_regex: {pattern: {regex: '^/(.+)/.+$'}, substitution: '\1.com'}`, "GET host/a/b?c/d", "GET a.com/a/b?c/d\nx-envoy-original-host: host\n"},
		{"host format", "prefix: /", "host_rewrite: 'v%REQ(x-v)%'", "GET host/a", "GET v2/a\nx-v: 2\nx-envoy-original-host: host\n"},
		{"forwarded host", "prefix: /", "host_rewrite_literal: other, append_x_forwarded_host: true", "GET host/a", "GET other/a\nx-forwarded-host: host\nx-envoy-original-host: host\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lines []string
			if strings.Contains(test.want, "x-v: 2\n") {
				lines = []string{"x-v: 2"}
			}
			action := "{cluster: a}"
			if test.action != "" {
				action = "{cluster: a, " + test.action + "}"
			}
			got := rewritten(t, "match: {"+test.match+"}\nroute: "+action, test.start, lines...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A host that is rewritten again, at a second try, keeps the client's.
func TestSetHostTwice(t *testing.T) {
	h := request("GET host/")
	_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a, auto_host_rewrite: true, append_x_forwarded_host: true}").Match(h, 0)
	if !r.Forward.AutoHost {
		t.Error("AutoHost is false")
	}
	r.Forward.SetHost(h, []byte("one"))
	r.Forward.SetHost(h, []byte("two"))
	if diff := cmp.Diff("GET two/\nx-forwarded-host: host,one\nx-envoy-original-host: host\n", text(h)); diff != "" {
		t.Error(diff)
	}
}

// Later levels see and overrule what earlier ones did.
func TestHeaderOrder(t *testing.T) {
	const yaml = `
name: rc
most_specific_header_mutations_wins: %v
request_headers_to_add: [{header: {key: X, value: table}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
response_headers_to_add: [{header: {key: X, value: table}}]
virtual_hosts:
- name: v
  domains: ['*']
  request_headers_to_add: [{header: {key: X, value: host}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
  response_headers_to_add: [{header: {key: X, value: host}}]
  routes:
  - match: {prefix: /}
    request_headers_to_add: [{header: {key: X, value: route}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
    response_headers_to_add: [{header: {key: X, value: route}}]
    route:
      weighted_clusters:
        clusters:
        - name: a
          weight: 1
          request_headers_to_add: [{header: {key: X, value: cluster}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
          response_headers_to_add: [{header: {key: X, value: cluster}}]
          host_rewrite_literal: per-cluster
`
	for _, test := range []struct {
		specific      bool
		request, resp string
	}{
		{false, "GET per-cluster/\nx: table\n", "x: cluster\nx: route\nx: host\nx: table\n"},
		{true, "GET per-cluster/\nx: route\n", "x: cluster\nx: table\nx: host\nx: route\n"},
	} {
		h := request("GET host/", "x: client")
		_, r := compile(t, fmt.Sprintf(yaml, test.specific)).Match(h, 0)
		wc, ctx := r.Forward.Pick(0), &route.Context{Request: h}
		r.RewriteRequest(h, wc, ctx)
		if diff := cmp.Diff(test.request, text(h)); diff != "" {
			t.Error(diff)
		}
		var answer traffic.Head
		answer.Reset()
		answer.Status = 200
		r.RewriteResponse(&answer, wc, ctx)
		if diff := cmp.Diff(test.resp, text(&answer)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestHeaderOps(t *testing.T) {
	for _, test := range []struct{ name, ops, lines, want string }{
		{"append is the default", "request_headers_to_add: [{header: {key: X, value: b}}]", "x: a", "x: a\nx: b\n"},
		{"append false", "request_headers_to_add: [{header: {key: X, value: b}, append: false}]", "x: a|x: c|y: d", "y: d\nx: b\n"},
		{"absent", "request_headers_to_add: [{header: {key: x, value: b}, append_action: ADD_IF_ABSENT}, {header: {key: 'y', value: c}, append_action: ADD_IF_ABSENT}]", "x: a", "x: a\ny: c\n"},
		{"exists", "request_headers_to_add: [{header: {key: x, value: b}, append_action: OVERWRITE_IF_EXISTS}, {header: {key: 'y', value: c}, append_action: OVERWRITE_IF_EXISTS}]", "x: a", "x: b\n"},
		{"remove comes first", "request_headers_to_add: [{header: {key: x, value: b}}]\nrequest_headers_to_remove: [X, z]", "x: a|z: 1", "x: b\n"},
		{"empty is left out", "request_headers_to_add: [{header: {key: 'y', value: '%REQ(none)%'}}]", "", ""},
		{"empty is kept", "request_headers_to_add: [{header: {key: 'y', value: ''}, keep_empty_value: true}]", "", "y: \n"},
		{"values see the head as it was", "request_headers_to_add: [{header: {key: x, value: b}, append: false}, {header: {key: 'y', value: '%REQ(x)%'}}]", "x: a", "x: b\ny: a\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lines []string
			if test.lines != "" {
				lines = strings.Split(test.lines, "|")
			}
			got := rewritten(t, "match: {prefix: /}\nroute: {cluster: a}\n"+test.ops, "GET host/", lines...)
			if diff := cmp.Diff("GET host/\n"+test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	ctx := &route.Context{
		DownstreamRemote:       netip.MustParseAddrPort("1.2.3.4:5"),
		DownstreamDirectRemote: netip.MustParseAddrPort("6.7.8.9:10"),
		DownstreamLocal:        netip.MustParseAddrPort("[::1]:80"),
		Cluster:                "outbound|80||a",
		Start:                  time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC),
	}
	for text, want := range map[string]string{
		"plain 100%%, %%REQ(x)%%":       "plain 100%, %REQ(x)%",
		"%REQ(X-A)%/%REQ(none?x-a)%":    "one/one",
		"%REQ(:AUTHORITY)%%REQ(:path)%": "host/p?q",
		"%REQ(x-a):2%%REQ(x-a):9%":      "onone",
		"[%REQ(none)%]":                 "[-]",
		"%RESPONSE_CODE%":               "403",
		"%PROTOCOL%":                    "HTTP/1.1",
		"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%":    "1.2.3.4:5 1.2.3.4 5",
		"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%":               "6.7.8.9:10 6.7.8.9",
		"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%":       "[::1]:80 ::1 80",
		"%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %UPSTREAM_CLUSTER%": "- - - outbound|80||a",
		"%ROUTE_NAME% %VIRTUAL_HOST_NAME%": "r v",
		"%START_TIME% %START_TIME(%s)%":    "2026-01-02T03:04:05.678Z 1767323045",
		"%LOCAL_REPLY_BODY%!":              "100% body!",
	} {
		h := request("GET host/p?q", "x-a: one")
		_, r := oneRoute(t, fmt.Sprintf("name: r\nmatch: {prefix: /}\ndirect_response: {status: 403, body: {inline_string: '100%% body'}, body_format: {text_format: '%s', content_type: text/x}}", text)).Match(h, 0)
		c := *ctx
		c.Request, c.Route = h, r
		if got := string(r.Direct.Body(nil, h, &c)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if r.Direct.Status != 403 || r.Direct.ContentType != "text/x" {
			t.Errorf("%+v", r.Direct)
		}
	}
}

func TestDirectBody(t *testing.T) {
	h := request("GET host/")
	_, r := oneRoute(t, "match: {prefix: /}\ndirect_response: {status: 200, body: {inline_string: '100% body'}}").Match(h, 0)
	if got := string(r.Direct.Body(nil, h, &route.Context{})); got != "100% body" {
		t.Errorf("%q", got)
	}
}

func TestLocation(t *testing.T) {
	for _, test := range []struct{ redirect, url, scheme, want string }{
		{"https_redirect: true", "host/a?b", "http", "https://host/a?b"},
		{"https_redirect: true", "host:80/", "http", "https://host/"},
		{"https_redirect: true", "host:8080/", "http", "https://host:8080/"},
		{"https_redirect: true", "[::1]:80/", "http", "https://[::1]/"},
		{"https_redirect: true", "host:443/", "https", "https://host:443/"},
		{"scheme_redirect: http", "host:443/", "https", "http://host/"},
		{"https_redirect: true, port_redirect: 8443", "host:80/", "http", "https://host:8443/"},
		{"port_redirect: 81", "[::1]:80/", "http", "http://[::1]:81/"},
		{"host_redirect: other", "host:80/a", "http", "http://other/a"},
		{"path_redirect: /new", "host/a?b", "http", "http://host/new?b"},
		{"path_redirect: /new, strip_query: true", "host/a?b", "http", "http://host/new"},
		{"path_redirect: '/new?c', strip_query: true", "host/a?b", "http", "http://host/new?c"},
		{"host_redirect: o, strip_query: true", "host/a?b", "http", "http://o/a"},
		{"prefix_rewrite: /x", "host/p/a?b", "http", "http://host/x/a?b"},
		{"prefix_rewrite: /x, strip_query: true", "host/p/a?b", "http", "http://host/x/a"},
		{`regex_rewrite: {pattern: {regex: '^/p/(.)'}, substitution: '/\1\1'}`, "host/p/a?b", "http", "http://host/aa?b"},
		{"path_rewrite: '/%REQ(:method)%'", "host/p?b", "http", "http://host/GET"},
	} {
		h := request("GET " + test.url)
		prefix := "/"
		if strings.Contains(test.redirect, "prefix_rewrite") {
			prefix = "/p"
		}
		_, r := oneRoute(t, "match: {prefix: "+prefix+"}\nredirect: {"+test.redirect+", response_code: SEE_OTHER}").Match(h, 0)
		if got := string(r.Location(nil, h, test.scheme, &route.Context{Request: h})); got != test.want || r.Redirect.Status != 303 {
			t.Errorf("{%s} of %s://%s: %q %d, want %q", test.redirect, test.scheme, test.url, got, r.Redirect.Status, test.want)
		}
	}
}

func TestRetryStatus(t *testing.T) {
	for _, test := range []struct {
		policy string
		yes    []string // "status" and fields, separated by "|"
		no     []string
	}{
		{"retry_on: 5xx", []string{"500", "503", "599"}, []string{"499", "409", "503|x-envoy-ratelimited: true"}},
		{"retry_on: gateway-error", []string{"502", "503", "504"}, []string{"500", "505"}},
		{"retry_on: retriable-4xx", []string{"409"}, []string{"404", "503"}},
		{"retry_on: 'retriable-status-codes, 5xx', retriable_status_codes: [429]", []string{"429", "500"}, []string{"428"}},
		{"retry_on: connect-failure, retriable_status_codes: [503]", nil, []string{"503"}},
		{"retry_on: envoy-ratelimited", []string{"429|x-envoy-ratelimited: true"}, []string{"429"}},
		{"retry_on: retriable-headers, retriable_headers: [{name: x, string_match: {exact: a}}, {name: 'y'}]", []string{"200|x: a", "200|y: 1"}, []string{"200|x: b"}},
		{"retry_on: 'cancelled,deadline-exceeded,internal,resource-exhausted,unavailable'", []string{"200|grpc-status: 1", "200|grpc-status: 4", "200|grpc-status: 8", "200|grpc-status: 13", "200|grpc-status: 14"}, []string{"200|grpc-status: 0", "200|grpc-status: 2", "200"}},
		{"retry_on: unavailable", []string{"200|grpc-status: 14"}, []string{"200|grpc-status: 13"}},
	} {
		_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a, retry_policy: {"+test.policy+"}}").Match(request("GET a/"), 0)
		for i, line := range append(test.yes[:len(test.yes):len(test.yes)], test.no...) {
			parts := strings.Split(line, "|")
			h := request("GET a/", parts[1:]...)
			if _, err := fmt.Sscan(parts[0], &h.Status); err != nil {
				t.Fatal(err)
			}
			if got, want := r.Forward.Retry.RetryStatus(h.Status, h), i < len(test.yes); got != want {
				t.Errorf("{%s} on %q: %v, want %v", test.policy, line, got, want)
			}
		}
	}
}

func TestRetryFailure(t *testing.T) {
	kinds := []route.Failure{route.FailedConnect, route.FailedRefusedStream, route.FailedBeforeRequest, route.FailedReset, route.FailedTimeout}
	for on, want := range map[string]string{
		"connect-failure":      "10000",
		"refused-stream":       "01000",
		"reset-before-request": "10100",
		"reset":                "11111",
		"5xx":                  "11111",
		"gateway-error":        "11111",
		"retriable-4xx":        "00000",
	} {
		_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a, retry_policy: {retry_on: "+on+"}}").Match(request("GET a/"), 0)
		got := ""
		for _, k := range kinds {
			if r.Forward.Retry.RetryFailure(k) {
				got += "1"
			} else {
				got += "0"
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", on, got, want)
		}
		if s := r.Forward.Retry.On.String(); s != on {
			t.Errorf("String is %q, want %q", s, on)
		}
	}
}

func TestRetryWants(t *testing.T) {
	_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a, retry_policy: {retry_on: 5xx, retriable_request_headers: [{name: ':method', string_match: {exact: GET}}]}}").Match(request("GET a/"), 0)
	if p := r.Forward.Retry; !p.Wants(request("GET a/")) || p.Wants(request("POST a/")) {
		t.Error("retriable_request_headers do not decide")
	}
}

func TestMirrorRewrite(t *testing.T) {
	h := request("GET host/", "secret: x", "a: 1")
	_, r := oneRoute(t, `
match: {prefix: /}
route:
  cluster: a
  request_mirror_policies:
  - cluster: m
    disable_shadow_host_suffix_append: true
    host_rewrite_literal: shadow
    runtime_fraction: {default_value: {numerator: 200}}
    request_headers_mutations:
    - remove: Secret
    - append: {header: {key: a, value: "%REQ(a)%2"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
    - append: {header: {key: b, value: "%REQ(a)%"}}
  - cluster: m2
`).Match(h, 0)
	m := &r.Forward.Mirrors[0]
	if !m.NoHostSuffix || m.Numerator != 100 || m.Denominator != 100 {
		t.Errorf("%+v", m)
	}
	if m2 := &r.Forward.Mirrors[1]; m2.NoHostSuffix || uint64(m2.Numerator) != m2.Denominator {
		t.Errorf("%+v", m2)
	}
	if host := m.Rewrite(h, &route.Context{Request: h}); !host {
		t.Error("the authority was not replaced")
	}
	if diff := cmp.Diff("GET shadow/\na: 12\nb: 12\n", text(h)); diff != "" {
		t.Error(diff)
	}
}

func TestUpgrade(t *testing.T) {
	_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a, upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: x, enabled: false}]}").Match(request("GET a/"), 0)
	for protocol, want := range map[string][2]bool{"websocket": {true, true}, "WEBSOCKET": {true, true}, "x": {false, true}, "h2c": {false, false}} {
		allowed, said := r.Forward.Upgrade([]byte(protocol))
		if got := [2]bool{allowed, said}; got != want {
			t.Errorf("%s: %v, want %v", protocol, got, want)
		}
	}
}

func TestPickByWeight(t *testing.T) {
	_, r := oneRoute(t, "match: {prefix: /}\nroute: {weighted_clusters: {clusters: [{name: a, weight: 90}, {name: b, weight: 0}, {name: c, weight: 10}]}}").Match(request("GET a/"), 0)
	const n = 100_000
	got := map[string]int{}
	for i := range uint64(n) {
		c := r.Forward.Pick(i)
		if c != r.Forward.Pick(i) {
			t.Fatalf("request %d goes two ways", i)
		}
		got[c.Name]++
	}
	if got["b"] != 0 || math.Abs(float64(got["a"])-0.9*n) > 400 {
		t.Errorf("%v, want about 9 to 1", got)
	}
}

func TestPickByHeader(t *testing.T) {
	_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster_header: X-C}").Match(request("GET a/"), 0)
	if r.Forward.Pick(0) != nil || r.Forward.ClusterHeader != "x-c" {
		t.Errorf("%+v", r.Forward)
	}
	h := request("GET a/")
	r.RewriteRequest(h, nil, &route.Context{Request: h})
}

// Delay, abort, weights and matches are drawn apart, from one number.
func TestFaultIsIndependent(t *testing.T) {
	_, r := oneRoute(t, `
match: {prefix: /}
route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 1}]}}
typed_per_filter_config:
  envoy.filters.http.fault:
    '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
    delay: {fixed_delay: 5s, percentage: {numerator: 50}}
    abort: {http_status: 503, percentage: {numerator: 500000, denominator: MILLION}}
    headers: [{name: x}]
`).Match(request("GET a/"), 0)
	if r.Fault.DelayShare() != 0.5 || r.Fault.AbortShare() != 0.5 || string(r.Fault.AbortBody) != "fault filter abort" {
		t.Errorf("%+v", r.Fault)
	}
	const n = 80_000
	counts := map[string]int{}
	h := request("GET a/", "x: 1")
	for i := range uint64(n) {
		delay, abort := r.Fault.Decide(h, i)
		counts[fmt.Sprint(delay, abort, r.Forward.Pick(i).Name)]++
	}
	if len(counts) != 8 {
		t.Errorf("%d kinds, want 8", len(counts))
	}
	for kind, k := range counts {
		if math.Abs(float64(k)-n/8) > 500 {
			t.Errorf("%s: %d, want about %d", kind, k, n/8)
		}
	}
	if delay, abort := r.Fault.Decide(request("GET a/"), 1); delay != 0 || abort != 0 {
		t.Error("a request without the header is hit")
	}
}
