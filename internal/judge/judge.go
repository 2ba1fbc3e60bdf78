package judge

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/endpoint"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/priority"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/report"
)

// Options bound a Judge and connect it. The zero value is ready; it confirms
// nothing.
type Options struct {
	// Items and Bytes bound what waits to be compared; 0: 4,096 and 64 MiB.
	Items int
	Bytes int64
	// Workers is how many goroutines compare; 0: 1.
	Workers int

	// Asker asks again, to confirm mismatches; nil: nothing is confirmed.
	Asker Asker
	// Askers is how many mismatches are confirmed at the same time; 0: 2.
	Askers int
	// AskTimeout bounds one question; 0: 5 s.
	AskTimeout time.Duration
	// Allow takes n questions to a route's primary out of the allowance of its
	// policy (Baseline.AgainRate), or says no. It is called by workers. nil: the
	// judge keeps an allowance of its own, of which others know nothing. Allow must
	// neither block nor call the judge.
	Allow func(route string, n int) bool

	// MaxEndpoints and MaxFields bound the tables: endpoints of a comparison, and
	// fields of an endpoint; 0: 1,000 and 500.
	MaxEndpoints int
	MaxFields    int

	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Other bounds of the tables.
const (
	mostFieldsOfAll = 20_000
	mostDetails     = 1_000
	mostShapes      = 256
	mostSets        = 128
	mostSetBytes    = 8 << 20
)

func (o *Options) fill() {
	for _, n := range []struct {
		value     *int
		otherwise int
	}{{&o.Items, 4096}, {&o.Workers, 1}, {&o.Askers, 2}, {&o.MaxEndpoints, 1000}, {&o.MaxFields, 500}} {
		if *n.value <= 0 {
			*n.value = n.otherwise
		}
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	if o.AskTimeout <= 0 {
		o.AskTimeout = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Judge compares the answers of exchanges and judges candidates. Make one by
// New; its methods may be called by any number of goroutines.
type Judge struct {
	opt    Options
	limits limits
	queue  queue
	routes atomic.Pointer[map[string]*route] // by key; only those that compare
	asks   chan *confirmation

	mu          sync.Mutex // guards all below, and what the tables hold
	comparisons map[key]*comparison
	configured  bool // Configure was called
	failed      failures
}

// New makes a judge that compares nothing until it is configured.
func New(o Options) *Judge {
	o.fill()
	j := &Judge{
		opt: o,
		limits: limits{
			endpoints: o.MaxEndpoints, fields: o.MaxFields, allFields: mostFieldsOfAll,
			details: mostDetails, shapes: mostShapes, sets: mostSets, setBytes: mostSetBytes,
		},
		asks:        make(chan *confirmation, 4*o.Askers),
		comparisons: map[key]*comparison{},
	}
	j.queue.init(o.Items, o.Bytes)
	j.routes.Store(&map[string]*route{})
	return j
}

// Route is a route whose candidates may be compared.
type Route struct {
	Key        string   // Exchange.RouteKey
	Primary    string   // cluster; empty: whichever the route picks
	Candidates []string // clusters
	Policy     policy.Policy
	// Templates are path templates beside Policy.Compare.Endpoints, as of an
	// OpenAPI document.
	Templates []string
	// Types finds protobuf descriptors; nil: messages are compared by field numbers.
	Types compare.TypeResolver
	// RedactKey makes the pseudonyms; Policy.Request.Redact needs it.
	RedactKey []byte
}

// route is a Route, compiled. It does not change, but for its learner and its
// allowance.
type route struct {
	Route
	redactor *redact.Redactor
	options  compare.Options
	targets  []*comparison // one for each candidate
	learner  *endpoint.Learner
	bucket   bucket
	equal    atomic.Uint64 // exchanges whose bodies were equal
}

// Configure replaces what is compared. Counts of a comparison stay where route,
// primary, candidate, baseline and the rules about fields and endpoints do; all
// others are forgotten. On an error,
// which names the route, nothing changes.
func (j *Judge) Configure(routes []Route) error {
	next := make(map[string]*route, len(routes))
	for i := range routes {
		if !routes[i].Policy.Compare.Enabled {
			continue
		}
		r, err := compile(routes[i])
		if err != nil {
			return fmt.Errorf("route %s: %w", routes[i].Key, err)
		}
		next[r.Key] = r
	}
	now := j.opt.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	kept := map[key]*comparison{}
	for _, r := range next {
		var known []string
		for _, cluster := range r.Candidates {
			k := r.keyOf(cluster)
			c := j.comparisons[k]
			if c == nil {
				c = newComparison(k, now)
			}
			c.set(r.settings())
			kept[k] = c
			known = append(known, c.templates()...)
			r.targets = append(r.targets, c)
		}
		if err := j.learner(r, known); err != nil {
			return fmt.Errorf("route %s: %w", r.Key, err)
		}
	}
	j.comparisons, j.configured = kept, true
	j.routes.Store(&next)
	return nil
}

// learner makes a route's learner of templates, which also knows those of a
// state that was loaded.
func (j *Judge) learner(r *route, known []string) error {
	o := endpoint.Options{
		Templates: r.templates(), Max: j.limits.endpoints,
		Widened: func(from, to string) { j.widen(r, from, to) },
	}
	if _, err := endpoint.New(o); err != nil {
		return err // of the user's
	}
	own := o.Templates
	o.Templates = append(own[:len(own):len(own)], known...)
	var err error
	if r.learner, err = endpoint.New(o); err == nil {
		return nil
	}
	for o.Templates = own; len(known) > 0; known = known[1:] { // a damaged state: the good ones of it
		if _, err := endpoint.New(endpoint.Options{Templates: known[:1]}); err == nil {
			o.Templates = append(o.Templates[:len(o.Templates):len(o.Templates)], known[0])
		}
	}
	r.learner, err = endpoint.New(o)
	return err
}

func compile(from Route) (*route, error) {
	r := &route{Route: from}
	var err error
	if r.redactor, err = redact.New(from.Policy.Request.Redact, from.RedactKey); err != nil {
		return nil, err
	}
	if r.options, err = compareOptions(&from); err != nil {
		return nil, err
	}
	if _, err = compare.New(r.options); err != nil {
		return nil, err
	}
	b := from.Policy.Compare.Baseline
	r.bucket.rate = b.AgainRate
	if r.bucket.rate <= 0 && b.Again > 0 {
		r.bucket.rate = 1
	}
	return r, nil
}

// keyOf identifies the comparison with a candidate.
func (r *route) keyOf(candidate string) key {
	k := key{Route: r.Key, Primary: r.Primary, Candidate: candidate, Rules: rulesOf(&r.Policy.Compare)}
	switch b := r.Policy.Compare.Baseline; {
	case b.Cluster != "":
		k.Baseline = b.Cluster
	case b.Again > 0:
		k.Baseline = againBaseline
	}
	return k
}

// rulesOf is a hash of what a policy says about fields and endpoints. Under other
// rules it is another comparison: a field that is ignored from now on must not
// be different for ever.
func rulesOf(c *policy.Compare) string {
	rules := policy.Compare{
		Ignore: c.Ignore, Fields: c.Fields, Endpoints: c.Endpoints,
		OpenAPI: c.OpenAPI, Descriptors: c.Descriptors, Reflection: c.Reflection,
	}
	text, err := json.Marshal(&rules)
	if err != nil { // a tolerance that is no number, which compare has refused
		return ""
	}
	return strconv.FormatUint(xxhash.Sum64(text), 36)
}

// Defaults of what a policy leaves out.
const (
	defaultEpsilon = 0.001
	defaultAlpha   = 0.01
)

func (r *route) settings() settings {
	c := &r.Policy.Compare
	s := settings{Policy: r.Policy.Name, Epsilon: c.Epsilon, Alpha: c.Alpha, Ratio: c.MaxLatencyRatio}
	if !(s.Epsilon > 0 && s.Epsilon < 1) {
		s.Epsilon = defaultEpsilon
	}
	if !(s.Alpha > 0 && s.Alpha < 1) {
		s.Alpha = defaultAlpha
	}
	return s
}

func (r *route) templates() []string {
	return append(append([]string(nil), r.Policy.Compare.Endpoints...), r.Templates...)
}

// compareOptions translates a policy's rules.
func compareOptions(r *Route) (compare.Options, error) {
	c := &r.Policy.Compare
	// What is left out could be anything, so it takes more than a table has room for.
	o := compare.Options{Ignore: c.Ignore, Types: r.Types, MaxDifferences: 1000}
	for _, f := range c.Fields {
		format, err := compare.ParseFormat(string(f.Type))
		if err != nil {
			return o, fmt.Errorf("field %s: %w", f.Path, err)
		}
		rule := compare.Rule{Path: f.Path, Type: format, Absolute: f.Absolute, Relative: f.Relative, Key: f.Key}
		switch f.Array {
		case policy.ArraySet:
			rule.Array = compare.ArraySet
		case policy.ArrayKey:
			rule.Array = compare.ArrayKey
		}
		o.Fields = append(o.Fields, rule)
	}
	return o, nil
}

// Run compares until the context is done, and returns when its goroutines have
// ended. What waits then stays.
func (j *Judge) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range j.opt.Workers {
		wg.Go(func() { priority.Low(func() { newWorker(j).run(ctx) }) })
	}
	if j.opt.Asker != nil {
		for range j.opt.Askers {
			wg.Go(func() { j.confirm(ctx) })
		}
	}
	wg.Wait()
	return nil
}

// Stats are counters and gauges for metrics.
type Stats struct {
	Waiting      int    // exchanges that wait to be compared
	WaitingBytes int64  // what they hold
	Dropped      uint64 // exchanges, since the queue was full
	Panics       uint64 // comparisons that failed by a bug
	Asked        uint64 // mismatches that were asked about again
	NotAsked     uint64 // by the limit of their rate, or for too many at a time
	AskFailed    uint64 // whose further answers did not all arrive
}

// Accounted is the account of one comparison.
type Accounted struct {
	Route     string
	Candidate string
	Account   report.Account
}

// Accounts returns what became of all exchanges, sorted. It costs much less than
// a Report, and suits metrics.
func (j *Judge) Accounts() []Accounted {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Accounted, 0, len(j.comparisons))
	for _, c := range j.comparisons {
		j.queue.mu.Lock()
		a := Accounted{c.Key.Route, c.Key.Candidate, c.Totals.report()}
		j.queue.mu.Unlock()
		a.Account.Confirmed = c.Confirmed.report()
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Accounted) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Candidate, b.Candidate))
	})
	return all
}

// failures counts what is in no table.
type failures struct{ panics, asked, notAsked, askFailed uint64 }

// Stats returns the judge's counters.
func (j *Judge) Stats() Stats {
	j.mu.Lock()
	f := j.failed
	j.mu.Unlock()
	q := &j.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{
		Waiting: q.n, WaitingBytes: q.bytes, Dropped: q.dropped,
		Panics: f.panics, Asked: f.asked, NotAsked: f.notAsked, AskFailed: f.askFailed,
	}
}
