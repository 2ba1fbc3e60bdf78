package evidence_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

func TestExchangesNeededWithoutMismatch(t *testing.T) {
	for _, test := range []struct {
		epsilon, alpha float64
		want           uint64
	}{{0.1, 0.05, 35}, {0.01, 0.05, 358}, {0.001, 0.05, 3589}, {0.001, 0.01, 5248}, {0.0001, 0.05, 35899}} {
		got := evidence.Excess{}.Needed(test.epsilon, test.alpha)
		if got != test.want {
			t.Errorf("%v at %v: %d exchanges, want %d", test.epsilon, test.alpha, got, test.want)
		}
		if least := math.Log(1/test.alpha) / -math.Log1p(-test.epsilon); float64(got) < least {
			t.Errorf("%v at %v: %d exchanges, though even one look needs %v", test.epsilon, test.alpha, got, least)
		}
		for n, below := range map[uint64]bool{got: true, got - 1: false} {
			if (evidence.Excess{Exchanges: n}.Upper(test.alpha) <= test.epsilon) != below {
				t.Errorf("%v at %v: after %d exchanges the bound is %v", test.epsilon, test.alpha, n, evidence.Excess{Exchanges: n}.Upper(test.alpha))
			}
		}
	}
}

// drawExcess draws counts that fit together.
func drawExcess(t *rapid.T) evidence.Excess {
	c, b := counts(trillion).Draw(t, "c"), counts(trillion).Draw(t, "b")
	return evidence.Excess{Exchanges: c + b + counts(trillion).Draw(t, "same"), Candidate: c, Baseline: b}
}

func TestExcessBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawExcess(t)
		alpha := rapid.Float64Range(1e-6, 0.5).Draw(t, "alpha")
		low, high := e.Lower(alpha), e.Upper(alpha)
		if !(-1 <= low && low <= e.Estimate() && e.Estimate() <= high && high <= 1) {
			t.Fatalf("%v, estimate %v, %v", low, e.Estimate(), high)
		}
		more := e
		more.Exchanges++
		if e.Exchanges < 1e9 && more.Upper(alpha) > high+1e-9 {
			if mean := e.Estimate(); mean > 0 || high > 0 {
				t.Errorf("one more equal exchange raises %v to %v", high, more.Upper(alpha))
			}
		}
		more = e
		more.Exchanges++
		more.Candidate++
		if more.Upper(alpha) < high-1e-9 {
			t.Errorf("one more mismatch lowers %v to %v", high, more.Upper(alpha))
		}
		if e.Upper(alpha/2) < high {
			t.Error("a smaller alpha gives a lower bound")
		}
	})
}

func TestRateBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := counts(trillion).Draw(t, "k")
		r := evidence.Rate{Exchanges: k + counts(trillion).Draw(t, "same"), Different: k}
		alpha := rapid.Float64Range(1e-6, 0.5).Draw(t, "alpha")
		estimate := float64(k) / float64(max(1, r.Exchanges))
		if low, high := r.Lower(alpha), r.Upper(alpha); !(0 <= low && low <= estimate+1e-12 && estimate <= high+1e-12 && high <= 1) {
			t.Fatalf("%v, estimate %v, %v", low, estimate, high)
		}
		if got := (evidence.Excess{Exchanges: r.Exchanges, Candidate: k}).Upper(alpha); got != r.Upper(alpha) {
			t.Errorf("without a baseline %v, with a silent one %v", r.Upper(alpha), got)
		}
	})
	if low, high := (evidence.Rate{}).Lower(0.05), (evidence.Rate{}).Upper(0.05); low != 0 || high != 1 {
		t.Errorf("nothing seen: %v to %v", low, high)
	}
}

// What Needed promises comes true if all goes on as it says.
func TestNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 20000).Draw(t, "n")
		e := evidence.Excess{Exchanges: n, Candidate: rapid.Uint64Range(0, n/2).Draw(t, "c"), Baseline: rapid.Uint64Range(0, n/2).Draw(t, "b")}
		epsilon := rapid.SampledFrom([]float64{0.001, 0.01, 0.1}).Draw(t, "epsilon")
		up, down := float64(e.Candidate)/float64(n), float64(e.Baseline)/float64(n)
		if e.Lower(0.05) <= 0 {
			up, down = (up+down)/2, (up+down)/2
		}
		more := e.Needed(epsilon, 0.05)
		switch settled := e.Upper(0.05) <= epsilon; {
		case settled != (more == 0) && up-down < epsilon-1e-4:
			t.Fatalf("%+v: %d more, the bound is %v", e, more, e.Upper(0.05))
		case more == 0:
			return
		}
		at := func(more float64) float64 {
			n := float64(n) + more
			return evidence.Excess{Exchanges: uint64(n), Candidate: uint64(up * n), Baseline: uint64(down * n)}.LogE(epsilon)
		}
		// Counts are whole numbers: two of them more or less.
		if slack := 2 * (2*math.Ln2 + 1); at(float64(more)) < math.Log(20)-slack && e.Exchanges+more < 1e12 {
			t.Errorf("%+v: after %d more the evidence is %v", e, more, at(float64(more)))
		}
	})
	for _, test := range []struct {
		name  string
		e     evidence.Excess
		least uint64
		most  uint64
	}{
		{"5 % will not be 1 %", evidence.Excess{Exchanges: 1000, Candidate: 50}, 0, 0},
		{"settled", evidence.Excess{Exchanges: 1000}, 0, 0},
		{"nothing seen", evidence.Excess{}, 358, 358},
		{"bad luck so far", evidence.Excess{Exchanges: 500, Candidate: 60, Baseline: 40}, 15_000, 40_000},
		{"good luck so far", evidence.Excess{Exchanges: 500, Candidate: 40, Baseline: 60}, 15_000, 40_000},
	} {
		if got := test.e.Needed(0.01, 0.05); got < test.least || got > test.most {
			t.Errorf("%s: %d more", test.name, got)
		}
	}
	if got := (evidence.Rate{Exchanges: 1000, Different: 3}).Needed(0.01, 0.05); got == 0 || got > 2000 {
		t.Errorf("a rate of 0.3 %%: %d more", got)
	}
	if got := (evidence.Rate{Exchanges: 1000, Different: 30}).Needed(0.01, 0.05); got != 0 {
		t.Errorf("a rate of 3 %%: %d more", got)
	}
}

// The true rate is outside at any of all looks in at most alpha of the runs.
func TestExcessCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const runs, exchanges = 200, 250
	for _, rate := range []struct{ up, down float64 }{{0.05, 0}, {0.3, 0.3}, {0.02, 0.1}} {
		above, below := 0, 0
		for range runs {
			var e evidence.Excess
			high, low := false, false
			for range exchanges {
				e.Exchanges++
				switch u := r.Float64(); {
				case u < rate.up:
					e.Candidate++
				case u < rate.up+rate.down:
					e.Baseline++
				}
				swapped := evidence.Excess{Exchanges: e.Exchanges, Candidate: e.Baseline, Baseline: e.Candidate}
				high = high || e.LogE(rate.up-rate.down) >= math.Log(10)
				low = low || swapped.LogE(rate.down-rate.up) >= math.Log(10)
			}
			if high {
				above++
			}
			if low {
				below++
			}
		}
		// Three standard errors above 0.1.
		if max(above, below) > 33 || above+below == 0 {
			t.Errorf("%+v: of %d runs the rate was above the bound in %d, below in %d", rate, runs, above, below)
		}
	}
}

// Nothing that a state can hold leads to numbers that are none.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"coin":{"candidate":8,"baseline":0},"confirmations":{"clean":3,"other":1},"exchanges":100,"candidate":3,"baseline":2,"different":5,"slower":7,"faster":18446744073709551615}`))
	f.Add([]byte(`{"exchanges":0,"candidate":18446744073709551615,"baseline":18446744073709551615,"different":1}`))
	f.Add([]byte(`{"coin":{"candidate":-1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s struct {
			evidence.Excess
			Case  evidence.Case  `json:"-"`
			Rate  evidence.Rate  `json:"-"`
			Signs evidence.Signs `json:"-"`
		}
		for _, into := range []any{&s.Excess, &s.Case, &s.Rate, &s.Signs} {
			if json.Unmarshal(data, into) != nil {
				return
			}
		}
		for name, v := range map[string]float64{
			"case": s.Case.LogE(), "signs": s.Signs.LogE(), "slower": s.Signs.LogESlower(), "faster": s.Signs.LogEFaster(),
			"upper": s.Upper(0.05), "lower": s.Lower(0.05), "excess": s.LogE(0.01), "estimate": s.Estimate(),
			"rate": s.Rate.Upper(0.05), "least": s.Rate.Lower(0.05),
		} {
			if math.IsNaN(v) || math.IsInf(v, 1) {
				t.Errorf("%s of %s is %v", name, data, v)
			}
		}
		s.Needed(0.001, 0.05)
		s.Rate.Needed(0.001, 0.05)
		_ = s.Case.Merge(s.Case)
	})
}
