package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// documented returns the objects of a kind in the YAML of docs/verdict.md.
func documented(t *testing.T, kind string, into any) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "verdict.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(doc), "```yaml\n")[1:] {
		source, _, _ := strings.Cut(block, "\n```")
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(source), &head); err != nil {
			t.Fatalf("%v in %s", err, source)
		}
		if head.Kind == kind {
			if err := yaml.UnmarshalStrict([]byte(source), into); err != nil {
				t.Fatalf("%v in %s", err, source)
			}
			return
		}
	}
	t.Fatalf("docs/verdict.md has no %s", kind)
}

// path is the part of a documented URL that the admin interface sees.
func path(t *testing.T, address, route string) string {
	t.Helper()
	u, err := url.Parse(strings.ReplaceAll(address, "{{args.route}}", route))
	if err != nil || u.Port() != "15000" {
		t.Fatalf("%s: %v", address, err)
	}
	return u.RequestURI()
}

func TestDocumentedAnalysisTemplate(t *testing.T) {
	type object = map[string]any
	var template struct {
		APIVersion, Kind string
		Metadata         object
		Spec             struct {
			Args    []object
			Metrics []struct {
				Name, Interval, SuccessCondition, FailureCondition              string
				Count, FailureLimit, InconclusiveLimit, ConsecutiveSuccessLimit int
				Provider                                                        struct {
					Web struct {
						URL, JSONPath  string
						TimeoutSeconds int
					}
				}
			}
		}
	}
	documented(t, "AnalysisTemplate", &template)
	m := template.Spec.Metrics[0]
	s := comparing(same(), different(), undecided())
	for route, want := range map[string]string{"same": "successful", "different": "failed", "undecided": "inconclusive"} {
		rec := do(s, "GET", path(t, m.Provider.Web.URL, route))
		var data any
		if err := json.Unmarshal(rec.Body.Bytes(), &data); err != nil || rec.Code != 200 {
			t.Fatalf("%d %v %s", rec.Code, err, rec.Body)
		}
		p := jsonpath.New("metrics")
		if err := p.Parse(m.Provider.Web.JSONPath); err != nil {
			t.Fatal(err)
		}
		found, err := p.FindResults(data)
		if err != nil {
			t.Fatal(err)
		}
		got := "inconclusive"
		switch result, _ := found[0][0].Interface().(string); {
		case m.FailureCondition == `result == "`+result+`"`:
			got = "failed"
		case m.SuccessCondition == `result == "`+result+`"`:
			got = "successful"
		}
		if got != want {
			t.Errorf("%s is %s", route, got)
		}
	}
}

func TestDocumentedCanary(t *testing.T) {
	var canary struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Spec             struct {
			TargetRef, Service map[string]any
			Analysis           struct {
				Interval              string
				Threshold, Iterations int
				Webhooks              []struct{ Name, Type, URL, Timeout string }
			}
		}
	}
	documented(t, "Canary", &canary)
	// What each hook says to the three verdicts: same, undecided, different.
	want := map[string][]bool{
		"rollout":           {true, true, false},
		"confirm-promotion": {true, false, false},
		"rollback":          {false, false, true},
	}
	for _, hook := range canary.Spec.Analysis.Webhooks {
		var got []bool
		for _, s := range []http.Handler{comparing(same()), comparing(undecided()), comparing(different())} {
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, httptest.NewRequest("POST", path(t, hook.URL, ""), strings.NewReader("{}")))
			got = append(got, rec.Code >= 200 && rec.Code <= 202)
		}
		if !slices.Equal(got, want[hook.Type]) {
			t.Errorf("%s: %v, want %v", hook.Type, got, want[hook.Type])
		}
	}
	if n := len(canary.Spec.Analysis.Webhooks); n != len(want) {
		t.Errorf("%d webhooks", n)
	}
}
