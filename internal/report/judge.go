package report

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// Limits are what somebody who asks for a verdict allows.
type Limits struct {
	// MaxDiff is the share of answers, in parts of one, that may differ more than
	// the baseline's do. nil: the comparison's epsilon, and no difference that is proven.
	MaxDiff *float64
	// MaxLatencyRatio is how many times as long as the baseline the candidate may
	// take, for sure. 0: as the comparison's policy says, whose limit must not be
	// broken for sure; +Inf: anything goes.
	MaxLatencyRatio float64
	// Confidence is 1 minus the rate of wrong verdicts. 0: the comparison's.
	Confidence float64
}

// Check says what is wrong with the limits.
func (l Limits) Check() error {
	switch {
	case l.MaxDiff != nil && !(*l.MaxDiff >= 0 && *l.MaxDiff < 1):
		return fmt.Errorf("max-diff %v is no share: write one from 0 up to 1, like 0.001, or 0.1%%", *l.MaxDiff)
	case l.MaxLatencyRatio != 0 && !(l.MaxLatencyRatio > 0):
		return fmt.Errorf("max-latency-ratio %v is no ratio: write 1.05 for 5 %% more time, or inf for any", l.MaxLatencyRatio)
	case l.Confidence != 0 && !(l.Confidence >= 0.5 && l.Confidence < 1):
		return fmt.Errorf("confidence %v is out of range: write one from 0.5 up to 1, like 0.99", l.Confidence)
	}
	return nil
}

// ParseShare reads a share as people write it, "0.1%" or "0.001", in parts of one.
func ParseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%q is no share: write a part of one, like 0.001, or a percentage, like 0.1%%", s)
	}
	return v, nil
}

// Decision is a verdict within limits. Its JSON form is what /verdict serves
// and `sundog verdict --format json` prints; every number in it is finite.
type Decision struct {
	// Value is the share of answers, in parts of one, that differ more than the
	// baseline's, at most. It has to get down to MaxDiff.
	Value   float64 `json:"value"`
	MaxDiff float64 `json:"maxDiff"`
	Verdict State   `json:"verdict"`
	Pass    bool    `json:"pass"` // equivalent within the limits
	Fail    bool    `json:"fail"` // different
	// Why is the ground in one sentence, without the verdict.
	Why string `json:"why"`
	// Needed is about how many more exchanges would settle it; 0: settled, or nobody knows.
	Needed uint64 `json:"needed"`

	Route     string `json:"route"`
	Candidate string `json:"candidate"`
	// Observed is the excess rate as counted, which Value bounds.
	Observed   float64 `json:"observed"`
	Exchanges  uint64  `json:"exchanges"`
	Confidence float64 `json:"confidence"`
	// Differences is how many are proven and more than the limits allow.
	Differences int `json:"differences"`

	Latency LatencyState `json:"latency"` // "" is not judged
	// LatencyRatio is that of the medians; 0: not known. MaxLatencyRatio is 0
	// where anything goes.
	LatencyRatio    float64 `json:"latencyRatio"`
	MaxLatencyRatio float64 `json:"maxLatencyRatio"`

	// Stuck says that waiting does not help.
	Stuck bool `json:"-"`
}

// Sentence is the verdict and its ground.
func (d Decision) Sentence() string { return string(d.Verdict) + ": " + d.Why }

// Decisions are the decisions on all comparisons of a report. The fields of
// the gravest one stand for all.
type Decisions struct {
	Decision
	Comparisons []Decision `json:"comparisons"`
}

// UnknownRouteError is about a route that is not compared.
type UnknownRouteError struct {
	Route string
	Known []string // those that are
}

func (e *UnknownRouteError) Error() string {
	return fmt.Sprintf("route %q is not compared; compared are: %s", e.Route, strings.Join(e.Known, ", "))
}

// ErrNothing says that a report compares nothing (yet).
var ErrNothing = errors.New("nothing is compared yet")

// Only returns the report of one route, or of all when route is empty. The
// error is an *UnknownRouteError, unless the report has no comparison at all.
func (r Report) Only(route string) (Report, error) {
	if route == "" || len(r.Comparisons) == 0 {
		return r, nil
	}
	only := Report{Generated: r.Generated}
	unknown := &UnknownRouteError{Route: route}
	for _, c := range r.Comparisons {
		if c.Route == route {
			only.Comparisons = append(only.Comparisons, c)
		}
		if n := len(unknown.Known); n == 0 || unknown.Known[n-1] != c.Route {
			unknown.Known = append(unknown.Known, c.Route)
		}
	}
	if len(only.Comparisons) == 0 {
		return only, unknown
	}
	return only, nil
}

// JudgeAll decides about all comparisons of a report. Where there are none, the
// answer is undecided.
func JudgeAll(r Report, l Limits) Decisions {
	all := Decisions{Decision: Decision{Verdict: Undecided, Why: ErrNothing.Error(), Value: 1, Confidence: l.Confidence}, Comparisons: []Decision{}}
	if l.MaxDiff != nil {
		all.MaxDiff = *l.MaxDiff
	}
	for i := range r.Comparisons {
		d := Judge(r.Comparisons[i], l)
		if len(all.Comparisons) == 0 || gravity(d) > gravity(all.Decision) {
			all.Decision = d
		}
		all.Comparisons = append(all.Comparisons, d)
	}
	return all
}

func gravity(d Decision) int {
	switch {
	case d.Fail:
		return 3
	case d.Stuck:
		return 2
	case !d.Pass:
		return 1
	}
	return 0
}

// Judge decides whether the candidate is equivalent within the limits. It holds
// however often one asks: the answer is wrong with a probability of at most
// 1 - confidence. Where that is stricter than the comparison's own alpha, all is
// decided anew from the counts.
//
// Without MaxDiff every proven difference makes it different. With one, a
// difference has to be proven, and to affect a larger share of its endpoint's
// answers for sure; and what is proven may affect no larger share before the
// answer is "equivalent".
func Judge(c Comparison, l Limits) Decision {
	q := newQuestion(c, l)
	d := Decision{
		Value: q.upper(), MaxDiff: q.maxDiff, Verdict: Undecided,
		Route: c.Route, Candidate: c.Candidate,
		Observed: c.Counts.estimate(), Exchanges: c.Counts.exchanges(), Confidence: 1 - q.alpha,
		LatencyRatio: medianRatio(c.Latency),
	}
	beyond, open := q.differences()
	d.Differences = len(beyond)
	latency := q.latency()
	d.Latency = latency.state
	if d.Latency != "" {
		d.MaxLatencyRatio = q.ratio
	}
	within := d.Value <= q.maxDiff
	switch {
	case len(beyond) > 0:
		d.Fail, d.Why = true, q.whyDifferent(beyond)
	case q.explicit && q.lower() > q.maxDiff:
		d.Fail, d.Why = true, fmt.Sprintf("at least %s of the answers differ%s; %s may", percentDown(q.lower()), moreThan(c.Baseline), percent(q.maxDiff))
	case latency.state == LatencySlower:
		d.Fail, d.Why = true, latency.why
	case within && len(open) == 0 && latency.settled() && c.unsettled() == 0:
		d.Pass, d.Why = true, q.whyEquivalent(d.Value)
	default:
		d.Why, d.Needed, d.Stuck = q.whyUndecided(d.Value, open, latency)
	}
	switch {
	case d.Fail:
		d.Verdict = Different
	case d.Pass:
		d.Verdict = Equivalent
	}
	return d
}

// unsettled is how many fields may name the instance, or be different. Reports
// of before there was a count have them in their list.
func (c *Comparison) unsettled() int {
	n := 0
	for i := range c.Differences {
		if c.Differences[i].State == Identity {
			n++
		}
	}
	return max(n, c.Unsettled)
}

// parts are the places in the list of what is a difference, or may be one, and
// of what may be the name of an instance.
func (c *Comparison) parts() (differences, names []int) {
	for i := range c.Differences {
		if c.Differences[i].State == Identity {
			names = append(names, i)
		} else {
			differences = append(differences, i)
		}
	}
	return differences, names
}

// Shares of alpha, the rate of wrong answers "different". There are three ways
// to come to one: a single field, the share of answers that differ (only where a
// share was asked for), and latency, over all or of an endpoint. The judge itself
// has 0.8 for fields and 0.2 for latency. "Equivalent" is another claim, with an
// alpha of its own.
const (
	shareFields  = 0.4
	shareAnswers = 0.4
	shareLatency = 0.1 // over all; and again so much of endpoints
)

// question is a comparison with the limits that hold for it.
type question struct {
	c        Comparison
	alpha    float64
	strict   bool // what the judge decided is at least as sure as what is asked for
	maxDiff  float64
	explicit bool // maxDiff was asked for
	ratio    float64
	asked    bool // so was ratio
}

func newQuestion(c Comparison, l Limits) question {
	q := question{c: c, alpha: c.Alpha, maxDiff: c.Epsilon, ratio: l.MaxLatencyRatio, asked: l.MaxLatencyRatio != 0}
	if l.Confidence != 0 {
		q.alpha = 1 - l.Confidence
	}
	const rounding = 1e-9
	q.strict = c.Alpha > 0 && c.Alpha <= q.alpha*(1+rounding)
	if l.MaxDiff != nil {
		q.maxDiff, q.explicit = *l.MaxDiff, true
	}
	if q.ratio == 0 {
		q.ratio = c.MaxLatencyRatio
	}
	if math.IsInf(q.ratio, 1) {
		q.ratio = 0
	}
	return q
}

// upper bounds the excess rate. A report without counts has a bound at its own alpha.
func (q *question) upper() float64 {
	if q.c.Counts.exchanges() == 0 && q.c.Account.Compared > 0 && q.strict {
		return q.c.Verdict.Upper
	}
	return q.c.Counts.upper(q.alpha)
}

// lower bounds it from below. Where there is no baseline it is not known whether the candidate or noise
// makes answers differ.
func (q *question) lower() float64 { return q.c.Counts.Paired.Lower(q.alpha * shareAnswers) }

// differences returns the proven ones that affect more answers than allowed,
// and those of which that is not known yet. An instance's identity is neither.
func (q *question) differences() (beyond, open []Difference) {
	for _, d := range q.proven() {
		if !q.explicit {
			beyond = append(beyond, d)
			continue
		}
		low, high := q.bounds(d)
		switch {
		case low > q.maxDiff:
			beyond = append(beyond, d)
		case high > q.maxDiff:
			open = append(open, d)
		}
	}
	return beyond, open
}

// proven returns the differences that are beyond chance at the question's
// alpha. A report may hold the gravest ones only: of e-BH's list that is a part, and safe.
func (q *question) proven() []Difference {
	var fields []Difference
	for _, d := range q.c.Differences {
		if d.State != Identity && d.Aspect != AspectLatency {
			fields = append(fields, d)
		}
	}
	keep := make([]bool, len(fields))
	if q.strict {
		for i, d := range fields {
			keep[i] = d.State == Proven
		}
	} else {
		hypotheses := make([]evidence.Hypothesis, len(fields))
		for i, d := range fields {
			hypotheses[i] = evidence.Hypothesis{Order: d.Order, LogE: d.LogE}
		}
		keep = evidence.Proven(q.alpha*shareFields, hypotheses)
	}
	var proven []Difference
	for i, d := range fields {
		if keep[i] {
			proven = append(proven, d)
		}
	}
	return proven
}

// bounds are of the share of the endpoint's answers that differ more than the
// baseline's: from below by the exchanges that had one, from above by the whole
// rate. Confirmations tell which share of the mismatches is stable, at least.
func (q *question) bounds(d Difference) (low, high float64) {
	alpha := q.alpha * shareFields * evidence.Weight(max(d.Order, 1))
	low = evidence.Excess{Exchanges: d.paired(), Candidate: d.OnlyCandidate, Baseline: d.OnlyBaseline}.Lower(alpha)
	plain := evidence.Rate{Exchanges: d.Exchanges, Different: d.Candidate}
	if n := d.Confirmed.Asked; n > 0 {
		stable := evidence.Rate{Exchanges: n, Different: d.Confirmed.Stable}
		low = max(low, plain.Lower(alpha/2)*stable.Lower(alpha/2))
	}
	return low, plain.Upper(q.alpha)
}
