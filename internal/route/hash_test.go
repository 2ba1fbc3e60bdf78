package route_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func hashPolicy(t testing.TB, list string) *route.HashPolicy {
	t.Helper()
	_, r := oneRoute(t, "match: {prefix: /}\nroute: {cluster: a, hash_policy: "+list+"}").Match(request("GET host/"), 0)
	return r.Forward.Hash
}

func addresses(h *traffic.Head) *route.Context {
	return &route.Context{
		Request:                h,
		DownstreamRemote:       netip.MustParseAddrPort("9.8.7.6:5"),
		DownstreamDirectRemote: netip.MustParseAddrPort("127.0.0.1:39803"),
		DownstreamLocal:        netip.MustParseAddrPort("127.0.0.1:18299"),
	}
}

// chained is Envoy's hash of several values: each is hashed with the hash
// before it as the seed.
func chained(values ...string) (hash uint64) {
	for _, v := range values {
		d := xxhash.NewWithSeed(hash)
		_, _ = d.WriteString(v)
		hash = d.Sum64()
	}
	return hash
}

func rotated(a, b uint64) uint64 { return (a<<1 | a>>63) ^ b }

// The rules and orders are those of Envoy's HashPolicyImpl.
func TestHash(t *testing.T) {
	x, y := xxhash.Sum64String("1"), xxhash.Sum64String("2")
	var many, sorted []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("x-a: v%02d", 19-i))
		sorted = append(sorted, fmt.Sprintf("v%02d", i))
	}
	for _, test := range []struct {
		name, list, start string
		lines             []string
		want              uint64
		none              bool
	}{
		{name: "header", list: "[{header: {header_name: X-A}}]", lines: []string{"x-a: 1"}, want: x},
		{name: "empty header", list: "[{header: {header_name: x-a}}]", lines: []string{"x-a: "}, want: xxhash.Sum64String("")},
		{name: "no header", list: "[{header: {header_name: x-a}}]", lines: []string{"x-b: 1"}, none: true},
		{name: "lines in any order", list: "[{header: {header_name: x-a}}]", lines: []string{"x-a: 2", "x-b: 0", "x-a: 1"}, want: chained("1", "2")},
		{name: "many lines", list: "[{header: {header_name: x-a}}]", lines: many, want: chained(sorted...)},
		{name: "path", list: "[{header: {header_name: ':path'}}]", start: "GET host/a?b", want: xxhash.Sum64String("/a?b")},
		{name: "host", list: "[{header: {header_name: Host}}]", start: "GET host/a?b", want: xxhash.Sum64String("host")},
		{name: "rewritten header", list: `[{header: {header_name: x-a, regex_rewrite: {pattern: {regex: '^/a/(\d+)/.*'}, substitution: '\1'}}}]`, lines: []string{"x-a: /a/1/b"}, want: x},
		{name: "cookie", list: "[{cookie: {name: sid}}]", lines: []string{"cookie: a=b;  sid=\"1\"; sid=2"}, want: x},
		{name: "cookie of another line", list: "[{cookie: {name: sid}}]", lines: []string{"cookie: Sid=3; flag; xsid=4", "cookie: sid=1"}, want: x},
		{name: "cookie with an equals sign", list: "[{cookie: {name: sid}}]", lines: []string{"cookie: sid=1=2"}, want: xxhash.Sum64String("1=2")},
		{name: "empty cookie", list: "[{cookie: {name: sid}}]", lines: []string{"cookie: sid=; sid=1"}, none: true},
		{name: "source address", list: "[{connection_properties: {source_ip: true}}]", want: xxhash.Sum64String("9.8.7.6")},
		{name: "no source address", list: "[{connection_properties: {source_ip: false}}]", none: true},
		{name: "query", list: "[{query_parameter: {name: q}}]", start: "GET host/?a=3&q=1&q=2", want: x},
		{name: "empty query", list: "[{query_parameter: {name: q}}]", start: "GET host/?q", want: xxhash.Sum64String("")},
		{name: "no query", list: "[{query_parameter: {name: q}}]", start: "GET host/?Q=1", none: true},
		{name: "two", list: "[{header: {header_name: x-a}}, {query_parameter: {name: q}}]", start: "GET host/?q=2", lines: []string{"x-a: 1"}, want: rotated(x, y)},
		{name: "the same twice", list: "[{header: {header_name: x-a}}, {header: {header_name: x-a}}]", lines: []string{"x-a: 1"}, want: rotated(x, x)},
		{name: "second only", list: "[{header: {header_name: x-a}}, {query_parameter: {name: q}}]", start: "GET host/?q=2", want: y},
		{name: "terminal", list: "[{header: {header_name: x-a}, terminal: true}, {query_parameter: {name: q}}]", start: "GET host/?q=2", lines: []string{"x-a: 1"}, want: x},
		{name: "terminal without a hash", list: "[{header: {header_name: x-a}, terminal: true}, {query_parameter: {name: q}}]", start: "GET host/?q=2", want: y},
		{name: "terminal after a hash", list: "[{query_parameter: {name: q}}, {header: {header_name: x-a}, terminal: true}, {connection_properties: {source_ip: true}}]", start: "GET host/?q=2", want: y},
		{name: "empty list", list: "[]", none: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.start == "" {
				test.start = "GET host/"
			}
			h := request(test.start, test.lines...)
			p := hashPolicy(t, test.list)
			hash, ok, cookies := p.Hash(h, addresses(h))
			if hash != test.want || ok == test.none || cookies != 0 {
				t.Errorf("%x, %v, cookies %b, want %x", hash, ok, cookies, test.want)
			}
			if hash, ok, _ := p.Hash(h, &route.Context{Request: h}); strings.Contains(test.name, "source") && (hash != 0 || ok) {
				t.Errorf("without an address: %x, %v", hash, ok)
			}
		})
	}
}

// A missing cookie that has a ttl is made up. The values are what Envoy 1.40
// sent for the same addresses.
func TestHashCookie(t *testing.T) {
	for _, test := range []struct {
		list string
		want []string
	}{
		{"[{cookie: {name: sid, ttl: 60s, path: /p, attributes: [{name: SameSite, value: Lax}, {name: Secure}]}}]", []string{`set-cookie: sid="63827dbd0fcb5281"; Max-Age=60; Path=/p; SameSite=Lax; Secure; HttpOnly`}},
		{"[{cookie: {name: sid, ttl: 0s}}]", []string{`set-cookie: sid="63827dbd0fcb5281"; HttpOnly`}},
		{"[{cookie: {name: has, ttl: 9s}}, {cookie: {name: b, ttl: 1s}}, {cookie: {name: none}}, {cookie: {name: c, ttl: 0s}}]", []string{
			`set-cookie: b="63827dbd0fcb5281"; Max-Age=1; HttpOnly`, `set-cookie: c="63827dbd0fcb5281"; HttpOnly`,
		}},
	} {
		h := request("GET host/", "cookie: sid=; has=1")
		p, ctx := hashPolicy(t, test.list), addresses(h)
		hash, ok, cookies := p.Hash(h, ctx)
		var answer traffic.Head
		answer.Reset()
		p.SetCookies(&answer, ctx, cookies)
		var got []string
		for i := range answer.Len() {
			name, value := answer.Field(i)
			got = append(got, string(name)+": "+string(value))
		}
		if diff := cmp.Diff(test.want, got); diff != "" || !ok {
			t.Errorf("%s: %v %s", test.list, ok, diff)
		}
		if len(test.want) > 1 {
			continue
		}
		// The client comes back with it, on another connection.
		h = request("GET host/", `cookie: sid="63827dbd0fcb5281"`)
		ctx.DownstreamDirectRemote = netip.MustParseAddrPort("127.0.0.1:1")
		if again, ok, cookies := p.Hash(h, ctx); again != hash || !ok || cookies != 0 {
			t.Errorf("%x, then %x; cookies %b", hash, again, cookies)
		}
	}
}

func TestHashErrors(t *testing.T) {
	for _, test := range []struct{ list, want string }{
		{"[{filter_state: {key: a}}]", "route.hash_policy[0]: filter_state: is not supported"},
		{"[{terminal: true}]", "hash_policy[0]: policy_specifier: is none of header, cookie"},
		{"[{header: {header_name: 'a b'}}]", `header.header_name: "a b" is not a header name`},
		{"[{header: {header_name: a, regex_rewrite: {pattern: {regex: '('}}}}]", "header.regex_rewrite: error parsing regexp"},
		{"[{query_parameter: {name: q}}, {query_parameter: {}}]", "hash_policy[1]: query_parameter.name: is empty"},
		{"[{cookie: {name: 'a;b'}}]", `cookie.name: "a;b" is not a cookie's name`},
		{"[{cookie: {name: a, path: \"/\\r\\nx: y\"}}]", "cannot stand in a cookie"},
		{"[{cookie: {name: a, attributes: [{name: b, value: 'c;d'}]}}]", `cookie.attributes[0]: "b": "c;d" cannot stand in a cookie`},
		{"[{cookie: {name: a, ttl: -1s}}]", "cookie.ttl: is below 0"},
		{"[" + strings.Repeat("{connection_properties: {source_ip: true}}, ", 65) + "]", "has 65 elements; at most 64 are supported"},
	} {
		_, err := route.Compile(config(t, wrap("match: {prefix: /}\nroute: {cluster: a, hash_policy: "+test.list+"}")), clusters)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.list, err, test.want)
		}
	}
}

func TestHashDoesNotAllocate(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	p := hashPolicy(t, "[{header: {header_name: x-a}}, {cookie: {name: sid, ttl: 5s, path: /}}, {connection_properties: {source_ip: true}}, {query_parameter: {name: q}}]")
	h := request("GET host/?q=1", "x-a: 2", "x-a: 1", "cookie: a=b")
	ctx := addresses(h)
	var answer traffic.Head
	once := func() {
		answer.Reset()
		_, _, cookies := p.Hash(h, ctx)
		p.SetCookies(&answer, ctx, cookies)
	}
	once()
	if answer.Len() != 1 {
		t.Fatalf("%d fields", answer.Len())
	}
	if n := testing.AllocsPerRun(1000, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzHash(f *testing.F) {
	p := hashPolicy(f, "[{header: {header_name: cookie}}, {cookie: {name: s, ttl: 5s}}, {query_parameter: {name: q}}]")
	f.Add("s=1; t=\"2\"", "/?q=1&s")
	f.Add(";; =;s=\"", "?")
	f.Fuzz(func(t *testing.T, cookie, path string) {
		var h traffic.Head
		h.Reset()
		h.SetPath([]byte(path))
		h.Add("cookie", []byte(cookie))
		ctx := addresses(&h)
		first, ok, made := p.Hash(&h, ctx)
		again, _, _ := p.Hash(&h, ctx)
		value, _ := h.Get("cookie")
		if !ok || first != again || string(value) != cookie || string(h.Path()) != path {
			t.Errorf("%x, then %x; %v; the head is %q %q", first, again, ok, h.Path(), value)
		}
		if made != 0 && made != 2 {
			t.Errorf("cookies %b", made)
		}
	})
}
