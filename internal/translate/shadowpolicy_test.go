package translate_test

import (
	"fmt"
	"slices"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/translate"
)

const policyHost = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.example]
  http: [{route: [{destination: {host: a.example}}], mirror: {host: a.example}}]
---
`

const policyText = `apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: a}]
  %s
`

// policyOf is the policy that the only route with one carries.
func policyOf(t *testing.T, s *envoy.Snapshot) *policy.Policy {
	t.Helper()
	var found *policy.Policy
	for _, c := range s.Routes {
		for _, h := range c.VirtualHosts {
			for _, r := range h.Routes {
				if in := r.GetMetadata().GetFilterMetadata()[envoy.MetadataKey]; in != nil && c.Name == "80" {
					p, err := policy.Decode(in.Fields[policy.MetadataField].GetStructValue())
					if err != nil {
						t.Fatal(err)
					}
					found = p
				}
			}
		}
	}
	if found == nil {
		t.Fatal("no route has a policy")
	}
	return found
}

// What is not written has the defaults that the documents state.
func TestPolicyDefaults(t *testing.T) {
	for line, want := range map[string]policy.Policy{
		"":           {},
		"brake: {}":  {},
		"budget: {}": {},
		"compare: {}": {Compare: policy.Compare{
			Enabled: true, Epsilon: 0.001, Alpha: 0.05, MaxBody: 256 << 10,
		}},
		"compare: {baseline: {again: {}}}": {Compare: policy.Compare{
			Enabled: true, Epsilon: 0.001, Alpha: 0.05, MaxBody: 256 << 10, Baseline: policy.Baseline{Again: 0.01, AgainRate: 5},
		}},
		"brake: {enabled: false}": {Brake: policy.Brake{Off: true}},
		"sample: {key: {type: Header, name: X-User}}": {Sample: policy.Sample{
			Key: policy.Key{Kind: policy.KeyHeader, Name: "x-user"},
		}},
	} {
		want.Name = "default/a"
		if want.Sample.Key.Kind == "" {
			want.Sample.Key.Kind = policy.KeyRequestID
		}
		set, problems := config.Parse([]config.File{{Name: "in.yaml", Data: fmt.Appendf([]byte(policyHost), policyText, line)}}, nil, config.Options{})
		s, more := translate.Translate(set, translate.Options{Outbound: "127.0.0.1:15001"})
		if all := slices.Concat(problems, more); len(all) > 0 {
			t.Errorf("%s: %s", line, problemText(all))
			continue
		}
		if diff := cmp.Diff(&want, policyOf(t, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

// A Translator keeps routes; a policy that comes, changes or goes must not be
// overlooked.
func TestPolicyChanges(t *testing.T) {
	var loader config.Loader
	var translator translate.Translator
	opt := translate.Options{Outbound: "127.0.0.1:15001"}
	var last *routev3.Route
	for i, step := range []struct {
		text string
		kept bool // of the step before
	}{
		{"", false},
		{fmt.Sprintf(policyText, "sample: {percent: 5}"), false},
		{fmt.Sprintf(policyText, "sample: {percent: 6}"), false},
		{fmt.Sprintf(policyText, "sample: {percent: 6}") + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", true},
		{"", false},
	} {
		set, _ := loader.Parse([]config.File{{Name: "in.yaml", Data: []byte(policyHost + step.text)}}, nil, config.Options{})
		got, problems := translator.Translate(set, opt)
		want, _ := translate.Translate(set, opt)
		if diff := cmp.Diff(dump(t, want), dump(t, got)); diff != "" || config.HasErrors(problems) {
			t.Errorf("step %d: %s (-want +got):\n%s", i, problemText(problems), diff)
		}
		first := got.Routes[0].VirtualHosts[0].Routes[0]
		if kept := first == last; kept != step.kept {
			t.Errorf("step %d: the route was kept: %v, want %v", i, kept, step.kept)
		}
		last = first
	}
}
