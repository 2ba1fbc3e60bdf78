package upstream

import (
	"net/netip"
	"slices"
	"time"
)

// Endpoint is one address of a cluster. It is immutable; what a loop knows of
// it (active requests, connections) stands in the loop's own slices at Slot.
type Endpoint struct {
	Addr     netip.AddrPort
	Hostname string // the name it was resolved from, or Endpoint.hostname; may be empty
	Weight   uint32 // load_balancing_weight; 1 or more
	Slot     int    // dense, the same while cluster and address stay; see Slots
	Ready    bool   // healthy by its health_status in the configuration

	hashKey string // metadata envoy.lb hash_key; may be empty
	vitals  *vitals
}

// EndpointSet is what a cluster balances over at one moment. It is immutable:
// when health or configuration change there is a new one, made off the loops.
type EndpointSet struct {
	// All holds every endpoint in the configuration's order, those that take no
	// requests and those of other priorities too.
	All []*Endpoint

	where  []int32 // where[i] is the place of All[i]; nil where all have the first
	only   *Endpoint
	levels []level // the priorities that get requests
	load   dial    // over levels, where there are several
}

// Len is the number of endpoints that take requests.
func (s *EndpointSet) Len() int {
	n := 0
	for i := range s.levels {
		n += s.levels[i].len()
	}
	return n
}

// place is the priority and locality of endpoints (LocalityLbEndpoints).
type place struct {
	priority              uint32
	region, zone, subZone string
	weight                uint32 // load_balancing_weight of the locality
}

// target is an endpoint before it has a slot.
type target struct {
	addr     netip.AddrPort
	hostname string
	hashKey  string
	weight   uint32
	ready    bool
	place    int32 // index in balancing.places
}

// newSet makes the set of targets. Of two with the same address the first
// counts, as in Envoy. Endpoints of old that have not changed are kept, and so
// is old itself where nothing has. The caller holds the lock of the cluster's
// kin. oldLB is what old was made for; both are nil where there is none.
func newSet(targets []target, cluster string, lb *balancing, slots *Slots, old *EndpointSet, oldLB *balancing) *EndpointSet {
	known := map[netip.AddrPort]*Endpoint{}
	if old != nil {
		for _, e := range old.All {
			known[e.Addr] = e
		}
	}
	s := &EndpointSet{All: make([]*Endpoint, 0, len(targets))}
	seen := make(map[netip.AddrPort]bool, len(targets))
	for _, t := range targets {
		if seen[t.addr] {
			continue
		}
		seen[t.addr] = true
		e := &Endpoint{Addr: t.addr, Hostname: t.hostname, Weight: t.weight, Ready: t.ready, hashKey: t.hashKey}
		fresh := false
		e.Slot, e.vitals, fresh = slots.acquire(cluster, t.addr)
		if fresh && lb.heeded&HealthCheckFailed != 0 { // until it has passed once
			e.vitals.ails.Store(uint32(HealthCheckFailed))
		}
		k := known[t.addr]
		if lb.slow != nil && e.Ready && (fresh || k != nil && !k.Ready) {
			now := time.Now()
			e.vitals.since.Store(&now)
		}
		if k != nil && *k == *e {
			e = k
		}
		s.All = append(s.All, e)
		if t.place != 0 && s.where == nil {
			s.where = make([]int32, len(s.All)-1, len(targets))
		}
		if s.where != nil {
			s.where = append(s.where, t.place)
		}
	}
	if old != nil && slices.Equal(s.All, old.All) && slices.Equal(s.where, old.where) && lb.equal(oldLB) {
		return old
	}
	s.arrange(lb, old, oldLB)
	return s
}

// again is the set as the health of its endpoints is now.
func (s *EndpointSet) again(lb *balancing) *EndpointSet {
	next := &EndpointSet{All: s.All, where: s.where}
	next.arrange(lb, s, lb)
	return next
}
