// Package report is what Sundog has to say about two versions of a service:
// the plain data of a report, and its forms for people and machines (terminal,
// Markdown, HTML in one file, JSON).
//
// The judge fills the data in; whoever shows it reads it. The package knows
// nothing of proxies, and does no I/O but to the writer it is given.
package report

import (
	"math"
	"time"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// Report is the state of all comparisons at one moment. Its JSON form is what
// the admin interface serves under /report.
type Report struct {
	Generated   time.Time    `json:"generated"`
	Comparisons []Comparison `json:"comparisons"`
}

// Comparison is one route's primary against one of its shadows.
type Comparison struct {
	Route     string `json:"route"` // its key in the ledger
	Policy    string `json:"policy"`
	Primary   string `json:"primary"`            // cluster
	Candidate string `json:"candidate"`          // cluster
	Baseline  string `json:"baseline,omitempty"` // cluster; "again": the primary, asked again; empty: none

	Since   time.Time `json:"since"`
	Epsilon float64   `json:"epsilon"`
	Alpha   float64   `json:"alpha"`
	// MaxLatencyRatio is how much slower the candidate may be; 0: anything goes.
	MaxLatencyRatio float64 `json:"maxLatencyRatio,omitempty"`

	// Counts are of whole exchanges, what is noise left out; Judge decides by them.
	Counts Counts `json:"counts"`

	Verdict     Verdict      `json:"verdict"`
	Account     Account      `json:"account"`
	Coverage    Coverage     `json:"coverage"`
	Latency     Latency      `json:"latency"`
	Endpoints   []Endpoint   `json:"endpoints"`
	Differences []Difference `json:"differences"` // the gravest first
	Noise       []Noise      `json:"noise"`
	// Unsettled is how many fields may name the instance, or be different; as long
	// as there is one the candidate is not equivalent.
	Unsettled int      `json:"unsettled,omitempty"`
	Warnings  []string `json:"warnings"`
}

// State is the judgement on a candidate.
type State string

// The states of a verdict.
const (
	Equivalent State = "equivalent" // its excess mismatch rate is below epsilon
	Different  State = "different"
	Undecided  State = "undecided"
)

// Verdict is a judgement that holds however often one looks.
type Verdict struct {
	State State `json:"state"`
	// Upper bounds the excess rate of differing exchanges, in parts of one.
	Upper float64 `json:"upper"`
	// Needed is about how many more exchanges would settle it; 0: settled, or nobody knows.
	Needed uint64 `json:"needed,omitempty"`
	// Why is the verdict's ground in one sentence.
	Why string `json:"why"`
}

// Account says what became of every exchange: Offered is the sum of Compared
// and all counts of NotComparable and Dropped, plus Waiting.
type Account struct {
	Offered       uint64            `json:"offered"`
	Waiting       uint64            `json:"waiting"`
	Compared      uint64            `json:"compared"`
	Equal         uint64            `json:"equal"`        // of those compared
	Different     uint64            `json:"different"`    // in anything, noise as well
	WithBaseline  uint64            `json:"withBaseline"` // of those compared
	NotComparable map[string]uint64 `json:"notComparable"`
	Dropped       map[string]uint64 `json:"dropped"`
	Confirmed     Confirmed         `json:"confirmed"`
}

// Confirmed counts what became of mismatches that were asked about again.
type Confirmed struct {
	Asked     uint64 `json:"asked"`
	Stable    uint64 `json:"stable"`    // each side answers the same each time, and they differ
	Transient uint64 `json:"transient"` // it did not happen again
	Noisy     uint64 `json:"noisy"`     // a side differs from itself
}

// Counts are those that verdicts are made of: exchanges with a baseline, and
// those without.
type Counts struct {
	Paired evidence.Excess `json:"paired"`
	Alone  evidence.Rate   `json:"alone"`
}

// Coverage is what the compared exchanges have touched so far.
type Coverage struct {
	Endpoints int            `json:"endpoints"`
	Methods   map[string]int `json:"methods"`
	Statuses  map[string]int `json:"statuses"` // of the primary
	Shapes    int            `json:"shapes"`   // different structures of the primary's answers
}

// Endpoint is a method and a path template.
type Endpoint struct {
	Method    string   `json:"method"`
	Path      string   `json:"path"`
	Verdict   Verdict  `json:"verdict"`
	Exchanges uint64   `json:"exchanges"`
	Different uint64   `json:"different"` // the candidate differed, in what is no noise
	Counts    Counts   `json:"counts"`
	Coverage  Coverage `json:"coverage"`
	Latency   Latency  `json:"latency"`
}

// Latency compares how long answers took, from the request's last byte sent to
// the answer's last byte.
type Latency struct {
	Verdict LatencyState `json:"verdict"`
	// Slower and Faster count the exchanges in which the candidate was slower,
	// or faster, than the baseline on the same request.
	Slower uint64 `json:"slower"`
	Faster uint64 `json:"faster"`
	// Limit is the ratio that Limited is about: in how many exchanges the candidate
	// took longer than Limit times what it was compared with, and in how many less.
	// 0: no limit, no counts.
	Limit   float64        `json:"limit,omitempty"`
	Limited evidence.Signs `json:"limited"`
	// Against is what the candidate was compared with: "baseline" or "primary".
	Against   string     `json:"against"`
	Quantiles []Quantile `json:"quantiles"`
	// Warning says why the ratio may mislead; empty: it does not.
	Warning string `json:"warning,omitempty"`
}

// What latencies are compared with.
const (
	AgainstBaseline = "baseline"
	AgainstPrimary  = "primary"
)

// LatencyState is the judgement on latency.
type LatencyState string

// The states of latency.
const (
	LatencySlower    LatencyState = "slower" // by more than the limit
	LatencyFaster    LatencyState = "faster"
	LatencySame      LatencyState = "same" // within the limit
	LatencyUndecided LatencyState = "undecided"
)

// Quantile holds one quantile of both sides, and their ratio.
type Quantile struct {
	Q         float64  `json:"q"` // 0.5, 0.9, 0.99
	Candidate Interval `json:"candidate"`
	Reference Interval `json:"reference"`
	Ratio     Interval `json:"ratio"`
}

// Interval is an estimate and its bounds. Latencies are in milliseconds. High is
// 0 while nothing bounds it from above.
type Interval struct {
	Low      float64 `json:"low"`
	Estimate float64 `json:"estimate"`
	High     float64 `json:"high"`
}

// Bounded says whether High is a bound.
func (i Interval) Bounded() bool { return i.High > 0 && i.High < math.MaxInt64 }

// Difference is a cluster of like differences: one aspect of one field of one
// endpoint.
type Difference struct {
	Method string `json:"method"`
	Path   string `json:"path"`   // the endpoint's template
	Field  string `json:"field"`  // "status", "header.etag", "body.items[].price"
	Aspect string `json:"aspect"` // "value", "presence", "type", "format", "range", "order", "repeat", "latency"

	State DifferenceState `json:"state"`
	// Order is the place, from 1, in which it was first seen among all
	// differences of the comparison, as evidence.Hypothesis has it.
	Order int `json:"order"`
	// LogE is the natural logarithm of the evidence against "both are the same".
	LogE float64 `json:"logE"`

	Exchanges uint64 `json:"exchanges"` // of the endpoint, compared
	Candidate uint64 `json:"candidate"` // in which the candidate differed
	// WithStatus are those of Candidate in which its status differed, too.
	WithStatus uint64 `json:"withStatus"`
	// WithBaseline are those that had a baseline; 0: all of them, if any had.
	WithBaseline uint64 `json:"withBaseline"`
	Baseline     uint64 `json:"baseline"` // in which the baseline differed
	// OnlyCandidate and OnlyBaseline are those in which exactly one differed.
	OnlyCandidate uint64    `json:"onlyCandidate"`
	OnlyBaseline  uint64    `json:"onlyBaseline"`
	Confirmed     Confirmed `json:"confirmed"`

	First time.Time `json:"first"`
	Last  time.Time `json:"last"`

	Transitions []Transition `json:"transitions"` // the most frequent first
	Predictors  []Predictor  `json:"predictors"`
	Example     *Example     `json:"example,omitempty"` // the smallest one seen
	// Series is how many exchanges were compared and differed, by minute, for charts.
	Series []Point `json:"series"`
}

// Aspects of fields. Others are shown by their name.
const (
	AspectValue    = "value"
	AspectPresence = "presence"
	AspectType     = "type"
	AspectFormat   = "format"
	AspectRange    = "range"
	AspectOrder    = "order"
	AspectRepeat   = "repeat" // how often it stays the same
	AspectLatency  = "latency"
)

// DifferenceState says how sure it is that a difference is the candidate's.
type DifferenceState string

// The states of a difference.
const (
	Proven    DifferenceState = "different" // beyond the false-alarm rate
	Suspected DifferenceState = "suspected" // not yet
	// Identity is a field that is constant on each side but differs, and looks
	// like the name of an instance: a host, a build. Only a baseline on another
	// instance can settle it. It is no proven difference.
	Identity DifferenceState = "identity"
)

// Transition is a pair of values and how often it was seen.
type Transition struct {
	From  string `json:"from"` // the primary's
	To    string `json:"to"`   // the candidate's
	Count uint64 `json:"count"`
}

// Predictor is a feature of requests that tells where the difference is.
type Predictor struct {
	Feature string  `json:"feature"` // `query "verbose" is set`, `header accept-language: de`
	With    float64 `json:"with"`    // rate of the difference among requests that have it
	Without float64 `json:"without"`
}

// Example is one exchange that shows a difference.
type Example struct {
	ID        string    `json:"id"` // x-request-id
	Time      time.Time `json:"time"`
	Method    string    `json:"method"`
	URL       string    `json:"url"`
	At        string    `json:"at"` // the place in this exchange, "body.items[3].price"
	From      string    `json:"from"`
	To        string    `json:"to"`
	Primary   Sample    `json:"primary"`
	Candidate Sample    `json:"candidate"`
	Curl      string    `json:"curl"` // a command that asks again
}

// Sample is the beginning of an answer.
type Sample struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Size   int64  `json:"size"` // bytes of the whole body
}

// Noise is a field that varies by itself, and what was learnt of it. Its type,
// format, range and presence go on being checked.
type Noise struct {
	Method string  `json:"method"`
	Path   string  `json:"path"`
	Field  string  `json:"field"`
	Type   string  `json:"type"` // "uuid", "timestamp", "counter", "token", "permutation", "float", "identity", "any"
	Rate   float64 `json:"rate"` // at which the baseline differs from the primary
	Seen   uint64  `json:"seen"`
	// Changes say how often each side's value is another one than in its last exchange.
	Changes  Changes  `json:"changes"`
	Examples []string `json:"examples,omitempty"` // values of the primary
}

// Changes are rates of change, in parts of one.
type Changes struct {
	Primary   float64 `json:"primary"`
	Candidate float64 `json:"candidate"`
	Baseline  float64 `json:"baseline"`
}

// Point is a minute of a series.
type Point struct {
	Minute    time.Time `json:"minute"`
	Exchanges uint64    `json:"exchanges"`
	Different uint64    `json:"different"`
}
