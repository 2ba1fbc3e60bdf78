package judge

import (
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/sundog-mesh/sundog/internal/compare"
)

// learnt is what the values of a field have shown. Values are seen only in
// exchanges in which the field differs somewhere.
type learnt struct {
	Primary   side `json:"primary"`
	Candidate side `json:"candidate"`
	Baseline  side `json:"baseline"`
	// Pairs counts the differing values of primary and another side by what
	// both look like.
	Pairs [numLooks]uint64 `json:"pairs"`
	Span  span             `json:"span"`
	// Which values go together on both sides, for as long as there are few.
	Together few `json:"together"`
	// Plain says that the values of primary and candidate were, once at least,
	// none that may be the names of instances.
	Plain    bool     `json:"plain,omitempty"`
	Examples []string `json:"examples,omitempty"` // of the primary
}

// side is what the values of one side have shown, in the order of exchanges.
type side struct {
	Seen    uint64  `json:"seen"`
	Changed uint64  `json:"changed"` // it was another value than before
	Risen   uint64  `json:"risen"`   // of those, a greater number
	Last    uint64  `json:"last"`    // hash
	Number  float64 `json:"number"`
	Values  few     `json:"values"`
}

// few is a set of hashes, for as long as they are few.
type few struct {
	Many bool     `json:"many,omitempty"`
	Of   []uint64 `json:"of,omitempty"`
}

// How many are few: of one proxy, and of all whose states are merged, each of
// which may have instances of its own.
const (
	mostFew    = 16
	mostMerged = 256
)

func (f *few) add(h uint64) { f.addUpTo(mostFew, h) }

func (f *few) addUpTo(most int, h uint64) {
	if f.Many || slices.Contains(f.Of, h) {
		return
	}
	if len(f.Of) >= most {
		f.Many, f.Of = true, nil
		return
	}
	f.Of = append(f.Of, h)
}

func (f *few) merge(o few) {
	for _, h := range o.Of {
		f.addUpTo(mostMerged, h)
	}
	if o.Many {
		f.Many, f.Of = true, nil
	}
}

// disjoint reports whether the sets are known and have nothing in common.
func (f *few) disjoint(o *few) bool {
	if f.Many || o.Many || len(f.Of) == 0 || len(o.Of) == 0 {
		return false
	}
	return !slices.ContainsFunc(f.Of, func(h uint64) bool { return slices.Contains(o.Of, h) })
}

// see takes in the side's next value.
func (s *side) see(v *sample) {
	if s.Seen > 0 && v.hash != s.Last {
		s.Changed++
		if v.number > s.Number {
			s.Risen++
		}
	}
	s.Seen++
	s.Last, s.Number = v.hash, 0
	if !math.IsNaN(v.number) && !math.IsInf(v.number, 0) {
		s.Number = v.number
	}
	s.Values.add(v.hash)
}

// replaced reports whether the values took each other's place, as the names of
// instances do that are restarted: they come in long runs, and few come back.
// Values that follow from the request do, sooner or later.
func (s *side) replaced() bool {
	return s.Changed*10 <= s.Seen && s.Changed <= 10*uint64(len(s.Values.Of))
}

// counts reports whether the values are those of a counter: they only rise, but
// for exchanges that overtake each other.
func (s *side) counts() bool { return s.Changed >= 3 && s.Risen*10 >= s.Changed*8 }

// rate is how often the value is another one than before.
func (s *side) rate() float64 {
	if s.Seen < 2 {
		return 0
	}
	return float64(s.Changed) / float64(s.Seen-1)
}

func (s *side) merge(o *side) {
	if s.Seen > 0 && o.Seen > 0 && s.Changed+o.Changed == 0 && s.Last != o.Last {
		s.Changed = 1
	}
	s.Seen += o.Seen
	s.Changed += o.Changed
	s.Risen += o.Risen
	s.Last, s.Number = o.Last, o.Number
	s.Values.merge(o.Values)
}

// span is the range of the numbers that primary and baseline have shown.
// Timestamps count from their exchange.
type span struct {
	N    uint64  `json:"n"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// enough is how many numbers make a range.
const enough = 20

func (s *span) add(x float64) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return
	}
	if s.N == 0 {
		s.Low, s.High = x, x
	}
	s.N++
	s.Low, s.High = min(s.Low, x), max(s.High, x)
}

func (s *span) merge(o *span) {
	if o.N == 0 {
		return
	}
	s.add(o.Low)
	s.add(o.High)
	s.N += o.N - 2
}

// skew is how far apart, in seconds, clocks may be, and answers begin.
const skew = 60

// beyond reports whether a value is outside of the range by more than its width,
// and by more than half of its size: instances of one version have different
// levels of memory, load and the like.
func (s *span) beyond(v *sample) bool {
	x := v.number
	if s.N < enough || math.IsNaN(x) {
		return false
	}
	margin := max(s.High-s.Low, math.Abs(s.Low)/2, math.Abs(s.High)/2)
	if v.look == lookTimestamp {
		margin = max(s.High-s.Low, skew)
	}
	return x < s.Low-margin || x > s.High+margin
}

// sample is a value as it is learnt from.
type sample struct {
	look   look
	hash   uint64
	number float64 // NaN: it is none
}

func sampleOf(v *compare.Value, now time.Time) sample {
	s := sample{hash: xxhash.Sum64String(v.Text) + uint64(v.Type)}
	s.look, s.number = lookOf(v, now)
	return s
}

// learn takes in what an exchange shows of a field, and adds to the mark what
// only the past can tell: whether values are out of range, or old ones again.
// Both questions are put to both sides alike, so a coin stays fair.
func (l *learnt) learn(m *mark, baseline bool, now time.Time) {
	c, b := m.candidate.aspects.has(Value), baseline && m.baseline.aspects.has(Value)
	if !c && !b {
		return
	}
	of := &m.candidate
	if !c {
		of = &m.baseline
	}
	if !scalar(of.a.Type) {
		return
	}
	p := sampleOf(&of.a, now)
	candidate, other := p, p
	if c {
		candidate = sampleOf(&m.candidate.b, now)
	}
	if b {
		other = sampleOf(&m.baseline.b, now)
	}
	// A range is one of values that vary, and a counter is where its instance is.
	ranged := l.Primary.Values.Many && !l.Primary.counts() && !l.Candidate.counts() && !l.Baseline.counts()
	if c {
		l.Pairs[together(&p, &candidate)]++
		if ranged && l.Span.beyond(&candidate) {
			m.candidate.aspects.add(Range)
		}
	}
	if b {
		l.Pairs[together(&p, &other)]++
		if ranged && l.Span.beyond(&other) {
			m.baseline.aspects.add(Range)
		}
	}
	if c && b && l.Primary.Values.Many && l.Baseline.Seen > 0 {
		old := func(h uint64) bool { return h == l.Candidate.Last || h == l.Baseline.Last }
		if old(candidate.hash) {
			m.candidate.aspects.add(Repeat)
		}
		if old(other.hash) {
			m.baseline.aspects.add(Repeat)
		}
	}
	l.Primary.see(&p)
	l.Candidate.see(&candidate)
	l.Span.add(p.number)
	if baseline {
		l.Baseline.see(&other)
		l.Span.add(other.number)
	}
	l.Together.add(p.hash*31 + candidate.hash)
	if c && !l.Plain {
		l.Plain = !names(m.field, &m.candidate.a, &m.candidate.b)
	}
	if !nameable(of.a.Type) {
		l.Together = few{Many: true}
		l.Candidate.Values = few{Many: true} // never an identity
	}
	if len(l.Examples) < 3 && !slices.Contains(l.Examples, of.a.Text) {
		l.Examples = append(l.Examples, brief(of.a.Text))
	}
}

func scalar(t compare.Type) bool {
	return t == compare.Bool || t == compare.Number || t == compare.String || t == compare.Bytes
}

// constant reports whether each side has values of its own and few of them, as
// names of instances are: one on each side, or several that took each other's
// place, or go together anyhow, whatever the request. varies says that the primary
// differs from itself.
func (l *learnt) constant(varies bool) bool {
	p, c := &l.Primary.Values, &l.Candidate.Values
	if !p.disjoint(c) {
		return false
	}
	most := max(len(p.Of), len(c.Of))
	if l.Primary.Seen < 4*uint64(most) && most > 1 {
		return false
	}
	return len(p.Of) == 1 || varies || l.Primary.replaced() || l.Together.Many || len(l.Together.Of) > most
}

func (l *learnt) merge(o *learnt) {
	l.Primary.merge(&o.Primary)
	l.Candidate.merge(&o.Candidate)
	l.Baseline.merge(&o.Baseline)
	for i := range l.Pairs {
		l.Pairs[i] += o.Pairs[i]
	}
	l.Span.merge(&o.Span)
	l.Together.merge(o.Together)
	l.Plain = l.Plain || o.Plain
	for _, x := range o.Examples {
		if len(l.Examples) < 3 && !slices.Contains(l.Examples, x) {
			l.Examples = append(l.Examples, x)
		}
	}
}

// brief cuts a text for a list.
func brief(s string) string {
	if len(s) <= 64 {
		return s
	}
	return clean(s[:64]) + "…"
}
