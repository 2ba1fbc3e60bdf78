package judge

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/endpoint"
)

// stateVersion is of the form of a saved state. Another version is not read:
// version 1 did not say with which statuses a field differed, nor whether its values
// look like names, and without both a name would turn into a difference.
const stateVersion = 2

// state is what is saved.
type state struct {
	Version     int               `json:"version"`
	Comparisons []comparisonState `json:"comparisons"`
}

type comparisonState struct {
	comparison
	Endpoints []endpointState `json:"endpoints"`
}

type endpointState struct {
	table
	Shapes []uint64 `json:"shapes,omitempty"`
}

// Save writes all counts as JSON. What waits to be compared is not in it.
func (j *Judge) Save(w io.Writer) error {
	s := state{Version: stateVersion, Comparisons: []comparisonState{}}
	for _, c := range j.snapshot() {
		cs := comparisonState{comparison: *c, Endpoints: []endpointState{}}
		for _, e := range c.ordered() {
			es := endpointState{table: *e}
			for shape := range e.Shapes {
				es.Shapes = append(es.Shapes, shape)
			}
			slices.Sort(es.Shapes)
			cs.Endpoints = append(cs.Endpoints, es)
		}
		s.Comparisons = append(s.Comparisons, cs)
	}
	if err := json.NewEncoder(w).Encode(&s); err != nil {
		return fmt.Errorf("saving the state of comparisons: %w", err)
	}
	return nil
}

// Load adds the counts of a saved state to those that are there, so a state
// survives a restart, and the states of several processes, loaded one after the
// other, are one: what is counted merges exactly. Best before Configure, which then
// knows the endpoints' names and forgets what is not configured; after it, what is
// not configured is left out. On an error nothing is added.
func (j *Judge) Load(r io.Reader) error {
	var s state
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("reading the state of comparisons: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("the state of comparisons has version %d; this program reads version %d only", s.Version, stateVersion)
	}
	loaded := make([]*comparison, 0, len(s.Comparisons))
	for i := range s.Comparisons {
		c, err := s.Comparisons[i].restore()
		if err != nil {
			return fmt.Errorf("the state of comparisons is damaged: comparison %d: %w", i, err)
		}
		loaded = append(loaded, c)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, from := range loaded {
		c := j.comparisons[from.Key]
		if c == nil {
			if j.configured {
				continue
			}
			c = newComparison(from.Key, from.Since)
			c.Settings = from.Settings
			j.comparisons[c.Key] = c
		}
		from.set(c.Settings)
		j.queue.mu.Lock()
		c.Totals.merge(&from.Totals)
		j.queue.mu.Unlock()
		c.merge(&j.limits, from)
	}
	return nil
}

// restore makes a comparison of what was saved, with nothing left nil.
func (s *comparisonState) restore() (*comparison, error) {
	if s.Key.Candidate == "" {
		return nil, fmt.Errorf("it has no key")
	}
	if !(s.Settings.Alpha > 0 && s.Settings.Alpha < 1) || !(s.Settings.Epsilon > 0 && s.Settings.Epsilon < 1) {
		return nil, fmt.Errorf("alpha %v and epsilon %v must be between 0 and 1", s.Settings.Alpha, s.Settings.Epsilon)
	}
	c := &s.comparison
	if c.Orders < 0 || c.Orders > 1<<40 || c.Latencies < 0 || c.Latencies > 1<<40 {
		return nil, fmt.Errorf("its %d hypotheses cannot be", c.Orders)
	}
	c.comparisonDefaults()
	for i := range s.Endpoints {
		es := &s.Endpoints[i]
		e := &es.table
		k := endpointKey{e.Method, e.Path}
		if c.Endpoints[k] != nil {
			return nil, fmt.Errorf("endpoint %s %s is there twice", e.Method, e.Path)
		}
		if e.Exchanges < e.Mirrored+e.Again {
			return nil, fmt.Errorf("endpoint %s %s has more exchanges with a baseline than at all", e.Method, e.Path)
		}
		empty := newEndpoint(k)
		if e.Statuses == nil {
			e.Statuses = empty.Statuses
		}
		e.Shapes = empty.Shapes
		for _, shape := range es.Shapes {
			e.Shapes[shape] = struct{}{}
		}
		for name, f := range e.Fields {
			if f == nil {
				delete(e.Fields, name)
			}
		}
		c.Endpoints[k] = e
	}
	return c, nil
}

// comparisonDefaults makes what was not saved.
func (c *comparison) comparisonDefaults() {
	empty := newComparison(c.Key, c.Since)
	c.Endpoints = empty.Endpoints
	if c.Methods == nil {
		c.Methods = empty.Methods
	}
	if c.Statuses == nil {
		c.Statuses = empty.Statuses
	}
	if c.Totals.NotComparable == nil {
		c.Totals.NotComparable = empty.Totals.NotComparable
	}
	if c.Totals.Dropped == nil {
		c.Totals.Dropped = empty.Totals.Dropped
	}
}

// templates are the path templates of the tables, so that endpoints go on under
// the names that they have. All of them, since a literal one wins over a
// parameter only among those that are given together.
func (c *comparison) templates() []string {
	seen := map[string]bool{endpoint.Other: true, others: true}
	var list []string
	for k := range c.Endpoints {
		if !seen[k.path] && strings.HasPrefix(k.path, "/") {
			seen[k.path] = true
			list = append(list, k.path)
		}
	}
	slices.Sort(list)
	return list
}
