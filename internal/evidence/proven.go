package evidence

import (
	"cmp"
	"math"
	"slices"
)

// early is the order up to which weights stay of one size.
const early = 32

// Weight is the share of α of the hypothesis that was discovered as the
// order-th, from 1: 32/((order+31)·(order+32)), which sums to 1 over all orders
// there ever can be. An order below 1 has no weight.
func Weight(order int) float64 {
	if order < 1 {
		return 0
	}
	k := float64(order)
	return early / ((k + early - 1) * (k + early))
}

// Hypothesis is "this field, of this endpoint, is the same", and what speaks
// against it. Latencies of an endpoint are such a field.
type Hypothesis struct {
	// Order is the place, from 1, in which the field was first seen to differ,
	// be it by the candidate, by the baseline or by both.
	Order int
	LogE  float64
}

// Proven says which hypotheses are refuted: weighted e-BH (Wang, Ramdas, False
// discovery rate control with e-values, 2022; Ignatiadis, Wang, Ramdas, E-values
// as unnormalized weights in multiple testing, 2024). The k of greatest
// weight·e are, for the greatest k for which each of them reaches 1/(αk). Of
// what is refuted, a share of at most α is expected to be wrong, whatever
// depends on whatever, and whenever one looks.
//
// If everything is the same, the probability of ever refuting anything is at
// most α: k hypotheses of 1/(αk) each need Σ weight·e ≥ 1/α, and this sum,
// with 1 for each weight that nobody has yet, starts at 1 and is a
// supermartingale. To it, a field that is discovered turns a weight of value 1
// into one of value e, where the discovering exchange itself counts, and this
// is fair: whether a field is discovered, and in which place, is known as soon
// as one knows the two answers of candidate and baseline but not which is
// whose, provided that fields discovered by one exchange are put in an order
// that does not depend on the side (by name, say). Whose is whose is still a
// fair coin then. Without a baseline there is no coin, and the confirmation
// comes after the discovery. Fields that never differ need no weight.
//
// Orders have to be kept: whoever merges keeps the places it has given, and
// puts fields that are new to it behind them.
func Proven(alpha float64, h []Hypothesis) []bool {
	type ranked struct {
		index int
		value float64 // log of weight·e
	}
	all := make([]ranked, len(h))
	for i, v := range h {
		all[i] = ranked{i, math.Log(Weight(v.Order)) + v.LogE}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.index, b.index))
	})
	refuted := 0
	for i, r := range all {
		if r.value >= -math.Log(alpha)-math.Log(float64(i+1)) {
			refuted = i + 1
		}
	}
	proven := make([]bool, len(h))
	for _, r := range all[:refuted] {
		proven[r.index] = true
	}
	return proven
}
