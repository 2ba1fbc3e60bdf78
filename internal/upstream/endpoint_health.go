package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Ailment is why an endpoint should take no requests, beyond what the
// configuration says of it. There may be several reasons at a time.
type Ailment uint32

// The ailments, as Envoy's health flags.
const (
	HealthCheckFailed Ailment = 1 << iota // failed_active_hc
	OutlierEjected                        // failed_outlier_check
)

// vitals is what is learned of an endpoint at run time. It lives as long as
// its slot, so it outlasts reloads and DNS updates.
type vitals struct {
	ails atomic.Uint32
	// since is from when on it has taken requests without a break; nil: for long.
	since atomic.Pointer[time.Time]
	// outlier is nil until a Monitor judges the endpoint.
	outlier atomic.Pointer[outlierHost]
}

// Ailments are the reasons for which the endpoint takes no requests now. Those
// of a check that the configuration no longer asks for count for nothing.
func (e *Endpoint) Ailments() Ailment {
	if e.vitals == nil {
		return 0
	}
	return Ailment(e.vitals.ails.Load())
}

// usable reports whether the endpoint counts as healthy.
func (e *Endpoint) usable(lb *balancing) bool {
	return e.Ready && (lb.heeded == 0 || e.Ailments()&lb.heeded == 0)
}

// kin are the generations of a cluster that are alive. Changes of their
// endpoint sets are made one after the other.
type kin struct {
	mu  sync.Mutex
	all []*Cluster
}

// SetUnhealthy adds or takes away a reason why an endpoint should take no
// requests. It may be called from any goroutine, but does the work of a new
// endpoint set, which is not for the loops. The change is there when it
// returns, in all generations of the cluster, and stays over reloads and DNS
// updates while cluster and address do. Whether an unhealthy endpoint is
// spared depends on the others' health too: see common_lb_config.healthy_panic_threshold.
//
// HealthCheckFailed counts where the cluster has health_checks, OutlierEjected
// where it has outlier_detection. An endpoint that the client named is passed
// over.
func (c *Cluster) SetUnhealthy(e *Endpoint, why Ailment, unhealthy bool) {
	v := e.vitals
	if v == nil {
		return
	}
	c.kin.mu.Lock()
	defer c.kin.mu.Unlock()
	before := Ailment(v.ails.Load())
	after := before &^ why
	if unhealthy {
		after = before | why
	}
	if after == before {
		return
	}
	v.ails.Store(uint32(after))
	v.since.Store(nil)
	var from, to *EndpointSet
	for _, g := range c.kin.all {
		if (before&g.lb.heeded == 0) == (after&g.lb.heeded == 0) {
			continue
		}
		if g.lb.slow != nil && after&g.lb.heeded == 0 && v.since.Load() == nil {
			now := time.Now()
			v.since.Store(&now)
		}
		if set := g.set.Load(); set != from { // generations may share one
			from, to = set, set.again(g.lb)
		}
		g.set.Store(to)
	}
}

// join makes the first set of a cluster, whose predecessor may be nil.
func (c *Cluster) join(old *Cluster, targets func() []target) {
	c.kin = &kin{}
	if old != nil {
		c.kin = old.kin
	}
	c.kin.mu.Lock()
	defer c.kin.mu.Unlock()
	var oldSet *EndpointSet
	var oldLB *balancing
	if old != nil {
		oldSet, oldLB = old.set.Load(), old.lb
	}
	c.set.Store(newSet(targets(), c.Name, c.lb, c.slots, oldSet, oldLB))
	c.kin.all = append(c.kin.all, c)
}

// Release gives up the cluster's endpoints. It is called once, when no request
// can pick from the cluster any more and a Resolver no longer has it.
func (c *Cluster) Release() {
	c.kin.mu.Lock()
	c.kin.all = slices.DeleteFunc(c.kin.all, func(o *Cluster) bool { return o == c })
	set := c.set.Load()
	c.kin.mu.Unlock()
	c.slots.release(c.Name, set)
}

// refresh swaps the endpoint set where the last results of DNS have changed
// it.
func (c *Cluster) refresh() {
	c.kin.mu.Lock()
	old := c.set.Load()
	c.set.Store(newSet(c.targetsNow(), c.Name, c.lb, c.slots, old, c.lb))
	c.kin.mu.Unlock()
	c.slots.release(c.Name, old)
}
