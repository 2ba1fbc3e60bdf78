package judge

import (
	"context"
	"errors"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// worker compares exchanges, one at a time, in memory of its own.
type worker struct {
	j         *Judge
	comparers map[*route]*compare.Comparer
	scratch   redact.Scratch
	strings   interner

	shown           traffic.Head // the request, redacted
	body            []byte
	plain           []byte // a redacted body
	first, second   messageScratch
	marks           []mark
	key             setKey
	features        []string
	confirmFindings []hypothesis
}

func newWorker(j *Judge) *worker {
	return &worker{j: j, comparers: map[*route]*compare.Comparer{}, strings: interner{}}
}

// run takes items until the context is done.
func (w *worker) run(ctx context.Context) {
	for {
		it := w.j.queue.pop()
		if it == nil {
			select {
			case <-ctx.Done():
				return
			case <-w.j.queue.wake:
				continue
			}
		}
		w.guard(it)
		if ctx.Err() != nil {
			return
		}
	}
}

// guard judges an item; should that fail by a bug, the item is lost and the
// worker goes on.
func (w *worker) guard(it *item) {
	held := it.bytes
	defer w.j.queue.let(held)
	at := 0 // how many of its candidates are accounted for
	defer func() {
		if recover() == nil {
			return
		}
		w.comparers = map[*route]*compare.Comparer{} // may be broken
		w.scratch = redact.Scratch{}
		w.j.mu.Lock()
		w.j.failed.panics++
		w.j.mu.Unlock()
		for ; at < len(it.candidates); at++ {
			w.j.queue.settled(it.candidates[at].of, internalError, false, false)
		}
	}()
	if w.judge(it, &at) {
		w.j.queue.put(it)
	}
}

// judge compares all candidates of an item with its primary. It reports
// whether the item may be used again.
func (w *worker) judge(it *item, at *int) (done bool) {
	defer w.scratch.Forget()
	if err := w.redact(it); err != nil {
		for ; *at < len(it.candidates); *at++ {
			w.j.queue.settled(it.candidates[*at].of, redactionFailed, false, false)
		}
		return true
	}
	cmp := w.comparer(it.route)
	req := compare.Request{Method: w.strings.of(w.shown.Method()), Path: string(w.shown.Path())}
	primary := w.message(&w.first, &it.primary, it)
	var base *compare.Result
	if it.hasBaseline {
		r := cmp.Compare(req, primary, w.message(&w.second, &it.baseline, it))
		base = &r
	}
	w.features = w.features[:0]
	var ask *confirmation
	for ; *at < len(it.candidates); *at++ {
		c := &it.candidates[*at]
		message := w.message(&w.second, &c.answer, it)
		e := judged{
			item: it, candidate: c, request: req, primary: primary, answer: message,
			shown: &w.shown, body: w.body, start: it.start,
			result: cmp.Compare(req, primary, message), base: base, asked: ask != nil,
		}
		if x := w.apply(&e); x != nil && ask == nil {
			ask = x
		}
	}
	return ask == nil || !w.hand(ask)
}

// comparer returns the worker's own comparer for a route.
func (w *worker) comparer(r *route) *compare.Comparer {
	c := w.comparers[r]
	if c == nil {
		if len(w.comparers) > 2*len(*w.j.routes.Load())+16 { // of routes that are gone
			clear(w.comparers)
		}
		c, _ = compare.New(r.options) // Configure has tried it
		w.comparers[r] = c
	}
	return c
}

var (
	errCut   = errors.New("a body that has to be redacted is not whole")
	errSpent = errors.New("a head holds too much that has to be looked for")
)

// redact makes w.shown and w.body of the request, and redacts the answers in
// place. What the request holds of secrets is looked for in the answers, too.
func (w *worker) redact(it *item) error {
	r, s := it.route.redactor, &w.scratch
	w.shown.CopyFrom(&it.request)
	s.Remember()
	r.Head(s, &w.shown)
	var err error
	if w.body, err = redactBody(r, s, &w.shown, w.body[:0], it.body, it.bodyCut); err != nil {
		return err
	}
	s.Seal(redact.AtLeisure)
	if r != nil { // what one place calls a secret stands in another, too
		if w.plain, err = r.Body(s, &w.shown, w.plain[:0], w.body); err != nil {
			return err
		}
		w.body = append(w.body[:0], w.plain...)
		r.Head(s, &w.shown)
	}
	if err := w.redactAnswer(r, &it.primary); err != nil {
		return err
	}
	if it.hasBaseline {
		if err := w.redactAnswer(r, &it.baseline); err != nil {
			return err
		}
	}
	for i := range it.candidates {
		if err := w.redactAnswer(r, &it.candidates[i].answer); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) redactAnswer(r *redact.Redactor, a *answer) error {
	if r == nil {
		return nil
	}
	if a.cut { // what cannot be redacted is not kept
		a.body = a.body[:0]
	}
	var err error
	if w.plain, err = r.Body(&w.scratch, &a.head, w.plain[:0], a.body); err != nil {
		return err
	}
	a.body = append(a.body[:0], w.plain...)
	r.Head(&w.scratch, &a.head)
	r.Head(&w.scratch, &a.trailers)
	if w.scratch.Spent() {
		return errSpent
	}
	return nil
}

func redactBody(r *redact.Redactor, s *redact.Scratch, h *traffic.Head, dst, body []byte, cut bool) ([]byte, error) {
	switch {
	case r == nil:
		return append(dst, body...), nil
	case cut && r.NeedsBody(h):
		return dst, errCut
	}
	return r.Body(s, h, dst, body)
}

// messageScratch is memory for a message.
type messageScratch struct {
	message  compare.Message
	headers  []compare.Field
	trailers []compare.Field
}

// message makes what is compared of an answer. It is valid until the scratch is
// used again; the body, until the item is.
func (w *worker) message(s *messageScratch, a *answer, it *item) *compare.Message {
	s.headers = w.fields(s.headers[:0], &a.head)
	s.trailers = w.fields(s.trailers[:0], &a.trailers)
	body := a.body
	if it.same {
		body = it.primary.body
	}
	s.message = compare.Message{
		Status: a.head.Status, Headers: s.headers, Trailers: s.trailers, Body: body, Cut: a.cut, Size: a.size,
	}
	return &s.message
}

func (w *worker) fields(dst []compare.Field, h *traffic.Head) []compare.Field {
	for i := range h.Len() {
		name, value := h.Field(i)
		dst = append(dst, compare.Field{Name: w.strings.of(name), Value: w.strings.of(value)})
	}
	return dst
}

// interner keeps short strings that come again and again.
type interner map[string]string

func (in interner) of(b []byte) string {
	if len(b) > 64 {
		return string(b)
	}
	if s, ok := in[string(b)]; ok {
		return s
	}
	if len(in) >= 2048 {
		clear(in)
	}
	s := string(b)
	in[s] = s
	return s
}
