package upstream

import "slices"

// level is what requests of one priority are spread over. It has hosts, or
// localities, or a table.
type level struct {
	load uint64 // of 100 requests; see loads
	hosts
	localities []hosts // where locality weights count
	byLocality dial
	table      *table // of the hashing policies
}

// hosts are endpoints to choose among.
type hosts struct {
	ready []*Endpoint
	dial  dial
	ramp  *ramp // where some are in slow start
}

func (l *level) len() int {
	n := len(l.ready)
	if l.table != nil {
		n = len(l.table.hosts)
	}
	for i := range l.localities {
		n += len(l.localities[i].ready)
	}
	return n
}

func newHosts(ready []*Endpoint, lb *balancing) hosts {
	h := hosts{ready: ready, dial: newDial(len(ready), func(i int) uint64 { return uint64(ready[i].Weight) })}
	if lb.slow != nil {
		h.ramp = lb.slow.ramp(ready)
	}
	return h
}

// rank has the endpoints of one priority.
type rank struct {
	all, healthy []*Endpoint
	where        []int32 // of all
	load         uint64
	panic        bool
}

// arrange works out who takes requests, from All, where and the health as it
// is now. Tables are taken from old where they would be the same; oldLB is
// what old was made for.
func (s *EndpointSet) arrange(lb *balancing, old *EndpointSet, oldLB *balancing) {
	if len(s.All) == 0 {
		return
	}
	ranks := s.ranks(lb)
	lb.share(ranks)
	var tables []*table
	if old != nil && lb.hashing != nil && oldLB.hashing != nil && *lb.hashing == *oldLB.hashing {
		for i := range old.levels {
			tables = append(tables, old.levels[i].table)
		}
	}
	for i := range ranks {
		if ranks[i].load > 0 {
			s.levels = append(s.levels, lb.level(&ranks[i], tables))
		}
	}
	if len(s.levels) == 0 {
		return
	}
	if len(s.levels) > 1 {
		s.load = newDial(len(s.levels), func(i int) uint64 { return s.levels[i].load })
	}
	if l := &s.levels[0]; len(s.levels) == 1 && l.localities == nil {
		switch {
		case l.table != nil && len(l.table.hosts) == 1:
			s.only = l.table.hosts[0].e
		case l.table == nil && len(l.ready) == 1:
			s.only = l.ready[0]
		}
	}
}

// ranks groups the endpoints by priority, the most important first.
func (s *EndpointSet) ranks(lb *balancing) []rank {
	if s.where == nil {
		r := rank{all: s.All}
		r.healthy = healthyOf(s.All, lb)
		return []rank{r}
	}
	var priorities []uint32
	for _, w := range s.where {
		if p := lb.places[w].priority; !slices.Contains(priorities, p) {
			priorities = append(priorities, p)
		}
	}
	slices.Sort(priorities)
	ranks := make([]rank, len(priorities))
	for i, e := range s.All {
		n, _ := slices.BinarySearch(priorities, lb.places[s.where[i]].priority)
		ranks[n].all = append(ranks[n].all, e)
		ranks[n].where = append(ranks[n].where, s.where[i])
	}
	for i := range ranks {
		ranks[i].healthy = healthyOf(ranks[i].all, lb)
	}
	return ranks
}

// healthyOf is all itself where all are healthy.
func healthyOf(all []*Endpoint, lb *balancing) []*Endpoint {
	sick := func(e *Endpoint) bool { return !e.usable(lb) }
	if !slices.ContainsFunc(all, sick) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), sick)
}

// share gives each priority its load of 100 and finds those in panic. The
// rules are Envoy's (architecture overview, "Priority levels" and "Panic
// threshold"): a priority that is healthy to 1/1.4 keeps all its load, what it
// cannot take goes to the next one; if all together cannot take 100, priorities
// below the panic threshold use all their endpoints, sick ones too, and if that
// is true of all the load goes by the number of endpoints.
func (lb *balancing) share(ranks []rank) {
	available := make([]uint64, len(ranks))
	total := uint64(0)
	for i := range ranks {
		available[i] = lb.availability(&ranks[i])
		total += available[i]
	}
	total = min(total, 100)
	if total == 0 && lb.panicBelow == 0 {
		ranks[0].load = 100 // none takes it
		return
	}
	allPanic := total < 100
	for i := range ranks {
		r := &ranks[i]
		r.panic = total < 100 && 100*uint64(len(r.healthy)) < lb.panicBelow*uint64(len(r.all))
		allPanic = allPanic && r.panic
	}
	if allPanic {
		n := uint64(0)
		for i := range ranks {
			available[i] = uint64(len(ranks[i].all))
			n += available[i]
		}
		total = n
	}
	left, first := uint64(100), -1
	for i := range ranks {
		if first < 0 && available[i] > 0 {
			first = i
		}
		ranks[i].load = min(left, 100*available[i]/total)
		left -= ranks[i].load
	}
	ranks[first].load += left // of rounding
}

// availability is the percentage of its load that a priority can take.
func (lb *balancing) availability(r *rank) uint64 {
	healthy, all := uint64(len(r.healthy)), uint64(len(r.all))
	if lb.byWeight {
		healthy, all = weightOf(r.healthy), weightOf(r.all)
	}
	return min(lb.overprovisioning*healthy/all, 100)
}

func weightOf(list []*Endpoint) uint64 {
	n := uint64(0)
	for _, e := range list {
		n += uint64(e.Weight)
	}
	return n
}

// level makes the level of a priority.
func (lb *balancing) level(r *rank, tables []*table) level {
	l := level{load: r.load}
	list := r.healthy
	if r.panic {
		list = r.all
	}
	switch {
	case lb.hashing != nil:
		l.table = lb.hashing.table(lb.shares(r, list), tables)
		return l
	case r.panic && lb.failInPanic:
		list = nil
	case lb.byLocality && !r.panic:
		if l.localities, l.byLocality = lb.split(r); l.localities != nil {
			return l
		}
	}
	l.hosts = newHosts(list, lb)
	return l
}
