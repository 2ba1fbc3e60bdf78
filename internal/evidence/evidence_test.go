package evidence_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// counts draws from all sizes, more often a small one.
func counts(most uint64) *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64Range(0, min(20, most)), rapid.Uint64Range(0, min(5000, most)), rapid.Uint64Range(0, most))
}

const trillion = 1_000_000_000_000

// near reports whether two numbers are the same but for rounding.
func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b))
}

// mean is log(p·eᵃ + (1-p)·eᵇ).
func mean(p, a, b float64) float64 {
	a, b = a+math.Log(p), b+math.Log1p(-p)
	if math.IsInf(max(a, b), -1) {
		return max(a, b)
	}
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b)))
}

// After any counts whatever the next fair outcome leaves the expected capital
// as it is: with Ville's inequality, this is why looking often does no harm.
func TestBetsAreFairAfterAnyCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := counts(1e6).Draw(t, "a"), counts(1e6).Draw(t, "b")
		for name, v := range map[string][2]float64{
			"coin": {
				evidence.Coin{Candidate: a, Baseline: b}.LogE(),
				mean(0.5, evidence.Coin{Candidate: a + 1, Baseline: b}.LogE(), evidence.Coin{Candidate: a, Baseline: b + 1}.LogE()),
			},
			"confirmation": {
				evidence.Confirmations{Clean: a, Other: b}.LogE(),
				mean(1.0/6, evidence.Confirmations{Clean: a + 1, Other: b}.LogE(), evidence.Confirmations{Clean: a, Other: b + 1}.LogE()),
			},
			"faster": {
				evidence.Signs{Slower: a, Faster: b}.LogEFaster(),
				mean(0.5, evidence.Signs{Slower: a + 1, Faster: b}.LogEFaster(), evidence.Signs{Slower: a, Faster: b + 1}.LogEFaster()),
			},
			"two-sided": {
				evidence.Signs{Slower: a, Faster: b}.LogE(),
				mean(0.5, evidence.Signs{Slower: a + 1, Faster: b}.LogE(), evidence.Signs{Slower: a, Faster: b + 1}.LogE()),
			},
		} {
			if !near(v[0], v[1]) {
				t.Errorf("%s after %d and %d: %v, then %v expected", name, a, b, v[0], v[1])
			}
		}
	})
}

// Where the excess is just the rate that is bet against, a bet is fair; where it
// is greater, the bettor loses.
func TestBetsOnAnExcessAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, b, same := counts(1e5).Draw(t, "c"), counts(1e5).Draw(t, "b"), counts(1e6).Draw(t, "same")
		rate := rapid.Float64Range(-0.9, 0.9).Draw(t, "rate")
		more := rapid.SampledFrom([]float64{0, 0.01}).Draw(t, "more")
		noise := rapid.Float64Range(0, (1-math.Abs(rate))/2-0.01).Draw(t, "noise") // of the baseline alone
		up, down := noise+max(rate, 0)+more/2, noise+max(-rate, 0)-more/2
		if down < 0 {
			up, down = up-down, 0
		}
		logE := func(n, c, b uint64) float64 {
			return evidence.Excess{Exchanges: n, Candidate: c, Baseline: b}.LogE(rate)
		}
		n := same + c + b
		now := logE(n, c, b)
		next := mean(up, logE(n+1, c+1, b), mean(down/(1-up), logE(n+1, c, b+1), logE(n+1, c, b)))
		if more == 0 && !near(now, next) || next > now+1e-9*max(1, math.Abs(now)) {
			t.Errorf("after %d, %d of %d at %v (%v, %v): %v, then %v expected", c, b, n, rate, up, down, now, next)
		}
	})
}

func TestNothingCountedIsNoEvidence(t *testing.T) {
	for name, got := range map[string]float64{
		"coin":          evidence.Coin{}.LogE(),
		"confirmations": evidence.Confirmations{}.LogE(),
		"case":          evidence.Case{}.LogE(),
		"signs":         evidence.Signs{}.LogE(),
		"excess":        evidence.Excess{}.LogE(0.1),
	} {
		if !near(got, 0) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRunsWithoutNoise(t *testing.T) {
	for n := uint64(1); n <= 40; n++ {
		for name, v := range map[string]struct{ got, all float64 }{
			"coin":          {evidence.Coin{Candidate: n}.LogE(), float64(n) * math.Log(2)},
			"confirmations": {evidence.Confirmations{Clean: n}.LogE(), float64(n) * math.Log(6)},
		} {
			if v.got < v.all-math.Ln2 || v.got > v.all {
				t.Errorf("%s of %d: %v is not between %v and %v", name, n, v.got, v.all-math.Ln2, v.all)
			}
		}
	}
}

// More of the one is more evidence, more of the other less.
func TestEvidenceIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, more := counts(trillion).Draw(t, "a"), counts(trillion).Draw(t, "b"), counts(trillion).Draw(t, "more")
		for name, logE := range map[string]func(a, b uint64) float64{
			"coin":          func(a, b uint64) float64 { return evidence.Coin{Candidate: a, Baseline: b}.LogE() },
			"confirmations": func(a, b uint64) float64 { return evidence.Confirmations{Clean: a, Other: b}.LogE() },
			"slower":        func(a, b uint64) float64 { return evidence.Signs{Slower: a, Faster: b}.LogESlower() },
			"faster":        func(a, b uint64) float64 { return evidence.Signs{Slower: b, Faster: a}.LogEFaster() },
		} {
			now, up, down := logE(a, b), logE(a+more, b), logE(a, b+more)
			if math.IsNaN(now) || up < now-1e-9*math.Abs(now) || down > now+1e-9*math.Abs(now) {
				t.Errorf("%s at %d and %d: %v; %d more of one: %v, of the other: %v", name, a, b, now, more, up, down)
			}
		}
	})
}

// The order of sides is drawn after the first answers, so whatever the four
// further answers are, one order of six splits them cleanly at most.
func TestACleanSplitHasOneChanceInSix(t *testing.T) {
	const primary, candidate = 0, 1 // what they answered first
	for answers := range 3 * 3 * 3 * 3 {
		clean := 0
		for order := range 16 { // bit i: which side gets the i-th question
			asked, fits := 0, true
			for i, rest := 0, answers; i < 4; i, rest = i+1, rest/3 {
				side := order >> i & 1
				asked += side
				fits = fits && rest%3 == [2]int{primary, candidate}[side]
			}
			if asked == 2 && fits {
				clean++
			}
		}
		if clean > 1 {
			t.Errorf("answers %d are split cleanly by %d orders of 6", answers, clean)
		}
	}
}

func TestMergeIsCountingTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := counts(trillion)
		checkMerge(t, evidence.Coin.Merge, func() evidence.Coin { return evidence.Coin{Candidate: n.Draw(t, "c"), Baseline: n.Draw(t, "b")} })
		checkMerge(t, evidence.Confirmations.Merge, func() evidence.Confirmations {
			return evidence.Confirmations{Clean: n.Draw(t, "clean"), Other: n.Draw(t, "other")}
		})
		checkMerge(t, evidence.Signs.Merge, func() evidence.Signs { return evidence.Signs{Slower: n.Draw(t, "s"), Faster: n.Draw(t, "f")} })
		checkMerge(t, evidence.Rate.Merge, func() evidence.Rate { return evidence.Rate{Exchanges: n.Draw(t, "n"), Different: n.Draw(t, "d")} })
		checkMerge(t, evidence.Excess.Merge, func() evidence.Excess {
			return evidence.Excess{Exchanges: n.Draw(t, "n"), Candidate: n.Draw(t, "c"), Baseline: n.Draw(t, "b")}
		})
	})
	a := evidence.Case{Coin: evidence.Coin{Candidate: 1, Baseline: 2}, Confirmations: evidence.Confirmations{Clean: 3, Other: 4}}
	want := evidence.Case{Coin: evidence.Coin{Candidate: 2, Baseline: 4}, Confirmations: evidence.Confirmations{Clean: 6, Other: 8}}
	if diff := cmp.Diff(want, a.Merge(a)); diff != "" {
		t.Error(diff)
	}
	full := evidence.Coin{Candidate: math.MaxUint64}
	if got := full.Merge(evidence.Coin{Candidate: 1}); got != full {
		t.Errorf("a full count starts over: %+v", got)
	}
}

// checkMerge merges two values, both ways, and compares each field with the sum.
func checkMerge[T comparable](t *rapid.T, merge func(a, b T) T, draw func() T) {
	a, b := draw(), draw()
	ab := merge(a, b)
	if ab != merge(b, a) {
		t.Errorf("%+v and %+v merge to another than the other way round", a, b)
	}
	va, vb, vab := reflect.ValueOf(a), reflect.ValueOf(b), reflect.ValueOf(ab)
	for i := range va.NumField() {
		if vab.Field(i).Uint() != va.Field(i).Uint()+vb.Field(i).Uint() {
			t.Errorf("%+v and %+v merge to %+v", a, b, ab)
		}
	}
	data, err := json.Marshal(ab)
	if err != nil {
		t.Fatal(err)
	}
	var again T
	if err := json.Unmarshal(data, &again); err != nil || again != ab {
		t.Errorf("%s is read as %+v: %v", data, again, err)
	}
}

// Under the hypothesis, with confirmations in an order drawn at random, the
// product reaches 20 in at most one run of twenty, looked at after each bet.
func TestCaseSeldomReaches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const runs, exchanges = 1500, 150
	reached := 0
	for range runs {
		var c evidence.Case
		for range exchanges {
			if r.IntN(2) == 0 {
				c.Coin.Candidate++
				if r.IntN(6) == 0 {
					c.Confirmations.Clean++
				} else {
					c.Confirmations.Other++
				}
			} else {
				c.Coin.Baseline++
			}
			if c.LogE() >= math.Log(20) {
				reached++
				break
			}
		}
	}
	// Three standard errors above 0.05, and not so few that the test says nothing.
	if share := float64(reached) / runs; share > 0.067 || share < 0.005 {
		t.Errorf("20 is reached in %v of the runs", share)
	}
}
