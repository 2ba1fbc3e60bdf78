package judge

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Asker asks one destination for the answer to a request. It is called by
// several goroutines at once.
type Asker interface {
	// Ask returns the answer, which is the judge's from then on, and how long it
	// took. An error says that there was none, or not all of it.
	Ask(ctx context.Context, q Question) (compare.Message, time.Duration, error)
}

// Question is a safe request (GET or HEAD) to be asked again. It holds what the
// client sent, so it must go to nobody but where Role says, by the rules of the
// route's policy.
type Question struct {
	Route   string // key
	Cluster string
	Role    traffic.Role // Candidate; or Again: the primary
	Request *traffic.Head
	Body    []byte
}

// confirmation is a mismatch that is to be asked about again.
type confirmation struct {
	item       *item // whose request it is; its memory is the first answers' bodies
	of         *comparison
	endpoint   *table
	request    compare.Request
	primary    compare.Message
	candidate  compare.Message
	hypotheses []hypothesis // that differed in the first pair, sorted
}

// question makes a confirmation where the policy allows one. The judge's lock is held.
func (w *worker) question(e *judged, ep *table, found []hypothesis) *confirmation {
	j, r := w.j, e.item.route
	if j.opt.Asker == nil || r.bucket.rate <= 0 || !safe(e.request.Method) || blocked(&e.result) || e.item.bodyCut {
		return nil
	}
	if len(j.asks) == cap(j.asks) || !j.allow(r) {
		j.failed.notAsked++
		return nil
	}
	return &confirmation{
		item: e.item, of: e.candidate.of, endpoint: ep, request: e.request,
		primary: cloned(e.primary), candidate: cloned(e.answer), hypotheses: slices.Clone(found),
	}
}

// safe methods change nothing (RFC 9110, section 9.2.1).
func safe(method string) bool { return method == "GET" || method == "HEAD" }

// cloned is a message with lines of its own. The body stays the item's.
func cloned(m *compare.Message) compare.Message {
	c := *m
	c.Headers, c.Trailers = slices.Clone(m.Headers), slices.Clone(m.Trailers)
	return c
}

// hand gives the confirmation to those who ask, with the item.
func (w *worker) hand(c *confirmation) bool {
	select {
	case w.j.asks <- c:
		return true
	default:
		w.j.mu.Lock()
		w.j.failed.notAsked++
		w.j.mu.Unlock()
		return false
	}
}

// confirm asks until the context is done.
func (j *Judge) confirm(ctx context.Context) {
	w := newWorker(j)
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-j.asks:
			if w.guardAsk(ctx, c) {
				j.queue.put(c.item)
			}
		}
	}
}

// guardAsk asks; should that fail by a bug, only this confirmation is lost.
func (w *worker) guardAsk(ctx context.Context, c *confirmation) (done bool) {
	defer func() {
		if recover() != nil {
			*w = *newWorker(w.j)
			w.j.mu.Lock()
			w.j.failed.panics++
			w.j.mu.Unlock()
		}
	}()
	w.ask(ctx, c)
	return true
}

// sides are what is asked, in the order of answers: twice each.
var sides = [...]traffic.Role{traffic.Again, traffic.Again, traffic.Candidate, traffic.Candidate}

// ask asks both sides twice more, in random order, and counts what that shows.
func (w *worker) ask(ctx context.Context, c *confirmation) {
	defer w.scratch.Forget()
	answers, ok := w.answers(ctx, c)
	if ctx.Err() != nil {
		return // nobody waited for the answers
	}
	j := w.j
	if !ok {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.failed.asked++
		j.failed.askFailed++
		for _, h := range c.hypotheses {
			if t := c.tally(h); t != nil {
				t.Case.Confirmations.Other++
				c.of.place(t)
			}
		}
		return
	}
	cmp := w.comparer(c.item.route)
	within := [...]compare.Result{ // of each side with itself
		cmp.Compare(c.request, &c.primary, answers[0]), cmp.Compare(c.request, &c.primary, answers[1]),
		cmp.Compare(c.request, &c.candidate, answers[2]), cmp.Compare(c.request, &c.candidate, answers[3]),
	}
	again := [...]compare.Result{ // of all that came later
		cmp.Compare(c.request, answers[0], answers[1]),
		cmp.Compare(c.request, answers[0], answers[2]), cmp.Compare(c.request, answers[0], answers[3]),
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed.asked++
	var all confirmed
	for _, h := range c.hypotheses {
		t := c.tally(h)
		if t == nil {
			continue
		}
		c.of.place(t)
		var one confirmed
		switch {
		case !h.shows(within[:]):
			one.Stable++
			t.Case.Confirmations.Clean++
		case !h.shows(again[:]):
			one.Transient++
			t.Case.Confirmations.Other++
		default:
			one.Noisy++
			t.Case.Confirmations.Other++
		}
		t.Confirmed, all = t.Confirmed.merge(one), all.merge(one)
	}
	c.of.Confirmed = c.of.Confirmed.merge(all.gravest())
}

// gravest is the one outcome of a mismatch of several fields.
func (c confirmed) gravest() confirmed {
	switch {
	case c.Stable > 0:
		return confirmed{Stable: 1}
	case c.Noisy > 0:
		return confirmed{Noisy: 1}
	case c.Transient > 0:
		return confirmed{Transient: 1}
	}
	return confirmed{}
}

func (c *confirmation) tally(h hypothesis) *tally {
	e := c.endpoint
	for e.into != nil {
		e = e.into
	}
	f := e.Fields[h.field]
	if f == nil {
		return nil
	}
	return f.Aspects[h.aspect]
}

// shows reports whether any of the results differs in the hypothesis, or may do so.
func (h hypothesis) shows(results []compare.Result) bool {
	for i := range results {
		if blocked(&results[i]) || results[i].More > 0 {
			return true
		}
		for k := range results[i].Differences {
			d := &results[i].Differences[k]
			if d.Field != h.field || d.Minor {
				continue
			}
			var f finding
			if f.add(d); f.aspects.has(h.aspect) {
				return true
			}
		}
	}
	return false
}

// answers asks in random order, and returns the redacted answers in the order
// of sides.
func (w *worker) answers(ctx context.Context, c *confirmation) ([len(sides)]*compare.Message, bool) {
	var got [len(sides)]*compare.Message
	it := c.item
	s, r := &w.scratch, it.route.redactor
	w.shown.CopyFrom(&it.request)
	s.Remember()
	r.Head(s, &w.shown)
	var err error
	if w.body, err = redactBody(r, s, &w.shown, w.body[:0], it.body, it.bodyCut); err != nil {
		return got, false
	}
	s.Seal(redact.AtLeisure)
	for _, i := range rand.Perm(len(sides)) {
		q := Question{Route: it.route.Key, Cluster: it.cluster, Role: sides[i], Request: &it.request, Body: it.body}
		if q.Role == traffic.Candidate {
			q.Cluster = c.of.Key.Candidate
		}
		limited, cancel := context.WithTimeout(ctx, w.j.opt.AskTimeout)
		m, _, err := w.j.opt.Asker.Ask(limited, q)
		cancel()
		if err != nil {
			return got, false
		}
		a := answerOf(&m)
		if w.redactAnswer(r, a) != nil {
			return got, false
		}
		plain := *w.message(&messageScratch{}, a, &item{})
		got[i] = &plain
	}
	return got, true
}

// answerOf makes an answer of a message.
func answerOf(m *compare.Message) *answer {
	a := &answer{body: m.Body, cut: m.Cut, size: m.Size}
	a.head.Status = m.Status
	for _, f := range m.Headers {
		a.head.Add(f.Name, []byte(f.Value))
	}
	for _, f := range m.Trailers {
		a.trailers.Add(f.Name, []byte(f.Value))
	}
	return a
}

// bucket is an allowance of questions per second.
type bucket struct {
	rate float64 // 0: none

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

// perConfirmation is how often a confirmation asks the primary.
const perConfirmation = 2

// take takes n questions out, or none. It never saves up more than a second's,
// or one confirmation's.
func (b *bucket) take(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := max(b.rate, perConfirmation)
	if b.last.IsZero() {
		b.tokens = most
	} else if d := now.Sub(b.last); d > 0 {
		b.tokens = min(most, b.tokens+d.Seconds()*b.rate)
	}
	if b.last.Before(now) {
		b.last = now
	}
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// allow takes a confirmation out of the route's allowance.
func (j *Judge) allow(r *route) bool {
	if j.opt.Allow != nil {
		return j.opt.Allow(r.Key, perConfirmation)
	}
	return r.bucket.take(perConfirmation, j.opt.Now())
}
