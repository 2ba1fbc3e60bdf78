package config_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/api/v1alpha1"
	"github.com/sundog-mesh/sundog/internal/config"
)

// The policy that docs/shadowpolicy.md shows is one, and the document names
// every field that there is.
func TestShadowPolicyDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/shadowpolicy.md")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			example.WriteString(text)
		}
	}
	set, problems := parse(t, inline(example.String()))
	if len(problems) > 0 || len(set.ShadowPolicies) != 1 {
		t.Errorf("%d policies in\n%s%s", len(set.ShadowPolicies), &example, list(problems))
	}
	fields(reflect.TypeFor[v1alpha1.ShadowPolicySpec](), func(name string) {
		if !strings.Contains(string(data), name) {
			t.Errorf("the document says nothing of %s", name)
		}
	})
}

// fields calls visit with the JSON name of every field of the type.
func fields(t reflect.Type, visit func(string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !strings.Contains(t.PkgPath(), "sundog") {
		return
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		visit(name)
		fields(t.Field(i).Type, visit)
	}
}

// Defaults are filled in, and what the user says stays.
func TestShadowPolicyDefaults(t *testing.T) {
	const text = `apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: a}]
  sample: {}
  brake: {ratio: 2}
  compare: {baseline: {again: {percent: 3}, backendRef: {name: b, port: 80}}}
status: {ancestors: 5}
`
	set, problems := parse(t, inline(text))
	if len(problems) > 0 || len(set.ShadowPolicies) != 1 {
		t.Fatalf("%d policies:\n%s", len(set.ShadowPolicies), list(problems))
	}
	p := set.ShadowPolicies[0]
	c := p.Spec.Compare
	for _, d := range []struct {
		name      string
		got, want any
	}{
		{"namespace", p.Namespace, "default"},
		{"sample.key.type", p.Spec.Sample.Key.Type, v1alpha1.KeyRequestID},
		{"brake.enabled", *p.Spec.Brake.Enabled, true},
		{"brake.ratio", *p.Spec.Brake.Ratio, 2.0},
		{"compare.enabled", *c.Enabled, true},
		{"compare.maxBody", c.MaxBody.Value(), int64(256 << 10)},
		{"compare.limits.differencePercent", *c.Limits.DifferencePercent, 0.1},
		{"compare.limits.confidencePercent", *c.Limits.ConfidencePercent, 95.0},
		{"compare.limits.latencyRatio", c.Limits.LatencyRatio, (*float64)(nil)},
		{"compare.baseline.again.percent", *c.Baseline.Again.Percent, 3.0},
		{"compare.baseline.again.maxPerSecond", *c.Baseline.Again.MaxPerSecond, 5.0},
		{"compare.baseline.backendRef.kind", c.Baseline.BackendRef.Kind, "Service"},
		{"budget", p.Spec.Budget, (*v1alpha1.Budget)(nil)},
	} {
		if d.got != d.want {
			t.Errorf("%s is %v, want %v", d.name, d.got, d.want)
		}
	}
}

// Two policies of one load share nothing that a default was copied from.
func TestShadowPolicyDefaultsAreCopies(t *testing.T) {
	const one = "apiVersion: sundog.dev/v1alpha1\nkind: ShadowPolicy\nmetadata: {name: %}\n" +
		"spec: {targetRefs: [{group: networking.istio.io, kind: VirtualService, name: a}], compare: {limits: LIMITS}}\n---\n"
	with := func(name, limits string) string {
		return strings.NewReplacer("%", name, "LIMITS", limits).Replace(one)
	}
	set, problems := parse(t, inline(with("a", "{differencePercent: 1}")+with("b", "{}")+with("c", "null")))
	if len(problems) > 0 {
		t.Fatal(list(problems))
	}
	var got []float64
	for _, p := range set.ShadowPolicies {
		got = append(got, *p.Spec.Compare.Limits.DifferencePercent)
	}
	if !reflect.DeepEqual(got, []float64{1, 0.1, 0.1}) {
		t.Errorf("limits %v", got)
	}
}

// A group that is a slip is told; another project's kind of the same name is not read.
func TestShadowPolicyGroup(t *testing.T) {
	object := func(version string) config.File {
		return inline("apiVersion: " + version + "\nkind: ShadowPolicy\nmetadata: {name: a}\n")
	}
	for version, want := range map[string]string{
		"sundog.dve/v1alpha1":   "error: ShadowPolicy: apiVersion: there is no ShadowPolicy in sundog.dve/v1alpha1; write sundog.dev/v1alpha1",
		"v1alpha1":              "there is no ShadowPolicy in v1alpha1",
		"other.example/v1beta1": "note: kind ShadowPolicy of other.example/v1beta1 (1 object) is not read by Sundog; skipped",
	} {
		if _, problems := parse(t, object(version)); !strings.Contains(list(problems), want) {
			t.Errorf("%s: %s, want %s", version, list(problems), want)
		}
	}
}
