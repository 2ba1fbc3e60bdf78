package report_test

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/report"
)

func at(minute int) time.Time { return time.Date(2026, 3, 4, 15, minute, 0, 0, time.UTC) }

func around(v float64) report.Interval {
	return report.Interval{Low: v * 0.95, Estimate: v, High: v * 1.05}
}

// sample is a comparison that found a wrong field and a slow endpoint.
func sample() report.Report {
	latency := report.Latency{
		Verdict: report.LatencySame, Slower: 6010, Faster: 5990, Against: report.AgainstBaseline,
		Limit: 1.1, Limited: evidence.Signs{Slower: 3000, Faster: 9000},
		Quantiles: []report.Quantile{
			{Q: 0.5, Candidate: around(12.4), Reference: around(12.1), Ratio: around(1.02)},
			{Q: 0.99, Candidate: report.Interval{Low: 80, Estimate: 95}, Reference: around(93), Ratio: report.Interval{Low: 0.8, Estimate: 1.02}},
		},
	}
	return report.Report{Generated: at(30), Comparisons: []report.Comparison{{
		Route: "default/orders", Policy: "default/compare-orders", Primary: "orders-v1", Candidate: "orders-v2", Baseline: "orders-v1-again",
		Since: at(0), Epsilon: 0.001, Alpha: 0.05, MaxLatencyRatio: 1.1,
		Counts:  report.Counts{Paired: evidence.Excess{Exchanges: 12000, Candidate: 40, Baseline: 1}},
		Verdict: report.Verdict{State: report.Different, Upper: 0.0049, Why: "a field is different"},
		Account: report.Account{
			Offered: 12345, Compared: 12000, Equal: 11959, Different: 41, WithBaseline: 12000, Waiting: 5,
			NotComparable: map[string]uint64{"body cut": 200, "no answer": 100}, Dropped: map[string]uint64{"queue full": 40},
			Confirmed: report.Confirmed{Asked: 12, Stable: 11, Noisy: 1},
		},
		Coverage: report.Coverage{Endpoints: 2, Methods: map[string]int{"GET": 2, "POST": 1}, Statuses: map[string]int{"200": 2, "404": 1}, Shapes: 4},
		Latency:  latency,
		Endpoints: []report.Endpoint{
			{Method: "GET", Path: "/orders/{id}", Verdict: report.Verdict{State: report.Different, Upper: 0.0132}, Exchanges: 4000, Different: 40, Latency: latency},
			{Method: "POST", Path: "/orders", Verdict: report.Verdict{State: report.Equivalent, Upper: 0.00084}, Exchanges: 8000, Different: 1, Latency: report.Latency{Verdict: report.LatencyUndecided}},
		},
		Differences: []report.Difference{{
			Method: "GET", Path: "/orders/{id}", Field: "body.total", Aspect: report.AspectValue, State: report.Proven, Order: 1, LogE: 24.5,
			Exchanges: 4000, Candidate: 40, OnlyCandidate: 40, Confirmed: report.Confirmed{Asked: 12, Stable: 11, Noisy: 1}, First: at(1), Last: at(29),
			Transitions: []report.Transition{{From: "12.50", To: "12.49", Count: 9}, {From: "99.90", To: "99.89", Count: 3}},
			Predictors:  []report.Predictor{{Feature: `query "currency" is set`, With: 0.12, Without: 0.0004}},
			Example: &report.Example{
				ID: "7f1c", Time: at(29), Method: "GET", URL: "/orders/42?currency=EUR", At: "body.total", From: "12.50", To: "12.49",
				Primary: report.Sample{Status: 200, Body: `{"id":42,"total":12.50}`, Size: 23}, Candidate: report.Sample{Status: 200, Body: `{"id":42,"total":12.49}`, Size: 23},
				Curl: `curl -s 'http://orders/orders/42?currency=EUR'`,
			},
			Series: []report.Point{{Minute: at(1), Exchanges: 130, Different: 2}, {Minute: at(2), Exchanges: 140, Different: 0}, {Minute: at(29), Exchanges: 120, Different: 1}},
		}, {
			Method: "GET", Path: "/orders/{id}", Field: "header.x-host", Aspect: report.AspectValue, State: report.Identity, Order: 2, LogE: 3,
			Exchanges: 4000, Candidate: 4000, Baseline: 0, OnlyCandidate: 4000, First: at(0), Last: at(29),
		}},
		Noise:    []report.Noise{{Method: "GET", Path: "/orders/{id}", Field: "body.trace", Type: "uuid", Rate: 1, Seen: 4000, Examples: []string{"0b8c4f6e-6a52-4b0e-9f57-2f4a6d1c7e11"}}},
		Warnings: []string{"2 fields were not kept: there are too many"},
	}}}
}

// equivalent is a comparison that found nothing.
func equivalent() report.Report {
	r := sample()
	c := &r.Comparisons[0]
	c.Verdict = report.Verdict{State: report.Equivalent, Upper: 0.00079}
	c.Counts.Paired = evidence.Excess{Exchanges: 12000, Candidate: 2, Baseline: 2}
	c.Differences, c.Noise, c.Warnings = nil, nil, nil
	return r
}

// undecided is one that needs more exchanges.
func undecided() report.Report {
	r := equivalent()
	c := &r.Comparisons[0]
	c.Counts.Paired = evidence.Excess{Exchanges: 1300}
	c.Account.Compared, c.Account.Equal, c.Account.Different = 1300, 1300, 0
	c.Verdict = report.Verdict{State: report.Undecided, Upper: c.Counts.Paired.Upper(c.Alpha), Needed: c.Counts.Paired.Needed(c.Epsilon, c.Alpha), Why: "too few exchanges"}
	return r
}
