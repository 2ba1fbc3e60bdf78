package gatewayapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/gatewayapi"
)

const header = "apiVersion: gateway.networking.k8s.io/v1\nkind: %s\nmetadata: {name: %s, namespace: %s}\nspec:\n"

func route(namespace, name, spec string) string {
	return fmt.Sprintf(header, "HTTPRoute", name, namespace) + indented(spec)
}

func kubeGateway(namespace, name, spec string) string {
	return fmt.Sprintf(header, "Gateway", name, namespace) + "  gatewayClassName: a\n" + indented(spec)
}

func indented(spec string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  ") + "\n---\n"
}

func service(namespace, name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s}\nspec: {ports: [{port: 80}]}\n---\n", name, namespace)
}

// convert reads the documents and converts them for a gateway in web.
func convert(t testing.TB, documents ...string) gatewayapi.Result {
	t.Helper()
	set, problems := config.Parse([]config.File{{Name: "in.yaml", Data: []byte(strings.Join(documents, ""))}}, nil, config.Options{})
	for _, p := range problems {
		t.Fatal(p)
	}
	return gatewayapi.Convert(input(set))
}

func input(set *config.Set) gatewayapi.Input {
	return gatewayapi.Input{
		Routes: set.HTTPRoutes, Gateways: set.KubeGateways, Grants: set.ReferenceGrants, Services: set.Services,
		ClusterDomain: "cluster.local", Namespace: "web", Gateway: map[string]string{"istio": "ingressgateway"}, Attempts: 2,
	}
}

const open = "listeners: [{name: all, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]"

// shown is a router as "gateway hosts: rules".
func shown(r gatewayapi.Router) string {
	var rules []string
	for _, rule := range r.Rules {
		rules = append(rules, fmt.Sprintf("%s/%s %s", rule.Object.Namespace, rule.Object.Name, rule.Section))
	}
	return fmt.Sprintf("%s %s: %s", r.Gateway, strings.Join(r.Hosts, ","), strings.Join(rules, ", "))
}

// TestPrecedence: the order is that of the Gateway API, whatever the order in
// the files.
func TestPrecedence(t *testing.T) {
	rule := func(name, match string) string {
		return fmt.Sprintf("- {name: %s, matches: [%s], backendRefs: [{name: s, port: 80}]}\n", name, match)
	}
	tests := []struct{ name, want, b, a string }{
		{"exact before prefix", "b1 a1", rule("a1", "{path: {value: /long/long}}"), rule("b1", "{path: {type: Exact, value: /a}}")},
		{"longer prefix", "b1 a1", rule("a1", "{path: {value: /a}}"), rule("b1", "{path: {value: /a/b}}")},
		{"slash at the end is no length", "a1 b1", rule("b1", "{path: {value: /a/}}"), rule("a1", "{path: {value: /a}}")},
		{"prefix before its conditions", "b1 a1", rule("a1", "{path: {value: /a}, method: GET}"), rule("b1", "{path: {value: /ab}}")},
		{"method before headers", "b1 a1", rule("a1", "{headers: [{name: a, value: a}, {name: b, value: b}]}"), rule("b1", "{method: GET}")},
		{"more headers", "b1 a1", rule("a1", "{headers: [{name: a, value: a}]}"), rule("b1", "{headers: [{name: a, value: a}, {name: b, value: b}]}")},
		{"a header counts once", "a1 b1", rule("b1", "{headers: [{name: a, value: a}, {name: A, value: b}]}"), rule("a1", "{headers: [{name: a, value: a}]}")},
		{"headers before parameters", "b1 a1", rule("a1", "{queryParams: [{name: a, value: a}, {name: b, value: b}]}"), rule("b1", "{headers: [{name: a, value: a}]}")},
		{"more parameters", "b1 a1", rule("a1", "{queryParams: [{name: a, value: a}]}"), rule("b1", "{queryParams: [{name: a, value: a}, {name: b, value: b}]}")},
		{"regex after prefix", "b1 a1", rule("a1", "{path: {type: RegularExpression, value: /long.*}}"), rule("b1", "{path: {value: /a}}")},
		{"regex before all", "b1 a1", rule("a1", "{path: {value: /}, method: GET}"), rule("b1", "{path: {type: RegularExpression, value: /.*}}")},
		{"each match by itself", "b1 a1 b1", rule("a1", "{path: {value: /a}}"), rule("b1", "{path: {value: /}}, {path: {value: /a/b}}")},
		{"the name at last", "a1 a2 b1", rule("b1", "{path: {value: /a}}"), rule("a1", "{path: {value: /a}}") + rule("a2", "{path: {value: /a}}")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := "parentRefs: [{name: gw}]\nrules:\n"
			first, second := route("web", "b", parent+tt.b), route("web", "a", parent+tt.a)
			for _, documents := range [][]string{{first, second}, {second, first}} {
				out := convert(t, append(documents, kubeGateway("web", "gw", open), service("web", "s"))...)
				if len(out.Problems) > 0 || len(out.Routers) != 1 {
					t.Fatalf("%d routers, %v", len(out.Routers), out.Problems)
				}
				var got []string
				for _, r := range out.Routers[0].Rules {
					got = append(got, r.Section)
				}
				if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestAttach: which routes are at which listener for which hosts, and what is
// told of those that are not.
func TestAttach(t *testing.T) {
	const rules = "\nrules: [{name: r, backendRefs: [{name: s, port: 80}]}]"
	tests := []struct{ name, gateway, route, want, told string }{
		{
			"narrower host of the route", `listeners: [{name: l, port: 80, protocol: HTTP, hostname: "*.example"}]`,
			"parentRefs: [{name: gw}]\nhostnames: [a.example, other.test, b.example]", "web/gw/l a.example,b.example: web/a r", "",
		},
		{
			"narrower host of the listener", "listeners: [{name: l, port: 80, protocol: HTTP, hostname: a.example}]",
			`parentRefs: [{name: gw}]` + "\n" + `hostnames: ["*.example"]`, "web/gw/l a.example: web/a r", "",
		},
		{
			"no host in common", "listeners: [{name: l, port: 80, protocol: HTTP, hostname: a.example}]",
			"parentRefs: [{name: gw}]\nhostnames: [b.example]", "", "spec.parentRefs[0]: no hostname of the route is one of Gateway web/gw",
		},
		{
			"a wildcard is not its own parent", `listeners: [{name: l, port: 80, protocol: HTTP, hostname: "*.example"}]`,
			"parentRefs: [{name: gw}]\nhostnames: [example]", "", "no hostname of the route",
		},
		{
			"each host has one listener", `listeners: [{name: l, port: 80, protocol: HTTP, hostname: "*.example"}, {name: m, port: 80, protocol: HTTP, hostname: "a.example"}]`,
			"parentRefs: [{name: gw}]\nhostnames: [a.example, b.example]", "web/gw/l b.example: web/a r; web/gw/m a.example: web/a r", "",
		},
		{
			"section", "listeners: [{name: l, port: 80, protocol: HTTP}, {name: m, port: 81, protocol: HTTP}]",
			"parentRefs: [{name: gw, sectionName: m}]", "web/gw/m *: web/a r", "",
		},
		{
			"port", "listeners: [{name: l, port: 80, protocol: HTTP}, {name: m, port: 81, protocol: HTTP}]",
			"parentRefs: [{name: gw, port: 80}]", "web/gw/l *: web/a r", "",
		},
		{
			"no such section", "listeners: [{name: l, port: 80, protocol: HTTP}]",
			"parentRefs: [{name: gw, sectionName: m}]", "", "spec.parentRefs[0].sectionName: Gateway web/gw has no such listener m",
		},
		{"no such gateway", open, "parentRefs: [{name: gw2}]", "", "spec.parentRefs[0].name: there is no Gateway web/gw2"},
		{"no parents", open, "hostnames: [a.example]", "", "spec: the route has no parentRefs"},
		{"another kind", open, "parentRefs: [{kind: Thing, name: gw}]", "", "spec.parentRefs[0].kind: Thing of"},
		{
			"kinds of routes", "listeners: [{name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}]",
			"parentRefs: [{name: gw}]", "", "takes HTTPRoutes",
		},
		{
			"selector by name", "listeners: [{name: l, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: web}}}}}]",
			"parentRefs: [{name: gw}]", "web/gw/l *: web/a r", "",
		},
		{
			"selector by label", "listeners: [{name: l, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}]",
			"parentRefs: [{name: gw}]", "", "selects namespaces by labels, which files do not tell",
		},
		{"service", open, "parentRefs: [{kind: Service, group: \"\", name: s}]", "mesh s.web.svc.cluster.local: web/a r", ""},
		{"no such service", open, "parentRefs: [{kind: Service, group: \"\", name: t}]", "", "there is no Service web/t"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := convert(t, kubeGateway("web", "gw", tt.gateway), route("web", "a", tt.route+rules), service("web", "s"))
			var got []string
			for _, r := range out.Routers {
				got = append(got, shown(r))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, "; ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			told := fmt.Sprint(out.Problems)
			if tt.told == "" && len(out.Problems) > 0 || !strings.Contains(told, tt.told) {
				t.Errorf("told %s, want %q", told, tt.told)
			}
			for _, p := range out.Problems {
				if p.Position.Line == 0 || p.Object != "HTTPRoute web/a" || p.Hint == "" {
					t.Errorf("the problem does not help: %+v", p)
				}
			}
		})
	}
}

// TestNamespaces: allowedRoutes and ReferenceGrants keep namespaces apart.
func TestNamespaces(t *testing.T) {
	grant := strings.Replace(route("back", "g", "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: front}]\nto: [{group: \"\", kind: Service, name: s}]"), "HTTPRoute", "ReferenceGrant", 1)
	spec := "parentRefs: [{name: gw, namespace: web}]\nrules: [{backendRefs: [{name: s, namespace: back, port: 80}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: t, namespace: back, port: 80}}}]}]"
	common := route("front", "a", spec) + service("back", "s") + service("back", "t")

	out := convert(t, common, kubeGateway("web", "gw", strings.Replace(open, "All", "Same", 1)))
	if len(out.Routers) != 0 || !strings.Contains(fmt.Sprint(out.Problems), "no listener of Gateway web/gw takes HTTPRoutes of the namespace front") {
		t.Errorf("from Same: %v, %v", out.Routers, out.Problems)
	}
	out = convert(t, common, kubeGateway("web", "gw", open))
	if h := out.Routers[0].Rules[0].HTTP; h.Route[0].Destination.Host != "not-permitted.invalid" || len(h.Mirrors) != 0 || len(out.Problems) != 2 {
		t.Errorf("without a grant: %v, %v", h, out.Problems)
	}
	out = convert(t, common, kubeGateway("web", "gw", open), grant)
	if h := out.Routers[0].Rules[0].HTTP; h.Route[0].Destination.Host != "s.back.svc.cluster.local" || len(h.Mirrors) != 0 || len(out.Problems) != 1 {
		t.Errorf("with a grant for s alone: %v, %v", h, out.Problems)
	}
}

// TestConsumers: clients of the route's own namespace take it before the
// routes that the Service's namespace has for all.
func TestConsumers(t *testing.T) {
	spec := "parentRefs: [{kind: Service, group: \"\", name: s, namespace: back}]\nrules: [{name: r, backendRefs: [{name: s, port: 80}]}]"
	producer, consumer, other := route("back", "p", spec), route("web", "c", spec), route("front", "o", spec)
	for _, tt := range []struct {
		documents []string
		want      string
	}{
		{[]string{producer, consumer, other}, "mesh s.back.svc.cluster.local: web/c r"},
		{[]string{producer, other}, "mesh s.back.svc.cluster.local: back/p r"},
	} {
		out := convert(t, append(tt.documents, service("back", "s"), service("web", "s"), service("front", "s"))...)
		if len(out.Routers) != 1 || shown(out.Routers[0]) != tt.want {
			t.Errorf("%v, want %s", out.Routers, tt.want)
		}
	}
}

// TestTimeouts: what a rule says of time becomes Istio's timeout and retries.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{"timeouts: {request: 10s}", "10s <nil>"},
		{"timeouts: {request: 0s}", "<nil> <nil>"},
		{"timeouts: {request: 10s, backendRequest: 2s}", "10s attempts:2 per_try_timeout:{seconds:2}"},
		{"timeouts: {backendRequest: 2s}, retry: {attempts: 0}", "2s "},
		{"retry: {attempts: 3, codes: [500, 503], backoff: 100ms}", `<nil> attempts:3 retry_on:"connect-failure,refused-stream,unavailable,cancelled,500,503" backoff:{nanos:100000000}`},
	} {
		out := convert(t, kubeGateway("web", "gw", open), service("web", "s"),
			route("web", "a", "parentRefs: [{name: gw}]\nrules: [{backendRefs: [{name: s, port: 80}], "+tt.rule+"}]"))
		h := out.Routers[0].Rules[0].HTTP
		timeout := "<nil>"
		if h.Timeout != nil {
			timeout = h.Timeout.AsDuration().String()
		}
		got := strings.ReplaceAll(fmt.Sprint(timeout, " ", h.Retries), "  ", " ")
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.rule, got, tt.want)
		}
	}
}
