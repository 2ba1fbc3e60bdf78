//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// search is a difference that is looked for.
type search struct {
	delta float64 // share of requests that the candidate answers otherwise
	own   float64 // noise of the field itself
	among string
	scene *scene // what the other fields do; nil: nothing
}

func searches() []search {
	mixed := scenes()[1]
	var all []search
	for _, delta := range []float64{0.1, 0.01, 0.001} {
		all = append(all, search{delta, 0, "199 silent fields", nil}, search{delta, 0, "199 fields of noise, 0 to 95 %", &mixed})
	}
	for _, d := range []search{{0.1, 0.01, "", nil}, {0.01, 0.01, "", nil}, {0.1, 0.1, "", nil}, {0.01, 0.1, "", nil}, {0.1, 0.5, "", nil}} {
		all = append(all, search{d.delta, d.own, "199 fields of noise, 0 to 95 %", &mixed})
	}
	return all
}

// differences measures how soon a difference is found.
func (s simulation) differences(ctx context.Context) error {
	s.report.printf("One of %d fields is answered otherwise in a share of the requests, always in the same way: exchanges until it is proven, of %d runs median / 80th / 90th percentile, of\n"+
		"100,000 at most. \"Confirmed\": coins, and each mismatch is confirmed. \"No baseline\": confirmations alone. Fixed: McNemar's exact test with Bonferroni's correction.\n\n", simFields, s.searches)
	s.report.columns("difference", "own noise", "among", "confirmed", "budget", "coins alone", "no baseline", "fixed")
	for i, d := range searches() {
		row := []string{percent(d.delta), percent(d.own), d.among}
		for j, w := range []watch{{coins: true, confirmations: true}, {coins: true}, {confirmations: true}} {
			found, err := parallel(ctx, s.searches, uint64(1000+10*i+j), func(r *rand.Rand) int { return d.until(w, r) })
			if err != nil {
				return err
			}
			median, text := soon(found)
			if row = append(row, text); j == 0 {
				row = append(row, d.budget(median))
			}
		}
		s.report.row(append(row, fmt.Sprint(d.fixed()))...)
	}
	return nil
}

// budget is what a stable difference of 1 % may take.
func (d search) budget(median int) string {
	if d.delta != 0.01 || d.own > 0 {
		return ""
	}
	return "median ≤ 600 " + met(median <= 600)
}

// fixed is how many exchanges McNemar's test needs. Only the candidate differs
// where it answers otherwise or is odd alone; only the baseline where that is
// odd alone, in a request that is not answered otherwise.
func (d search) fixed() int {
	odd := noisy(d.own, 0).odd
	even := 1 - odd
	return mcnemarNeeds(d.delta*even*even+(1-d.delta)*odd*even*even, (1-d.delta)*odd*even*even, simAlpha/simFields)
}

// mostExchanges ends a search.
const mostExchanges = 100_000

// until returns at which exchange the field 0 was proven.
func (d search) until(w watch, r *rand.Rand) int {
	w.r, w.fields, w.first = r, make([]field, simFields), true
	sources := []source{noisy(d.own, d.delta, 0)}
	if d.scene != nil {
		sources = append(sources, d.scene.sources(1)...)
	}
	if w.run(sources, mostExchanges, nil); w.found == 0 {
		return never
	}
	return w.found
}
