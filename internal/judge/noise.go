package judge

import (
	"math"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// noisy reports whether an aspect of a field varies by itself. What the
// baseline has shown counts for more than what confirmations have shown, and
// both for more than what the values look like.
func (e *table) noisy(f *field, a Aspect) bool {
	t := f.Aspects[a]
	if t == nil {
		return false
	}
	n := e.withBaseline()
	switch {
	case t.alike():
		return true
	case t.Confirmed.Noisy >= 2 && t.Confirmed.Noisy > 4*t.Confirmed.Stable:
		return true
	case t.Baseline == 0 && n >= 20 && t.Candidate >= 3:
		return false // the baseline agrees with the primary
	case a != Value || e.Exchanges == 0:
		return false
	}
	return f.Learnt.byLook(float64(t.differed()) / float64(e.Exchanges))
}

// alike reports whether candidate and baseline differ about equally often. The
// rule is the same for both: one that looked at the baseline alone would leave
// those fields in the excess in which, by chance, the candidate differs more.
func (t *tally) alike() bool {
	return t.Candidate+t.Baseline >= 6 && 3*min(t.Candidate, t.Baseline) >= max(t.Candidate, t.Baseline)
}

// suspicious reports whether the candidate differs clearly more often than the
// baseline, by a rule that costs little.
func (t *tally) suspicious() bool {
	c, b := float64(t.Case.Coin.Candidate), float64(t.Case.Coin.Baseline)
	return c > b+3*math.Sqrt(c+b)
}

// identity says whether a field is the name of an instance.
type identity uint8

const (
	notIdentity identity = iota
	unsettled            // nobody knows: the only baseline is the primary's own instance, or there is none
	settled              // a baseline on another instance has a name of its own
)

// enoughNames is how often a field has to have a value of its own on each side,
// in all endpoints together, until a report calls it a name. Until then it is
// suspected only.
const enoughNames = 5

// identity tells a field apart that has a value of its own on each side, the
// same in all exchanges. Whether that is a difference, only a baseline on
// another instance can say; if there is one, that decides. Where there is none,
// or it is the primary's own instance, only values that look like names count:
// else whatever is always wrong would be taken for one. Such a field is not
// tested from its first exchange on, so that it is never proven and then not.
func (e *table) identity(name string, f *field) identity {
	t := f.Aspects[Value]
	if t == nil || t.differed() == 0 || meaningful(name) || !e.always(f, t) {
		return notIdentity
	}
	if e.Mirrored >= 3 {
		if e.Exchanges < 3 || t.Baseline == 0 || !f.Learnt.constant(true) || !f.Learnt.Candidate.Values.disjoint(&f.Learnt.Baseline.Values) {
			return notIdentity
		}
		return settled
	}
	if f.Learnt.Plain || !f.Learnt.constant(t.Baseline >= 3) {
		return notIdentity
	}
	return unsettled
}

// always reports whether a field differs in all answers, but for a few, of
// those statuses with which it ever does: an error does not name its instance
// where other answers do.
func (e *table) always(f *field, t *tally) bool {
	differed, of := t.differed(), e.Exchanges
	if len(f.Statuses) > 0 {
		differed, of = 0, 0
		for status, n := range f.Statuses {
			differed += n
			of += uint64(max(e.Statuses[status], 0))
		}
	}
	return differed*100 >= of*99
}

// mostStatuses bounds field.Statuses; answers of others count as those of none.
const mostStatuses = 16

// differedWith counts an answer of that status in which the candidate's value differed.
func (f *field) differedWith(status int, n uint64) {
	if f.Statuses == nil {
		f.Statuses = map[int]uint64{}
	}
	if _, ok := f.Statuses[status]; ok || len(f.Statuses) < mostStatuses {
		f.Statuses[status] += n
	}
}

// noiseKind names the noise of a field for a report.
func (e *table) noiseKind(name string, f *field) string {
	switch {
	case e.identity(name, f) == settled:
		return "identity"
	case f.Aspects[Value] == nil && f.Aspects[Order] != nil:
		return "permutation"
	}
	return f.Learnt.kind()
}

// nameable reports whether values of the type can be names of instances.
func nameable(t compare.Type) bool {
	return t == compare.String || t == compare.Number || t == compare.Bytes
}
