package upstream

import (
	"math"
	"time"
)

// slowStart lets new endpoints have their share little by little
// (SlowStartConfig of ROUND_ROBIN and LEAST_REQUEST).
type slowStart struct {
	window     time.Duration // slow_start_window; above 0
	aggression float64       // aggression; 1 where silent
	floor      float64       // min_weight_percent / 100; 0.1 where silent
}

// factor is the part of its weight that an endpoint of that age has.
func (s *slowStart) factor(age time.Duration) float64 {
	if age >= s.window {
		return 1
	}
	f := float64(max(age, time.Millisecond)) / float64(s.window)
	if s.aggression != 1 {
		f = math.Pow(f, 1/s.aggression)
	}
	return max(f, s.floor)
}

// ramp says since when endpoints have taken requests.
type ramp struct {
	slow   *slowStart
	until  time.Time   // when the last one has its full weight
	oldest time.Time   // of since; zero where one has been there for long
	since  []time.Time // of hosts.ready; zero for long
}

// ramp is nil where all have their full weight.
func (s *slowStart) ramp(ready []*Endpoint) *ramp {
	r := &ramp{slow: s, since: make([]time.Time, len(ready))}
	now := time.Now()
	for i, e := range ready {
		if t := e.vitals.since.Load(); t != nil && now.Sub(*t) < s.window {
			r.since[i] = *t
		}
		if i == 0 || r.since[i].Before(r.oldest) {
			r.oldest = r.since[i]
		}
		if end := r.since[i].Add(s.window); end.After(r.until) {
			r.until = end
		}
	}
	if !r.until.After(now) {
		return nil
	}
	return r
}

// factor is what the weight of the i-th endpoint is multiplied by.
func (r *ramp) factor(i int, now time.Time) float64 {
	if r.since[i].IsZero() {
		return 1
	}
	return r.slow.factor(now.Sub(r.since[i]))
}

// ramping returns h's ramp where it matters at that time.
func (h *hosts) ramping(now time.Time) *ramp {
	if h.ramp == nil || now.IsZero() || !now.Before(h.ramp.until) {
		return nil
	}
	return h.ramp
}

// rampTries bounds how often a choice is made again since the endpoint is new.
const rampTries = 64

// accepts decides whether a choice stands that was made by the full weights:
// with the chance that the i-th endpoint's factor has to the greatest one.
func (r *ramp) accepts(i int, now time.Time, random uint64) bool {
	if r.since[i].Equal(r.oldest) {
		return true
	}
	best := 1.0
	if !r.oldest.IsZero() {
		best = r.slow.factor(now.Sub(r.oldest))
	}
	return unit(random)*best < r.factor(i, now)
}
