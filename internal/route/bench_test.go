package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// What the request path calls allocates nothing, but for a rewrite by regex
// and the first buffers of each kind.
func TestNoAllocation(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	table := compile(t, `
name: rc
ignore_port_in_host_matching: true
request_headers_to_add: [{header: {key: x-from, value: '%DOWNSTREAM_REMOTE_ADDRESS% at %START_TIME%'}}]
virtual_hosts:
- name: other
  domains: [a.com, '*.b.com', 'c.*']
- name: v
  domains: ['*']
  response_headers_to_add: [{header: {key: x-path, value: '%REQ(:path)%'}}, {header: {key: x-long-constant-name-of-a-field-over-32-bytes, value: b}}]
  routes:
  - match: {path: /no}
    route: {cluster: a}
  - match: {path: /No, case_sensitive: false}
    route: {cluster: a}
  - match: {prefix: /, case_sensitive: false, headers: [{name: many, string_match: {exact: 'a,b,d'}}]}
    route: {cluster: a}
  - match: {safe_regex: {regex: '/([a-z]+)/.*'}, headers: [{name: none, present_match: true}]}
    route: {cluster: a}
  - match:
      prefix: /a
      headers: [{name: many, string_match: {safe_regex: {regex: 'a,.*'}}}, {name: 'n', range_match: {start: 1, end: 9}}, {name: ':method', string_match: {exact: GET}}]
      query_parameters: [{name: q, string_match: {prefix: b}}]
      runtime_fraction: {default_value: {numerator: 100}}
    route:
      prefix_rewrite: /b
      host_rewrite_literal: other
      append_x_forwarded_host: true
      retry_policy: {retry_on: '5xx,retriable-headers', retriable_headers: [{name: x, string_match: {exact: a}}]}
      weighted_clusters: {clusters: [{name: a, weight: 1, request_headers_to_remove: [gone]}, {name: b, weight: 1}]}
      request_mirror_policies: [{cluster: m, request_headers_mutations: [{append: {header: {key: m, value: '%REQ(x-from)%'}}}]}]
    typed_per_filter_config:
      envoy.filters.http.fault:
        '@type': type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
        abort: {http_status: 503, percentage: {numerator: 1}}
`)
	source := request("GET Host.example.com:8000/abc/d?q=bc", "many: a", "many: b", "n: 5", "gone: 1")
	var h, answer traffic.Head
	ctx := &route.Context{Request: &h, DownstreamRemote: netip.MustParseAddrPort("1.2.3.4:5"), Start: time.Now()}
	once := func() {
		h.CopyFrom(source)
		_, r := table.Match(&h, 7)
		ctx.Route = r
		wc := r.Forward.Pick(7)
		r.Fault.Decide(&h, 7)
		r.RewriteRequest(&h, wc, ctx)
		r.Forward.Mirrors[0].Rewrite(&h, ctx)
		answer.Reset()
		answer.Status = 503
		r.Forward.Retry.RetryStatus(503, &answer)
		r.RewriteResponse(&answer, wc, ctx)
	}
	once()
	if !strings.Contains(text(&h), "GET other/bbc/d?q=bc\n") || !strings.Contains(text(&answer), "x-path: /bbc/d?q=bc\n") {
		t.Fatalf("%s%s", text(&h), text(&answer))
	}
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAnswersDoNotAllocate(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	h := request("GET a/p/b?c")
	ctx := &route.Context{Request: h}
	_, redirect := oneRoute(t, "match: {prefix: /p}\nredirect: {https_redirect: true, prefix_rewrite: /x}").Match(h, 0)
	_, direct := oneRoute(t, "match: {prefix: /}\ndirect_response: {status: 200, body_format: {text_format: 'no %REQ(:authority)%'}}").Match(h, 0)
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(1000, func() {
		redirect.Location(buf, h, "http", ctx)
		direct.Direct.Body(buf, h, ctx)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// manyHosts has n virtual hosts of the kinds that Istio makes, each with one
// route.
func manyHosts(t testing.TB, n int) *route.Table {
	var b strings.Builder
	b.WriteString("name: rc\nvirtual_hosts:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: v%d, domains: [svc%d.default.svc.cluster.local, svc%d, '*.svc%d.com'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}\n", i, i, i, i)
	}
	return compile(t, b.String())
}

// manyRoutes has n routes in one virtual host: exact paths, prefixes and
// expressions, and one that takes the rest.
func manyRoutes(t testing.TB, n int) *route.Table {
	var b strings.Builder
	b.WriteString("name: rc\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  routes:\n")
	for i := range n - 1 {
		match := []string{"path: /api/v1/items/%d", "prefix: /api/v2/orders/%d/", "safe_regex: {regex: '/api/v3/%d/[a-z]+'}"}[i%3]
		fmt.Fprintf(&b, "  - {match: {"+match+"}, direct_response: {status: 200}}\n", i)
	}
	b.WriteString("  - {match: {prefix: /}, direct_response: {status: 200}}\n")
	return compile(t, b.String())
}

// kinds are tables of n hosts or routes, each with requests all over it.
func kinds(t testing.TB, n int) map[string]workload {
	hosts, routes := manyHosts(t, n), manyRoutes(t, n)
	all := map[string]workload{}
	for kind, w := range map[string]struct {
		table *route.Table
		url   string
		shift int
	}{
		"host exact":    {hosts, "svc%d.default.svc.cluster.local/", 0},
		"host suffix":   {hosts, "www.svc%d.com/", 0},
		"route path":    {routes, "a/api/v1/items/%d", 0},
		"route prefix":  {routes, "a/api/v2/orders/%d/x", 1},
		"route regex":   {routes, "a/api/v3/%d/x", 2},
		"route default": {routes, "a/other/%d", 0},
	} {
		var requests []*traffic.Head
		for i := range 64 {
			k := i * (n / 3) / 64 * 3
			requests = append(requests, request("GET "+fmt.Sprintf(w.url, k+w.shift)))
		}
		all[kind] = workload{w.table, requests}
	}
	return all
}

type workload struct {
	table    *route.Table
	requests []*traffic.Head
}

func (w *workload) run(t testing.TB) {
	for _, h := range w.requests {
		if _, r := w.table.Match(h, 0); r == nil {
			t.Fatalf("no route for %s", text(h))
		}
	}
}

// A thousand times the routes or hosts are about as much work; a scan would
// look at thousands. BenchmarkMatch has the times.
func TestMatchScales(t *testing.T) {
	for _, n := range []int{10, 10_000} {
		for kind, w := range kinds(t, n) {
			w.run(t)
			work := 0
			for _, h := range w.requests {
				work += w.table.Work(h, 0)
			}
			mean := float64(work) / float64(len(w.requests))
			t.Logf("%-13s %6d: %.1f", kind, n, mean)
			if mean > 20 {
				t.Errorf("%s: of %d, a match looks at %.1f", kind, n, mean)
			}
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		for kind, w := range kinds(b, n) {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(kind, " ", "_"), n), func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					if _, r := w.table.Match(w.requests[i%len(w.requests)], 0); r == nil {
						b.Fatal("no route")
					}
				}
			})
		}
	}
}
