package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sundog-mesh/sundog/internal/report"
)

// Report says what is known now. It may be called at any time; the counts of one
// comparison are of one moment, and its account balances.
func (j *Judge) Report() report.Report {
	r := report.Report{Generated: j.opt.Now(), Comparisons: []report.Comparison{}}
	for _, c := range j.snapshot() {
		r.Comparisons = append(r.Comparisons, reportOf(c))
	}
	return r
}

// snapshot returns copies of all comparisons, sorted.
func (j *Judge) snapshot() []*comparison {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]*comparison, 0, len(j.comparisons))
	for _, c := range j.comparisons {
		all = append(all, j.copy(c))
	}
	slices.SortFunc(all, func(a, b *comparison) int {
		return cmp.Or(cmp.Compare(a.Key.Route, b.Key.Route), cmp.Compare(a.Key.Candidate, b.Key.Candidate),
			cmp.Compare(a.Key.Primary, b.Key.Primary), cmp.Compare(a.Key.Baseline, b.Key.Baseline))
	})
	return all
}

// copy returns a copy of a comparison. The judge's lock is held.
func (j *Judge) copy(c *comparison) *comparison {
	n := newComparison(c.Key, c.Since)
	n.Settings = c.Settings
	j.queue.mu.Lock()
	n.Totals.merge(&c.Totals)
	n.Totals.Waiting = c.Totals.Waiting
	j.queue.mu.Unlock()
	n.merge(&j.limits, c)
	return n
}

func reportOf(c *comparison) report.Comparison {
	d := decide(c)
	r := report.Comparison{
		Route: c.Key.Route, Policy: c.Settings.Policy,
		Primary: c.Key.Primary, Candidate: c.Key.Candidate, Baseline: c.Key.Baseline,
		Since: c.Since, Epsilon: c.Settings.Epsilon, Alpha: c.Settings.Alpha,
		MaxLatencyRatio: c.Settings.Ratio,
		Account:         c.Totals.report(),
		Latency:         c.Latency.report(c, d.overall),
		Endpoints:       []report.Endpoint{},
		Differences:     []report.Difference{}, Noise: []report.Noise{}, Warnings: []string{},
	}
	r.Account.Confirmed = c.Confirmed.report()
	r.Coverage = report.Coverage{Endpoints: len(c.Endpoints), Methods: maps.Clone(c.Methods), Statuses: statuses(c.Statuses)}
	var total excess
	var all grounds
	slower := d.overall
	for _, e := range c.ordered() {
		x := d.excess(e)
		of := d.named(e)
		r.Endpoints = append(r.Endpoints, d.endpoint(e, x, of))
		total = total.merge(x)
		slower = slower || d.slower[e]
		all.add(of, e)
		d.differences(&r, e)
		d.noise(&r, e)
		r.Coverage.Shapes += len(e.Shapes)
	}
	r.Counts = report.Counts{Paired: total.paired, Alone: total.alone}
	r.Verdict, r.Unsettled = d.verdict(total, all, slower), len(all.names)
	d.latencyDifferences(&r)
	slices.SortStableFunc(r.Differences, graver)
	r.Warnings = d.warnings(&r)
	if n := len(r.Differences) - mostListed; n > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%d more differences, none of them graver, are not listed", n))
		r.Differences = r.Differences[:mostListed]
	}
	return r
}

// mostListed is how many differences a report has of one comparison.
const mostListed = 1000

func (d *decision) endpoint(e *table, x excess, g grounds) report.Endpoint {
	slower := d.slower[e]
	return report.Endpoint{
		Counts: report.Counts{Paired: x.paired, Alone: x.alone},
		Method: e.Method, Path: e.Path,
		Verdict:   d.verdict(x, g, slower),
		Exchanges: e.Exchanges, Different: x.different(),
		Coverage: report.Coverage{
			Endpoints: 1, Methods: map[string]int{e.Method: int(e.Exchanges)},
			Statuses: statuses(e.Statuses), Shapes: len(e.Shapes),
		},
		Latency: e.Latency.report(d.c, slower),
	}
}

func statuses(m map[int]int) map[string]int {
	r := make(map[string]int, len(m))
	for status, n := range m {
		r[strconv.Itoa(status)] = n
	}
	return r
}

// differences lists the differences of an endpoint that are not noise.
func (d *decision) differences(r *report.Comparison, e *table) {
	for _, name := range sortedKeys(e.Fields) {
		f, k := e.Fields[name], d.kinds[e][name]
		for i, t := range f.Aspects {
			if t == nil || t.differed() == 0 {
				continue
			}
			a := Aspect(i)
			state := report.Suspected
			switch {
			case d.implied(e, name, a), a != Value && ofValues.has(a) && k.identity == unsettled:
				continue
			case ofValues.has(a) && k.identity == unsettled:
				if d.names[name] >= enoughNames {
					state = report.Identity
				}
			case d.proven[t]:
				state = report.Proven
			case k.noisy.has(a), ofValues.has(a) && k.identity == settled, !d.suspected(a, t):
				continue
			}
			r.Differences = append(r.Differences, d.difference(e, name, a, t, state))
		}
	}
}

// suspected reports whether a difference is worth a mention: where the baseline
// never differed, and where there is some evidence. Chance makes a noisy value
// look odd now and then, so once is not enough for that.
func (d *decision) suspected(a Aspect, t *tally) bool {
	if a != Value && ofValues.has(a) {
		return t.Alone >= 3 || d.logE[t] >= 1
	}
	return t.Alone > 0 || t.Case.Coin.Candidate > 0 && (t.Baseline == 0 || d.logE[t] >= 1)
}

func (d *decision) difference(e *table, name string, a Aspect, t *tally, state report.DifferenceState) report.Difference {
	x := report.Difference{
		Method: e.Method, Path: e.Path, Field: name, Aspect: a.String(),
		State: state, Order: t.Place, LogE: d.logE[t],
		Exchanges: e.Exchanges, WithBaseline: e.withBaseline(), Candidate: t.differed(), Baseline: t.Baseline, WithStatus: t.Along,
		OnlyCandidate: t.Case.Coin.Candidate, OnlyBaseline: t.Case.Coin.Baseline,
		Confirmed: t.Confirmed.report(),
		First:     t.First, Last: t.Last,
		Transitions: []report.Transition{}, Predictors: []report.Predictor{}, Series: []report.Point{},
	}
	if t.Detail != nil {
		x.Transitions = t.Detail.top()
		x.Predictors = predictors(e.Features, e.Exchanges, t.Detail.Features, t.differed())
		x.Example = t.Detail.Example
		x.Series = points(e.Minutes, t.Detail.Minutes)
	}
	return x
}

// noise lists the fields of an endpoint that vary by themselves.
func (d *decision) noise(r *report.Comparison, e *table) {
	for _, name := range sortedKeys(e.Fields) {
		f, k := e.Fields[name], d.kinds[e][name]
		if k.identity == unsettled {
			continue
		}
		t, a := f.Aspects[Value], Value
		if t == nil || !k.noisy.has(Value) && k.identity != settled {
			if t, a = f.Aspects[Order], Order; t == nil || !k.noisy.has(a) {
				continue
			}
		}
		n := report.Noise{
			Method: e.Method, Path: e.Path, Field: name, Type: e.noiseKind(name, f),
			Seen:     e.Exchanges,
			Changes:  report.Changes{Primary: f.Learnt.Primary.rate(), Candidate: f.Learnt.Candidate.rate(), Baseline: f.Learnt.Baseline.rate()},
			Examples: slices.Clone(f.Learnt.Examples),
		}
		if paired := e.withBaseline(); paired > 0 {
			n.Rate = float64(t.Baseline) / float64(paired)
		} else if e.Exchanges > 0 {
			n.Rate = float64(t.differed()) / float64(e.Exchanges)
		}
		r.Noise = append(r.Noise, n)
	}
}

// latencyDifferences lists the endpoints whose limit of latency is broken.
func (d *decision) latencyDifferences(r *report.Comparison) {
	one := func(method, path string, l *latency, minutes series) {
		n := l.Limit.Slower + l.Limit.Faster
		x := report.Difference{
			Method: method, Path: path, Field: "latency", Aspect: report.AspectLatency, State: report.Proven, Order: l.Place,
			LogE: l.Limit.LogESlower(), Exchanges: n,
			Candidate: l.Limit.Slower, Baseline: l.Limit.Faster, OnlyCandidate: l.Limit.Slower, OnlyBaseline: l.Limit.Faster,
			First: d.c.Since, Last: d.c.Since,
			Transitions: []report.Transition{}, Predictors: []report.Predictor{}, Series: []report.Point{},
		}
		if last := len(minutes) - 1; last >= 0 {
			x.First, x.Last = time.Unix(minutes[0].At*60, 0).UTC(), time.Unix(minutes[last].At*60, 0).UTC()
		}
		_, from, _ := l.Reference.Bounds(0.5, 0.05)
		_, to, _ := l.Candidate.Bounds(0.5, 0.05)
		x.Transitions = append(x.Transitions, report.Transition{From: "p50 " + brieft(from), To: "p50 " + brieft(to), Count: n})
		r.Differences = append(r.Differences, x)
	}
	for _, e := range d.c.ordered() {
		if d.slower[e] {
			one(e.Method, e.Path, &e.Latency, e.Minutes)
		}
	}
	if d.overall && len(d.slower) == 0 {
		one("", "(all)", &d.c.Latency, nil)
	}
}

func brieft(t time.Duration) string {
	return fmt.Sprintf("%.3g ms", float64(t)/float64(time.Millisecond))
}

// graver orders differences: the proven ones first, those that may be a cause
// before those that follow, and the better proven.
func graver(a, b report.Difference) int {
	rank := func(s report.DifferenceState) int {
		return slices.Index([]report.DifferenceState{report.Proven, report.Suspected, report.Identity}, s)
	}
	follows := func(d report.Difference) int {
		if d.Follows() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(follows(a), follows(b)), cmp.Compare(b.LogE, a.LogE), cmp.Compare(b.Candidate, a.Candidate))
}

// report is the account's part of a report.
func (a *account) report() report.Account {
	r := report.Account{
		Waiting: a.Waiting, Compared: a.Compared, Equal: a.Equal, Different: a.Different, WithBaseline: a.WithBaseline,
		NotComparable: maps.Clone(a.NotComparable), Dropped: maps.Clone(a.Dropped),
	}
	r.Offered = r.Waiting + r.Compared
	for _, n := range r.NotComparable {
		r.Offered += n
	}
	for _, n := range r.Dropped {
		r.Offered += n
	}
	return r
}

func (c confirmed) report() report.Confirmed {
	return report.Confirmed{Asked: c.asked(), Stable: c.Stable, Transient: c.Transient, Noisy: c.Noisy}
}
