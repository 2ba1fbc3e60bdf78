package test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
)

const kubeGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: sundog
  listeners:
  - {name: http, port: 80, protocol: HTTP}
`

const kubeRoutes = kubeGateway + `  - name: https
    port: 443
    protocol: HTTPS
    hostname: "*.example"
    tls: {certificateRefs: [{name: cert}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: gw}]
  hostnames: ["*.example"]
  rules:
  - {backendRefs: [{name: shop, port: 80}]}
  - matches: [{path: {type: RegularExpression, value: "/[0-9]+"}}]
    backendRefs: [{name: shop-next, port: 80}]
  - matches: [{path: {value: /lost}}]
    backendRefs: [{name: lost, port: 80}]
  - matches: [{path: {value: /none}}]
  - matches: [{path: {value: /zero}}]
    backendRefs: [{name: shop, port: 80, weight: 0}]
  - matches: [{path: {value: /stranger}}]
    backendRefs: [{name: shop, namespace: other, port: 80}]
  - matches: [{path: {value: /extended}}]
    filters: [{type: ExtensionRef, extensionRef: {group: a.example, kind: Thing, name: a}}]
    backendRefs: [{name: shop, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: some}
spec:
  parentRefs: [{name: gw, sectionName: http}]
  hostnames: [shop.example]
  rules:
  - {backendRefs: [{name: shop, port: 80}]}
  - matches: [{path: {value: /foo}}]
    backendRefs: [{name: shop-next, port: 80}]
  - matches: [{path: {type: Exact, value: /foo/exact}}, {path: {value: /foo}, headers: [{name: X-Old, value: "1"}]}, {queryParams: [{name: old, value: "1"}], path: {value: /foo}}]
    backendRefs: [{name: shop, port: 80}]
  - matches: [{path: {value: /foo}, method: DELETE}]
    backendRefs: [{name: shop, port: 80}]
  - matches: [{path: {value: /strip/}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: shop, port: 80}]
  - matches: [{path: {value: /swap}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new/}}}]
    backendRefs: [{name: shop, port: 80}]
  - matches: [{path: {value: /full}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}]
    backendRefs: [{name: shop, port: 80}]
  - matches: [{path: {value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
  - matches: [{path: {value: /headers}}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: s}], add: [{name: x-add, value: b}], remove: [x-gone]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-answer, value: "yes"}]}}
    backendRefs:
    - {name: shop, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-backend, value: shop}]}}]}
`

// A kubeCase is a request, and who answers how.
type kubeCase struct {
	method, host, path string
	header             string // of the request: "name: value"
	status             int
	answer             string // "primary" or "next"; or where a redirect leads
	got                string // the path that the service got; empty: the same
}

func kubeCases() []kubeCase {
	return []kubeCase{
		{host: "other.example", path: "/", status: 200, answer: "primary"},
		{host: "other.example", path: "/123", status: 200, answer: "next"},
		{host: "other.example", path: "/123x", status: 200, answer: "primary"},
		{host: "elsewhere.test", path: "/", status: 404},
		{host: "other.example", path: "/lost/a", status: 500},
		{host: "other.example", path: "/none", status: 500},
		{host: "other.example", path: "/zero", status: 500},
		{host: "other.example", path: "/stranger", status: 500},
		{host: "other.example", path: "/extended", status: 500},
		{host: "shop.example", path: "/lost", status: 200, answer: "primary"}, // the most specific hostname has it
		{host: "shop.example", path: "/foo", status: 200, answer: "next"},
		{host: "shop.example", path: "/foo/bar", status: 200, answer: "next"},
		{host: "shop.example", path: "/foobar", status: 200, answer: "primary"},
		{host: "shop.example", path: "/foo/exact", status: 200, answer: "primary"},
		{host: "shop.example", path: "/foo/exact/no", status: 200, answer: "next"},
		{host: "shop.example", path: "/foo", header: "x-old: 1", status: 200, answer: "primary"},
		{host: "shop.example", path: "/foo?old=1", status: 200, answer: "primary", got: "/foo"},
		{method: "DELETE", host: "shop.example", path: "/foo", status: 200, answer: "primary"},
		{host: "shop.example", path: "/strip", status: 200, answer: "primary", got: "/"},
		{host: "shop.example", path: "/strip/a/b", status: 200, answer: "primary", got: "/a/b"},
		{host: "shop.example", path: "/stripped", status: 200, answer: "primary"},
		{host: "shop.example", path: "/swap", status: 200, answer: "primary", got: "/new"},
		{host: "shop.example", path: "/swap/a?q=1", status: 200, answer: "primary", got: "/new/a"},
		{host: "shop.example", path: "/full/a", status: 200, answer: "primary", got: "/whole"},
		{host: "shop.example", path: "/moved/a", status: 301, answer: "http://new.example/a"},
		{host: "shop.example", path: "/moved", status: 301, answer: "http://new.example/"},
	}
}

// Gateway API: YAML in, HTTP in, observed traffic out.
func TestHTTPRoutes(t *testing.T) {
	ca := newAuthority(t)
	g := newGateway(t, ca, map[string]string{"routes.yaml": kubeRoutes, "cert.yaml": ca.issue("shop.example").secret("cert", nil)})
	c := client(t, "")
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	address := g.listener("0.0.0.0_80")
	for _, tt := range kubeCases() {
		t.Run(strings.Join([]string{tt.method, tt.host, tt.path, tt.header}, " "), func(t *testing.T) {
			before := len(g.primary.got()) + len(g.next.got())
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+address+tt.path, http.NoBody)
			must(t, err)
			req.Host = tt.host
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				req.Header.Set(name, value)
			}
			resp, err := c.Do(req)
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != tt.status {
				t.Fatalf("got %d %s, want %d", resp.StatusCode, body, tt.status)
			}
			if tt.status != http.StatusOK {
				if l := resp.Header.Get("Location"); l != tt.answer {
					t.Errorf("Location %q, want %q", l, tt.answer)
				}
				if after := len(g.primary.got()) + len(g.next.got()); after != before {
					t.Error("a service got the request")
				}
				return
			}
			s := map[string]*service{"primary": g.primary, "next": g.next}[tt.answer]
			if string(body) != tt.answer {
				t.Fatalf("%s has answered, want %s", body, tt.answer)
			}
			want := tt.got
			if want == "" {
				want = tt.path
			}
			if last := s.got()[len(s.got())-1]; last.path != want {
				t.Errorf("%s got %s, want %s", tt.answer, last.path, want)
			}
		})
	}
	t.Run("headers", func(t *testing.T) { kubeHeaders(t, g, c, address) })
	t.Run("https", func(t *testing.T) {
		if out, code := g.curl("shop.example", "/foo"); code != 0 || out != "primary 2 200" { // the route some is not attached here
			t.Errorf("curl ended with %d: %s", code, out)
		}
	})
	for _, want := range []string{
		"no ReferenceGrant in other lets HTTPRoutes of default name the Service shop",
		"there is no Service default/lost", "the rule has no backendRefs", "the weights sum to 0", "no extension is known to Sundog",
	} {
		if !strings.Contains(g.err.String(), want) {
			t.Errorf("nobody was told that %s", want)
		}
	}
	g.stop()
}

func kubeHeaders(t *testing.T, g *gateway, c *http.Client, address string) {
	req := get(t, "http://"+address+"/headers")()
	req.Host = "shop.example"
	req.Header = http.Header{"X-Add": {"a"}, "X-Gone": {"1"}, "X-Set": {"1"}}
	resp, err := c.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	got := g.primary.got()[len(g.primary.got())-1].header
	if fmt.Sprint(got["X-Set"], got["X-Add"], got["X-Gone"], got["X-Backend"]) != "[s] [a b] [] [shop]" {
		t.Errorf("the service got %v", got)
	}
	if resp.Header.Get("X-Answer") != "yes" {
		t.Errorf("the answer has %v", resp.Header)
	}
}

const kubeMirror = kubeGateway + `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: gw}]
  rules:
  - name: half
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: shop-next, port: 80}, percent: 50}}]
    backendRefs: [{name: shop, port: 80}]
  - name: none
    matches: [{path: {value: /none}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: shop-next, port: 80}, percent: 0}}]
    backendRefs: [{name: shop, port: 80}]
---
apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: half}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, sectionName: half}]
  request:
    authorityMode: Shadow
    headers: {add: {x-shadow: "yes"}}
    redact: {headers: [authorization]}
`

// A ShadowPolicy acts on the mirror of a rule of an HTTPRoute.
func TestHTTPRouteShadowPolicy(t *testing.T) {
	g := newGateway(t, newAuthority(t), map[string]string{"routes.yaml": kubeMirror})
	address := g.listener("0.0.0.0_80")
	with := func(path string) func() *http.Request {
		return func() *http.Request {
			r := get(t, "http://"+address+path)()
			r.Header.Set("Authorization", "Bearer of-bad-news")
			return r
		}
	}
	send(t, client(t, ""), requests, "primary", with("/"))
	send(t, client(t, ""), 100, "primary", with("/none"))
	l := g.settled()
	completed := 0
	for _, r := range l.Routes {
		for _, m := range r.Mirrors {
			completed += m.Outcomes["completed"]
		}
	}
	if l.Forwarded != requests+100 || math.Abs(float64(completed)-requests/2) > 100 || len(g.next.got()) != completed {
		t.Errorf("the ledger is %+v, the shadow got %d", l, len(g.next.got()))
	}
	for _, r := range g.next.got() {
		if r.path != "/" || r.header.Get("X-Shadow") != "yes" || !strings.HasPrefix(r.host, "shop-next.") || !strings.HasPrefix(r.header.Get("Authorization"), "sd_") && !strings.Contains(r.header.Get("Authorization"), " sd_") {
			t.Fatalf("the shadow got %s%s %v", r.host, r.path, r.header)
		}
	}
	for _, r := range g.primary.got() {
		if r.header.Get("Authorization") != "Bearer of-bad-news" || r.header.Get("X-Shadow") != "" {
			t.Fatalf("the primary got %v", r.header)
		}
	}
	g.stop()
}

const kubeMesh = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: shop, port: 80}]
  rules:
  - matches: [{path: {value: /v2}}]
    backendRefs: [{name: shop-next, port: 80}]
  - matches: [{path: {value: /v1}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: shop-next, port: 80}}}]
    backendRefs: [{name: shop, port: 80}]
`

// A route whose parent is a Service is for the mesh. What no rule matches is 404.
func TestHTTPRouteMesh(t *testing.T) {
	dir, primary, next := t.TempDir(), serve(t, "primary"), serve(t, "next")
	write(t, dir+"/all.yaml", services("shop", "shop-next")+kubeMesh)
	p := sundog(t, "run", "-f", dir, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--endpoint", "shop="+primary.address, "--endpoint", "shop-next="+next.address)
	c := client(t, p.listener("virtualOutbound"))
	for _, tt := range []struct {
		url, body string
		status    int
	}{
		{"http://shop/v1/a", "primary", 200},
		{"http://shop.default.svc.cluster.local/v2", "next", 200},
		{"http://shop/v22", "", 404},
		{"http://shop-next/v22", "next", 200},
	} {
		if status, body, err := exchange(c, get(t, tt.url)()); err != nil || status != tt.status || body != tt.body {
			t.Errorf("%s: %d %q, %v; want %d %q", tt.url, status, body, err, tt.status, tt.body)
		}
	}
	if o := p.settled().only(t); o["completed"] != 1 {
		t.Errorf("the ledger has %v", o)
	}
	p.stop()
}

// The example of the Gateway API as it is written.
func TestGatewayAPIExample(t *testing.T) {
	primary, next := serve(t, "primary"), serve(t, "next")
	p := sundog(t, "run", "-f", "../examples/gateway-api", "--outbound", "", "--admin", "127.0.0.1:0", "--publish", "127.0.0.1:0:80",
		"--endpoint", "httpbin="+primary.address, "--endpoint", "httpbin-next="+next.address)
	send(t, client(t, ""), requests, "primary", get(t, "http://"+p.listener("0.0.0.0_80")+"/headers"))
	l := p.settled()
	o := l.only(t)
	if l.Forwarded != requests || o["completed"]+o["not_sampled"] != requests || math.Abs(float64(o["completed"])-requests/2) > 100 {
		t.Errorf("the ledger is %+v", l)
	}
	if got := next.got(); len(got) != o["completed"] || got[0].header.Get("X-Shadow") != "yes" {
		t.Errorf("the shadow got %d requests, the ledger has %d: %v", len(got), o["completed"], got[0])
	}
	p.stop()
}
