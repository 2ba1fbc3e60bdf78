package upstream

import (
	"math"
	"slices"
	"time"
)

// Policy is how a cluster chooses among its endpoints (Cluster.lb_policy).
type Policy uint8

// The policies.
const (
	RoundRobin   Policy = iota // in turn, by weight
	LeastRequest               // the less busy of some drawn at random by weight
	Random                     // at random by weight
	RingHash                   // by the request's hash, on a ring
	Maglev                     // by the request's hash, in a table
)

// balancing is how a cluster spreads its requests. It is immutable and shared
// by the cluster's endpoint sets.
type balancing struct {
	policy  Policy
	choices uint32  // least_request_lb_config.choice_count
	bias    float64 // least_request_lb_config.active_request_bias
	hashing *hashing
	slow    *slowStart // nil: none
	heeded  Ailment

	places           []place
	overprovisioning uint64 // ClusterLoadAssignment.policy.overprovisioning_factor, percent
	panicBelow       uint64 // common_lb_config.healthy_panic_threshold, percent
	byWeight         bool   // ClusterLoadAssignment.policy.weighted_priority_health
	byLocality       bool   // common_lb_config.locality_weighted_lb_config
	failInPanic      bool   // common_lb_config.zone_aware_lb_config.fail_traffic_on_panic
}

// Balancer is the state of one loop for one cluster. It may be copied before
// its first use only. It takes no lock: only its loop calls it.
type Balancer struct {
	cursor uint64
	random uint64
}

// NewBalancer makes a Balancer that starts at a place given by seed, so that
// loops with different seeds do not go in step.
func NewBalancer(seed uint64) Balancer {
	b := Balancer{random: seed}
	b.cursor = b.next() >> 1
	return b
}

// next is a step of SplitMix64.
func (b *Balancer) next() uint64 {
	b.random += 0x9e3779b97f4a7c15
	return scramble(b.random)
}

func scramble(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Choice is what Pick may go by. The zero value serves for a first try.
type Choice struct {
	// Hash is the request's, for RingHash and Maglev; see route.HashPolicy.
	// Where Hashed is false the choice is random.
	Hash   uint64
	Hashed bool
	// An endpoint in Tried is avoided: up to Attempts more choices are made
	// (Envoy's host_selection_retry_max_attempts), and then, unlike in Envoy, any
	// other endpoint is taken that there is.
	Tried    []*Endpoint
	Attempts int
	// Now is the time on the clock of time.Now, for slow start. Where it is zero
	// every endpoint has its full weight.
	Now time.Time
}

// Pick chooses an endpoint of c, or returns nil when none takes requests.
// active has the requests that the loop has open at each slot; slots beyond
// its end have none.
func (b *Balancer) Pick(c *Cluster, active []uint32, by Choice) *Endpoint {
	set := c.Endpoints()
	if set.only != nil {
		return set.only
	}
	if len(set.levels) == 0 {
		return nil
	}
	if c.lb.hashing != nil {
		return b.hashed(c.lb.hashing, set, active, &by)
	}
	e := b.choose(c.lb, set, active, by.Now)
	for i := 0; i < by.Attempts && e != nil && isTried(by.Tried, e); i++ {
		e = b.choose(c.lb, set, active, by.Now)
	}
	if by.Attempts > 0 && e != nil && isTried(by.Tried, e) {
		return b.untried(set, by.Tried, e)
	}
	return e
}

// untried looks for an endpoint that was not tried, and returns e if there is
// none. A dead endpoint has the fewest requests, so least_request chooses it
// again more often than Envoy's retries allow for.
func (b *Balancer) untried(set *EndpointSet, tried []*Endpoint, e *Endpoint) *Endpoint {
	for i := range set.levels {
		ready := set.levels[i].ready
		if len(ready) == 0 || set.levels[i].load == 0 && len(set.levels) > 1 {
			continue
		}
		start := int(b.next() % uint64(len(ready)))
		for n := range ready {
			if o := ready[(start+n)%len(ready)]; !isTried(tried, o) {
				return o
			}
		}
	}
	return e
}

// isTried compares slots, so an endpoint whose weight has changed meanwhile
// is still the same one.
func isTried(tried []*Endpoint, e *Endpoint) bool {
	for _, t := range tried {
		if t.Slot == e.Slot {
			return true
		}
	}
	return false
}

func (b *Balancer) choose(lb *balancing, set *EndpointSet, active []uint32, now time.Time) *Endpoint {
	if lb.policy == RoundRobin {
		return b.turn(set, now)
	}
	l := &set.levels[0]
	if len(set.levels) > 1 {
		l = &set.levels[set.load.draw(b.next())]
	}
	h := &l.hosts
	if l.localities != nil {
		h = &l.localities[l.byLocality.draw(b.next())]
	}
	if len(h.ready) == 0 {
		return nil
	}
	r := h.ramping(now)
	if lb.policy == Random {
		return h.ready[b.draw(h, r, now)]
	}
	if lb.bias != 1 && h.dial.sums != nil {
		return b.biased(lb, h, active, r, now)
	}
	return b.leastRequest(h, active, lb.choices, r, now)
}

// turn steps through the levels, their localities and their endpoints.
func (b *Balancer) turn(set *EndpointSet, now time.Time) *Endpoint {
	b.cursor++
	i, at := 0, b.cursor
	if len(set.levels) > 1 {
		i, at = set.load.turn(at)
	}
	l := &set.levels[i]
	h := &l.hosts
	if l.localities != nil {
		i, at = l.byLocality.turn(at)
		h = &l.localities[i]
	}
	if len(h.ready) == 0 {
		return nil
	}
	i, _ = h.dial.turn(at)
	if r := h.ramping(now); r != nil {
		for n := 0; n < rampTries && !r.accepts(i, now, b.next()); n++ {
			b.cursor++
			i, _ = h.dial.turn(b.cursor)
		}
	}
	return h.ready[i]
}

// draw returns the index of an endpoint, at random by weight.
func (b *Balancer) draw(h *hosts, r *ramp, now time.Time) int {
	i := h.dial.draw(b.next())
	if r != nil {
		for n := 0; n < rampTries && !r.accepts(i, now, b.next()); n++ {
			i = h.dial.draw(b.next())
		}
	}
	return i
}

// leastRequest draws by weight and takes the first one with the fewest active
// requests per weight. Idle endpoints are chosen by weight, busy ones are
// spared: where weights differ Envoy reaches the same by a schedule.
func (b *Balancer) leastRequest(h *hosts, active []uint32, choices uint32, r *ramp, now time.Time) *Endpoint {
	weight := func(i int) uint64 {
		w := uint64(h.ready[i].Weight)
		if r != nil { // 2^10 for one: requests in flight and weights are far below 2^27
			w = max(uint64(r.factor(i, now)*float64(w<<10)), 1)
		}
		return w
	}
	best := b.draw(h, r, now)
	busy, bestWeight := at(active, h.ready[best].Slot), weight(best)
	for range choices - 1 {
		i := b.draw(h, r, now)
		n, w := at(active, h.ready[i].Slot), weight(i)
		if n*bestWeight < busy*w {
			best, busy, bestWeight = i, n, w
		}
	}
	return h.ready[best]
}

// biasedChoices is how many biased draws at least: enough to come near the
// shares that Envoy's schedule gives.
const biasedChoices = 16

// biased gives endpoints of different weights shares by the weight divided by
// the active requests and one to the power of the bias
// (active_request_bias): it draws some by weight and one of them by the rest.
func (b *Balancer) biased(lb *balancing, h *hosts, active []uint32, r *ramp, now time.Time) *Endpoint {
	chosen, total := 0, 0.0
	for n := range max(lb.choices, biasedChoices) {
		i := b.draw(h, r, now)
		if lb.bias == 0 {
			return h.ready[i]
		}
		part := math.Pow(float64(at(active, h.ready[i].Slot)+1), -lb.bias)
		total += part
		if n == 0 || unit(b.next())*total < part {
			chosen = i
		}
	}
	return h.ready[chosen]
}

// unit makes a random number one of [0, 1).
func unit(random uint64) float64 { return float64(random>>11) / (1 << 53) }

func at(active []uint32, slot int) uint64 {
	if slot < len(active) {
		return uint64(active[slot])
	}
	return 0
}

// equal reports whether both spread requests alike; o may be nil.
func (lb *balancing) equal(o *balancing) bool {
	if o == nil || !slices.Equal(lb.places, o.places) {
		return false
	}
	if (lb.slow == nil) != (o.slow == nil) || lb.slow != nil && *lb.slow != *o.slow {
		return false
	}
	if (lb.hashing == nil) != (o.hashing == nil) || lb.hashing != nil && *lb.hashing != *o.hashing {
		return false
	}
	return lb.policy == o.policy && lb.heeded == o.heeded && lb.overprovisioning == o.overprovisioning &&
		lb.panicBelow == o.panicBelow && lb.byWeight == o.byWeight && lb.byLocality == o.byLocality && lb.failInPanic == o.failInPanic
}
