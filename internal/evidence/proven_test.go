package evidence_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

func TestWeightsSumToOne(t *testing.T) {
	total := 0.0
	for order := 1; order <= 1_000_000; order++ {
		w := evidence.Weight(order)
		if w <= 0 || w > evidence.Weight(max(1, order-1)) {
			t.Fatalf("the weight of %d is %v", order, w)
		}
		total += w
	}
	if rest := 1 - total; math.Abs(rest-32.0/1_000_032) > 1e-9 {
		t.Errorf("a million weights leave %v", rest)
	}
	if evidence.Weight(0) != 0 || evidence.Weight(-5) != 0 {
		t.Error("no place has a weight")
	}
}

func TestProven(t *testing.T) {
	// -log(alpha·weight), what it takes alone.
	alone := func(order int) float64 { return -math.Log(0.05 * evidence.Weight(order)) }
	tests := []struct {
		name string
		h    []evidence.Hypothesis
		want []bool
	}{
		{"none", nil, []bool{}},
		{"just enough alone", []evidence.Hypothesis{{Order: 1, LogE: alone(1) + 1e-9}}, []bool{true}},
		{"not enough alone", []evidence.Hypothesis{{Order: 1, LogE: alone(1) - 1e-9}}, []bool{false}},
		{"later needs more", []evidence.Hypothesis{{Order: 100, LogE: alone(1) + 1}, {Order: 1, LogE: alone(1) + 1}}, []bool{false, true}},
		{"two need half each", []evidence.Hypothesis{{Order: 1, LogE: alone(1) - math.Ln2 + 1e-9}, {Order: 2, LogE: alone(2) - math.Ln2 + 1e-9}}, []bool{true, true}},
		{"the stronger carries the weaker", []evidence.Hypothesis{{Order: 2, LogE: alone(2) - 0.6}, {Order: 1, LogE: 100}}, []bool{true, true}},
		{"nothing known of it", []evidence.Hypothesis{{Order: 1, LogE: math.Inf(-1)}, {Order: 0, LogE: 1000}}, []bool{false, false}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, evidence.Proven(0.05, test.h)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// More evidence against one never acquits another, and a wider alpha none.
func TestProvenIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h []evidence.Hypothesis
		for i, logE := range rapid.SliceOfN(rapid.Float64Range(-5, 15), 1, 30).Draw(t, "logE") {
			h = append(h, evidence.Hypothesis{Order: i + 1, LogE: logE})
		}
		alpha := rapid.Float64Range(0.001, 0.5).Draw(t, "alpha")
		before := evidence.Proven(alpha, h)
		wider := evidence.Proven(2*alpha, h)
		i := rapid.IntRange(0, len(h)-1).Draw(t, "i")
		h[i].LogE += rapid.Float64Range(0, 20).Draw(t, "more")
		after := evidence.Proven(alpha, h)
		for j := range h {
			if before[j] && (!after[j] || !wider[j]) {
				t.Errorf("%d is proven no longer", j)
			}
		}
	})
}

// Identical builds, fields that differ together and are discovered over time,
// the discovering exchange counted, looked at after every exchange.
func TestProvenSeldomWrong(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const runs, exchanges, fields = 1500, 60, 12
	wrong := 0
	for range runs {
		wrong += oneRun(r, exchanges, fields)
	}
	if share := float64(wrong) / runs; share > 0.067 {
		t.Errorf("a false alarm in %v of the runs", share)
	}
}

// oneRun returns 1 for a false alarm.
func oneRun(r *rand.Rand, exchanges, fields int) int {
	place := make([]int, fields) // in h, from 1
	coins := make([]evidence.Coin, fields)
	var h []evidence.Hypothesis
	for range exchanges {
		candidate := r.IntN(2) == 0 // one coin for all fields: they depend on one another
		for f := range fields {
			if r.Float64() > float64(f%4+1)*0.1 {
				continue
			}
			if place[f] == 0 {
				h = append(h, evidence.Hypothesis{Order: len(h) + 1})
				place[f] = len(h)
			}
			if candidate {
				coins[f].Candidate++
			} else {
				coins[f].Baseline++
			}
			h[place[f]-1].LogE = coins[f].LogE()
		}
		for _, proven := range evidence.Proven(0.05, h) {
			if proven {
				return 1
			}
		}
	}
	return 0
}
