//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"cmp"
	"math"
	"math/big"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// policy compiles how the cluster's load is balanced.
func (p *compiler) policy() {
	c := p.in
	if c.GetLoadBalancingPolicy() != nil {
		p.fail("load_balancing_policy", "is not supported; use lb_policy")
	}
	if c.GetLbSubsetConfig() != nil {
		p.fail("lb_subset_config", "is not supported; use one cluster per subset")
	}
	lb := &balancing{choices: 2, bias: 1}
	p.out.lb = lb
	switch c.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN:
		lb.slow = p.slowStart("round_robin_lb_config", c.GetRoundRobinLbConfig().GetSlowStartConfig())
	case clusterv3.Cluster_LEAST_REQUEST:
		lb.policy = LeastRequest
		p.leastRequest(lb, c.GetLeastRequestLbConfig())
	case clusterv3.Cluster_RANDOM:
		lb.policy = Random
	case clusterv3.Cluster_RING_HASH:
		lb.policy = RingHash
		lb.hashing = p.ring(c.GetRingHashLbConfig())
	case clusterv3.Cluster_MAGLEV:
		lb.policy = Maglev
		lb.hashing = p.maglev(c.GetMaglevLbConfig())
	case clusterv3.Cluster_CLUSTER_PROVIDED:
		if p.out.Type != OriginalDst {
			p.fail("lb_policy", "CLUSTER_PROVIDED goes with the type ORIGINAL_DST only")
		}
	default:
		p.fail("lb_policy", "%v is not supported; use LEAST_REQUEST, ROUND_ROBIN, RANDOM, RING_HASH or MAGLEV", c.GetLbPolicy())
	}
	p.out.Policy = lb.policy
	if c.GetOutlierDetection() != nil {
		lb.heeded |= OutlierEjected
	}
	if len(c.GetHealthChecks()) > 0 {
		lb.heeded |= HealthCheckFailed
	}
	p.commonLB(lb, c.GetCommonLbConfig())
	p.out.OriginalDstHeader = c.GetOriginalDstLbConfig().GetUseHttpHeader()
}

func (p *compiler) leastRequest(lb *balancing, in *clusterv3.Cluster_LeastRequestLbConfig) {
	if n := in.GetChoiceCount(); n != nil {
		lb.choices = min(n.GetValue(), 16)
		if n.GetValue() < 2 {
			p.fail("least_request_lb_config.choice_count", "must be 2 or more")
		}
	}
	if b := in.GetActiveRequestBias(); b != nil {
		lb.bias = b.GetDefaultValue()
		if !(lb.bias >= 0) || math.IsInf(lb.bias, 0) {
			p.fail("least_request_lb_config.active_request_bias", "must be 0 or more")
		}
	}
	lb.slow = p.slowStart("least_request_lb_config", in.GetSlowStartConfig())
}

// slowStart is nil where there is none.
func (p *compiler) slowStart(field string, in *clusterv3.Cluster_SlowStartConfig) *slowStart {
	if in == nil {
		return nil
	}
	field += ".slow_start_config"
	s := &slowStart{window: duration(in.GetSlowStartWindow(), 0), aggression: 1, floor: 0.1}
	if s.window < 0 {
		p.fail(field+".slow_start_window", "must not be below 0")
	}
	if a := in.GetAggression(); a != nil {
		s.aggression = a.GetDefaultValue()
		if !(s.aggression > 0) || math.IsInf(s.aggression, 0) {
			p.fail(field+".aggression", "must be above 0")
		}
	}
	if in.GetMinWeightPercent() != nil {
		s.floor = p.percent(field+".min_weight_percent", in.GetMinWeightPercent()) / 100
	}
	if s.window == 0 {
		return nil
	}
	return s
}

func (p *compiler) percent(field string, in *typev3.Percent) float64 {
	if v := in.GetValue(); !(v >= 0 && v <= 100) {
		p.fail(field, "must be from 0 to 100")
	}
	return in.GetValue()
}

// maxTable is Envoy's bound of maximum_ring_size and minimum_ring_size, and
// maxMaglev that of table_size.
const (
	maxTable  = 8 << 20
	maxMaglev = 5_000_011
)

func (p *compiler) ring(in *clusterv3.Cluster_RingHashLbConfig) *hashing {
	h := &hashing{ringMin: 1024, ringMax: maxTable}
	if n := in.GetMinimumRingSize(); n != nil {
		h.ringMin = n.GetValue()
	}
	if n := in.GetMaximumRingSize(); n != nil {
		h.ringMax = n.GetValue()
	}
	if h.ringMin > maxTable {
		p.fail("ring_hash_lb_config.minimum_ring_size", "must be %d or less", maxTable)
	}
	if h.ringMax > maxTable {
		p.fail("ring_hash_lb_config.maximum_ring_size", "must be %d or less", maxTable)
	}
	if h.ringMin > h.ringMax {
		p.fail("ring_hash_lb_config.minimum_ring_size", "%d is above maximum_ring_size, which is %d", h.ringMin, h.ringMax)
	}
	if h.ringMax == 0 {
		p.fail("ring_hash_lb_config.maximum_ring_size", "must be above 0")
	}
	h.ringMin = max(h.ringMin, 1)
	switch f := in.GetHashFunction(); f {
	case clusterv3.Cluster_RingHashLbConfig_XX_HASH:
	case clusterv3.Cluster_RingHashLbConfig_MURMUR_HASH_2:
		h.murmur = true
	default:
		p.fail("ring_hash_lb_config.hash_function", "%v is not known", f)
	}
	return h
}

func (p *compiler) maglev(in *clusterv3.Cluster_MaglevLbConfig) *hashing {
	h := &hashing{maglev: 65537}
	if n := in.GetTableSize(); n != nil {
		h.maglev = n.GetValue()
		switch {
		case h.maglev > maxMaglev:
			p.fail("maglev_lb_config.table_size", "must be %d or less", maxMaglev)
		case !big.NewInt(int64(h.maglev)).ProbablyPrime(0): // exact below 2^64
			p.fail("maglev_lb_config.table_size", "%d is not a prime number; 65537 is one", h.maglev)
		}
	}
	return h
}

func (p *compiler) commonLB(lb *balancing, in *clusterv3.Cluster_CommonLbConfig) {
	lb.panicBelow = 50
	if t := in.GetHealthyPanicThreshold(); t != nil {
		lb.panicBelow = uint64(math.Round(p.percent("common_lb_config.healthy_panic_threshold", t)))
	}
	lb.byLocality = in.GetLocalityWeightedLbConfig() != nil
	if z := in.GetZoneAwareLbConfig(); z != nil {
		lb.failInPanic = z.GetFailTrafficOnPanic()
		if z.GetRoutingEnabled() != nil || z.GetMinClusterSize() != nil {
			p.ignore("common_lb_config.zone_aware_lb_config")
		}
	}
	if h := in.GetConsistentHashingLbConfig(); h != nil && lb.hashing != nil {
		lb.hashing.hostname = h.GetUseHostnameForHashing()
		if b := h.GetHashBalanceFactor(); b != nil {
			if lb.hashing.balance = uint64(b.GetValue()); b.GetValue() < 100 {
				p.fail("common_lb_config.consistent_hashing_lb_config.hash_balance_factor", "must be 100 or more")
			}
		}
	}
	if in.GetOverrideHostStatus() != nil {
		p.ignore("common_lb_config.override_host_status")
	}
}

// assignmentPolicy compiles ClusterLoadAssignment.policy.
func (p *compiler) assignmentPolicy(in *endpointv3.ClusterLoadAssignment_Policy) {
	lb := p.out.lb
	lb.overprovisioning = 140
	if f := in.GetOverprovisioningFactor(); f != nil {
		if lb.overprovisioning = uint64(f.GetValue()); f.GetValue() == 0 {
			p.fail("load_assignment.policy.overprovisioning_factor", "must be above 0")
		}
	}
	lb.byWeight = in.GetWeightedPriorityHealth()
	if len(in.GetDropOverloads()) > 0 {
		p.ignore("load_assignment.policy.drop_overloads")
	}
}

// place returns the index of the group's place.
func (p *compiler) place(group *endpointv3.LocalityLbEndpoints) int32 {
	lb, l := p.out.lb, group.GetLocality()
	at := place{priority: group.GetPriority(), region: l.GetRegion(), zone: l.GetZone(), subZone: l.GetSubZone()}
	weight := group.GetLoadBalancingWeight().GetValue()
	for i := range lb.places {
		if o := &lb.places[i]; o.priority == at.priority && o.compare(&at) == 0 {
			o.weight = cmp.Or(weight, o.weight)
			return int32(i)
		}
	}
	at.weight = weight
	lb.places = append(lb.places, at)
	return int32(len(lb.places) - 1)
}
