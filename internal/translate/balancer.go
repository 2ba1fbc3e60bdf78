package translate

import (
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
)

// setBalancer chooses the policy: least request unless said otherwise.
func (t *translator) setBalancer(c *cluster.Cluster, lb *istio.LoadBalancerSettings) {
	t.setLocalityWeights(c, t.localitySetting(lb))
	if c.GetType() == cluster.Cluster_ORIGINAL_DST {
		c.LbPolicy = cluster.Cluster_CLUSTER_PROVIDED
		return
	}
	slow := slowStart(lb)
	switch lb.GetSimple() {
	case istio.LoadBalancerSettings_RANDOM:
		c.LbPolicy = cluster.Cluster_RANDOM
	case istio.LoadBalancerSettings_ROUND_ROBIN:
		c.LbPolicy = cluster.Cluster_ROUND_ROBIN
		if slow != nil {
			c.LbConfig = &cluster.Cluster_RoundRobinLbConfig_{RoundRobinLbConfig: &cluster.Cluster_RoundRobinLbConfig{SlowStartConfig: slow}}
		}
	default:
		c.LbPolicy = cluster.Cluster_LEAST_REQUEST
		if slow != nil {
			c.LbConfig = &cluster.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &cluster.Cluster_LeastRequestLbConfig{SlowStartConfig: slow}}
		}
	}
	setConsistentHash(c, lb.GetConsistentHash())
}

// slowStart is nil for none. The older field knows the length only.
func slowStart(lb *istio.LoadBalancerSettings) *cluster.Cluster_SlowStartConfig {
	if w := lb.GetWarmup(); w != nil {
		out := &cluster.Cluster_SlowStartConfig{
			SlowStartWindow:  w.GetDuration(),
			Aggression:       &core.RuntimeDouble{DefaultValue: 1},
			MinWeightPercent: &typev3.Percent{Value: 10},
		}
		if w.GetAggression() != nil {
			out.Aggression.DefaultValue = w.GetAggression().GetValue()
		}
		if w.GetMinimumPercent() != nil {
			out.MinWeightPercent.Value = w.GetMinimumPercent().GetValue()
		}
		return out
	}
	if d := lb.GetWarmupDurationSecs(); d != nil { //nolint:staticcheck // deprecated by Istio, still in users' files
		return &cluster.Cluster_SlowStartConfig{SlowStartWindow: d}
	}
	return nil
}

// setConsistentHash sets Maglev or a ring; without either a ring of at least
// 1024 points.
func setConsistentHash(c *cluster.Cluster, h *istio.LoadBalancerSettings_ConsistentHashLB) {
	if h == nil {
		return
	}
	c.LbConfig = nil
	if m := h.GetMaglev(); m != nil {
		c.LbPolicy = cluster.Cluster_MAGLEV
		if m.GetTableSize() != 0 {
			c.LbConfig = &cluster.Cluster_MaglevLbConfig_{
				MaglevLbConfig: &cluster.Cluster_MaglevLbConfig{TableSize: wrapperspb.UInt64(m.GetTableSize())},
			}
		}
		return
	}
	c.LbPolicy = cluster.Cluster_RING_HASH
	size := h.GetRingHash().GetMinimumRingSize()
	if h.GetRingHash() == nil {
		size = 1024
		if n := h.GetMinimumRingSize(); n != 0 { //nolint:staticcheck // deprecated by Istio, still in users' files
			size = n
		}
	}
	if size != 0 {
		c.LbConfig = &cluster.Cluster_RingHashLbConfig_{
			RingHashLbConfig: &cluster.Cluster_RingHashLbConfig{MinimumRingSize: wrapperspb.UInt64(size)},
		}
	}
}

// hashPolicy says what of a request the port's consistent hash looks at; nil
// for a port that has none.
func (t *translator) hashPolicy(s *service, port uint32, subset string) *route.RouteAction_HashPolicy {
	if s == nil {
		return nil
	}
	r := t.rule(s)
	h := r.settings(port, r.subset(subset)).balancer.GetConsistentHash()
	switch k := h.GetHashKey().(type) {
	case *istio.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		return &route.RouteAction_HashPolicy{PolicySpecifier: &route.RouteAction_HashPolicy_Header_{
			Header: &route.RouteAction_HashPolicy_Header{HeaderName: k.HttpHeaderName},
		}}
	case *istio.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		c := &route.RouteAction_HashPolicy_Cookie{
			Name: k.HttpCookie.GetName(), Ttl: k.HttpCookie.GetTtl(), Path: k.HttpCookie.GetPath(),
		}
		for _, a := range k.HttpCookie.GetAttributes() {
			c.Attributes = append(c.Attributes, &route.RouteAction_HashPolicy_CookieAttribute{Name: a.GetName(), Value: a.GetValue()})
		}
		return &route.RouteAction_HashPolicy{PolicySpecifier: &route.RouteAction_HashPolicy_Cookie_{Cookie: c}}
	case *istio.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		return &route.RouteAction_HashPolicy{PolicySpecifier: &route.RouteAction_HashPolicy_ConnectionProperties_{
			ConnectionProperties: &route.RouteAction_HashPolicy_ConnectionProperties{SourceIp: k.UseSourceIp},
		}}
	case *istio.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		return &route.RouteAction_HashPolicy{PolicySpecifier: &route.RouteAction_HashPolicy_QueryParameter_{
			QueryParameter: &route.RouteAction_HashPolicy_QueryParameter{Name: k.HttpQueryParameterName},
		}}
	}
	return nil
}
