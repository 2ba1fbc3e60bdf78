//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// tally sums a proxy's cells.
type tally struct {
	cells, broken, harmless    int
	failed, unanswered, within int
	unbalanced                 int
	r50, r99                   []float64
	peak                       float64
	shadows                    map[string]*ratios
}

// ratios are those of one shadow, under every load.
type ratios struct{ r50, r99 []float64 }

func (t *tally) add(shadow string, h harmed) {
	if t.shadows == nil {
		t.shadows = map[string]*ratios{}
	}
	if t.shadows[shadow] == nil {
		t.shadows[shadow] = &ratios{}
	}
	r := t.shadows[shadow]
	r.r50, r.r99 = append(r.r50, h.r50), append(r.r99, h.r99)
	if shadow == noShadow {
		return
	}
	t.cells++
	t.failed += h.failed
	t.unanswered += h.unanswered
	if h.failed+h.unanswered == 0 {
		t.harmless++
	}
	if max(h.r50, h.r99) <= mostHarm {
		t.within++
	}
	if !h.ledger.balances() {
		t.unbalanced++
	}
	t.r50, t.r99 = append(t.r50, h.r50), append(t.r99, h.r99)
	t.peak = max(t.peak, h.peak)
}

// harmSummary has all cells of a proxy in one row.
func (b *bench) harmSummary(subjects []*subject) {
	b.report.columns("proxy", "cells", "not measured", "failed", "unanswered", "budget", "cells without", "p50 ×, median", "worst", "p99 ×, median", "worst",
		fmt.Sprintf("both ≤ %.2f", mostHarm), "peak, MiB", "ledgers that do not balance", "budget")
	for _, s := range subjects {
		t := s.tally
		if t.cells == 0 {
			b.report.missing(15, s.proxy, s.name)
			continue
		}
		failures, unbalanced, books := "", "", ""
		if s.name == "sundog" {
			failures, unbalanced, books = none(t.failed+t.unanswered), strconv.Itoa(t.unbalanced), none(t.unbalanced)
		}
		b.report.row(s.name, strconv.Itoa(t.cells), strconv.Itoa(t.broken), strconv.Itoa(t.failed), strconv.Itoa(t.unanswered), failures,
			strconv.Itoa(t.harmless), ratio(median(t.r50)), ratio(slices.Max(t.r50)), ratio(median(t.r99)), ratio(slices.Max(t.r99)),
			strconv.Itoa(t.within), mib(t.peak), unbalanced, books)
	}
}

// harmByShadow has all loads of a shadow in one row: what is particular to one
// load's runs weighs less.
func (b *bench) harmByShadow(subjects []*subject) {
	b.report.printf("Each shadow under all loads, geometric means:\n\n")
	columns := []string{"shadow"}
	for _, s := range subjects {
		columns = append(columns, s.name+": p50 ×", "p99 ×")
	}
	b.report.columns(columns...)
	for _, shadow := range harmRows() {
		cells := []string{shadow}
		for _, s := range subjects {
			r := s.tally.shadows[shadow]
			if r == nil {
				cells = append(cells, "", "")
				continue
			}
			cells = append(cells, ratio(geometricMean(r.r50)), ratio(geometricMean(r.r99)))
		}
		b.report.row(cells...)
	}
}

func geometricMean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}
