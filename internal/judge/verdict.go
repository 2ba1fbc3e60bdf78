package judge

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/report"
)

// Shares of alpha, the rate of false alarms: of fields, and of latencies. The
// claim that versions are equivalent is another one, and has an alpha of its own.
const (
	shareFields  = 0.8
	shareLatency = 0.2
)

// decision is what is proven of a comparison, and what its fields are.
type decision struct {
	c       *comparison
	proven  map[*tally]bool
	logE    map[*tally]float64
	slower  map[*table]bool // by more than the limit
	overall bool            // slower over all
	kinds   map[*table]map[string]kindOfField
	names   map[string]uint64 // how often a field had two names, of all endpoints where it is unsettled
}

// kindOfField is what of a field is no difference.
type kindOfField struct {
	identity identity
	noisy    aspects
}

// decide judges a comparison that nobody else touches.
func decide(c *comparison) *decision {
	d := &decision{
		c: c, proven: map[*tally]bool{}, logE: map[*tally]float64{},
		slower: map[*table]bool{}, kinds: map[*table]map[string]kindOfField{}, names: map[string]uint64{},
	}
	d.fields()
	d.latencies()
	return d
}

// fields tests all aspects of all fields at once.
func (d *decision) fields() {
	var tallies []*tally
	var tested []evidence.Hypothesis
	for _, e := range d.c.Endpoints {
		kinds := make(map[string]kindOfField, len(e.Fields))
		d.kinds[e] = kinds
		for name, f := range e.Fields {
			k := kindOfField{identity: e.identity(name, f)}
			if k.identity == unsettled {
				d.names[name] += f.Learnt.Candidate.Seen
			}
			for a, t := range f.Aspects {
				if t == nil {
					continue
				}
				if e.noisy(f, Aspect(a)) {
					k.noisy.add(Aspect(a))
				}
				if t.Place > 0 && !(k.identity != notIdentity && ofValues.has(Aspect(a))) {
					d.logE[t] = t.Case.LogE()
					tallies = append(tallies, t)
					tested = append(tested, evidence.Hypothesis{Order: t.Place, LogE: d.logE[t]})
				}
			}
			kinds[name] = k
		}
	}
	for i, ok := range evidence.Proven(d.c.Settings.Alpha*shareFields, tested) {
		if ok {
			d.proven[tallies[i]] = true
		}
	}
}

// latencies tests whether the limit is broken, over all and by endpoints.
func (d *decision) latencies() {
	tested := []evidence.Hypothesis{{Order: 1, LogE: d.c.Latency.Limit.LogESlower()}}
	endpoints := []*table{nil}
	for _, e := range d.c.Endpoints {
		if e.Latency.Place > 0 {
			endpoints = append(endpoints, e)
			tested = append(tested, evidence.Hypothesis{Order: e.Latency.Place + 1, LogE: e.Latency.Limit.LogESlower()})
		}
	}
	for i, ok := range evidence.Proven(d.c.Settings.Alpha*shareLatency, tested) {
		switch {
		case ok && endpoints[i] == nil:
			d.overall = true
		case ok:
			d.slower[endpoints[i]] = true
		}
	}
}

// excluded reports whether a difference in that aspect is none of the candidate's.
func (d *decision) excluded(e *table) func(name string, a Aspect) bool {
	kinds := d.kinds[e]
	return func(name string, a Aspect) bool {
		k, ok := kinds[name]
		if !ok {
			return false
		}
		if f := e.Fields[name]; f.Aspects[a] != nil && d.proven[f.Aspects[a]] {
			return false
		}
		return k.noisy.has(a) || ofValues.has(a) && k.identity != notIdentity
	}
}

// excess are an endpoint's exchanges, with and without a baseline, and how many
// of them differed.
type excess struct {
	paired evidence.Excess
	alone  evidence.Rate
}

func (x excess) merge(o excess) excess {
	return excess{x.paired.Merge(o.paired), x.alone.Merge(o.alone)}
}

func (x excess) different() uint64 { return x.paired.Candidate + x.alone.Different }

func (d *decision) excess(e *table) excess {
	c, b, alone := e.Sets.counts(d.excluded(e))
	return excess{
		paired: evidence.Excess{Exchanges: e.withBaseline(), Candidate: c, Baseline: b},
		alone:  evidence.Rate{Exchanges: e.Exchanges - e.withBaseline(), Different: alone},
	}
}

// bound is what bounds the excess rate from above. An exchange without a baseline
// counts with all that differs in it: its expectation is the plain rate, which is no
// less than the excess, so a bet that the excess is lower stays unfavourable while
// it is not.
func (x excess) bound() evidence.Excess {
	return evidence.Excess{
		Exchanges: x.paired.Exchanges + x.alone.Exchanges,
		Candidate: x.paired.Candidate + x.alone.Different,
		Baseline:  x.paired.Baseline,
	}
}

// verdict judges by the excess and by what is proven: which hypotheses about
// fields, and whether the limit of latency is broken. Doubted ones keep it from
// calling the versions equivalent: noise is left out of the excess, so what
// speaks against a noisy field is heard here.
//
// So do fields that may be the names of instances, as nothing that is counted can
// tell whether they are.
func (d *decision) verdict(x excess, g grounds, slower bool) report.Verdict {
	s := &d.c.Settings
	bound := x.bound()
	n := bound.Exchanges
	v := report.Verdict{State: report.Undecided, Upper: bound.Upper(s.Alpha)}
	switch {
	case len(g.proven) > 0:
		v.State = report.Different
		v.Why = fmt.Sprintf("the candidate differs in %s, beyond a false-alarm rate of %s", list(g.proven), percent(s.Alpha))
		if slower {
			v.Why += "; it is slower, too"
		}
	case slower:
		v.State = report.Different
		v.Why = fmt.Sprintf("the candidate is slower by more than the limit of %.3g times", s.Ratio)
	case n == 0:
		v.Why = "nothing was compared yet"
		v.Needed = bound.Needed(s.Epsilon, s.Alpha)
	case v.Upper < s.Epsilon && len(g.doubted) > 0:
		v.Why = fmt.Sprintf("so few exchanges differ that it would be equivalent, but there is evidence against %s, which varies by itself", list(g.doubted))
	case v.Upper < s.Epsilon && len(g.names) > 0:
		v.Why = fmt.Sprintf("so few exchanges differ that it would be equivalent, but %s", g.nobodyKnows())
	case v.Upper < s.Epsilon:
		v.State = report.Equivalent
		v.Why = fmt.Sprintf("of %d exchanges, the candidate differs in less than %s more than the primary differs from itself", n, percent(s.Epsilon))
	default:
		v.Needed = bound.Needed(s.Epsilon, s.Alpha)
		v.Why = fmt.Sprintf("no difference is proven, and the rate of differing exchanges is bounded by %s, not yet by %s", percent(v.Upper), percent(s.Epsilon))
		if x.different() > 0 && v.Needed == 0 {
			v.Why = fmt.Sprintf("%d of %d exchanges differ, which is too many to be equivalent and proves no difference yet", x.different(), n)
		}
		if len(g.names) > 0 {
			v.Why += "; and " + g.nobodyKnows()
		}
	}
	return v
}

// grounds are the hypotheses that matter to a verdict, by name and sorted.
type grounds struct {
	proven  []string
	doubted []string // the evidence would do if it were the only hypothesis
	names   []string // that may name the instance, or be different
}

// add takes in those of an endpoint.
func (g *grounds) add(o grounds, e *table) {
	of := " of " + e.Method + " " + e.Path
	for _, l := range []struct {
		to   *[]string
		from []string
	}{{&g.proven, o.proven}, {&g.doubted, o.doubted}, {&g.names, o.names}} {
		for _, name := range l.from {
			*l.to = append(*l.to, name+of)
		}
	}
}

func (g *grounds) nobodyKnows() string {
	return fmt.Sprintf("nobody knows whether %s names the instance or is different: that takes a baseline on another instance, or a rule to ignore it", list(g.names))
}

// percent writes a share for people.
func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }

// list joins the first few names.
func list(names []string) string {
	const most = 3
	text := ""
	for i, name := range names[:min(len(names), most)] {
		switch {
		case i > 0 && i == len(names)-1:
			text += " and "
		case i > 0:
			text += ", "
		}
		text += name
	}
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// implied reports whether an aspect needs no mention: the values of the field are
// no noise, so another format, or range, is but another value.
func (d *decision) implied(e *table, name string, a Aspect) bool {
	t := e.Fields[name].Aspects[Value]
	return a != Value && ofValues.has(a) && t != nil && t.differed() > 0 &&
		(!d.kinds[e][name].noisy.has(Value) || d.proven[t])
}

// named names what matters of an endpoint.
func (d *decision) named(e *table) (g grounds) {
	for name, f := range e.Fields {
		if d.kinds[e][name].identity == unsettled {
			g.names = append(g.names, name)
		}
		for a, t := range f.Aspects {
			if t == nil || d.implied(e, name, Aspect(a)) {
				continue
			}
			n := name
			if Aspect(a) != Value {
				n += " (" + Aspect(a).String() + ")"
			}
			switch {
			case d.proven[t]:
				g.proven = append(g.proven, n)
			case d.logE[t] >= logInverse(d.c.Settings.Alpha):
				g.doubted = append(g.doubted, n)
			}
		}
	}
	slices.Sort(g.proven)
	slices.Sort(g.doubted)
	slices.Sort(g.names)
	return g
}

// ordered returns the endpoints, the busiest first.
func (c *comparison) ordered() []*table {
	all := make([]*table, 0, len(c.Endpoints))
	for _, e := range c.Endpoints {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *table) int {
		return cmp.Or(cmp.Compare(b.Exchanges, a.Exchanges), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return all
}

// logInverse is the logarithm of evidence that refutes at alpha.
func logInverse(alpha float64) float64 { return -math.Log(alpha) }
