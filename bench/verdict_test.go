//go:build linux

package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

func TestUpperTail(t *testing.T) {
	for _, test := range []struct {
		k, n uint64
		want float64
	}{{0, 10, 1}, {10, 10, 1.0 / 1024}, {9, 10, 11.0 / 1024}, {3, 5, 0.5}, {12, 12, 1.0 / 4096}} {
		if got := upperTail(test.k, test.n); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%d of %d: %v, want %v", test.k, test.n, got, test.want)
		}
	}
	if got := critical(12, simAlpha/simFields); got != 12 {
		t.Errorf("12 coins have to show %d", got)
	}
}

// A run of 12 candidates is the least that counts; there are 12 with power 0.8
// after n exchanges for which the probability of 11 or fewer is 0.2.
func TestMcNemarNeeds(t *testing.T) {
	const delta = 0.1
	n := mcnemarNeeds(delta, 0, simAlpha/simFields)
	if atLeast(n, 12, delta) < power || atLeast(n-1, 12, delta) >= power {
		t.Errorf("%d exchanges have power %v, one fewer %v", n, atLeast(n, 12, delta), atLeast(n-1, 12, delta))
	}
	exact, about := mcnemarPower(2000, 0.06, 0.04, 0.01), 0.69
	if math.Abs(exact-about) > 0.06 { // z = 0.02·√2000/√0.0996 - 2.326 = 0.51
		t.Errorf("power %v, the normal approximation says %v", exact, about)
	}
}

func TestDiffysRule(t *testing.T) {
	for _, test := range []struct {
		name             string
		n                int
		both, raw, noise uint64
		want             bool
	}{
		{"one raw difference early", 1000, 0, 1, 0, true},
		{"the same late", 10_000, 0, 1, 0, false},
		{"half as much again is not enough", 1000, 0, 30, 20, false},
		{"a little more is", 1000, 0, 31, 20, true},
		{"blind to noise", 1000, 700, 300, 0, false},
		{"more noise", 1000, 0, 10, 50, false},
	} {
		f := field{both: test.both, candidate: test.raw, Case: evidence.Case{Coin: evidence.Coin{Candidate: test.raw, Baseline: test.noise}}}
		if got := flaggedByDiffy(test.n, &f); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// What the simulation leaves out as too little never matters.
func TestSurpriseBoundsEvidence(t *testing.T) {
	for hits := uint64(0); hits <= 400; hits += 1 + hits/10 {
		for misses := uint64(0); misses <= 400; misses += 1 + misses/10 {
			coin := evidence.Coin{Candidate: hits, Baseline: misses}.LogE()
			split := evidence.Confirmations{Clean: hits, Other: misses}.LogE()
			if coin > surprise(hits, misses, 0.5)+1e-9 || split > surprise(hits, misses, 1.0/6)+1e-9 {
				t.Errorf("%d and %d: %v and %v are above %v and %v", hits, misses, coin, split, surprise(hits, misses, 0.5), surprise(hits, misses, 1.0/6))
			}
		}
	}
}

// A source differs as often as it should, on both sides alike.
func TestSource(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := noisy(0.3, 0.1, 0)
	const exchanges = 200_000
	var candidate, baseline float64
	for s.skip(r); s.next <= exchanges; s.skip(r) {
		c, b, _ := s.outcome(r)
		if c {
			candidate++
		}
		if b {
			baseline++
		}
	}
	if c, b := candidate/exchanges, baseline/exchanges; math.Abs(c-0.37) > 0.005 || math.Abs(b-0.3) > 0.005 {
		t.Errorf("the candidate differs in %v, the baseline in %v", c, b)
	}
}

func TestSimulationRepeats(t *testing.T) {
	tables := func() string {
		var b bytes.Buffer
		r := newReport(&b, "", "")
		r.begin(part{name: "verdict"})
		s := simulation{r, 3, 3, 500}
		for _, table := range []func() error{
			func() error { return s.identical(t.Context()) },
			func() error { return s.latencies(t.Context()) },
		} {
			if err := table(); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	if diff := cmp.Diff(tables(), tables()); diff != "" {
		t.Error(diff)
	}
}
