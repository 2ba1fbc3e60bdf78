package judge

import (
	"bytes"
	"time"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// item is what is kept of an exchange until it is compared. Items are used again.
type item struct {
	route       *route
	start       time.Time
	request     traffic.Head // as it went to the primary: with its secrets
	body        []byte
	bodyCut     bool
	cluster     string // that was the primary
	primary     answer
	baseline    answer
	hasBaseline bool
	candidates  []candidate
	same        bool  // all bodies are equal; they are all in primary.body, or nowhere
	bytes       int64 // that count in the queue
	retained    int   // bytes of memory, while it waits to be used again
}

// candidate is an answer to be compared.
type candidate struct {
	of     *comparison
	answer answer
}

// answer is what is kept of a traffic.Answer.
type answer struct {
	again    bool // the primary itself gave it
	head     traffic.Head
	trailers traffic.Head
	body     []byte
	cut      bool
	size     int64
	duration time.Duration // of all
	service  time.Duration // to the head
}

// Enabled reports whether anything is compared.
func (j *Judge) Enabled() bool { return len(*j.routes.Load()) > 0 }

// Offer takes a settled exchange in, copying what it keeps. It returns false
// when there was no room, which is in the account. See traffic.Sink.
func (j *Judge) Offer(ev traffic.Event, e *traffic.Exchange) bool {
	if ev != traffic.Settled || !e.Compared {
		return true
	}
	r := (*j.routes.Load())[e.RouteKey]
	if r == nil {
		return true
	}
	var few [4]*traffic.Answer
	answers := few[:0]
	var of [4]*comparison
	targets := of[:0]
	for _, c := range r.targets {
		a := shadow(e, traffic.Candidate, c.Key.Candidate)
		if a == nil {
			continue // no copy was sent
		}
		if why := unusable(r, &e.Primary, a); why != "" {
			j.queue.notComparable(c, why)
			continue
		}
		answers, targets = append(answers, a), append(targets, c)
	}
	if len(answers) == 0 {
		return true
	}
	it := j.queue.admit(targets)
	if it == nil {
		return false
	}
	it.take(r, e, answers, targets)
	if !j.queue.push(it) {
		j.queue.put(it)
		return false
	}
	return true
}

// shadow finds an answer by its role.
func shadow(e *traffic.Exchange, role traffic.Role, cluster string) *traffic.Answer {
	for i := range e.Shadows {
		if a := &e.Shadows[i]; a.Role == role && (cluster == "" || a.Cluster == cluster) {
			return a
		}
	}
	return nil
}

// Reasons why an exchange is not comparable, beside outcomes of the shadow and
// those of package compare.
const (
	primaryFailed   = "primary_failed"   // the proxy answered in its place
	primaryBroken   = "primary_broken"   // its answer broke off, or the client did
	otherPrimary    = "other_primary"    // another cluster of the route answered
	redactionFailed = "redaction_failed" // what cannot be redacted is not looked at
	internalError   = "internal_error"
)

// unusable says why two answers cannot be compared; "" when they can.
func unusable(r *route, primary, shadow *traffic.Answer) string {
	const (
		harmless = traffic.FlagFaultDelay | traffic.FlagRetryExhausted
		broken   = traffic.FlagDownstreamClosed | traffic.FlagUpstreamTermination | traffic.FlagUpstreamReset | traffic.FlagLocalReset
	)
	switch {
	case shadow.Outcome != traffic.Completed:
		return shadow.Outcome.String()
	case primary.Flags&broken != 0:
		return primaryBroken
	case primary.Response.Status == 0, primary.Flags&^harmless != 0, primary.Cluster == "":
		return primaryFailed
	case r.Primary != "" && primary.Cluster != r.Primary:
		return otherPrimary
	}
	return ""
}

// take copies what is needed of the exchange.
func (it *item) take(r *route, e *traffic.Exchange, answers []*traffic.Answer, of []*comparison) {
	it.route, it.start, it.cluster = r, e.Start, e.Primary.Cluster
	it.request.CopyFrom(&e.Request)
	it.body, it.bodyCut = append(it.body[:0], e.RequestBody.Bytes...), e.RequestBody.Cut
	var baseline *traffic.Answer
	if b := shadow(e, traffic.Baseline, r.Policy.Compare.Baseline.Cluster); b != nil {
		baseline = b
	} else {
		baseline = shadow(e, traffic.Again, "")
	}
	if baseline != nil && baseline.Outcome != traffic.Completed {
		baseline = nil
	}
	it.same = baseline == nil || equalBody(&e.Primary, baseline)
	for _, a := range answers {
		it.same = it.same && equalBody(&e.Primary, a)
	}
	// Of bodies that are equal a few are looked into, for their shapes.
	keep := !it.same || r.equal.Add(1)%eachEqual == 1
	it.primary.take(&e.Primary, keep)
	if e.Received.Status != 0 {
		it.primary.head.CopyFrom(&e.Received)
	}
	if it.hasBaseline = baseline != nil; it.hasBaseline {
		it.baseline.take(baseline, keep && !it.same)
	}
	it.candidates = resize(it.candidates, len(answers))
	for i, a := range answers {
		it.candidates[i].of = of[i]
		it.candidates[i].answer.take(a, keep && !it.same)
	}
	it.bytes = it.holds()
}

// eachEqual: so many exchanges with equal bodies are for one that is copied.
const eachEqual = 8

func equalBody(a, b *traffic.Answer) bool {
	x, _ := a.Response.Get("content-encoding")
	y, _ := b.Response.Get("content-encoding")
	return a.Response.Status == b.Response.Status && !a.Body.Cut && !b.Body.Cut &&
		bytes.Equal(a.Body.Bytes, b.Body.Bytes) && bytes.Equal(x, y)
}

func (a *answer) take(from *traffic.Answer, body bool) {
	a.again = from.Role == traffic.Again
	a.head.CopyFrom(&from.Response)
	a.trailers.CopyFrom(&from.Trailers)
	a.body, a.cut, a.size = a.body[:0], from.Body.Cut, from.ResponseBytes
	if body {
		a.body = append(a.body, from.Body.Bytes...)
	}
	a.duration, a.service = from.Duration, from.ServiceTime
}

// resize gives a slice another length, and keeps the memory of its elements.
func resize(s []candidate, n int) []candidate {
	for cap(s) < n {
		s = append(s[:cap(s)], candidate{})
	}
	return s[:n]
}

// holds is how many bytes count for the item.
func (it *item) holds() int64 {
	const fixed = 512
	n := fixed + it.request.Size() + len(it.body) + it.primary.holds()
	if it.hasBaseline {
		n += it.baseline.holds()
	}
	for i := range it.candidates {
		n += it.candidates[i].answer.holds()
	}
	return int64(n)
}

func (a *answer) holds() int { return a.head.Size() + a.trailers.Size() + len(a.body) }

// retains is how much memory a used item keeps.
func (it *item) retains() int {
	n := cap(it.body) + cap(it.primary.body) + cap(it.baseline.body)
	for _, c := range it.candidates[:cap(it.candidates)] {
		n += cap(c.answer.body)
	}
	return n
}

// reset forgets what the item refers to.
func (it *item) reset() {
	it.route = nil
	for i := range it.candidates {
		it.candidates[i].of = nil
	}
}
