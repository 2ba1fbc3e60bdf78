package mirror

import (
	"maps"
	"slices"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Ledger is one loop's book: what became of each forwarded request. It is
// written and read on its loop only. Rows stay when their route or mirror
// leaves the configuration, and go on when it comes back.
type Ledger struct{ routes map[string]*RouteRow }

// RouteRow is the account of one route on one loop.
type RouteRow struct {
	Forwarded uint64
	mirrors   map[string]*Row
	live      int // mirrors that are in the configuration
}

// Row is the account of one mirror policy of a route on one loop: requests by
// outcome. Their sum is the route's Forwarded. A share above 1 sends more
// copies of a request; those beside the first are counted apart.
type Row struct {
	Outcomes [traffic.NumOutcomes]uint64
	Further  [traffic.NumOutcomes]uint64

	share   float64
	retired bool   // the policy is not in the configuration
	before  uint64 // what the route had forwarded when it was retired, or before it was there
}

// NewLedger makes an empty book.
func NewLedger() *Ledger { return &Ledger{routes: map[string]*RouteRow{}} }

// Route returns the row of a route, opening it if need be. It is called when
// a snapshot is adopted, not for each request.
func (l *Ledger) Route(key string) *RouteRow {
	r := l.routes[key]
	if r == nil {
		r = &RouteRow{mirrors: map[string]*Row{}}
		l.routes[key] = r
	}
	return r
}

// Mirror returns the row of a mirror to the cluster, opening it if need be. The
// requests that the route has forwarded while the mirror was not configured
// were not sampled; the row says so, and balances from the start.
func (r *RouteRow) Mirror(cluster string, share float64) *Row {
	m := r.mirrors[cluster]
	if m == nil {
		m = &Row{retired: true}
		r.mirrors[cluster] = m
	}
	if m.retired {
		m.Outcomes[traffic.NotSampled] += m.absent(r)
		r.live++
	}
	m.share, m.retired = share, false
	return m
}

// absent is how many requests the route has forwarded since the mirror left.
func (m *Row) absent(r *RouteRow) uint64 {
	if !m.retired {
		return 0
	}
	return r.Forwarded - m.before
}

// Retire marks every row as out of the configuration, before the rows of a new
// one are asked for.
func (l *Ledger) Retire() {
	for _, r := range l.routes {
		r.live = 0
		for _, m := range r.mirrors {
			if !m.retired {
				m.retired, m.before, m.share = true, r.Forwarded, 0
			}
		}
	}
}

// Forward counts a request as forwarded; own are the rows of its mirrors, each
// of which is to Count it. Mirrors that the route has but the request does not
// know, because it came under an older configuration or by another route of
// the same key, did not sample it.
func (r *RouteRow) Forward(own []*Row) {
	r.Forwarded++
	live := 0
	for _, m := range own {
		if !m.retired {
			live++
		}
	}
	if live == r.live {
		return
	}
	for _, m := range r.mirrors {
		if !m.retired && !slices.Contains(own, m) {
			m.Outcomes[traffic.NotSampled]++
		}
	}
}

// Count enters a forwarded request with its outcome, which may be InFlight.
func (m *Row) Count(o traffic.Outcome) {
	if m.retired { // the request came under an older configuration
		m.before++
	}
	m.Outcomes[o]++
}

// Settle moves a request from in flight to its outcome.
func (m *Row) Settle(o traffic.Outcome) {
	m.Outcomes[traffic.InFlight]--
	m.Outcomes[o]++
}

// begin and settle do the same for a copy, which may be a further one.
func (m *Row) begin(further bool) {
	if further {
		m.Further[traffic.InFlight]++
		return
	}
	m.Count(traffic.InFlight)
}

func (m *Row) settle(o traffic.Outcome, further bool) {
	if further {
		m.Further[traffic.InFlight]--
		m.Further[o]++
		return
	}
	m.Settle(o)
}

// Merge adds the books of several loops up. Each must be read on its loop, or
// at rest: see Ledger.Clone.
func Merge(books []*Ledger) Report {
	sum := NewLedger()
	for _, b := range books {
		for key, r := range b.routes {
			to := sum.Route(key)
			to.Forwarded += r.Forwarded
			for cluster := range r.mirrors {
				if to.mirrors[cluster] == nil {
					to.mirrors[cluster] = &Row{}
				}
			}
		}
	}
	for key, to := range sum.routes {
		for cluster, row := range to.mirrors {
			for _, b := range books {
				if r := b.routes[key]; r != nil {
					row.add(r, r.mirrors[cluster])
				}
			}
		}
	}
	return sum.report()
}

// add adds one loop's account m of a mirror, nil where the loop never had it.
func (m *Row) add(r *RouteRow, o *Row) {
	if o == nil {
		m.Outcomes[traffic.NotSampled] += r.Forwarded
		return
	}
	m.share = max(m.share, o.share)
	for i, n := range o.Outcomes {
		m.Outcomes[i] += n
		m.Further[i] += o.Further[i]
	}
	m.Outcomes[traffic.NotSampled] += o.absent(r)
}

func (l *Ledger) report() Report {
	rep := Report{Routes: []RouteReport{}}
	for _, key := range slices.Sorted(maps.Keys(l.routes)) {
		r := l.routes[key]
		rep.Forwarded += r.Forwarded
		rr := RouteReport{Route: key, Forwarded: r.Forwarded, Mirrors: []MirrorReport{}}
		for _, cluster := range slices.Sorted(maps.Keys(r.mirrors)) {
			m := r.mirrors[cluster]
			mr := MirrorReport{Cluster: cluster, Share: m.share, InForce: m.share, Outcomes: byName(m.Outcomes)}
			if m.Further != ([traffic.NumOutcomes]uint64{}) {
				mr.Further = byName(m.Further)
			}
			rr.Mirrors = append(rr.Mirrors, mr)
		}
		rep.Routes = append(rep.Routes, rr)
	}
	return rep
}

func byName(counts [traffic.NumOutcomes]uint64) map[string]uint64 {
	all := map[string]uint64{}
	for o, n := range counts {
		if n > 0 {
			all[traffic.Outcome(o).String()] = n
		}
	}
	return all
}

// Clone copies the book, to be read elsewhere.
func (l *Ledger) Clone() *Ledger {
	c := NewLedger()
	for key, r := range l.routes {
		to := c.Route(key)
		to.Forwarded = r.Forwarded
		for cluster, m := range r.mirrors {
			row := *m
			to.mirrors[cluster] = &row
		}
	}
	return c
}
