package judge

import (
	"cmp"
	"maps"
	"slices"
)

// merge adds the other's counts, all but the account. What is there already
// keeps its place among the hypotheses; what is new comes behind all of them, with the
// other's place. Descriptions are bounded, so they merge as far as there is room.
func (c *comparison) merge(l *limits, o *comparison) {
	if o.Since.Before(c.Since) {
		c.Since = o.Since
	}
	addCounts(c.Methods, o.Methods)
	addCounts(c.Statuses, o.Statuses)
	c.Latency.merge(&o.Latency)
	c.Over = c.Over.merge(o.Over)
	c.Confirmed = c.Confirmed.merge(o.Confirmed)

	endpoints := slices.SortedFunc(maps.Values(o.Endpoints), func(a, b *table) int {
		return cmp.Or(cmp.Compare(a.Latency.Place, b.Latency.Place), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	placed := map[*tally]int{} // tallies here that have no place yet, by the other's
	behind, behindLatencies := c.Orders, c.Latencies
	for _, from := range endpoints {
		e := c.mergeEndpoint(l, from, endpointKey{from.Method, from.Path}, placed)
		if e.Latency.Place == 0 && from.Latency.Place > 0 {
			e.Latency.Place = behindLatencies + from.Latency.Place
			c.Latencies = max(c.Latencies, e.Latency.Place)
		}
	}
	for t, place := range placed {
		t.Place = behind + place
		c.Orders = max(c.Orders, t.Place)
	}
	c.Orders, c.Latencies = max(c.Orders, behind+o.Orders), max(c.Latencies, behindLatencies+o.Latencies)
}

// take makes the counts of an endpoint of this comparison those of another key.
// Its hypotheses keep their places where the other has none.
func (c *comparison) take(l *limits, from *table, k endpointKey) {
	placed := map[*tally]int{}
	e := c.mergeEndpoint(l, from, k, placed)
	for t, place := range placed {
		t.Place = place
	}
	if e.Latency.Place == 0 {
		e.Latency.Place = from.Latency.Place
	}
	from.into = e
}

// mergeEndpoint adds the counts of an endpoint to those of a key.
func (c *comparison) mergeEndpoint(l *limits, from *table, k endpointKey, placed map[*tally]int) *table {
	e := c.endpoint(l, k.method, k.path)
	e.merge(l, from)
	e.Sets.merge(&from.Sets, room{c, l})
	for _, name := range sortedKeys(from.Fields) {
		if f := c.field(l, e, name); f != nil {
			c.mergeField(l, f, from.Fields[name], placed)
		}
	}
	return e
}

func addCounts[K comparable](to, from map[K]int) {
	for k, n := range from {
		to[k] += n
	}
}

func (e *table) merge(l *limits, o *table) {
	e.Exchanges += o.Exchanges
	e.Mirrored += o.Mirrored
	e.Again += o.Again
	addCounts(e.Statuses, o.Statuses)
	for shape := range o.Shapes {
		if len(e.Shapes) < l.shapes {
			e.Shapes[shape] = struct{}{}
		}
	}
	e.Latency.merge(&o.Latency)
	e.Features.merge(o.Features)
	e.Minutes.merge(o.Minutes)
}

func (c *comparison) mergeField(l *limits, f, o *field, placed map[*tally]int) {
	f.Learnt.merge(&o.Learnt)
	for _, status := range slices.Sorted(maps.Keys(o.Statuses)) {
		f.differedWith(status, o.Statuses[status])
	}
	for a, from := range o.Aspects {
		if from == nil {
			continue
		}
		t := f.tally(Aspect(a))
		t.Case = t.Case.Merge(from.Case)
		t.Candidate += from.Candidate
		t.Baseline += from.Baseline
		t.Alone += from.Alone
		t.Along += from.Along
		t.Confirmed = t.Confirmed.merge(from.Confirmed)
		if from.differed() > 0 {
			t.seen(from.First)
			t.seen(from.Last)
		}
		if from.Place > 0 && t.Place == 0 {
			placed[t] = from.Place
		}
		if from.Detail == nil {
			continue
		}
		if t.Detail == nil && c.Details >= l.details {
			c.Over.Details += from.differed()
			continue
		}
		if t.Detail == nil {
			t.Detail = &detail{}
			c.Details++
		}
		t.Detail.merge(from.Detail)
	}
}

// merge adds the other's counts, but those that wait.
func (a *account) merge(o *account) {
	a.Compared += o.Compared
	a.Equal += o.Equal
	a.Different += o.Different
	a.WithBaseline += o.WithBaseline
	for why, n := range o.NotComparable {
		a.NotComparable[why] += n
	}
	for why, n := range o.Dropped {
		a.Dropped[why] += n
	}
}
