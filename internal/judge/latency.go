package judge

import (
	"math"
	"time"

	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/report"
)

// latency compares how long candidate and reference took for the same requests.
type latency struct {
	// Place is the hypothesis's order of discovery among latencies; 0: none yet.
	Place     int                `json:"place,omitempty"`
	Plain     evidence.Signs     `json:"plain"`
	Limit     evidence.Signs     `json:"limit"` // against the reference's, times the limit
	Candidate evidence.Histogram `json:"candidate"`
	Reference evidence.Histogram `json:"reference"`
}

// pair is one exchange's latencies; 0: not known.
type pair struct {
	candidate, reference time.Duration
	fair                 bool // the reference is a copy of its own, sent together with the candidate's
}

// pairOf chooses what can be compared. A baseline on an instance of its own got
// its copy together with the candidate's, so both whole durations are alike. The
// primary was asked earlier and its whole duration waits for the client,
// so what is compared with it is the time to the head. The primary asked
// again has warm caches, and is no reference.
func pairOf(primary, candidate, baseline *answer) pair {
	if baseline != nil && !baseline.again {
		return pair{candidate.duration, baseline.duration, true}
	}
	return pair{candidate.service, primary.service, false}
}

// observe counts a pair.
func (l *latency) observe(p pair, ratio float64) {
	if p.candidate <= 0 || p.reference <= 0 {
		return
	}
	l.Candidate.Observe(p.candidate)
	l.Reference.Observe(p.reference)
	if !p.fair {
		return
	}
	sign(&l.Plain, float64(p.candidate), float64(p.reference))
	if ratio > 0 {
		sign(&l.Limit, float64(p.candidate), float64(p.reference)*ratio)
	}
}

func sign(s *evidence.Signs, candidate, reference float64) {
	switch {
	case candidate > reference:
		s.Slower++
	case candidate < reference:
		s.Faster++
	}
}

func (l *latency) merge(o *latency) {
	l.Plain, l.Limit = l.Plain.Merge(o.Plain), l.Limit.Merge(o.Limit)
	l.Candidate.Merge(&o.Candidate)
	l.Reference.Merge(&o.Reference)
}

// Warnings of latencies.
const (
	warnPrimary = "without a baseline the candidate is compared with the primary, which was asked first and may have met other caches; so there is no verdict"
	warnAgain   = "the primary, asked again, answers from warm caches; so the candidate is compared with its first answer, and there is no verdict"
)

// report is the latency's part of a report. slower says that it is proven that
// the limit is broken.
func (l *latency) report(c *comparison, slower bool) report.Latency {
	r := report.Latency{
		Slower: l.Plain.Slower, Faster: l.Plain.Faster,
		Limit: c.Settings.Ratio, Limited: l.Limit,
		Against: report.AgainstBaseline, Quantiles: []report.Quantile{},
	}
	switch c.Key.Baseline {
	case "":
		r.Against, r.Warning = report.AgainstPrimary, warnPrimary
	case againBaseline:
		r.Against, r.Warning = report.AgainstPrimary, warnAgain
	}
	alpha := c.Settings.Alpha * shareLatency
	r.Verdict = l.state(alpha, slower)
	if l.Candidate.Count() == 0 {
		return r
	}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		low, estimate, high := evidence.Ratio(&l.Candidate, &l.Reference, q, alpha)
		r.Quantiles = append(r.Quantiles, report.Quantile{
			Q:         q,
			Candidate: milliseconds(l.Candidate.Bounds(q, alpha)),
			Reference: milliseconds(l.Reference.Bounds(q, alpha)),
			Ratio:     report.Interval{Low: low, Estimate: estimate, High: bounded(high)},
		})
	}
	return r
}

// state is the judgement, each part of it with the same share of alpha.
func (l *latency) state(alpha float64, slower bool) report.LatencyState {
	reached := func(logE float64) bool { return logE >= logInverse(alpha/2) }
	switch {
	case slower:
		return report.LatencySlower
	case reached(l.Plain.LogEFaster()) && l.Plain.Faster > l.Plain.Slower:
		return report.LatencyFaster
	case l.Limit != (evidence.Signs{}) && reached(l.Limit.LogEFaster()):
		return report.LatencySame
	}
	return report.LatencyUndecided
}

func milliseconds(low, estimate, high time.Duration) report.Interval {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	i := report.Interval{Low: ms(low), Estimate: ms(estimate)}
	if high != evidence.Unbounded {
		i.High = ms(high)
	}
	return i
}

// bounded is an upper bound as reports have it: 0 where there is none.
func bounded(high float64) float64 {
	if high == math.MaxFloat64 {
		return 0
	}
	return high
}
