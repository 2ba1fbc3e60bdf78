package upstream

import (
	"net/netip"
	"sync"
)

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

type slotRef struct {
	slot, refs int
	vitals     vitals
}

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

// acquire adds a reference. fresh is true where it is the first.
func (s *Slots) acquire(cluster string, addr netip.AddrPort) (slot int, v *vitals, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := slotKey{cluster, addr}
	if r := s.used[key]; r != nil {
		r.refs++
		return r.slot, &r.vitals, false
	}
	slot = s.len
	if len(s.free) > 0 {
		slot = s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
	} else {
		s.len++
	}
	r := &slotRef{slot: slot, refs: 1}
	s.used[key] = r
	return slot, &r.vitals, true
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
