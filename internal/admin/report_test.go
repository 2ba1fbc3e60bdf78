package admin_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/jsonpath"

	"github.com/sundog-mesh/sundog/internal/admin"
	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/report"
)

// compared is a Reporter that tests set.
type compared report.Report

func (c compared) Report() report.Report { return report.Report(c) }

func comparison(route string, state report.State, counts evidence.Excess) report.Comparison {
	c := report.Comparison{
		Route: route, Primary: "v1", Candidate: "v2", Baseline: "v1-again", Alpha: 0.05, Epsilon: 0.001,
		Verdict: report.Verdict{State: state, Upper: counts.Upper(0.05)},
		Account: report.Account{Compared: counts.Exchanges}, Counts: report.Counts{Paired: counts},
		Latency: report.Latency{
			Against: report.AgainstBaseline, Verdict: report.LatencySame, Limit: 1.05, Limited: evidence.Signs{Slower: 100, Faster: 900},
			Quantiles: []report.Quantile{{Q: 0.5, Ratio: report.Interval{Low: 0.9, Estimate: 1.01, High: 1.04}}},
		},
	}
	if state == report.Different {
		c.Differences = []report.Difference{{Method: "GET", Path: "/a", Field: "body.<b>", Aspect: report.AspectValue, State: report.Proven, Order: 1, LogE: 20, Exchanges: 1000, Candidate: 40, OnlyCandidate: 40}}
	}
	return c
}

func comparing(all ...report.Comparison) *admin.Server {
	p := serving()
	return admin.New(admin.NewState(p, time.Now()), p, admin.Options{Reporter: compared{Comparisons: all}})
}

func same() report.Comparison {
	return comparison("same", report.Equivalent, evidence.Excess{Exchanges: 20000})
}

func different() report.Comparison {
	return comparison("different", report.Different, evidence.Excess{Exchanges: 1000, Candidate: 40})
}

func undecided() report.Comparison {
	return comparison("undecided", report.Undecided, evidence.Excess{Exchanges: 1000})
}

func TestReportPage(t *testing.T) {
	s := comparing(same(), different())
	for format, want := range map[string][2]string{
		"":         {"application/json", `"route": "different"`},
		"json":     {"application/json", `"paired"`},
		"html":     {"text/html; charset=UTF-8", "<title>different: 1 of 2 comparisons; route different: body.&lt;b&gt; of GET /a is wrong"},
		"markdown": {"text/markdown; charset=UTF-8", "**different**: 1 of 2"},
		"text":     {"text/plain; charset=UTF-8", "different: 1 of 2 comparisons"},
	} {
		rec := do(s, "GET", "/report?format="+format)
		if rec.Code != 200 || rec.Header().Get("Content-Type") != want[0] || !strings.Contains(rec.Body.String(), want[1]) {
			t.Errorf("%s: %d %v, want %q in %.300s", format, rec.Code, rec.Header(), want[1], rec.Body)
		}
		if rec.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", format, rec.Header())
		}
	}
	var r report.Report
	if err := json.Unmarshal(do(s, "GET", "/report?route=same").Body.Bytes(), &r); err != nil || len(r.Comparisons) != 1 || r.Comparisons[0].Route != "same" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestReportRefusals(t *testing.T) {
	off, on := newServer(serving()), comparing(same(), different())
	for _, tt := range []struct {
		s              *admin.Server
		method, target string
		code           int
		body           string
	}{
		{off, "GET", "/report", 404, "nothing is compared here: to turn it on, attach a ShadowPolicy with spec.compare"},
		{off, "GET", "/verdict?gate=true", 404, "nothing is compared here"},
		{on, "GET", "/report?format=pdf", 400, `format "pdf" is not known`},
		{on, "GET", "/report?route=x", 404, `route "x" is not compared; compared are: same, different`},
		{on, "GET", "/verdict?route=x", 404, `route "x" is not compared`},
		{on, "POST", "/report", 405, "Method POST not allowed"},
		{on, "GET", "/verdict?max-diff=0.1%", 400, "the query cannot be read"},
		{on, "GET", "/verdict?max-diff=lots", 400, `max-diff: "lots" is no share`},
		{on, "GET", "/verdict?max-latency-ratio=fast", 400, `max-latency-ratio: "fast" is no ratio`},
		{on, "GET", "/verdict?max-latency-ratio=-1", 400, "max-latency-ratio -1 is no ratio"},
		{on, "GET", "/verdict?confidence=2", 400, "confidence 2 is out of range"},
		{on, "GET", "/verdict?confidence=40%25", 400, "confidence 0.4 is out of range"},
		{on, "GET", "/verdict?maxdiff=0.001", 400, `"maxdiff" is not known: use max-diff, `},
		{on, "GET", "/verdict?gate=open", 400, `gate "open" is not known`},
	} {
		if rec := do(tt.s, tt.method, tt.target); rec.Code != tt.code || !strings.HasPrefix(rec.Body.String(), tt.body) {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, rec.Code, rec.Body, tt.code, tt.body)
		}
	}
}

// A gate answers by its status alone, as Flagger's webhooks read it: they POST,
// and take 200 to 202 for yes.
func TestGates(t *testing.T) {
	stuck := same()
	stuck.Latency.Against = report.AgainstPrimary
	for _, tt := range []struct {
		c     report.Comparison
		codes map[string]int
	}{
		{same(), map[string]int{"": 200, "true": 200, "equivalent": 200, "different": 409, "not-different": 200}},
		{different(), map[string]int{"": 200, "true": 409, "equivalent": 409, "different": 200, "not-different": 409}},
		{undecided(), map[string]int{"": 200, "true": 503, "equivalent": 503, "different": 409, "not-different": 200}},
		{stuck, map[string]int{"": 200, "true": 409, "different": 409, "not-different": 200}},
	} {
		s := comparing(tt.c)
		for gate, want := range tt.codes {
			r := httptest.NewRequest("POST", "/verdict?max-diff=0.1%25&max-latency-ratio=1.05&gate="+gate, strings.NewReader(`{"name":"podinfo","namespace":"test","phase":"Progressing"}`))
			r.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, r)
			if rec.Code != want || !strings.Contains(rec.Body.String(), `"why": "`) {
				t.Errorf("%s, gate %q: %d, want %d: %s", tt.c.Route, gate, rec.Code, want, rec.Body)
			}
			if (rec.Header().Get("Retry-After") != "") != (want == http.StatusServiceUnavailable) {
				t.Errorf("%s, gate %q: %v", tt.c.Route, gate, rec.Header())
			}
		}
	}
}

// The numbers and words that the AnalysisTemplate of docs/verdict.md asks for,
// found as Argo Rollouts finds them.
func TestVerdictForArgoRollouts(t *testing.T) {
	s := comparing(same(), different(), undecided())
	for _, tt := range []struct{ query, path, want string }{
		{"route=same", "{$.verdict}", "equivalent"},
		{"route=same", "{$.pass}", "true"},
		{"route=same", "{$.fail}", "false"},
		{"route=same&max-diff=0.0005", "{$.maxDiff}", "0.0005"},
		{"route=same&max-latency-ratio=1.05", "{$.latencyRatio}", "1.01"},
		{"route=same&max-latency-ratio=1.05", "{$.latency}", "same"},
		{"route=same&confidence=0.99", "{$.confidence}", "0.99"},
		{"route=undecided", "{$.verdict}", "undecided"},
		{"route=different", "{$.verdict}", "different"},
		{"route=different", "{$.differences}", "1"},
		{"", "{$.verdict}", "different"},
		{"", "{$.comparisons[2].verdict}", "undecided"},
	} {
		rec := do(s, "GET", "/verdict?"+tt.query)
		var data any
		if err := json.Unmarshal(rec.Body.Bytes(), &data); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %v %s", tt.query, rec.Code, err, rec.Body)
		}
		p := jsonpath.New("metrics")
		if err := p.Parse(tt.path); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := p.Execute(&out, data); err != nil || out.String() != tt.want {
			t.Errorf("%s %s: %q %v, want %q", tt.query, tt.path, out.String(), err, tt.want)
		}
		all, err := p.FindResults(data)
		if err != nil || len(all) != 1 || len(all[0]) != 1 {
			t.Errorf("%s %s: %v %v", tt.query, tt.path, all, err)
		}
	}
	value := do(s, "GET", "/verdict?"+url.Values{"route": {"same"}}.Encode())
	var d report.Decisions
	if err := json.Unmarshal(value.Body.Bytes(), &d); err != nil || d.Value <= 0 || d.Value >= d.MaxDiff {
		t.Errorf("value %v of %v: %v", d.Value, d.MaxDiff, err)
	}
}
