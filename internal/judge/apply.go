package judge

import (
	"strings"
	"time"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// judged is one exchange with one candidate, compared. Nothing in it is secret
// but the item's request.
type judged struct {
	item      *item
	candidate *candidate
	request   compare.Request
	primary   *compare.Message
	answer    *compare.Message
	shown     *traffic.Head // the request, redacted
	body      []byte        // its body, redacted
	start     time.Time
	result    compare.Result
	base      *compare.Result // nil: no baseline
	features  []string
	asked     bool // another candidate's mismatch of this exchange is to be confirmed
}

// hypothesis is one aspect of one field.
type hypothesis struct {
	field  string
	aspect Aspect
}

// apply adds an exchange to the tables and settles its account. It returns what
// is to be asked again, if anything.
func (w *worker) apply(e *judged) *confirmation {
	j, c := w.j, e.candidate.of
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.result.Outcome == compare.NotComparable {
		j.queue.settled(c, strings.ReplaceAll(string(e.result.Why), " ", "_"), false, false)
		return nil
	}
	paired := e.base != nil && !blocked(e.base) && !blocked(&e.result)
	ep := c.endpoint(&j.limits, e.request.Method, e.item.route.learner.Template(e.request.Method, e.request.Path))
	w.cover(c, ep, e, paired)

	var base []compare.Difference
	if paired {
		base = e.base.Differences
		c.Over.More += uint64(e.base.More)
	}
	c.Over.More += uint64(e.result.More)
	w.marks = marks(w.marks, e.result.Differences, base)
	w.key.reset()
	found := w.confirmFindings[:0]
	worth := false
	for i := range w.marks {
		found = w.mark(found, &worth, c, ep, e, &w.marks[i], paired)
	}
	w.confirmFindings = found
	if paired {
		ep.Sets.paired(&w.key, room{c, &j.limits})
	} else {
		ep.Sets.alone(&w.key, room{c, &j.limits})
	}
	var ask *confirmation
	if worth && !e.asked {
		ask = w.question(e, ep, found)
	}
	j.queue.settled(c, "", e.result.Outcome == compare.Different, paired)
	return ask
}

// blocked reports whether a part of the answers could not be compared, so that
// nothing found there means nothing.
func blocked(r *compare.Result) bool {
	switch r.Why {
	case compare.Cut, compare.TooLarge, compare.BadEncoding, compare.TooComplex:
		return true
	}
	return false
}

// widen adds the counts of an endpoint to those of the one that takes its place.
// It is told by the learner. The judge's lock is held.
func (j *Judge) widen(r *route, from, to string) {
	for _, c := range r.targets {
		for k, e := range c.Endpoints {
			if k.path != from || from == to {
				continue
			}
			delete(c.Endpoints, k)
			c.Fields -= len(e.Fields)
			c.SetBytes -= e.Sets.bytes()
			for _, f := range e.Fields {
				for _, t := range f.Aspects {
					if t != nil && t.Detail != nil {
						c.Details--
					}
				}
			}
			c.take(&j.limits, e, endpointKey{k.method, to})
		}
	}
}

// cover counts what every compared exchange shows.
func (w *worker) cover(c *comparison, ep *table, e *judged, paired bool) {
	ep.Exchanges++
	switch {
	case paired && e.item.baseline.again:
		ep.Again++
	case paired:
		ep.Mirrored++
	}
	status := e.primary.Status
	ep.Statuses[status]++
	c.Statuses[status]++
	method := e.request.Method
	if _, ok := c.Methods[method]; !ok && len(c.Methods) >= 32 {
		method = others
	}
	c.Methods[method]++
	whole := len(e.primary.Body) > 0 || e.primary.Size == 0
	if e.result.Shape != 0 && whole && len(ep.Shapes) < w.j.limits.shapes {
		ep.Shapes[e.result.Shape] = struct{}{}
	}
	ep.Minutes.add(e.start, 1)
	w.features = ep.Features.count(featuresOf(w.features[:0], e.shown, ep.Path))
	e.features = w.features

	var baseline *answer
	if e.item.hasBaseline {
		baseline = &e.item.baseline
	}
	p := pairOf(&e.item.primary, &e.candidate.answer, baseline)
	if p.fair != (c.Key.Baseline != "" && c.Key.Baseline != againBaseline) {
		return // the baseline's answer is missing
	}
	ep.Latency.observe(p, c.Settings.Ratio)
	c.Latency.observe(p, c.Settings.Ratio)
	if ep.Latency.Place == 0 && ep.Latency.Plain.Slower+ep.Latency.Plain.Faster > 0 {
		c.Latencies++
		ep.Latency.Place = c.Latencies
	}
}

// mark counts what an exchange shows of one field. It appends what may be
// confirmed, and says whether that is worth a question.
func (w *worker) mark(found []hypothesis, worth *bool, c *comparison, ep *table, e *judged, m *mark, paired bool) []hypothesis {
	j := w.j
	f := c.field(&j.limits, ep, m.field)
	if f == nil {
		if m.candidate.aspects != 0 != (m.baseline.aspects != 0) {
			w.key.add(m.candidate.aspects != 0, others, Value)
		}
		return found
	}
	var noisy aspects // as the past has it, so that this exchange has no say
	for a := range numAspects {
		if ep.noisy(f, a) {
			noisy.add(a)
		}
	}
	identity := ep.identity(m.field, f) != notIdentity
	f.Learnt.learn(m, paired, e.start)
	if m.candidate.aspects.has(Value) {
		f.differedWith(e.primary.Status, 1)
	}
	for a := range numAspects {
		inC, inB := m.candidate.aspects.has(a), m.baseline.aspects.has(a)
		if !inC && !inB {
			continue
		}
		t := f.tally(a)
		c.count(t, inC, inB, paired)
		if inC {
			t.seen(e.start)
			if e.answer.Status != e.primary.Status {
				t.Along++
			}
			w.describe(c, t, e, m.candidate.shown(a), noisy.has(a))
		}
		if inC == inB {
			continue
		}
		if !noisy.has(a) {
			w.key.add(inC, m.field, a)
		}
		if inC && a != Range && a != Repeat {
			found = append(found, hypothesis{m.field, a})
			asked := t.Case.Confirmations.Clean + t.Case.Confirmations.Other
			*worth = *worth || !noisy.has(a) && !(identity && ofValues.has(a)) && asked < enoughConfirmations
		}
	}
	return found
}

// enoughConfirmations is how often a hypothesis is confirmed at most: more of
// them would not say more.
const enoughConfirmations = 12

// count adds one exchange to a tally.
func (c *comparison) count(t *tally, inC, inB, paired bool) {
	if !paired {
		t.Alone++
		return
	}
	if inC {
		t.Candidate++
	}
	if inB {
		t.Baseline++
	}
	switch {
	case inC && !inB:
		t.Case.Coin.Candidate++
		c.place(t)
	case inB && !inC:
		t.Case.Coin.Baseline++
		c.place(t)
	}
}

// place gives a hypothesis its place when the first evidence comes.
func (c *comparison) place(t *tally) {
	if t.Place == 0 {
		c.Orders++
		t.Place = c.Orders
	}
}

// describe adds an exchange to the description of a difference. What is known
// to be noise is not described.
func (w *worker) describe(c *comparison, t *tally, e *judged, s pairShown, noisy bool) {
	switch {
	case noisy && !t.suspicious():
		if t.Detail != nil {
			t.Detail = nil
			c.Details--
		}
		return
	case t.Detail == nil && c.Details >= w.j.limits.details:
		c.Over.Details++
		return
	case t.Detail == nil:
		t.Detail = &detail{}
		c.Details++
	}
	t.Detail.add(e, s)
}

// example shows the exchange.
func (e *judged) example(s pairShown) *report.Example {
	id, _ := e.shown.Get("x-request-id")
	return &report.Example{
		ID: clean(string(id)), Time: e.start, Method: e.request.Method, URL: requestURL(e.shown),
		At: s.at, From: s.from, To: s.to,
		Primary: shownAnswer(e.primary, e.item.same), Candidate: shownAnswer(e.answer, e.item.same),
		Curl: curl(e.shown, e.body[:min(len(e.body), mostShown)], e.item.bodyCut || len(e.body) > mostShown),
	}
}

// size is what an example is chosen by: the smallest says most.
func (e *judged) size() int64 {
	return int64(e.shown.Size()+len(e.body)) + max(e.primary.Size, int64(len(e.primary.Body))) + max(e.answer.Size, int64(len(e.answer.Body)))
}
