package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/sundog-mesh/sundog/internal/report"
)

// detail describes the exchanges in which one aspect of a field differed on the
// candidate's side.
type detail struct {
	Transitions []report.Transition `json:"transitions"`
	Minutes     series              `json:"minutes"`
	Features    map[string]uint64   `json:"features,omitempty"`
	Example     *report.Example     `json:"example,omitempty"`
	Size        int64               `json:"size"` // of the example's exchange
}

// Transitions kept, and reported. Of those kept the rarest makes way for a new
// one, which takes over its count (Metwally, Agrawal, El Abbadi, Efficient
// computation of frequent and top-k elements in data streams, 2005): what is
// frequent is never missed, and counts are too high rather than too low.
const (
	transitionsKept = 32
	transitionsTold = 10
)

func (d *detail) transition(from, to string, n uint64) {
	i := slices.IndexFunc(d.Transitions, func(t report.Transition) bool { return t.From == from && t.To == to })
	switch {
	case i >= 0:
		d.Transitions[i].Count += n
		return
	case len(d.Transitions) < transitionsKept:
		d.Transitions = append(d.Transitions, report.Transition{From: from, To: to, Count: n})
		return
	}
	least := 0
	for i := range d.Transitions {
		if d.Transitions[i].Count < d.Transitions[least].Count {
			least = i
		}
	}
	d.Transitions[least] = report.Transition{From: from, To: to, Count: d.Transitions[least].Count + n}
}

// top returns the most frequent transitions.
func (d *detail) top() []report.Transition {
	top := slices.Clone(d.Transitions)
	slices.SortStableFunc(top, func(a, b report.Transition) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return top[:min(len(top), transitionsTold)]
}

// add describes one exchange more.
func (d *detail) add(it *judged, s pairShown) {
	d.transition(s.from, s.to, 1)
	d.Minutes.add(it.start, 1)
	if d.Features == nil {
		d.Features = map[string]uint64{}
	}
	for _, x := range it.features {
		d.Features[x]++
	}
	if size := it.size(); d.Example == nil || size < d.Size {
		d.Size = size
		d.Example = it.example(s)
	}
}

func (d *detail) merge(o *detail) {
	for _, t := range o.Transitions {
		d.transition(t.From, t.To, t.Count)
	}
	d.Minutes.merge(o.Minutes)
	if d.Features == nil {
		d.Features = map[string]uint64{}
	}
	for name, n := range o.Features {
		d.Features[name] += n
	}
	if o.Example != nil && (d.Example == nil || o.Size < d.Size) {
		d.Example, d.Size = o.Example, o.Size
	}
}

// points is the series of a difference: of each minute in which the endpoint
// was compared, how often the candidate differed.
func points(exchanges, different series) []report.Point {
	list := make([]report.Point, 0, len(exchanges))
	for _, m := range exchanges {
		list = append(list, report.Point{
			Minute: time.Unix(m.At*60, 0).UTC(), Exchanges: m.N, Different: different.at(m.At),
		})
	}
	return list
}
