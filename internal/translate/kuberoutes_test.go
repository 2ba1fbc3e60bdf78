package translate_test

import (
	"strings"
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/translate"
)

const sameServices = `
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: next}
spec: {ports: [{name: http, port: 80}]}
---
`

const asVirtualService = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example, "*.shop.example"]
  gateways: [gw]
  http:
  - name: exact
    match: [{uri: {exact: /exact}}]
    route: [{destination: {host: shop, port: {number: 80}}, weight: 90}, {destination: {host: next, port: {number: 80}}, weight: 10}]
    timeout: 3s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "connect-failure,refused-stream,unavailable,cancelled,500"}
  - name: mirrored
    match: [{uri: {prefix: /mirrored}, method: {exact: GET}, headers: {x-a: {exact: b}, x-c: {regex: "d+"}}, queryParams: {q: {exact: "1"}}}]
    route:
    - {destination: {host: shop, port: {number: 80}}, headers: {request: {set: {x-backend: shop}}}}
    headers: {request: {set: {x-set: s}, add: {x-add: a}, remove: [x-gone]}, response: {set: {x-answer: "yes"}}}
    rewrite: {uri: /new, authority: inner.example}
    mirrors: [{destination: {host: next, port: {number: 80}}, percentage: {value: 50}}, {destination: {host: next, port: {number: 80}}, percentage: {value: 12.5}}]
  - name: moved
    match: [{uri: {prefix: /moved}}]
    redirect: {uri: /elsewhere, authority: new.example, scheme: https, redirectCode: 301}
  - name: pattern
    match: [{uri: {regex: "/[0-9]+"}}]
    route: [{destination: {host: next, port: {number: 80}}}]
  - name: all
    match: [{uri: {prefix: /}}]
    route: [{destination: {host: shop, port: {number: 80}}}]
`

const asHTTPRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: sundog, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: gw}]
  hostnames: [shop.example, "*.shop.example"]
  rules:
  - name: all
    backendRefs: [{name: shop, port: 80}]
  - name: pattern
    matches: [{path: {type: RegularExpression, value: "/[0-9]+"}}]
    backendRefs: [{name: next, port: 80}]
  - name: moved
    matches: [{path: {value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example, scheme: https, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /elsewhere}}}]
  - name: mirrored
    matches: [{path: {value: /mirrored}, method: GET, headers: [{name: x-a, value: b}, {name: x-c, type: RegularExpression, value: "d+"}], queryParams: [{name: q, value: "1"}]}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: s}], add: [{name: x-add, value: a}], remove: [x-gone]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-answer, value: "yes"}]}}
    - {type: URLRewrite, urlRewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: next, port: 80}, percent: 50}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: next, port: 80}, fraction: {numerator: 1, denominator: 8}}}
    backendRefs: [{name: shop, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-backend, value: shop}]}}]}]
  - name: exact
    matches: [{path: {type: Exact, value: /exact}}]
    backendRefs: [{name: shop, port: 80, weight: 90}, {name: next, port: 80, weight: 10}]
    timeouts: {request: 3s, backendRequest: 1s}
    retry: {attempts: 3, codes: [500]}
`

// TestHTTPRouteIsVirtualService: the same routing, written in either way, gives
// the same routes, but for what only one of them can say.
func TestHTTPRouteIsVirtualService(t *testing.T) {
	routes := func(text string) []*route.RouteConfiguration {
		set, problems := config.Parse([]config.File{{Name: "in.yaml", Data: []byte(sameServices + text)}}, nil, config.Options{})
		s, more := translate.Translate(set, translate.Options{Gateway: map[string]string{"istio": "ingressgateway"}})
		for _, p := range append(problems, more...) {
			if !strings.Contains(p.Message, "no endpoints") {
				t.Error(p)
			}
		}
		return s.Routes
	}
	istio, kube := routes(asVirtualService), routes(asHTTPRoute)
	for _, c := range kube {
		for _, v := range c.VirtualHosts {
			for _, r := range v.Routes {
				if p, ok := r.Match.PathSpecifier.(*route.RouteMatch_PathSeparatedPrefix); ok {
					r.Match.PathSpecifier = &route.RouteMatch_Prefix{Prefix: p.PathSeparatedPrefix}
				}
				if a := r.GetRoute(); a != nil {
					if a.ClusterNotFoundResponseCode != route.RouteAction_INTERNAL_SERVER_ERROR {
						t.Errorf("%s: a cluster that is not there is %v", r.Name, a.ClusterNotFoundResponseCode)
					}
					a.ClusterNotFoundResponseCode = 0
				}
			}
		}
	}
	const named = 5
	for _, c := range [][]*route.RouteConfiguration{istio, kube} {
		if len(c) != 1 || len(c[0].VirtualHosts) != 1 || len(c[0].VirtualHosts[0].Routes) != named {
			t.Fatalf("not what the test is about: %v", c)
		}
	}
	if diff := cmp.Diff(istio, kube, protocmp.Transform(), protocmp.IgnoreFields(&route.Route{}, "name", "metadata", "decorator")); diff != "" {
		t.Errorf("(-VirtualService +HTTPRoute):\n%s", diff)
	}
}

// TestHTTPRoutesAreKept: what a reload does not change is the same message.
func TestHTTPRoutesAreKept(t *testing.T) {
	var loader config.Loader
	var tr translate.Translator
	load := func(text string) *route.RouteConfiguration {
		set, _ := loader.Parse([]config.File{{Name: "in.yaml", Data: []byte(text)}}, nil, config.Options{})
		s, _ := tr.Translate(set, translate.Options{Gateway: map[string]string{"istio": "ingressgateway"}})
		return s.Routes[0]
	}
	other := strings.NewReplacer("name: shop}\nspec:\n  parentRefs", "name: other}\nspec:\n  parentRefs", "shop.example", "other.example").Replace(asHTTPRoute[strings.Index(asHTTPRoute, "---"):])
	first := load(sameServices + asHTTPRoute + other)
	second := load(sameServices + asHTTPRoute + strings.Replace(other, "12.5", "13", 1) + "# changed\n" + strings.Replace(other[len("---"):], "name: other", "name: more", 1))
	if len(first.VirtualHosts) != 2 || len(second.VirtualHosts) != 2 || proto.Equal(first, second) {
		t.Fatalf("not what the test is about: %v, %v", first, second)
	}
	for i, v := range second.VirtualHosts {
		if changed := v != first.VirtualHosts[i]; changed != strings.HasPrefix(v.Name, "other.") {
			t.Errorf("the virtual host %s is changed: %v", v.Name, changed)
		}
	}
}
