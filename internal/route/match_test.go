package route_test

import (
	"fmt"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/route"
)

func TestVirtualHosts(t *testing.T) {
	const hosts = `
name: rc
%s
virtual_hosts:
- {name: exact, domains: [a.example.com, 'b.example.com:8000', '[::1]']}
- {name: short suffix, domains: ['*.com']}
- {name: long suffix, domains: ['*.example.com']}
- {name: dash suffix, domains: ['*-x.example.com']}
- {name: short prefix, domains: ['a.*']}
- {name: long prefix, domains: ['a.b.*']}
- {name: any, domains: ['*']}
`
	for _, test := range []struct{ host, want, ignoringPort string }{
		{"a.example.com", "exact", "exact"},
		{"A.Example.COM", "exact", "exact"},
		{"b.example.com", "long suffix", "long suffix"},
		{"b.example.com:8000", "exact", "long suffix"},
		{"a.example.com:80", "short prefix", "exact"},
		{"[::1]:80", "any", "exact"},
		{"[::1]", "exact", "exact"},
		{"c.example.com", "long suffix", "long suffix"},
		{"c-x.example.com", "dash suffix", "dash suffix"},
		{"-x.example.com", "long suffix", "long suffix"},
		{".example.com", "short suffix", "short suffix"},
		{"example.com", "short suffix", "short suffix"},
		{"a.com", "short suffix", "short suffix"},
		{"a.b.net", "long prefix", "long prefix"},
		{"a.b.", "short prefix", "short prefix"},
		{"a.", "any", "any"},
		{"net", "any", "any"},
		{"", "any", "any"},
		{strings.Repeat("a.", 400) + "com", "any", "any"},
	} {
		for _, ignore := range []bool{false, true} {
			want, option := test.want, ""
			if ignore {
				want, option = test.ignoringPort, "ignore_port_in_host_matching: true"
			}
			v, r := compile(t, fmt.Sprintf(hosts, option)).Match(request("GET "+test.host+"/"), 0)
			if v == nil || v.Name != want || r != nil {
				t.Errorf("%q (ignoring port: %v): %v, %v; want %q and no route", test.host, ignore, v, r, want)
			}
		}
	}
}

func TestNoVirtualHost(t *testing.T) {
	table := compile(t, "name: rc\nvirtual_hosts: [{name: v, domains: [a]}]")
	if v, r := table.Match(request("GET b/"), 0); v != nil || r != nil {
		t.Errorf("got %v, %v", v, r)
	}
}

func TestMatchers(t *testing.T) {
	for _, test := range []struct {
		match   string
		yes, no []string // "METHOD /path" and fields, separated by "|"
	}{
		{"prefix: /a", []string{"GET /a", "GET /ab/c", "GET /a?x"}, []string{"GET /A", "GET /", "GET /b?/a"}},
		{"prefix: /a, case_sensitive: false", []string{"GET /A", "GET /aB"}, []string{"GET /b"}},
		{"path: /a", []string{"GET /a", "GET /a?q=/b", "GET /a#f"}, []string{"GET /a/", "GET /A"}},
		{"path: /aB, case_sensitive: false", []string{"GET /Ab"}, []string{"GET /abc"}},
		{"path: /É, case_sensitive: false", []string{"GET /É"}, []string{"GET /é"}},
		{"path_separated_prefix: /a", []string{"GET /a", "GET /a/", "GET /a/b", "GET /a?x"}, []string{"GET /ab", "GET /"}},
		{"safe_regex: {regex: '/a|/ab'}", []string{"GET /a", "GET /ab", "GET /ab?c"}, []string{"GET /abc", "GET /x/a"}},
		{"safe_regex: {regex: '/(?i)b.*'}", []string{"GET /B", "GET /bc"}, []string{"GET /a", "GET /"}},
		{"connect_matcher: {}", nil, []string{"GET /", "CONNECT /"}},

		{"prefix: /, headers: [{name: X, string_match: {exact: a}}]", []string{"GET /|x: a"}, []string{"GET /", "GET /|x: A", "GET /|x: a|x: b"}},
		{"prefix: /, headers: [{name: x, string_match: {exact: 'a,b'}}]", []string{"GET /|x: a|y: z|x: b"}, []string{"GET /|x: b|x: a"}},
		{"prefix: /, headers: [{name: x, string_match: {exact: Ab, ignore_case: true}}]", []string{"GET /|x: aB"}, []string{"GET /|x: c"}},
		{"prefix: /, headers: [{name: x, string_match: {prefix: a}}]", []string{"GET /|x: ab"}, []string{"GET /|x: ba"}},
		{"prefix: /, headers: [{name: x, string_match: {suffix: a}}]", []string{"GET /|x: ba"}, []string{"GET /|x: ab"}},
		{"prefix: /, headers: [{name: x, string_match: {contains: B, ignore_case: true}}]", []string{"GET /|x: abc"}, []string{"GET /|x: ac"}},
		{"prefix: /, headers: [{name: x, string_match: {safe_regex: {regex: 'a+'}}}]", []string{"GET /|x: aa"}, []string{"GET /|x: ab", "GET /|x: "}},
		{"prefix: /, headers: [{name: x, string_match: {exact: a}, invert_match: true}]", []string{"GET /|x: b"}, []string{"GET /|x: a", "GET /"}},
		{"prefix: /, headers: [{name: x, string_match: {exact: a}, invert_match: true, treat_missing_header_as_empty: true}]", []string{"GET /|x: b", "GET /"}, []string{"GET /|x: a"}},
		{"prefix: /, headers: [{name: x, present_match: true}]", []string{"GET /|x: "}, []string{"GET /"}},
		{"prefix: /, headers: [{name: x, present_match: false}]", []string{"GET /"}, []string{"GET /|x: a"}},
		{"prefix: /, headers: [{name: x, present_match: true, invert_match: true}]", []string{"GET /"}, []string{"GET /|x: a"}},
		{"prefix: /, headers: [{name: x}]", []string{"GET /|x: a"}, []string{"GET /"}},
		{"prefix: /, headers: [{name: x, range_match: {start: -1, end: 10}}]", []string{"GET /|x: -1", "GET /|x: 9"}, []string{"GET /|x: 10", "GET /|x: a", "GET /|x: 99999999999999999999999", "GET /"}},
		{"prefix: /, headers: [{name: ':method', string_match: {exact: GET}}]", []string{"GET /"}, []string{"POST /"}},
		{"prefix: /, headers: [{name: ':path', string_match: {suffix: '?x'}}]", []string{"GET /a?x"}, []string{"GET /a"}},
		{"prefix: /, headers: [{name: ':authority', string_match: {exact: host}}, {name: Host, present_match: true}]", []string{"GET /"}, nil},
		{"prefix: /, headers: [{name: ':authority', string_match: {exact: other}}]", nil, []string{"GET /"}},

		{"prefix: /, query_parameters: [{name: q, string_match: {exact: a}}]", []string{"GET /?q=a", "GET /?b&q=a&q=b"}, []string{"GET /", "GET /?q", "GET /?q=b&q=a", "GET /?xq=a"}},
		{"prefix: /, query_parameters: [{name: q, present_match: true}]", []string{"GET /?q", "GET /?a=b&q="}, []string{"GET /?a=q"}},
		{"prefix: /, query_parameters: [{name: q, present_match: false}]", []string{"GET /?a"}, []string{"GET /?q"}},
		{"prefix: /, query_parameters: [{name: q}]", []string{"GET /?q=1#f"}, []string{"GET /"}},

		{"prefix: /, grpc: {}", []string{"POST /|content-type: application/grpc", "POST /|content-type: application/grpc+proto"}, []string{"POST /", "POST /|content-type: application/grpcx"}},
	} {
		table := oneRoute(t, "match: {"+test.match+"}\ndirect_response: {status: 200}")
		for i, line := range append(test.yes[:len(test.yes):len(test.yes)], test.no...) {
			parts := strings.Split(line, "|")
			method, path, _ := strings.Cut(parts[0], " ")
			_, r := table.Match(request(method+" host"+path, parts[1:]...), 0)
			if got, want := r != nil, i < len(test.yes); got != want {
				t.Errorf("{%s} on %q: %v, want %v", test.match, line, got, want)
			}
		}
	}
}

func TestIgnorePathParameters(t *testing.T) {
	table := compile(t, `
name: rc
ignore_path_parameters_in_path_matching: true
virtual_hosts:
- name: v
  domains: ['*']
  routes: [{match: {path: /a}, route: {cluster: c, prefix_rewrite: /b}}]
`)
	h := request("GET host/a;v=1?q")
	_, r := table.Match(h, 0)
	if r == nil {
		t.Fatal("no route")
	}
	r.RewriteRequest(h, r.Forward.Pick(0), &route.Context{Request: h})
	if got := string(h.Path()); got != "/b;v=1?q" {
		t.Errorf("path %q", got)
	}
}

// TestConnect: no kind of path fits a CONNECT, which has none.
func TestConnect(t *testing.T) {
	h := request("CONNECT host:443/")
	h.SetPath(nil)
	for match, want := range map[string]bool{"prefix: ''": false, "safe_regex: {regex: '.*'}": false, "connect_matcher: {}": true} {
		if _, r := oneRoute(t, "match: {"+match+"}\nroute: {cluster: a}").Match(h, 0); (r != nil) != want {
			t.Errorf("%s: got %v", match, r)
		}
	}
}

func TestRequireTLS(t *testing.T) {
	const yaml = "name: rc\nvirtual_hosts:\n- name: v\n  domains: ['*']\n  require_tls: %s\n  routes: [{match: {prefix: /}, route: {cluster: a}}]"
	for _, test := range []struct {
		mode  string
		lines []string
		to    string
	}{
		{"ALL", []string{"x-forwarded-proto: http"}, "https://host/a?b"},
		{"ALL", []string{"x-forwarded-proto: http", "x-envoy-internal: true"}, "https://host/a?b"},
		{"ALL", []string{"x-forwarded-proto: https"}, ""},
		{"EXTERNAL_ONLY", []string{"x-forwarded-proto: http", "x-envoy-internal: true"}, ""},
		{"EXTERNAL_ONLY", []string{"x-forwarded-proto: http"}, "https://host/a?b"},
	} {
		h := request("GET host:80/a?b", test.lines...)
		_, r := compile(t, fmt.Sprintf(yaml, test.mode)).Match(h, 0)
		got := ""
		if r.Redirect != nil {
			got = string(r.Location(nil, h, "http", &route.Context{Request: h}))
		}
		if got != test.to {
			t.Errorf("%s %v: %q, want %q", test.mode, test.lines, got, test.to)
		}
	}
}

// Shares of matches are taken by the request's number: the same request
// always goes the same way.
func TestRuntimeFraction(t *testing.T) {
	table := oneRoute(t, "match: {prefix: /, runtime_fraction: {default_value: {numerator: 2500, denominator: TEN_THOUSAND}}}\nroute: {cluster: a}")
	h := request("GET a/")
	n := 0
	for i := range uint64(40_000) {
		_, r := table.Match(h, i)
		if _, again := table.Match(h, i); r != again {
			t.Fatalf("request %d goes two ways", i)
		}
		if r != nil {
			n++
		}
	}
	if n < 9_600 || n > 10_400 {
		t.Errorf("%d of 40000, want about 10000", n)
	}
}

// The indexes find what a scan of everything finds.
func TestMatchIsScan(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "A", "ab", "a-b", "", "aa"})
	domain := rapid.Custom(func(t *rapid.T) string {
		d := strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "labels"), ".")
		return rapid.SampledFrom([]string{d, "*" + d, "*." + d, d + "*", d + ".*", "*"}).Draw(t, "domain")
	})
	path := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(word, 0, 4).Draw(t, "segments"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		rc := &routev3.RouteConfiguration{Name: "rc"}
		var domains [][]string
		seen := map[string]bool{}
		for i := range rapid.IntRange(1, 6).Draw(t, "hosts") {
			vh := &routev3.VirtualHost{Name: fmt.Sprint("v", i)}
			for _, d := range rapid.SliceOfN(domain, 1, 3).Draw(t, "domains") {
				if key := strings.ToLower(d); d != "" && !seen[key] {
					seen[key] = true
					vh.Domains = append(vh.Domains, d)
				}
			}
			if len(vh.Domains) == 0 {
				continue
			}
			for j := range rapid.IntRange(0, 8).Draw(t, "routes") {
				vh.Routes = append(vh.Routes, drawRoute(t, path.Draw(t, "path"), fmt.Sprint("r", j)))
			}
			rc.VirtualHosts, domains = append(rc.VirtualHosts, vh), append(domains, vh.Domains)
		}
		table, err := route.Compile(rc, clusters)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			h := request("GET " + strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "host"), ".") + path.Draw(t, "request"))
			if rapid.Bool().Draw(t, "x") {
				h.Add("x", []byte("1"))
			}
			v, r := table.Match(h, 1)
			wantV, wantR := table.MatchScan(h, 1, domains)
			if v != wantV || r != wantR {
				t.Fatalf("%s: %+v %+v, want %+v %+v", text(h), v, r, wantV, wantR)
			}
		}
	})
}

func drawRoute(t *rapid.T, path, name string) *routev3.Route {
	m := &routev3.RouteMatch{}
	switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
	case kind == 0:
		m.PathSpecifier = &routev3.RouteMatch_Path{Path: path}
	case kind == 1:
		m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: path + "(a|/)*"}}
	case kind == 2 && path != "/" && !strings.HasSuffix(path, "/"):
		m.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: path}
	default:
		m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: path}
	}
	if rapid.Bool().Draw(t, "fold") {
		m.CaseSensitive = wrapperspb.Bool(false)
	}
	if rapid.Bool().Draw(t, "header") {
		m.Headers = []*routev3.HeaderMatcher{{Name: "x"}}
	}
	return &routev3.Route{Name: name, Match: m, Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200}}}
}
