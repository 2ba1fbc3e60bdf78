package judge

import (
	"cmp"
	"slices"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// Aspect is one way in which a field may differ. Each is a hypothesis of its own.
type Aspect uint8

// The aspects.
const (
	Value    Aspect = iota // another value of the same type
	Presence               // it is there on one side only
	Type                   // another type
	Format                 // of another make: a token where a UUID was
	Range                  // beyond what primary and baseline have shown
	Order                  // the same elements in another order
	Repeat                 // an old value again, where the primary has a new one each time
	numAspects
)

var aspectNames = [numAspects]string{"value", "presence", "type", "format", "range", "order", "repeat"}

// String is the aspect's name in a report.
func (a Aspect) String() string { return aspectNames[min(a, numAspects-1)] }

// aspects is a set of them.
type aspects uint8

func (s aspects) has(a Aspect) bool { return s&(1<<a) != 0 }

func (s *aspects) add(a Aspect) { *s |= 1 << a }

// ofValues are the aspects of what a value is.
const ofValues aspects = 1<<Value | 1<<Format | 1<<Range | 1<<Repeat

// finding is what one comparison with the primary shows of one field.
type finding struct {
	aspects aspects
	at      string
	a, b    compare.Value                   // the primary's and the other's
	of      [numAspects]*compare.Difference // the first of each aspect, while the results last
}

// mark is what one exchange shows of one field.
type mark struct {
	field     string
	candidate finding // without aspects: it agrees with the primary
	baseline  finding
}

// aspectOf is the aspect that a kind of difference is about.
func aspectOf(k compare.Kind) Aspect {
	switch k {
	case compare.Missing, compare.Added:
		return Presence
	case compare.TypeChanged:
		return Type
	case compare.Reordered:
		return Order
	}
	return Value
}

// add takes a difference into the finding. Values are those of the gravest kind.
func (f *finding) add(d *compare.Difference) {
	a := aspectOf(d.Kind)
	if f.aspects == 0 || a == Value {
		f.at, f.a, f.b = d.At, d.A, d.B
	}
	if f.of[a] == nil {
		f.of[a] = d
	}
	f.aspects.add(a)
	if d.Kind == compare.Changed && !compare.Compatible(compare.Classify(d.A), compare.Classify(d.B)) {
		f.aspects.add(Format)
	}
}

// pairShown is a difference as reports have it.
type pairShown struct{ at, from, to string }

// shown is the difference that an aspect is about. What lengths are is said:
// a bare number would look like the value.
func (f *finding) shown(a Aspect) pairShown {
	d := f.of[a]
	switch {
	case d == nil:
		return pairShown{f.at, valueText(&f.a), valueText(&f.b)}
	case d.Kind == compare.Length:
		return pairShown{d.At, "length " + valueText(&d.A), "length " + valueText(&d.B)}
	}
	return pairShown{d.At, valueText(&d.A), valueText(&d.B)}
}

// marks merges what both comparisons found, sorted by field. Differences that
// are minor are none. baseline may be nil.
func marks(dst []mark, candidate, baseline []compare.Difference) []mark {
	dst = dst[:0]
	for i := range candidate {
		if d := &candidate[i]; !d.Minor {
			if n := len(dst); n == 0 || dst[n-1].field != d.Field {
				dst = append(dst, mark{field: d.Field})
			}
			dst[len(dst)-1].candidate.add(d)
		}
	}
	own := len(dst)
	for i := range baseline {
		d := &baseline[i]
		if d.Minor {
			continue
		}
		at, ok := slices.BinarySearchFunc(dst[:own], d.Field, func(m mark, name string) int { return cmp.Compare(m.field, name) })
		if !ok {
			if n := len(dst); n > own && dst[n-1].field == d.Field {
				at = n - 1
			} else {
				at = n
				dst = append(dst, mark{field: d.Field})
			}
		}
		dst[at].baseline.add(d)
	}
	slices.SortFunc(dst, func(a, b mark) int { return cmp.Compare(a.field, b.field) })
	return dst
}
