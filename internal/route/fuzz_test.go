package route_test

import (
	"bytes"
	"testing"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Whatever a client sends, the index agrees with a scan, and no rewrite
// panics, loses the query or changes its input.
func FuzzMatch(f *testing.F) {
	table := compile(f, `
name: rc
ignore_port_in_host_matching: true
request_headers_to_add: [{header: {key: seen, value: '%REQ(x):3%'}}]
virtual_hosts:
- name: one
  domains: [a.com, '*.b.com', '*-c.com', 'd.*', '[::1]']
  routes:
  - {match: {path: /A, case_sensitive: false}, redirect: {https_redirect: true}}
  - {match: {path_separated_prefix: /a/b}, redirect: {prefix_rewrite: /x, port_redirect: 8443}}
  - {match: {prefix: /a, query_parameters: [{name: q}]}, route: {cluster: c, prefix_rewrite: /z}}
  - {match: {safe_regex: {regex: '/a(/[a-z])*'}}, redirect: {path_redirect: /y, strip_query: true}}
  - {match: {prefix: /AB, case_sensitive: false}, route: {cluster: c, regex_rewrite: {pattern: {regex: 'b+'}, substitution: '<\0>'}}}
  - {match: {prefix: '', headers: [{name: x, range_match: {start: 0, end: 9}}]}, route: {cluster: c, host_rewrite_header: x}}
  - {match: {prefix: /}, route: {cluster: c}}
- name: any
  domains: ['*']
  routes:
  - {match: {prefix: ''}, redirect: {scheme_redirect: http}}
`)
	domains := [][]string{{"a.com", "*.b.com", "*-c.com", "d.*", "[::1]"}, {"*"}}
	for _, s := range [][3]string{
		{"a.com", "/a?q", "1"},
		{"x.B.com:80", "/a/b/c?q=1", ""},
		{"[::1]:80", "/abbb?b", "x"},
		{"", "", ""},
		{"d.e", "*", "9999"},
		{":", "/a?#?q", "\xff"},
		{"-c.com", "/A", "1"},
		{"[:]", "#", "0"},
	} {
		f.Add([]byte(s[0]), []byte(s[1]), []byte(s[2]))
	}
	f.Fuzz(func(t *testing.T, authority, path, value []byte) {
		var h traffic.Head
		h.Reset()
		h.SetMethod([]byte("GET"))
		h.SetAuthority(authority)
		h.SetPath(path)
		h.Add("x", value)
		v, r := table.Match(&h, 1)
		if len(authority) > 320 { // "*" alone is for such a one
			authority = nil
		}
		host := bytes.ToLower(authority)
		if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
			host = host[:i]
		}
		plain := h
		plain.SetAuthority(host)
		if wantV, wantR := table.MatchScan(&plain, 1, domains); v != wantV || r != wantR {
			t.Fatalf("%q %q: %v %v, a scan says %v %v", authority, path, v, r, wantV, wantR)
		}
		if r == nil {
			return
		}
		ctx := &route.Context{Request: &h, Route: r}
		if r.Redirect != nil {
			if to := r.Location([]byte("kept"), &h, "http", ctx); !bytes.HasPrefix(to, []byte("kepthttp")) {
				t.Fatalf("Location %q", to)
			}
			return
		}
		_, query, has := bytes.Cut(path, []byte("?"))
		if frag := bytes.IndexByte(path, '#'); frag >= 0 && frag < bytes.IndexByte(path, '?') {
			has = false
		}
		r.RewriteRequest(&h, r.Forward.Pick(1), ctx)
		if has && !bytes.HasSuffix(h.Path(), append([]byte("?"), query...)) {
			t.Fatalf("%q became %q", path, h.Path())
		}
		if got := h.Authority(); !bytes.Equal(got, authority) && !bytes.Equal(got, value) {
			t.Fatalf("authority %q became %q", authority, got)
		}
	})
}
