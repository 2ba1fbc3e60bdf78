package upstream

import (
	"cmp"
	"slices"
)

// compare orders localities as Envoy does. The priority does not count.
func (p *place) compare(o *place) int {
	return cmp.Or(cmp.Compare(p.region, o.region), cmp.Compare(p.zone, o.zone), cmp.Compare(p.subZone, o.subZone))
}

// area has the endpoints of one locality in one priority.
type area struct {
	place   *place
	healthy []*Endpoint
	every   []*Endpoint
}

// areas groups the endpoints of a priority by locality.
func (lb *balancing) areas(r *rank) []area {
	var list []area
	for i, e := range r.all {
		p := &lb.places[0]
		if r.where != nil {
			p = &lb.places[r.where[i]]
		}
		n, found := slices.BinarySearchFunc(list, p, func(a area, p *place) int { return a.place.compare(p) })
		if !found {
			list = slices.Insert(list, n, area{place: p})
		}
		list[n].every = append(list[n].every, e)
		if e.usable(lb) {
			list[n].healthy = append(list[n].healthy, e)
		}
	}
	return list
}

// split spreads a priority over its localities, by their weights less what is
// sick beyond the overprovisioning (common_lb_config.locality_weighted_lb_config).
// A locality without a weight gets nothing; if none has one, there is nil.
func (lb *balancing) split(r *rank) ([]hosts, dial) {
	const scale = 1024
	var list []hosts
	var weights []uint64
	for _, a := range lb.areas(r) {
		part := min(scale*lb.overprovisioning*uint64(len(a.healthy))/(100*uint64(len(a.every))), scale)
		if w := uint64(a.place.weight) * part; w > 0 {
			list = append(list, newHosts(a.healthy, lb))
			weights = append(weights, w)
		}
	}
	if list == nil {
		return nil, dial{}
	}
	common := uint64(0)
	for _, w := range weights {
		common = gcd(w, common)
	}
	return list, newDial(len(list), func(i int) uint64 { return weights[i] / common })
}

// share is an endpoint and its part of a priority's requests, from 0 to 1.
type share struct {
	e    *Endpoint
	part float64
}

// shares gives every endpoint of list its part, by its weight and, where they
// count, those of localities. Unlike split, and as in Envoy, a sick endpoint
// leaves its part to its own locality.
func (lb *balancing) shares(r *rank, list []*Endpoint) []share {
	out := make([]share, 0, len(list))
	add := func(list []*Endpoint, part float64) {
		total := float64(weightOf(list))
		for _, e := range list {
			out = append(out, share{e, float64(e.Weight) * part / total})
		}
	}
	if !lb.byLocality {
		add(list, 1)
		return out
	}
	areas := lb.areas(r)
	total := uint64(0)
	for _, a := range areas {
		total += uint64(a.place.weight)
	}
	for _, a := range areas {
		members := a.healthy
		if r.panic {
			members = a.every
		}
		if a.place.weight > 0 {
			add(members, float64(a.place.weight)/float64(total))
		}
	}
	return out
}
