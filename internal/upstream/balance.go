package upstream

import "math/bits"

// Policy is how a cluster chooses among its endpoints (Cluster.lb_policy).
type Policy uint8

// The policies.
const (
	RoundRobin   Policy = iota // in turn, by weight
	LeastRequest               // the less busy of some drawn at random by weight
	Random                     // at random by weight
)

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
	z := b.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Pick chooses an endpoint of c, or returns nil when none takes requests.
// active has the requests that the loop has open at each slot; slots beyond
// its end have none. An endpoint in tried is avoided: up to attempts more
// choices are made, and the last one stands, tried or not (Envoy's
// host_selection_retry_max_attempts).
func (b *Balancer) Pick(c *Cluster, active []uint32, tried []*Endpoint, attempts int) *Endpoint {
	set := c.Endpoints()
	if len(set.ready) == 0 {
		return nil
	}
	e := b.choose(c, set, active)
	for i := 0; i < attempts && isTried(tried, e); i++ {
		e = b.choose(c, set, active)
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

func (b *Balancer) choose(c *Cluster, set *EndpointSet, active []uint32) *Endpoint {
	switch c.Policy {
	case LeastRequest:
		return b.leastRequest(set, active, c.choices)
	case Random:
		return b.draw(set)
	default:
		return b.turn(set)
	}
}

func (b *Balancer) draw(set *EndpointSet) *Endpoint {
	hi, _ := bits.Mul64(b.next(), set.total)
	return set.at(hi)
}

// turn steps through the positions of the set: in order where all weights are
// equal, else by the stride, so that total steps visit each endpoint as often
// as its weight says, and not in bursts.
func (b *Balancer) turn(set *EndpointSet) *Endpoint {
	b.cursor++
	x := b.cursor % set.total
	if set.sums != nil {
		hi, lo := bits.Mul64(x, set.stride)
		_, x = bits.Div64(hi, lo, set.total)
	}
	return set.at(x)
}

// leastRequest draws by weight and takes the first one with the fewest active
// requests per weight. Idle endpoints are chosen by weight, busy ones are
// spared: where weights differ Envoy reaches the same by a schedule.
func (b *Balancer) leastRequest(set *EndpointSet, active []uint32, choices uint32) *Endpoint {
	best := b.draw(set)
	busy := at(active, best.Slot)
	for range choices - 1 {
		e := b.draw(set)
		n := at(active, e.Slot)
		if n*uint64(best.Weight) < busy*uint64(e.Weight) {
			best, busy = e, n
		}
	}
	return best
}

func at(active []uint32, slot int) uint64 {
	if slot < len(active) {
		return uint64(active[slot])
	}
	return 0
}
