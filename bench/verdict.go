//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// verdict simulates what the statistics of internal/evidence decide, and when.
// It measures no proxy, and the same seeds give the same tables.
func (b *bench) verdict(ctx context.Context) error {
	s := simulation{b.report, 150, 150, 100_000}
	if b.quick {
		s = simulation{b.report, 20, 20, 5_000}
	}
	b.report.printf("Simulations of internal/evidence with fixed seeds, α = %v. All is looked at after every exchange; \"fixed\" is a test of the same level and\n"+
		"power 0.8 that looks once, at the number of exchanges that it needs, which one has to know beforehand. A share of runs misses its budget\n"+
		"if it is above by more than two standard errors of so many runs.\n\n", simAlpha)
	for _, table := range []func(context.Context) error{s.identical, s.differences, s.latencies, s.equivalence, s.coverage, s.quantiles} {
		if err := table(ctx); err != nil {
			return err
		}
		b.report.printf("\n")
	}
	return nil
}

// simulation is how much of it there is.
type simulation struct {
	report    *report
	runs      int // of identical builds
	searches  int // of differences
	exchanges int // of a run of identical builds
}

const simFields = 200

// parallel runs a function once for each seed, and returns what each returned.
func parallel[T any](ctx context.Context, runs int, seed uint64, do func(r *rand.Rand) T) ([]T, error) {
	all := make([]T, runs)
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < runs && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				all[i] = do(rand.New(rand.NewPCG(seed, uint64(i))))
			}
		})
	}
	group.Wait()
	return all, ctx.Err()
}

// share is the part of the runs for which it holds.
func share[T any](all []T, holds func(T) bool) float64 {
	n := 0
	for _, v := range all {
		if holds(v) {
			n++
		}
	}
	return float64(n) / float64(len(all))
}

// never is when nothing was found.
const never = math.MaxInt

// soon are the median, the 80th and the 90th percentile of the exchanges until
// something was found.
func soon(all []int) (median int, text string) {
	sorted := slices.Sorted(slices.Values(all))
	var texts []string
	for _, q := range []float64{0.5, 0.8, 0.9} {
		v := sorted[int(math.Ceil(q*float64(len(sorted))))-1]
		if q == 0.5 {
			median = v
		}
		if v == never {
			texts = append(texts, "not found")
			continue
		}
		texts = append(texts, fmt.Sprint(v))
	}
	return median, strings.Join(texts, " / ")
}

func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

// scene is what 200 fields do by themselves.
type scene struct {
	name   string
	levels []float64
	groups func(level int, fields []int) [][]int // that flip together
	watch  watch                                 // what is counted
}

// noiseLevels are those of the mixed scenes.
func noiseLevels() []float64 {
	return []float64{0, 0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.7, 0.9, 0.95}
}

func alone(_ int, fields []int) (groups [][]int) {
	for _, f := range fields {
		groups = append(groups, []int{f})
	}
	return groups
}

func together(_ int, fields []int) [][]int { return [][]int{fields} }

func halfTogether(level int, fields []int) [][]int {
	return append(alone(level, fields[:len(fields)/2]), fields[len(fields)/2:])
}

func scenes() []scene {
	all := watch{coins: true, confirmations: true}
	return []scene{
		{"0 to 95 %, each field by itself", noiseLevels(), alone, all},
		{"0 to 95 %, half of each level flip together", noiseLevels(), halfTogether, all},
		{"the same, nothing confirmed", noiseLevels(), halfTogether, watch{coins: true}},
		{"the same, no baseline, all confirmed", noiseLevels(), halfTogether, watch{confirmations: true}},
		{"0.1 %, each by itself", []float64{0.001}, alone, all},
		{"1 %, each by itself", []float64{0.01}, alone, all},
		{"10 %, all flip together", []float64{0.1}, together, all},
		{"95 %, each by itself", []float64{0.95}, alone, all},
	}
}

// sources are the scene's, for the fields from first on.
func (s scene) sources(first int) (all []source) {
	per := (simFields - first) / len(s.levels)
	for i, rate := range s.levels {
		var fields []int
		for f := first + i*per; f < first+(i+1)*per; f++ {
			fields = append(fields, f)
		}
		for _, g := range s.groups(i, fields) {
			all = append(all, noisy(rate, 0, g...))
		}
	}
	return all
}

// alarms is when one run of identical builds first alarmed, 0: never, and what
// Diffy would have flagged to who looks once.
type alarms struct {
	found, mcnemar, diffy int
	once                  [3]bool // by looks
}

// identical looks for false alarms.
func (s simulation) identical(ctx context.Context) error {
	s.report.printf("Identical builds, %d fields, %d exchanges, %d runs: share of runs with a false alarm in any field. Noise is the rate at which two answers of one\n"+
		"build differ. Every mismatch is confirmed, and splits cleanly by chance as often as it ever can, one time in six. Beside it Diffy's rule (20 %%, 0.03 %%), and\n"+
		"McNemar's test with Bonferroni's correction, which is made for one look, looked at always.\n\n", simFields, s.exchanges, s.runs)
	s.report.columns("noise", "Sundog", "budget", "Diffy, at any time", "Diffy, at 1,000", "at 10,000", "at 100,000", "McNemar, at any time")
	for i, scene := range scenes() {
		runs, err := parallel(ctx, s.runs, uint64(100+i), func(r *rand.Rand) alarms { return s.alarms(r, scene) })
		if err != nil {
			return err
		}
		found := share(runs, func(a alarms) bool { return a.found > 0 })
		if !scene.watch.coins { // what the others cannot do without
			s.report.row(scene.name, percent(found), budget(found, s.runs), "", "", "", "", "")
			continue
		}
		row := []string{scene.name, percent(found), budget(found, s.runs), percent(share(runs, func(a alarms) bool { return a.diffy > 0 }))}
		for look := range 3 {
			row = append(row, percent(share(runs, func(a alarms) bool { return a.once[look] })))
		}
		s.report.row(append(row, percent(share(runs, func(a alarms) bool { return a.mcnemar > 0 })))...)
	}
	return nil
}

// budget is α, with what chance may add to a share of so many runs.
func budget(share float64, runs int) string {
	return fmt.Sprintf("≤ %s %s", percent(simAlpha), met(share <= simAlpha+2*math.Sqrt(simAlpha*(1-simAlpha)/float64(runs))))
}

// looks are when somebody looks who looks once.
func looks() [3]int { return [3]int{1000, 10_000, 100_000} }

func (s simulation) alarms(r *rand.Rand, scene scene) (a alarms) {
	w := scene.watch
	w.chance, w.peers, w.fields, w.r = 1.0/6, w.coins, make([]field, simFields), r
	w.run(scene.sources(0), s.exchanges, func(n int) {
		for i, look := range looks() {
			a.once[i] = a.once[i] || n == look && slices.ContainsFunc(w.fields, func(f field) bool { return flaggedByDiffy(n, &f) })
		}
	})
	a.found, a.diffy, a.mcnemar = w.found, w.diffy, w.mcnemar
	return a
}
