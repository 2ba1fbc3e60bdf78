package upstream

import (
	"net/netip"
	"sync"
)

// Endpoint is one address of a cluster. It is immutable; what a loop knows of
// it (active requests, connections) stands in the loop's own slices at Slot.
type Endpoint struct {
	Addr     netip.AddrPort
	Hostname string // the name it was resolved from, or Endpoint.hostname; may be empty
	Weight   uint32 // load_balancing_weight; 1 or more
	Slot     int    // dense, the same while cluster and address stay; see Slots
	Ready    bool   // by its health status in the configuration; false takes no requests
}

// EndpointSet is what a cluster balances over at one moment. It is immutable.
type EndpointSet struct {
	// All holds every endpoint in the configuration's order, those that are not
	// ready and those of other priorities too.
	All []*Endpoint

	ready []*Endpoint // of the lowest priority that has any
	sums  []uint64    // sums[i] is the weight of ready[:i+1]; nil when all weights are equal
	total uint64
	// stride is coprime to total and near its golden section: stepping by it
	// visits every position once in total steps, well spread.
	stride uint64
}

// Len is the number of endpoints that take requests.
func (s *EndpointSet) Len() int { return len(s.ready) }

// target is an endpoint before it has a slot.
type target struct {
	addr     netip.AddrPort
	hostname string
	weight   uint32
	ready    bool
	priority uint32
}

// newSet makes the set of targets. Of two with the same address the first
// counts, as in Envoy. Endpoints of old that have not changed are kept.
func newSet(targets []target, cluster string, old *EndpointSet, slots *Slots) *EndpointSet {
	known := map[netip.AddrPort]*Endpoint{}
	if old != nil {
		for _, e := range old.All {
			known[e.Addr] = e
		}
	}
	s := &EndpointSet{All: make([]*Endpoint, 0, len(targets))}
	seen := make(map[netip.AddrPort]bool, len(targets))
	best := uint32(1<<32 - 1)
	var priorities []uint32
	for _, t := range targets {
		if seen[t.addr] {
			continue
		}
		seen[t.addr] = true
		e := &Endpoint{Addr: t.addr, Hostname: t.hostname, Weight: t.weight, Ready: t.ready}
		e.Slot = slots.acquire(cluster, t.addr)
		if k := known[t.addr]; k != nil && *k == *e {
			e = k
		}
		s.All = append(s.All, e)
		priorities = append(priorities, t.priority)
		if t.ready {
			best = min(best, t.priority)
		}
	}
	for i, e := range s.All {
		if e.Ready && priorities[i] == best {
			s.ready = append(s.ready, e)
		}
	}
	s.weigh()
	return s
}

func (s *EndpointSet) weigh() {
	s.total = uint64(len(s.ready))
	equal := true
	for _, e := range s.ready {
		equal = equal && e.Weight == s.ready[0].Weight
	}
	if !equal {
		s.total = 0
		s.sums = make([]uint64, len(s.ready))
		for i, e := range s.ready {
			s.total += uint64(e.Weight)
			s.sums[i] = s.total
		}
		s.stride = goldenStride(s.total)
	}
}

// goldenStride returns a number coprime to n, near n divided by the golden
// ratio.
func goldenStride(n uint64) uint64 {
	s := max(uint64(float64(n)*0.6180339887498949), 1)
	for gcd(s, n) != 1 {
		s++
	}
	return s
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// at returns the endpoint that owns position x of [0, total).
func (s *EndpointSet) at(x uint64) *Endpoint {
	if s.sums == nil {
		return s.ready[x]
	}
	lo, hi := 0, len(s.sums)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.sums[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return s.ready[lo]
}

// Slots hands out a small dense integer for each pair of cluster and address,
// so that a loop keeps its own state of an endpoint in a plain slice. All sets
// of one proxy share one Slots. It is safe for concurrent use.
//
// A slot lives while any EndpointSet of a cluster that has not been released
// refers to it. Then it retires: no set that a loop can load from now on has
// it, but requests and idle connections may. Every loop lets go of them, and
// when all have, the slot is given back with Free, and used again. An address
// that comes back meanwhile gets a new slot.
type Slots struct {
	retired func(slot int)

	mu   sync.Mutex
	used map[slotKey]*slotRef
	free []int
	len  int
}

type slotKey struct {
	cluster string
	addr    netip.AddrPort
}

type slotRef struct{ slot, refs int }

// NewSlots makes an empty registry. It calls retired, from any goroutine and
// without a lock held, once for each slot that retires; where retired is nil
// such a slot is free at once.
func NewSlots(retired func(slot int)) *Slots {
	return &Slots{retired: retired, used: map[slotKey]*slotRef{}}
}

// Len is above every slot handed out so far.
func (s *Slots) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.len
}

// Free gives a retired slot back. No loop may have state of it any more.
func (s *Slots) Free(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, slot)
}

func (s *Slots) acquire(cluster string, addr netip.AddrPort) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := slotKey{cluster, addr}
	if r := s.used[key]; r != nil {
		r.refs++
		return r.slot
	}
	slot := s.len
	if len(s.free) > 0 {
		slot = s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
	} else {
		s.len++
	}
	s.used[key] = &slotRef{slot, 1}
	return slot
}

// release drops one reference to each endpoint of the set.
func (s *Slots) release(cluster string, set *EndpointSet) {
	var gone []int
	s.mu.Lock()
	for _, e := range set.All {
		key := slotKey{cluster, e.Addr}
		r := s.used[key]
		if r == nil {
			panic("upstream: internal error: slot released twice")
		}
		if r.refs--; r.refs == 0 {
			delete(s.used, key)
			gone = append(gone, r.slot)
		}
	}
	if s.retired == nil {
		s.free = append(s.free, gone...)
	}
	s.mu.Unlock()
	if s.retired != nil {
		for _, slot := range gone {
			s.retired(slot)
		}
	}
}
