package gatewayapi_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/gatewayapi"
	"google.golang.org/protobuf/testing/protocmp"
)

// FuzzConvert wants no text to make Convert panic, and every rule to have one
// match and one thing to do, also where the loader has refused the text.
func FuzzConvert(f *testing.F) {
	f.Add([]byte(kubeGateway("default", "gw", open) + service("default", "s") + route("default", "a", `
parentRefs: [{name: gw}, {group: "", kind: Service, name: s, port: 80}]
hostnames: [a.example, "*.example"]
rules:
- matches: [{path: {type: Exact, value: /a}, headers: [{name: a, value: b}], method: GET}, {path: {type: RegularExpression, value: "a.*"}}]
  filters:
  - {type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}, fraction: {numerator: 1, denominator: 3}}}
  - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], remove: [c]}}
  - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
  backendRefs: [{name: s, port: 80, weight: 1}, {name: t, namespace: b, port: 1}]
  timeouts: {request: 10s, backendRequest: 1s}
  retry: {codes: [500], attempts: 2, backoff: 10ms}
- filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /b}}}]
`)))
	f.Add([]byte(kubeGateway("default", "gw", `
listeners: [{name: l, port: 443, protocol: HTTPS, hostname: "*.example", tls: {certificateRefs: [{name: a}, {name: b, namespace: c}]}}]
tls: {frontend: {default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: a}]}}}}`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		convert := func() gatewayapi.Result {
			set, _ := config.Parse([]config.File{{Name: "in.yaml", Data: text}}, nil, config.Options{})
			return gatewayapi.Convert(input(set))
		}
		out := convert()
		for _, r := range out.Routers {
			if len(r.Hosts) == 0 || r.Gateway == "" || r.Object == nil {
				t.Errorf("an incomplete router: %+v", r)
			}
			for _, rule := range r.Rules {
				h := rule.HTTP
				actions := 0
				for _, set := range []bool{len(h.GetRoute()) > 0, h.GetRedirect() != nil, h.GetDirectResponse() != nil} {
					if set {
						actions++
					}
				}
				if len(h.GetMatch()) != 1 || actions != 1 {
					t.Errorf("%d matches and %d actions: %v", len(h.GetMatch()), actions, h)
				}
			}
		}
		again := convert()
		if diff := cmp.Diff(out.Problems, again.Problems); diff != "" {
			t.Errorf("two runs, two lists of problems:\n%s", diff)
		}
		for i, r := range out.Routers {
			for j := range r.Rules {
				if diff := cmp.Diff(r.Rules[j].HTTP, again.Routers[i].Rules[j].HTTP, protocmp.Transform()); diff != "" {
					t.Errorf("two runs, two rules:\n%s", diff)
				}
			}
		}
	})
}
