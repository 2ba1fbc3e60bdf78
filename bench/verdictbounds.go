//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// service draws latencies: log-normal, with a part that both answers of one
// request have in common and a part of their own.
type service struct {
	common, own float64 // standard deviations of logarithms
	slower      float64 // the candidate's factor
}

func (s service) pair(r *rand.Rand) (candidate, baseline time.Duration) {
	both := math.Exp(math.Log(float64(20*time.Millisecond)) + s.common*r.NormFloat64())
	return time.Duration(both * s.slower * math.Exp(s.own*r.NormFloat64())), time.Duration(both * math.Exp(s.own*r.NormFloat64()))
}

// latencies measures how soon a slower candidate is found.
func (s simulation) latencies(ctx context.Context) error {
	s.report.printf("Latencies around 20 ms, log-normal: exchanges until the sign test of candidate against (limit ×) baseline says slower, of %d runs, each of 20,000 exchanges at most.\n"+
		"With nothing slower than the limit, the share of runs that ever says so. Fixed: the exact sign test.\n\n", s.searches)
	s.report.columns("candidate", "limit", "common deviation", "own deviation", "median / 80th / 90th percentile", "fixed", "share of runs that says slower", "budget")
	for i, l := range []struct {
		service
		limit float64
	}{
		{service{0.5, 0.1, 1.05}, 1},
		{service{0.5, 0.3, 1.05}, 1},
		{service{1, 0.1, 1.05}, 1},
		{service{0.5, 0.1, 1.1}, 1.05},
		{service{0.5, 0.1, 1.2}, 1.05},
		{service{0.5, 0.1, 1}, 1},
		{service{0.5, 0.1, 1.05}, 1.05},
	} {
		found, err := parallel(ctx, s.searches, uint64(3000+i), func(r *rand.Rand) int { return l.until(r, l.limit) })
		if err != nil {
			return err
		}
		said := share(found, func(n int) bool { return n < never })
		row := []string{fmt.Sprintf("× %v", l.slower), fmt.Sprint(l.limit), fmt.Sprint(l.common), fmt.Sprint(l.own)}
		if excess := math.Log(l.slower / l.limit); excess > 0 {
			p := (1 + math.Erf(excess/(2*l.own))) / 2 // the difference of two has √2 of the deviation
			_, text := soon(found)
			row = append(row, text, fmt.Sprint(signNeeds(p, simAlpha)), percent(said), "")
		} else {
			row = append(row, "", "", percent(said), budget(said, s.searches))
		}
		s.report.row(row...)
	}
	return nil
}

func (s service) until(r *rand.Rand, limit float64) int {
	var signs evidence.Signs
	for n := 1; n <= 20_000; n++ {
		candidate, baseline := s.pair(r)
		if float64(candidate) <= limit*float64(baseline) {
			signs.Faster++
			continue
		}
		signs.Slower++
		if signs.LogESlower() >= -math.Log(simAlpha) {
			return n
		}
	}
	return never
}

// rates are those at which only the candidate, and only the baseline, differs.
type rates struct{ up, down float64 }

func (m rates) draw(r *rand.Rand, e *evidence.Excess) {
	e.Exchanges++
	switch u := r.Float64(); {
	case u < m.up:
		e.Candidate++
	case u < m.up+m.down:
		e.Baseline++
	}
}

// lookout waits for the evidence against an excess of rate or more to reach 1/α.
// It asks for it only where it may have got there: a bet gains 2/(1-rate) at most
// where only the baseline differs, 1/(1-rate) where neither does, else nothing.
type lookout struct{ rate, missing float64 }

func (l *lookout) reached(before, e evidence.Excess) bool {
	switch {
	case e.Baseline > before.Baseline:
		l.missing -= math.Ln2 - math.Log1p(-l.rate)
	case e.Candidate == before.Candidate:
		l.missing -= max(0, -math.Log1p(-l.rate))
	}
	if l.missing > 1e-6 {
		return false
	}
	l.missing = -math.Log(simAlpha) - e.LogE(l.rate)
	return l.missing <= 0
}

// swapped is what it would be with the sides changed.
func swapped(e evidence.Excess) evidence.Excess {
	return evidence.Excess{Exchanges: e.Exchanges, Candidate: e.Baseline, Baseline: e.Candidate}
}

// equivalence measures how soon equal builds are called equivalent.
func (s simulation) equivalence(ctx context.Context) error {
	s.report.printf("Equal builds: exchanges until the upper bound of the excess mismatch rate is below ε, of %d runs. Noise: the rate at which only one of the two differs,\n"+
		"the same for both. Forecast: what Needed says after 500 exchanges, median. Fixed: a bound that looks once.\n\n", s.searches)
	s.report.columns("ε", "noise", "median / 80th / 90th percentile", "forecast, in all", "fixed")
	for i, e := range []struct{ epsilon, noise float64 }{{0.01, 0}, {0.01, 0.001}, {0.01, 0.01}, {0.01, 0.1}, {0.001, 0}, {0.001, 0.001}, {0.001, 0.01}} {
		type result struct{ until, forecast int }
		all, err := parallel(ctx, s.searches, uint64(4000+i), func(r *rand.Rand) (got result) {
			var seen, before evidence.Excess
			same, limit := rates{e.noise, e.noise}, lookout{rate: e.epsilon}
			for !limit.reached(before, seen) {
				before = seen
				same.draw(r, &seen)
				if seen.Exchanges == 500 {
					got.forecast = 500 + int(seen.Needed(e.epsilon, simAlpha))
				}
			}
			got.until = int(seen.Exchanges)
			if got.forecast == 0 && got.until <= 500 {
				got.forecast = got.until
			}
			return got
		})
		if err != nil {
			return err
		}
		var until, forecast []int
		for _, v := range all {
			until, forecast = append(until, v.until), append(forecast, v.forecast)
		}
		_, text := soon(until)
		middle, _ := soon(forecast)
		s.report.row(percent(e.epsilon), percent(e.noise), text, fmt.Sprint(middle), boundNeeds(e.epsilon, e.noise))
	}
	return nil
}

// coverage looks for bounds of a rate that are wrong.
func (s simulation) coverage(ctx context.Context) error {
	const looks = 20_000
	runs := 5 * s.runs
	s.report.printf("Bounds of the excess mismatch rate at α = %v, %d exchanges, %d runs: share of runs in which the true rate is beyond the bound at any of the looks,\n"+
		"and the bounds' median distance from the truth at the end.\n\n", simAlpha, looks, runs)
	s.report.columns("only the candidate differs", "only the baseline", "excess", "above the upper bound", "budget", "below the lower bound", "budget", "upper − truth", "truth − lower")
	for i, m := range []rates{{0, 0}, {0.001, 0}, {0.01, 0}, {0.01, 0.01}, {0.02, 0.01}, {0.1, 0.1}, {0.3, 0.35}} {
		type result struct {
			above, below bool
			up, down     float64
		}
		truth := m.up - m.down
		all, err := parallel(ctx, runs, uint64(5000+i), func(r *rand.Rand) (got result) {
			var e evidence.Excess
			high, low := lookout{rate: truth}, lookout{rate: -truth}
			for range looks {
				before := e
				m.draw(r, &e)
				got.above = high.reached(before, e) || got.above
				got.below = low.reached(swapped(before), swapped(e)) || got.below
			}
			got.up, got.down = e.Upper(simAlpha)-truth, truth-e.Lower(simAlpha)
			return got
		})
		if err != nil {
			return err
		}
		var up, down []float64
		for _, v := range all {
			up, down = append(up, v.up), append(down, v.down)
		}
		above, below := share(all, func(v result) bool { return v.above }), share(all, func(v result) bool { return v.below })
		s.report.row(percent(m.up), percent(m.down), percent(truth), percent(above), budget(above, runs), percent(below), budget(below, runs),
			fmt.Sprintf("%.3f %%", 100*median(up)), fmt.Sprintf("%.3f %%", 100*median(down)))
	}
	return nil
}

// quantiles looks for bounds of a quantile that are wrong.
func (s simulation) quantiles(ctx context.Context) error {
	const looks = 10_000
	runs := max(10, s.searches/2)
	own := service{0.5, 0.3, 1.1}
	deviation := math.Hypot(own.common, own.own)
	s.report.printf("Bounds of latency quantiles and of their ratio at α = %v, log-normal with deviation %.2f, candidate × %v, %d observations, %d runs: share of runs in which the truth\n"+
		"is outside at any look, and the bounds' median width relative to the truth.\n\n", simAlpha, deviation, own.slower, looks, runs)
	s.report.columns("quantile", "outside", "budget", "ratio outside", "budget", "width at 1,000", "at 10,000", "width of the ratio at 10,000")
	for i, q := range []float64{0.5, 0.9, 0.99} {
		truth := float64(20*time.Millisecond) * math.Exp(deviation*z(q))
		all, err := parallel(ctx, runs, uint64(6000+i), func(r *rand.Rand) quantileRun { return own.watch(r, looks, q, truth) })
		if err != nil {
			return err
		}
		var thousand, end, ratioEnd []float64
		for _, v := range all {
			thousand, end, ratioEnd = append(thousand, v.thousand/truth), append(end, v.end/truth), append(ratioEnd, v.ratioEnd/own.slower)
		}
		outside, beyond := share(all, func(v quantileRun) bool { return v.outside }), share(all, func(v quantileRun) bool { return v.ratioOutside })
		wide := percent(median(thousand))
		if median(thousand) > 1e3 {
			wide = "unbounded"
		}
		s.report.row(fmt.Sprintf("p%v", 100*q), percent(outside), budget(outside, runs), percent(beyond), budget(beyond, runs), wide, percent(median(end)), percent(median(ratioEnd)))
	}
	return nil
}

// quantileRun is what one run of quantile bounds came to.
type quantileRun struct {
	outside, ratioOutside   bool
	thousand, end, ratioEnd float64 // widths
}

// watch looks at the baseline's quantile, and at the ratio, after every observation.
func (s service) watch(r *rand.Rand, looks int, q, truth float64) (got quantileRun) {
	var candidate, baseline evidence.Histogram
	for n := 1; n <= looks; n++ {
		c, b := s.pair(r)
		candidate.Observe(c)
		baseline.Observe(b)
		low, _, high := baseline.Bounds(q, simAlpha)
		got.outside = got.outside || truth < float64(low) || truth > float64(high)
		if n%10 == 0 { // three bounds cost three times as much
			least, _, most := evidence.Ratio(&candidate, &baseline, q, simAlpha)
			got.ratioOutside = got.ratioOutside || s.slower < least || s.slower > most
			got.ratioEnd = most - least
		}
		if n == 1000 {
			got.thousand = float64(high - low)
		}
		got.end = float64(high - low)
	}
	return got
}
