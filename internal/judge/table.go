package judge

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// key identifies a comparison. Counts of another key are no counts of it.
type key struct {
	Route     string `json:"route"`
	Primary   string `json:"primary"`
	Candidate string `json:"candidate"`
	Baseline  string `json:"baseline,omitempty"` // cluster, or againBaseline
	Rules     string `json:"rules,omitempty"`    // hash of what is compared, and how
}

// againBaseline stands for the primary, asked again, as a baseline.
const againBaseline = "again"

// comparison is all that is counted of one candidate. Its fields are its state
// on disk, too.
type comparison struct {
	Key      key      `json:"key"`
	Settings settings `json:"settings"`

	Since     time.Time      `json:"since"`
	Totals    account        `json:"account"` // guarded by queue.mu
	Methods   map[string]int `json:"methods"`
	Statuses  map[int]int    `json:"statuses"` // of the primary
	Latency   latency        `json:"latency"`
	Orders    int            `json:"orders"`    // hypotheses about fields that have a place
	Latencies int            `json:"latencies"` // endpoints whose latency has a place
	Fields    int            `json:"-"`         // of all endpoints
	Details   int            `json:"-"`
	SetBytes  int            `json:"-"`         // of keys of all sets
	Confirmed confirmed      `json:"confirmed"` // mismatches that were asked about again
	Over      overflow       `json:"overflow"`

	Endpoints map[endpointKey]*table `json:"-"`
}

// settings are what of the policy a report needs.
type settings struct {
	Policy  string  `json:"policy"`
	Epsilon float64 `json:"epsilon"`
	Alpha   float64 `json:"alpha"`
	Ratio   float64 `json:"ratio"` // of latencies; 0: anything goes
}

// overflow counts what found no room.
type overflow struct {
	Endpoints uint64 `json:"endpoints"` // exchanges of endpoints beyond the limit
	Fields    uint64 `json:"fields"`    // findings in fields beyond the limit
	Details   uint64 `json:"details"`   // differences that are counted, but not described
	More      uint64 `json:"more"`      // findings of one exchange beyond what a comparison lists
}

func (o overflow) merge(p overflow) overflow {
	return overflow{o.Endpoints + p.Endpoints, o.Fields + p.Fields, o.Details + p.Details, o.More + p.More}
}

type endpointKey struct{ method, path string }

// table is what is counted of one method and path template.
type table struct {
	Method string `json:"method"`
	Path   string `json:"path"`

	Exchanges uint64 `json:"exchanges"` // compared
	Mirrored  uint64 `json:"mirrored"`  // of those, with a baseline on another instance
	Again     uint64 `json:"again"`     // of those, with the primary asked again

	Sets     sets                `json:"sets"`
	Fields   map[string]*field   `json:"fields"`
	Statuses map[int]int         `json:"statuses"`
	Shapes   map[uint64]struct{} `json:"-"`
	Latency  latency             `json:"latency"`
	Features features            `json:"features"`
	Minutes  series              `json:"minutes"`

	into *table // that took these counts over, when a template widened
}

// withBaseline is how many exchanges had one, of either kind.
func (e *table) withBaseline() uint64 { return e.Mirrored + e.Again }

// field is what is counted of one field of an endpoint.
type field struct {
	Aspects [numAspects]*tally `json:"aspects"`
	Learnt  learnt             `json:"learnt"`
	// Statuses are those of the primary in exchanges in which the candidate's value differed.
	Statuses map[int]uint64 `json:"statuses,omitempty"`
}

// tally counts one aspect of one field.
type tally struct {
	// Place is the hypothesis's order of discovery in the comparison; 0: it has
	// none yet, as nothing speaks for or against it.
	Place     int           `json:"place,omitempty"`
	Case      evidence.Case `json:"case"`
	Candidate uint64        `json:"candidate"` // it differed, in exchanges with a baseline
	Baseline  uint64        `json:"baseline"`
	Alone     uint64        `json:"alone"` // the candidate differed, in exchanges without one
	Along     uint64        `json:"along"` // the candidate's status differed, too
	Confirmed confirmed     `json:"confirmed"`
	First     time.Time     `json:"first"`
	Last      time.Time     `json:"last"`
	Detail    *detail       `json:"detail,omitempty"` // only where the candidate differed
}

// confirmed counts what became of questions asked again.
type confirmed struct {
	Stable    uint64 `json:"stable"`
	Transient uint64 `json:"transient"`
	Noisy     uint64 `json:"noisy"`
}

func (c confirmed) asked() uint64 { return c.Stable + c.Transient + c.Noisy }

func (c confirmed) merge(o confirmed) confirmed {
	return confirmed{c.Stable + o.Stable, c.Transient + o.Transient, c.Noisy + o.Noisy}
}

// differed is in how many exchanges the candidate differed.
func (t *tally) differed() uint64 { return t.Candidate + t.Alone }

// seen notes when the candidate differed.
func (t *tally) seen(now time.Time) {
	if t.First.IsZero() || now.Before(t.First) {
		t.First = now
	}
	if now.After(t.Last) {
		t.Last = now
	}
}

// limits bound the tables.
type limits struct {
	endpoints int // of one comparison
	fields    int // of one endpoint
	allFields int // of one comparison
	details   int // of one comparison
	shapes    int // of one endpoint
	sets      int // of one endpoint
	setBytes  int // of one comparison
}

func newComparison(k key, now time.Time) *comparison {
	return &comparison{
		Key: k, Since: now,
		Methods: map[string]int{}, Statuses: map[int]int{},
		Endpoints: map[endpointKey]*table{},
		Totals:    account{NotComparable: map[string]uint64{}, Dropped: map[string]uint64{}},
	}
}

func newEndpoint(k endpointKey) *table {
	return &table{
		Method: k.method, Path: k.path,
		Fields: map[string]*field{}, Statuses: map[int]int{}, Shapes: map[uint64]struct{}{},
	}
}

// set replaces the settings. What was counted for another limit of latency goes.
func (c *comparison) set(s settings) {
	if s.Ratio != c.Settings.Ratio {
		c.Latency.Limit = evidence.Signs{}
		for _, e := range c.Endpoints {
			e.Latency.Limit = evidence.Signs{}
		}
	}
	c.Settings = s
}

// others is the template of endpoints beyond the limit, all in one.
const others = "(others)"

// endpoint returns the table of an endpoint, or that of all others when there
// are too many.
func (c *comparison) endpoint(l *limits, method, path string) *table {
	k := endpointKey{method, path}
	if e := c.Endpoints[k]; e != nil {
		return e
	}
	rest := endpointKey{path: others}
	room := l.endpoints
	if c.Endpoints[rest] != nil {
		room++ // it has a place of its own
	}
	if len(c.Endpoints) >= room && k != rest {
		c.Over.Endpoints++
		if e := c.Endpoints[rest]; e != nil {
			return e
		}
		k = rest
	}
	e := newEndpoint(k)
	c.Endpoints[k] = e
	return e
}

// field returns the table of a field; nil when there are too many.
func (c *comparison) field(l *limits, e *table, name string) *field {
	if f := e.Fields[name]; f != nil {
		return f
	}
	if len(e.Fields) >= l.fields || c.Fields >= l.allFields {
		c.Over.Fields++
		return nil
	}
	f := &field{}
	e.Fields[name] = f
	c.Fields++
	return f
}

// tally returns the counts of an aspect.
func (f *field) tally(a Aspect) *tally {
	if f.Aspects[a] == nil {
		f.Aspects[a] = &tally{}
	}
	return f.Aspects[a]
}
