package upstream

import (
	"math"
	"sync/atomic"
)

// outlierStats has the counters of a cluster.
type outlierStats struct {
	detected, enforced [outlierKinds]atomic.Uint64
	overflow           atomic.Uint64
}

// OutlierStats has what outlier detection counted in a cluster, under Envoy's
// names after outlier_detection.
type OutlierStats struct {
	EjectionsActive        uint64
	EjectionsEnforcedTotal uint64
	EjectionsOverflow      uint64 // refused by max_ejection_percent
	Kinds                  []OutlierKindStats
}

// OutlierKindStats counts for one kind, "consecutive_5xx" for example, what
// Envoy has as ejections_detected_ and ejections_enforced_ and the kind.
type OutlierKindStats struct {
	Kind               string
	Detected, Enforced uint64
}

// Outlier returns what outlier detection counted in the cluster; Kinds is nil
// where it has none.
func (c *Cluster) Outlier() OutlierStats {
	o := c.Outliers
	if o == nil {
		return OutlierStats{}
	}
	s := OutlierStats{EjectionsOverflow: o.stats.overflow.Load(), Kinds: make([]OutlierKindStats, outlierKinds)}
	for k := range s.Kinds {
		n := o.stats.enforced[k].Load()
		s.Kinds[k] = OutlierKindStats{outlierKind(k).String(), o.stats.detected[k].Load(), n}
		s.EjectionsEnforcedTotal += n
	}
	for _, e := range c.Endpoints().All {
		if e.Ejected() {
			s.EjectionsActive++
		}
	}
	return s
}

// Ejected reports whether outlier detection keeps the endpoint out
// (failed_outlier_check of Envoy's /clusters).
func (e *Endpoint) Ejected() bool {
	return e.Ailments()&OutlierEjected != 0
}

// SuccessRate is the endpoint's rate of successful requests in the last
// interval, and that of locally made failures, in percent; -1 where too few
// were seen (success_rate and local_origin_success_rate of Envoy's /clusters).
func (e *Endpoint) SuccessRate() (external, local float64) {
	h := e.outlier()
	if h == nil {
		return -1, -1
	}
	return math.Float64frombits(h.rate.Load()), math.Float64frombits(h.localRate.Load())
}
