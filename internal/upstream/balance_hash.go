package upstream

import (
	"math"
	"slices"
)

// hashing is what the policies RING_HASH and MAGLEV go by.
type hashing struct {
	maglev   uint64 // maglev_lb_config.table_size; 0: a ring
	ringMin  uint64 // ring_hash_lb_config.minimum_ring_size
	ringMax  uint64 // ring_hash_lb_config.maximum_ring_size
	murmur   bool   // ring_hash_lb_config.hash_function is MURMUR_HASH_2
	hostname bool   // consistent_hashing_lb_config.use_hostname_for_hashing
	balance  uint64 // consistent_hashing_lb_config.hash_balance_factor, percent; 0: no bound
}

// table finds the endpoint of a hash. It is immutable.
type table struct {
	hosts  []share
	ring   ring
	maglev maglev
}

// table makes the table of a priority, or takes it from old.
func (h *hashing) table(hosts []share, old []*table) *table {
	for _, t := range old {
		if slices.Equal(t.hosts, hosts) {
			return t
		}
	}
	t := &table{hosts: hosts}
	switch {
	case len(hosts) < 2: // nothing to look up
	case h.maglev > 0:
		t.maglev = newMaglev(h, hosts)
	default:
		t.ring = newRing(h, hosts)
	}
	return t
}

// at returns the index of the host for a hash; attempt counts from 0.
func (t *table) at(hash uint64, attempt int) int {
	switch {
	case len(t.hosts) == 1:
		return 0
	case t.ring.points != nil:
		return t.ring.at(hash, attempt)
	}
	return t.maglev.at(hash, attempt)
}

// key is what an endpoint is known by in rings and tables: the hash_key of its
// metadata envoy.lb, its hostname if that is asked for, else "address:port".
func (h *hashing) key(e *Endpoint) string {
	switch {
	case e.hashKey != "":
		return e.hashKey
	case h.hostname && e.Hostname != "":
		return e.Hostname
	}
	return e.Addr.String()
}

// hashed chooses by the request's hash, as Envoy does: its remainder by 100
// says which priority, then the table which endpoint.
func (b *Balancer) hashed(h *hashing, set *EndpointSet, active []uint32, by *Choice) *Endpoint {
	hash := by.Hash
	if !by.Hashed {
		hash = b.next()
	}
	l := &set.levels[0]
	if len(set.levels) > 1 {
		l = &set.levels[set.load.at(hash%100*set.load.total/100)]
	}
	t := l.table
	if len(t.hosts) == 0 {
		return nil
	}
	var e *Endpoint
	for attempt := 0; ; attempt++ {
		i := t.at(hash, attempt)
		if h.balance > 0 {
			i = t.bounded(i, hash, active, h.balance)
		}
		e = t.hosts[i].e
		if attempt >= by.Attempts || !isTried(by.Tried, e) {
			return e
		}
	}
}

// bounded keeps endpoints below their part of balance percent of the active
// requests, this one included. One that is full passes the request on in an
// order that depends on the hash alone; if all are full the least full one
// takes it. Each loop bounds its own requests, so the bound holds for all.
func (t *table) bounded(i int, hash uint64, active []uint32, balance uint64) int {
	busy := func(i int) uint64 { return at(active, t.hosts[i].e.Slot) }
	if busy(i) <= 1 {
		return i
	}
	sum := uint64(0)
	for k := range t.hosts {
		sum += busy(k)
	}
	slots := float64(((sum+1)*balance + 99) / 100)
	load := func(i int) float64 { return float64(busy(i)) / max(math.Ceil(slots*t.hosts[i].part), 1) }
	least, least1 := i, load(i)
	if least1 <= 1 {
		return i
	}
	n := uint64(len(t.hosts))
	order := scramble(hash + 0x9e3779b97f4a7c15)
	k, step := order%n, order>>32%n
	for gcd(step, n) != 1 {
		step++
	}
	for range n {
		if l := load(int(k)); l <= 1 {
			return int(k)
		} else if l < least1 {
			least, least1 = int(k), l
		}
		k = (k + step) % n
	}
	return least
}
