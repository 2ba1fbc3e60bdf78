package report_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/report"
)

func share(v float64) *float64 { return &v }

func TestJudge(t *testing.T) {
	proven := func(candidate, exchanges uint64) func(*report.Comparison) {
		return func(c *report.Comparison) {
			d := sample().Comparisons[0].Differences[0]
			d.Candidate, d.OnlyCandidate, d.Exchanges = candidate, candidate, exchanges
			d.LogE = evidence.Coin{Candidate: candidate}.LogE()
			d.Confirmed = report.Confirmed{}
			c.Differences = []report.Difference{d}
		}
	}
	exchanges := func(n uint64) func(*report.Comparison) {
		return func(c *report.Comparison) { c.Counts = report.Counts{Paired: evidence.Excess{Exchanges: n}} }
	}
	nothing := func(*report.Comparison) {}
	tests := []struct {
		name   string
		change func(*report.Comparison) // of one that is equivalent
		limits report.Limits
		want   string
	}{
		{"as the report", nothing, report.Limits{}, "equivalent: at most 0.079 % of the answers differ more than the baseline's"},
		{"a proven difference", proven(40, 4000), report.Limits{}, "different: body.total of GET /orders/{id} is wrong in 1.0 % of the answers (proven, false-alarm rate 0.05)"},
		{"beyond the limit for sure", proven(40, 4000), report.Limits{MaxDiff: share(0.001)}, "different: body.total of GET /orders/{id} is wrong in 1.0 % of the answers (proven, false-alarm rate 0.05)"},
		{"proven, within the limit", proven(40, 4000), report.Limits{MaxDiff: share(0.02)}, "equivalent: at most 0.079 % of the answers differ more than the baseline's"},
		{"proven, limit not settled", proven(40, 4000), report.Limits{MaxDiff: share(0.01)}, "undecided: body.total of GET /orders/{id} is wrong for sure, but whether in more than 1.0 % of the answers is not sure yet"},
		{"a limit of nothing, proven", proven(40, 4000), report.Limits{MaxDiff: share(0)}, "different: body.total of GET /orders/{id} is wrong in 1.0 % of the answers (proven, false-alarm rate 0.05)"},
		{"a limit of nothing cannot be reached", nothing, report.Limits{MaxDiff: share(0)}, "undecided: that not one answer differs cannot be shown by counting; allow a share, like 0.1 %"},
		{"surer than the report: not proven any more", proven(12, 4000), report.Limits{Confidence: 0.9999}, "undecided: up to 0.16 % of the answers may differ more than the baseline's, 0.1 % is allowed; about 7,800 more exchanges needed"},
		{"surer than the report: still proven", proven(40, 4000), report.Limits{Confidence: 0.9999}, "different: body.total of GET /orders/{id} is wrong in 1.0 % of the answers (proven, false-alarm rate 0.0001)"},
		{"an identity is no difference, and not equivalent", func(c *report.Comparison) { c.Differences = sample().Comparisons[0].Differences[1:] }, report.Limits{Confidence: 0.99, MaxDiff: share(0.002)}, "undecided: 1 field may name the instance or be different; a baseline on another instance tells, or ignore them (compare.ignore, --ignore)"},
		{"identities beyond the list", func(c *report.Comparison) { c.Unsettled = 1200 }, report.Limits{}, "undecided: 1,200 fields may name the instance or be different; a baseline on another instance tells, or ignore them (compare.ignore, --ignore)"},
		{"identities, and too few", func(c *report.Comparison) {
			c.Unsettled = 2
			c.Counts.Paired = evidence.Excess{Exchanges: 1300}
		}, report.Limits{}, "undecided: up to 0.28 % of the answers may differ more than the baseline's, 0.1 % is allowed; about 2,300 more exchanges needed; besides, 2 fields may name the instance or be different; a baseline on another instance tells, or ignore them (compare.ignore, --ignore)"},
		{"identities, and a difference", func(c *report.Comparison) {
			proven(40, 4000)(c)
			c.Unsettled = 2
		}, report.Limits{}, "different: body.total of GET /orders/{id} is wrong in 1.0 % of the answers (proven, false-alarm rate 0.05)"},
		{"many differ, no field alone", func(c *report.Comparison) {
			c.Counts.Paired = evidence.Excess{Exchanges: 12000, Candidate: 400, Baseline: 20}
		}, report.Limits{MaxDiff: share(0.001)}, "different: at least 2.5 % of the answers differ more than the baseline's; 0.1 % may"},
		{"too few", exchanges(1300), report.Limits{}, "undecided: up to 0.28 % of the answers may differ more than the baseline's, 0.1 % is allowed; about 2,300 more exchanges needed"},
		{"none", func(c *report.Comparison) { c.Counts, c.Account = report.Counts{}, report.Account{} }, report.Limits{}, "undecided: no answer has been compared yet; about 3,600 more exchanges needed"},
		{"no baseline", func(c *report.Comparison) {
			c.Baseline, c.Counts = "", report.Counts{Alone: evidence.Rate{Exchanges: 12000, Different: 1}}
			c.Latency.Against, c.Latency.Verdict = report.AgainstPrimary, report.LatencyUndecided
		}, report.Limits{}, "equivalent: at most 0.077 % of the answers differ"},
		{"no baseline, latency limited", func(c *report.Comparison) { c.Latency.Against = report.AgainstPrimary }, report.Limits{MaxLatencyRatio: 1.1}, "undecided: latency can only be judged against a baseline that is sent its copies together with the candidate; add one to the policy, or do not limit latency"},
		{"slower", func(c *report.Comparison) { c.Latency.Verdict = report.LatencySlower }, report.Limits{}, "different: the candidate takes more than 1.1 times as long as the baseline (at the median 1.02 times)"},
		{"slower than the policy allows, and anything goes", func(c *report.Comparison) { c.Latency.Verdict = report.LatencySlower }, report.Limits{MaxLatencyRatio: math.Inf(1)}, "equivalent: at most 0.079 % of the answers differ more than the baseline's"},
		{"slower than a lower limit, too", func(c *report.Comparison) { c.Latency.Verdict = report.LatencySlower }, report.Limits{MaxLatencyRatio: 1.05}, "different: the candidate takes more than 1.05 times as long as the baseline (at the median 1.02 times)"},
		{"a lower limit than the report's", nothing, report.Limits{MaxLatencyRatio: 1.05}, "undecided: it is not sure yet that the candidate takes at most 1.05 times as long as the baseline"},
		{"a higher limit than the report's", nothing, report.Limits{MaxLatencyRatio: 1.2}, "equivalent: at most 0.079 % of the answers differ more than the baseline's"},
		{"medians above a higher limit", func(c *report.Comparison) {
			c.Latency.Verdict, c.Latency.Limited = report.LatencySlower, evidence.Signs{Slower: 9000, Faster: 3000}
			c.Latency.Quantiles[0].Ratio = report.Interval{Low: 1.4, Estimate: 1.5, High: 1.6}
		}, report.Limits{MaxLatencyRatio: 1.2}, "different: the candidate takes more than 1.2 times as long as the baseline (at the median 1.5 times)"},
		{"latency, surer than the report", nothing, report.Limits{MaxDiff: share(0.002), Confidence: 0.999}, "equivalent: at most 0.13 % of the answers differ more than the baseline's"},
		{"latency, not sure enough", func(c *report.Comparison) { c.Latency.Limited = evidence.Signs{Slower: 40, Faster: 60} }, report.Limits{MaxDiff: share(0.002), MaxLatencyRatio: 1.1, Confidence: 0.999}, "undecided: it is not sure yet that the candidate takes at most 1.1 times as long as the baseline"},
		{"latency undecided, as the report", func(c *report.Comparison) {
			c.Latency.Verdict, c.Latency.Limited = report.LatencyUndecided, evidence.Signs{}
		}, report.Limits{}, "equivalent: at most 0.079 % of the answers differ more than the baseline's"},
		{"latency undecided, but asked for", func(c *report.Comparison) {
			c.Latency.Verdict, c.Latency.Limited = report.LatencyUndecided, evidence.Signs{}
		}, report.Limits{MaxLatencyRatio: 1.1}, "undecided: it is not sure yet that the candidate takes at most 1.1 times as long as the baseline"},
		{"one endpoint slower", func(c *report.Comparison) { c.Endpoints[1].Latency.Verdict = report.LatencySlower }, report.Limits{}, "different: POST /orders takes more than 1.1 times as long as the baseline"},
		{"one endpoint slower, surer than the report", func(c *report.Comparison) {
			c.Endpoints[1].Latency.Limit, c.Endpoints[1].Latency.Limited = 1.1, evidence.Signs{Slower: 900, Faster: 100}
		}, report.Limits{Confidence: 0.999}, "different: POST /orders takes more than 1.1 times as long as the baseline"},
		{"one endpoint slower, not sure enough", func(c *report.Comparison) {
			c.Endpoints[1].Latency = report.Latency{Verdict: report.LatencySlower, Limit: 1.1, Limited: evidence.Signs{Slower: 60, Faster: 40}}
		}, report.Limits{MaxDiff: share(0.002), Confidence: 0.999}, "equivalent: at most 0.13 % of the answers differ more than the baseline's"},
		{"a report without counts", func(c *report.Comparison) { c.Counts = report.Counts{} }, report.Limits{}, "equivalent: at most 0.079 % of the answers differ more than the baseline's"},
		{"a report without counts is no ground for more", func(c *report.Comparison) { c.Counts = report.Counts{} }, report.Limits{Confidence: 0.99}, "undecided: no answer has been compared yet; about 5,300 more exchanges needed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := equivalent().Comparisons[0]
			tt.change(&c)
			d := report.Judge(c, tt.limits)
			if d.Sentence() != tt.want {
				t.Errorf("got  %q\nwant %q", d.Sentence(), tt.want)
			}
			if d.Pass != (d.Verdict == report.Equivalent) || d.Fail != (d.Verdict == report.Different) {
				t.Errorf("pass %v, fail %v, verdict %s", d.Pass, d.Fail, d.Verdict)
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// Asking for more never turns a pass or an undecided into a fail, nor a fail
// into a pass, and what passes keeps the limit that it was asked for.
func TestJudgeIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := equivalent().Comparisons[0]
		c.Latency, c.MaxLatencyRatio = report.Latency{}, 0
		n := rapid.Uint64Range(0, 200_000).Draw(t, "exchanges")
		k := rapid.Uint64Range(0, n/20).Draw(t, "candidate")
		b := rapid.Uint64Range(0, n/20).Draw(t, "baseline")
		c.Counts = report.Counts{Paired: evidence.Excess{Exchanges: n, Candidate: k, Baseline: b}}
		maxDiff := rapid.Float64Range(0.0001, 0.1).Draw(t, "max-diff")
		confidence := rapid.Float64Range(0.9, 0.99).Draw(t, "confidence")
		loose := report.Judge(c, report.Limits{MaxDiff: &maxDiff, Confidence: confidence})
		surer := report.Judge(c, report.Limits{MaxDiff: &maxDiff, Confidence: 1 - (1-confidence)/10})
		if surer.Pass && !loose.Pass || surer.Fail && !loose.Fail {
			t.Fatalf("%+v\nsurer %+v", loose, surer)
		}
		wider := report.Judge(c, report.Limits{MaxDiff: share(min(0.5, 2*maxDiff)), Confidence: confidence})
		if loose.Pass && !wider.Pass || wider.Fail && !loose.Fail {
			t.Fatalf("%+v\nwider %+v", loose, wider)
		}
		if loose.Pass && loose.Value > maxDiff || loose.Fail && n > 0 && loose.Observed <= maxDiff {
			t.Fatalf("%+v", loose)
		}
	})
}

func TestJudgeAllTakesTheGravest(t *testing.T) {
	r := report.Report{Comparisons: slices.Concat(equivalent().Comparisons, sample().Comparisons, undecided().Comparisons)}
	r.Comparisons[0].Route, r.Comparisons[2].Route = "a", "c"
	all := report.JudgeAll(r, report.Limits{})
	if all.Verdict != report.Different || all.Route != "default/orders" || len(all.Comparisons) != 3 || !all.Comparisons[0].Pass {
		t.Errorf("%+v", all)
	}
	only, err := r.Only("c")
	if err != nil || report.JudgeAll(only, report.Limits{}).Verdict != report.Undecided {
		t.Errorf("%v", err)
	}
	if _, err := r.Only("x"); err == nil || err.Error() != `route "x" is not compared; compared are: a, default/orders, c` || !errors.As(err, new(*report.UnknownRouteError)) {
		t.Errorf("%v", err)
	}
	none := report.JudgeAll(report.Report{}, report.Limits{MaxDiff: share(0.01)})
	if none.Verdict != report.Undecided || none.Pass || none.Fail || none.Comparisons == nil {
		t.Errorf("%+v", none)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for want, l := range map[string]report.Limits{
		"":                           {MaxDiff: share(0.001), MaxLatencyRatio: 1.05, Confidence: 0.99},
		"max-diff 1 is no share":     {MaxDiff: share(1)},
		"max-diff NaN":               {MaxDiff: share(math.NaN())},
		"max-latency-ratio -1 is no": {MaxLatencyRatio: -1},
		"confidence 1 is out of":     {Confidence: 1},
		"confidence 0.2 is out of":   {Confidence: 0.2},
	} {
		if err := l.Check(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for in, want := range map[string]float64{"0.1%": 0.001, "0.1 %": 0.001, "0.001": 0.001, "0": 0, "5%": 0.05} {
		if got, err := report.ParseShare(in); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"", "%", "x", "-1%", "101%", "NaN", "1e9"} {
		if v, err := report.ParseShare(in); err == nil {
			t.Errorf("%q: %v", in, v)
		}
	}
}

// Many endpoints whose medians are a little slower by chance prove nothing: the
// bounds of each have the share of alpha of a whole comparison.
func TestMediansOfEndpoints(t *testing.T) {
	c := equivalent().Comparisons[0]
	slow := c.Endpoints[1]
	slow.Latency = report.Latency{
		Against: report.AgainstBaseline, Verdict: report.LatencyUndecided,
		Quantiles: []report.Quantile{{Q: 0.5, Ratio: report.Interval{Low: 1.3, Estimate: 1.5, High: 1.9}}},
	}
	c.Endpoints = append(c.Endpoints, slow)
	if d := report.Judge(c, report.Limits{MaxLatencyRatio: 1.2}); d.Fail {
		t.Error(d.Sentence())
	}
}
