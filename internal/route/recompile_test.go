package route_test

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/sundog-mesh/sundog/internal/route"
)

const recompiled = `
name: rc
request_headers_to_add: [{header: {key: x-table, value: a}}]
virtual_hosts:
- name: a
  domains: [a]
  require_tls: ALL
  routes:
  - match: {prefix: /1}
    route:
      weighted_clusters: {clusters: [{name: one, weight: 1}, {name: two, weight: 2}]}
      request_mirror_policies: [{cluster: copy}]
  - match: {safe_regex: {regex: "/2.*"}}
    redirect: {host_redirect: b}
- name: b
  domains: [b]
  routes:
  - {match: {prefix: /}, direct_response: {status: 204}}
  - {match: {prefix: /}, route: {cluster: two}}
`

// Whatever changes, Recompile makes the table that Compile makes.
func TestRecompileIsCompile(t *testing.T) {
	first := func(string) (int, bool) { return 1, true }
	none := func(string) (int, bool) { return 0, false }
	for name, c := range map[string]struct {
		change  func(*routev3.RouteConfiguration)
		cluster func(string) (int, bool)
	}{
		"nothing":             {func(*routev3.RouteConfiguration) {}, first},
		"other indexes":       {func(*routev3.RouteConfiguration) {}, clusters},
		"no cluster":          {func(*routev3.RouteConfiguration) {}, none},
		"the name":            {func(rc *routev3.RouteConfiguration) { rc.Name = "other" }, first},
		"the table's headers": {func(rc *routev3.RouteConfiguration) { rc.RequestHeadersToAdd[0].Header.Value = "b" }, first},
		"the table's mirrors": {func(rc *routev3.RouteConfiguration) { rc.RequestMirrorPolicies = []*mirrorPolicy{{Cluster: "two"}} }, first},
		"a host less":         {func(rc *routev3.RouteConfiguration) { rc.VirtualHosts = rc.VirtualHosts[1:] }, first},
		"a host of that name": {func(rc *routev3.RouteConfiguration) {
			rc.VirtualHosts[0] = &routev3.VirtualHost{Name: "a", Domains: []string{"a"}}
		}, first},
		"the order":            {func(rc *routev3.RouteConfiguration) { v := rc.VirtualHosts; v[0], v[1] = v[1], v[0] }, first},
		"a domain there twice": {func(rc *routev3.RouteConfiguration) { rc.VirtualHosts = append(rc.VirtualHosts, rc.VirtualHosts[0]) }, first},
	} {
		t.Run(name, func(t *testing.T) {
			rc := config(t, recompiled)
			old, err := route.Compile(rc, first)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range old.Routes() {
				r.ID = i + 7 // as its owner may
			}
			before := printed(old)
			// The next configuration shares its virtual hosts with the last.
			next := proto.CloneOf(rc)
			copy(next.VirtualHosts, rc.VirtualHosts)
			c.change(next)
			got, err := route.Recompile(next, c.cluster, old)
			want, wantErr := route.Compile(next, c.cluster)
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("the error is %v, want %v", err, wantErr)
			}
			if err == nil {
				if diff := cmp.Diff(want.Routes(), got.Routes(), everything()); diff != "" {
					t.Errorf("routes (-compiled +recompiled):\n%s", diff)
				}
				if diff := cmp.Diff(printed(want), printed(got)); diff != "" {
					t.Errorf("matches (-compiled +recompiled):\n%s", diff)
				}
			}
			if diff := cmp.Diff(before, printed(old)); diff != "" {
				t.Errorf("the old table has changed:\n%s", diff)
			}
		})
	}
}

type mirrorPolicy = routev3.RouteAction_RequestMirrorPolicy

// A cluster that must be there and has gone is told as Compile tells it.
func TestRecompileValidatesClusters(t *testing.T) {
	rc := config(t, recompiled+"validate_clusters: true\n")
	old, err := route.Compile(rc, func(string) (int, bool) { return 1, true })
	if err != nil {
		t.Fatal(err)
	}
	gone := func(name string) (int, bool) { return 1, name != "copy" }
	_, want := route.Compile(rc, gone)
	if _, err := route.Recompile(rc, gone, old); err == nil || want == nil || err.Error() != want.Error() {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

// everything compares tables by all that they hold but random seeds.
func everything() cmp.Option {
	return cmp.Options{
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.Comparer(func(a, b *regexp.Regexp) bool { return a == b || a != nil && b != nil && a.String() == b.String() }),
		cmp.Comparer(func(a, b *routev3.RouteConfiguration) bool { return proto.Equal(a, b) }),
		cmp.FilterPath(func(p cmp.Path) bool {
			last := p.Last().Type().String()
			return last == "route.hashIndex" || last == "sync.Pool" || last == "func(*traffic.Head) bool"
		}, cmp.Ignore()),
	}
}

// printed says what becomes of some requests, and where the routes belong.
func printed(t *route.Table) string {
	var b strings.Builder
	for _, r := range t.Routes() {
		fmt.Fprintf(&b, "%s of %s, %d\n", r.Key, r.VirtualHost.Name, r.ID)
		if r.Forward == nil {
			continue
		}
		for _, w := range r.Forward.Clusters {
			fmt.Fprintf(&b, "  %s %d\n", w.Name, w.Cluster)
		}
		for _, m := range r.Forward.Mirrors {
			fmt.Fprintf(&b, "  copies to %s %d\n", m.Name, m.Cluster)
		}
	}
	for _, url := range []string{"a/1", "a/2/x", "a/3", "b/1", "c/1"} {
		host, r := t.Match(request("GET "+url, "x-forwarded-proto: https"), 0)
		b.WriteString(url + ":")
		if host != nil {
			b.WriteString(" " + host.Name)
		}
		if r != nil {
			b.WriteString(" " + r.Key + " of " + r.VirtualHost.Name)
			h := request("GET " + url)
			r.RewriteRequest(h, nil, &route.Context{Request: h})
			value, _ := h.Get("x-table")
			b.WriteString(" " + string(value))
		}
		b.WriteString("\n")
	}
	return b.String()
}
