//go:build linux

package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// simAlpha is the false-alarm rate of all simulations.
const simAlpha = 0.05

// source is what makes one field differ, or some together. An answer is odd
// with a probability, and then unlike any other. In a share of requests the
// candidate's answer is another one, always the same.
type source struct {
	odd    float64
	delta  float64
	fields []int
	next   int     // the exchange that has anything to say
	length float64 // of the pauses between, -1/log(1-probability)
	// Cumulated probabilities: the candidate answers otherwise; or only the
	// candidate differs; or only the baseline; or both.
	otherwise, candidate, baseline, both float64
}

// noisy is a source whose answers differ from one another with that probability.
func noisy(rate, delta float64, fields ...int) source {
	s := source{odd: 1 - math.Sqrt(1-rate), delta: delta, fields: fields, otherwise: delta}
	even := 1 - s.odd
	s.candidate = s.otherwise + (1-delta)*even*even*s.odd
	s.baseline = s.candidate + (1-delta)*even*even*s.odd
	s.both = 1 - (1-delta)*even*even*even
	s.length = -1 / math.Log1p(-s.both)
	return s
}

// skip moves on to the next exchange that has anything to say; where most have,
// to the next one.
func (s *source) skip(r *rand.Rand) {
	switch {
	case s.both == 0:
		s.next = math.MaxInt
	case s.both > 0.5:
		s.next++
	default:
		s.next += 1 + int(r.ExpFloat64()*s.length)
	}
}

// outcome draws such an exchange: whether candidate and baseline differ from the
// primary, and whether a confirmation of the candidate's difference would show
// that it answers otherwise.
func (s *source) outcome(r *rand.Rand) (candidate, baseline, clean bool) {
	u := r.Float64()
	if s.both <= 0.5 {
		u *= s.both
	}
	switch {
	case u < s.otherwise:
		p, c, b := r.Float64() < s.odd, r.Float64() < s.odd, r.Float64() < s.odd
		return true, p || b, !p && !c && r.Float64() < math.Pow(1-s.odd, 4)
	case u < s.candidate:
		return true, false, false
	case u < s.baseline:
		return false, true, false
	}
	return u < s.both, u < s.both, false
}

// field is what was counted of one field.
type field struct {
	evidence.Case
	both, candidate uint64
	order           int
	matters         float64 // log of the least e that does
	weighted        float64 // weight·e, 0 if too small to matter
}

// watch counts fields, and looks at them after every exchange.
type watch struct {
	coins, confirmations bool    // without coins there is no baseline
	chance               float64 // that noise splits cleanly; at most 1/6
	peers                bool    // apply other rules as well
	first                bool    // only the first field is sought

	fields     []field
	discovered int
	dirty      bool // a weight·e that matters has changed
	r          *rand.Rand

	found   int // the exchange at which the first field was proven; 0: none
	diffy   int // the same for Diffy's rule
	mcnemar int // and for McNemar's test with Bonferroni's correction
}

// run draws exchanges until all that is sought was found, or the last is over.
func (w *watch) run(sources []source, exchanges int, at func(n int)) {
	for i := range sources {
		sources[i].skip(w.r)
	}
	for n := 1; n <= exchanges && (w.found == 0 || w.peers); n++ {
		for i := range sources {
			s := &sources[i]
			if s.next != n {
				continue
			}
			c, b, clean := s.outcome(w.r)
			if b = b && w.coins; c && !b && !clean { // noise
				clean = w.chance > 0 && w.r.Float64() < w.chance
			}
			for _, f := range s.fields {
				w.count(n, &w.fields[f], c, b, clean)
			}
			s.skip(w.r)
		}
		if w.dirty && w.found == 0 && w.proven() {
			w.found = n
		}
		if w.dirty = false; at != nil {
			at(n)
		}
	}
}

// count adds one exchange in which a field may have differed.
func (w *watch) count(n int, f *field, candidate, baseline, clean bool) {
	if !candidate && !baseline {
		return
	}
	if f.order == 0 {
		w.discovered++
		f.order = w.discovered
		// e-BH refutes nothing below 1/(α·fields).
		f.matters = -math.Log(simAlpha * float64(len(w.fields)) * evidence.Weight(f.order))
	}
	switch {
	case candidate && baseline:
		f.both++
		return
	case candidate:
		f.candidate++
		if w.coins {
			f.Coin.Candidate++
		}
	default:
		f.Coin.Baseline++
	}
	if w.confirmations && candidate {
		if clean {
			f.Confirmations.Clean++
		} else {
			f.Confirmations.Other++
		}
	}
	w.weigh(f)
	if w.peers && candidate {
		w.others(n, f)
	}
}

// weigh renews weight·e, unless it cannot matter.
func (w *watch) weigh(f *field) {
	before := f.weighted
	f.weighted = 0
	if surprise(f.Coin.Candidate, f.Coin.Baseline, 0.5)+surprise(f.Confirmations.Clean, f.Confirmations.Other, 1.0/6) >= f.matters {
		f.weighted = evidence.Weight(f.order) * math.Exp(f.LogE())
	}
	w.dirty = w.dirty || f.weighted > before
}

// surprise bounds the evidence in counts against a probability p of at most one
// half from above: it is n·KL at most, and that is χ²/2·(1+0.4·χ²/n) at most.
func surprise(hits, misses uint64, p float64) float64 {
	n := float64(hits + misses)
	over := float64(hits) - p*n
	if over <= 0 {
		return 0
	}
	chi := over * over / (n * p * (1 - p))
	return chi / 2 * (1 + 0.4*chi/n)
}

// proven asks e-BH, if it could say yes: the sum of what it refutes is at least 1/α.
func (w *watch) proven() bool {
	total := 0.0
	for i := range w.fields {
		total += w.fields[i].weighted
	}
	if total < (1-1e-9)/simAlpha {
		return false
	}
	h := make([]evidence.Hypothesis, 0, len(w.fields))
	for i := range w.fields {
		h = append(h, evidence.Hypothesis{Order: w.fields[i].order, LogE: w.fields[i].LogE()})
	}
	proven := evidence.Proven(simAlpha, h)
	return w.first && proven[0] || !w.first && slices.Contains(proven, true)
}

// others applies the rules of others, which only a candidate's difference can fulfil.
func (w *watch) others(n int, f *field) {
	if w.diffy == 0 && flaggedByDiffy(n, f) {
		w.diffy = n
	}
	c, b := f.Coin.Candidate, f.Coin.Baseline
	if w.mcnemar == 0 && surprise(c, b, 0.5) > 5 && upperTail(c, c+b) <= simAlpha/float64(len(w.fields)) {
		w.mcnemar = n
	}
}

// flaggedByDiffy is Diffy's rule with its default thresholds: more raw
// differences than noise, by over 20 % of their sum and over 0.03 % of all.
func flaggedByDiffy(n int, f *field) bool {
	raw, noise := float64(f.both+f.candidate), float64(f.both+f.Coin.Baseline)
	return raw > noise && (raw-noise)/(raw+noise) > 0.20 && (raw-noise)/float64(n) > 0.0003
}

// upperTail is the probability of k or more heads of n.
func upperTail(k, n uint64) float64 {
	term := logChoose(float64(n), float64(k)) - float64(n)*math.Ln2
	p, total := math.Exp(term), 0.0
	for i := k; i <= n && p > total*1e-12; i++ {
		total += p
		p *= float64(n-i) / float64(i+1)
	}
	return total
}

func logChoose(n, k float64) float64 {
	a, _ := math.Lgamma(n + 1)
	b, _ := math.Lgamma(k + 1)
	c, _ := math.Lgamma(n - k + 1)
	return a - b - c
}
