package report

import (
	"fmt"
	"math"
)

// timing is what is decided of latency.
type timing struct {
	state LatencyState // "": not judged
	why   string       // of slower and undecided
	stuck bool         // waiting does not help
	asked bool         // it has to be proven that the limit is kept
}

func (t timing) settled() bool {
	return !t.asked && t.state != LatencySlower || t.state == LatencySame || t.state == LatencyFaster
}

// latency judges the latency of all answers, by which the candidate may pass or
// fail, and that of each endpoint, by which it may fail. A limit of the policy is
// one that must not be broken; one that is asked for has to be kept for sure.
func (q *question) latency() timing {
	t := q.timing()
	t.asked = q.asked && t.state != ""
	return t
}

func (q *question) timing() timing {
	if q.ratio == 0 {
		return timing{}
	}
	if q.c.Latency.Against != AgainstBaseline {
		if !q.asked {
			return timing{}
		}
		return timing{state: LatencyUndecided, stuck: true, why: "latency can only be judged against a baseline that is sent its copies together with the candidate; add one to the policy, or do not limit latency"}
	}
	all := q.part(q.c.Latency, q.alpha*shareLatency, true)
	if all == LatencySlower {
		return timing{state: all, why: q.slower("the candidate", q.c.Latency)}
	}
	n := float64(len(q.c.Endpoints))
	for _, e := range q.c.Endpoints {
		// The shares of all endpoints sum up to that: when the i-th is there, n is i at least.
		if q.part(e.Latency, q.alpha*shareLatency/(n*(n+1)), false) == LatencySlower {
			return timing{state: LatencySlower, why: q.slower(endpointName(e.Method, e.Path), e.Latency)}
		}
	}
	if all == LatencyUndecided {
		return timing{state: all, why: fmt.Sprintf("it is not sure yet that the candidate takes at most %s times as long as the baseline", ratioText(q.ratio))}
	}
	return timing{state: all}
}

// part judges one latency. Who is slower than a limit is slower than a lower
// one; who keeps it keeps a higher one.
//
// Bounds of medians have the share of alpha of a whole comparison each, so those of
// endpoints, of which there are many, prove nothing. Where the judge was as
// sure as is asked for, its verdict is the one on its own limit.
func (q *question) part(l Latency, alpha float64, overall bool) LatencyState {
	limit := l.Limit
	if limit == 0 {
		limit = q.c.MaxLatencyRatio
	}
	fails, keeps := limit > 0 && limit >= q.ratio, limit > 0 && limit <= q.ratio
	reached := func(logE float64) bool { return logE >= -math.Log(alpha) }
	median, known := quantile(l, 0.5)
	known = known && q.strict && overall
	switch {
	case fails && (q.strict && l.Verdict == LatencySlower || !q.strict && l.Limit > 0 && reached(l.Limited.LogESlower())):
		return LatencySlower
	case !fails && known && median.Ratio.Low > q.ratio:
		return LatencySlower
	case q.strict && l.Verdict == LatencyFaster && q.ratio >= 1:
		return LatencyFaster
	case keeps && (q.strict && l.Verdict == LatencySame || l.Limit > 0 && reached(l.Limited.LogEFaster())):
		return LatencySame
	case !keeps && known && median.Ratio.Bounded() && median.Ratio.High <= q.ratio:
		return LatencySame
	}
	return LatencyUndecided
}

func (q *question) slower(who string, l Latency) string {
	s := fmt.Sprintf("%s takes more than %s times as long as the baseline", who, ratioText(q.ratio))
	if m := medianRatio(l); m > 0 {
		s += fmt.Sprintf(" (at the median %s times)", ratioText(m))
	}
	return s
}

func quantile(l Latency, q float64) (Quantile, bool) {
	for _, v := range l.Quantiles {
		if v.Q == q {
			return v, true
		}
	}
	return Quantile{}, false
}

// medianRatio is the estimate of the medians' ratio; 0: not known.
func medianRatio(l Latency) float64 {
	if m, ok := quantile(l, 0.5); ok && !math.IsInf(m.Ratio.Estimate, 0) && !math.IsNaN(m.Ratio.Estimate) {
		return m.Ratio.Estimate
	}
	return 0
}
