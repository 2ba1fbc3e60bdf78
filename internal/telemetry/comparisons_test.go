package telemetry_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/telemetry"
)

type found report.Report

func (f found) Report() report.Report { return report.Report(f) }

func metricsOf(t *testing.T, r found) string {
	t.Helper()
	rec := httptest.NewRecorder()
	h := telemetry.Handler(telemetry.NewCollector(fixed{}, nil), telemetry.NewComparisons(r))
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/stats/prometheus", nil))
	if rec.Code != 200 || strings.Contains(rec.Body.String(), "error") {
		t.Fatalf("%d %.500s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestComparisons(t *testing.T) {
	c := report.Comparison{
		Route: "r", Primary: "v1", Candidate: "v2",
		Verdict: report.Verdict{State: report.Undecided, Upper: 0.0125, Needed: 2400},
		Account: report.Account{
			Compared: 90, Equal: 88, Different: 2, WithBaseline: 70, Waiting: 3,
			NotComparable: map[string]uint64{"body_cut": 4}, Dropped: map[string]uint64{"queue_full": 5},
			Confirmed: report.Confirmed{Asked: 2, Stable: 1, Noisy: 1},
		},
		Differences: []report.Difference{{State: report.Proven, Path: "/secret"}, {State: report.Suspected}, {State: report.Suspected}},
		Latency: report.Latency{Verdict: report.LatencySlower, Quantiles: []report.Quantile{{
			Q: 0.99, Candidate: report.Interval{Low: 80, Estimate: 95}, Reference: report.Interval{Low: 70, Estimate: 75, High: 90},
			Ratio: report.Interval{Low: 0.9, Estimate: 1.25, High: 1.5},
		}}},
	}
	body := metricsOf(t, found{Comparisons: []report.Comparison{c}})
	for _, want := range []string{
		"# TYPE sundog_compare_exchanges_total counter",
		`sundog_compare_exchanges_total{candidate="v2",reason="",result="equal",route="r"} 88`,
		`sundog_compare_exchanges_total{candidate="v2",reason="",result="different",route="r"} 2`,
		`sundog_compare_exchanges_total{candidate="v2",reason="body_cut",result="not_comparable",route="r"} 4`,
		`sundog_compare_exchanges_total{candidate="v2",reason="queue_full",result="dropped",route="r"} 5`,
		`sundog_compare_waiting{candidate="v2",route="r"} 3`,
		`sundog_compare_with_baseline_total{candidate="v2",route="r"} 70`,
		`sundog_compare_confirmations_total{candidate="v2",result="stable",route="r"} 1`,
		"# TYPE sundog_compare_verdict gauge",
		`sundog_compare_verdict{candidate="v2",route="r",state="undecided"} 1`,
		`sundog_compare_verdict{candidate="v2",route="r",state="different"} 0`,
		`sundog_compare_needed_exchanges{candidate="v2",route="r"} 2400`,
		`sundog_compare_excess_upper_ratio{candidate="v2",route="r"} 0.0125`,
		`sundog_compare_differences{candidate="v2",route="r",state="suspected"} 2`,
		`sundog_compare_differences{candidate="v2",route="r",state="identity"} 0`,
		`sundog_compare_latency_verdict{candidate="v2",route="r",state="slower"} 1`,
		`sundog_compare_latency_seconds{bound="value",candidate="v2",quantile="0.99",route="r",side="candidate"} 0.095`,
		`sundog_compare_latency_seconds{bound="high",candidate="v2",quantile="0.99",route="r",side="reference"} 0.09`,
		`sundog_compare_latency_ratio{bound="high",candidate="v2",quantile="0.99",route="r"} 1.5`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no line %q", want)
		}
	}
	for _, bad := range []string{`bound="high",candidate="v2",quantile="0.99",route="r",side="candidate"`, "/secret"} {
		if strings.Contains(body, bad) {
			t.Errorf("%q is there", bad)
		}
	}
}

// Whatever traffic brings, the number of series is bounded, and each is there once.
func TestComparisonsAreBounded(t *testing.T) {
	c := report.Comparison{Route: "r", Candidate: "v2", Account: report.Account{NotComparable: map[string]uint64{}, Dropped: map[string]uint64{}}}
	for i := range 10_000 {
		c.Account.NotComparable[fmt.Sprint("reason ", i)] = 1
		c.Differences = append(c.Differences, report.Difference{Path: fmt.Sprint("/", i), State: report.Suspected})
		c.Endpoints = append(c.Endpoints, report.Endpoint{Path: fmt.Sprint("/", i)})
	}
	older := c
	c.Since, c.Verdict.Upper = time.Unix(2, 0), 0.5
	older.Since, older.Verdict.Upper, older.Baseline = time.Unix(1, 0), 0.25, "gone"
	body := metricsOf(t, found{Comparisons: []report.Comparison{older, c}})
	if n := strings.Count(body, "\nsundog_compare_"); n < 40 || n > 80 {
		t.Errorf("%d series", n)
	}
	for _, want := range []string{
		`sundog_compare_exchanges_total{candidate="v2",reason="other",result="not_comparable",route="r"} 9968` + "\n",
		`sundog_compare_excess_upper_ratio{candidate="v2",route="r"} 0.5` + "\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no line %q", want)
		}
	}
}
