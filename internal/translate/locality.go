package translate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
)

const subzoneLabel = "topology.istio.io/subzone"

// ownLocality is where the proxy runs: --locality, else what the gateway's
// labels say; nil if neither does.
func (t *translator) ownLocality() *core.Locality {
	if t.opt.Locality != "" {
		return locality(t.opt.Locality)
	}
	g := t.opt.Gateway
	if l := g["istio-locality"]; l != "" {
		return locality(strings.ReplaceAll(l, ".", "/"))
	}
	if region := g[corev1.LabelTopologyRegion]; region != "" {
		return &core.Locality{Region: region, Zone: g[corev1.LabelTopologyZone], SubZone: g[subzoneLabel]}
	}
	return nil
}

// localitySetting is the rule's, else the mesh's, which in Istio is on by
// default; nil if it is turned off.
func (t *translator) localitySetting(lb *istio.LoadBalancerSettings) *istio.LocalityLoadBalancerSetting {
	set := lb.GetLocalityLbSetting()
	if set == nil {
		set = t.mesh.GetLocalityLbSetting()
	}
	switch {
	case set == nil:
		return &istio.LocalityLoadBalancerSetting{}
	case set.GetEnabled() != nil && !set.GetEnabled().GetValue():
		return nil
	}
	return set
}

// setLocalityWeights makes Envoy heed the weights of localities where they are
// more than the sums of their endpoints.
func (t *translator) setLocalityWeights(c *cluster.Cluster, set *istio.LocalityLoadBalancerSetting) {
	fails := c.OutlierDetection != nil && (len(set.GetFailover()) > 0 || len(set.GetFailoverPriority()) > 0)
	if fails || len(set.GetDistribute()) > 0 {
		c.CommonLbConfig.LocalityConfigSpecifier = &cluster.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
			LocalityWeightedLbConfig: &cluster.Cluster_CommonLbConfig_LocalityWeightedLbConfig{},
		}
	}
}

// assign makes the assignment of a cluster: its endpoints by locality, with
// the priorities and weights that the locality settings give them. As in Istio
// there are priorities only with outlier detection: without it Envoy would
// never leave the first.
func (t *translator) assign(name string, addrs []address, set settings) *endpoint.ClusterLoadAssignment {
	own, setting := t.ownLocality(), t.localitySetting(set.balancer)
	if set.outliers != nil && setting != nil && len(setting.GetDistribute()) == 0 {
		addrs = t.prioritized(addrs, own, setting)
	}
	out := assignment(name, addrs)
	distribute(out, own, setting.GetDistribute())
	return out
}

// prioritized gives each address its priority and puts those of one locality
// in the order of it.
func (t *translator) prioritized(addrs []address, own *core.Locality, set *istio.LocalityLoadBalancerSetting) []address {
	labels := withLocality(t.opt.Gateway, own)
	byLabels := len(set.GetFailoverPriority()) > 0
	byPlace := own != nil && (!byLabels || len(set.GetFailover()) > 0)
	out := slices.Clone(addrs)
	for i := range out {
		a := &out[i]
		if byLabels && len(labels) > 0 {
			a.priority = 5 * labelPriority(set.GetFailoverPriority(), labels, withLocality(a.labels, locality(a.locality)))
		}
		if byPlace {
			a.priority += localityPriority(own, locality(a.locality), set.GetFailover())
		}
	}
	ranks := make(map[uint32]uint32) // priorities have no gaps
	for _, a := range out {
		ranks[a.priority] = 0
	}
	for i, p := range slices.Sorted(maps.Keys(ranks)) {
		ranks[p] = uint32(i)
	}
	for i := range out {
		out[i].priority = ranks[out[i].priority]
	}
	slices.SortStableFunc(out, func(a, b address) int {
		return cmp.Or(cmp.Compare(a.locality, b.locality), cmp.Compare(a.priority, b.priority))
	})
	return out
}

// withLocality adds the labels that Istio gives every endpoint and proxy for
// where it runs.
func withLocality(labels map[string]string, l *core.Locality) map[string]string {
	out := maps.Clone(labels)
	for key, value := range map[string]string{
		corev1.LabelTopologyRegion: l.GetRegion(), corev1.LabelTopologyZone: l.GetZone(), subzoneLabel: l.GetSubZone(),
	} {
		if value != "" {
			if out == nil {
				out = make(map[string]string)
			}
			out[key] = value
		}
	}
	return out
}

// labelPriority is 0 when all labels of the list are alike, and the greater
// the earlier in it one differs. "label=value" asks for that value.
func labelPriority(list []string, own, other map[string]string) uint32 {
	for i, entry := range list {
		label, want, given := strings.Cut(entry, "=")
		if !given {
			want = own[label]
		}
		if other[label] != want {
			return uint32(len(list) - i)
		}
	}
	return 0
}

// localityPriority counts how far away an endpoint is: 0 for the same subzone,
// 1 zone, 2 region, 3 elsewhere, and 4 for regions to which a failover from
// the own one does not lead.
func localityPriority(own, other *core.Locality, failover []*istio.LocalityLoadBalancerSetting_Failover) uint32 {
	switch {
	case own.GetRegion() != other.GetRegion():
		for _, f := range failover {
			if f.GetFrom() == own.GetRegion() {
				if other.GetRegion() != f.GetTo() {
					return 4
				}
				break
			}
		}
		return 3
	case own.GetZone() != other.GetZone():
		return 2
	case own.GetSubZone() != other.GetSubZone():
		return 1
	}
	return 0
}

// distribute divides the traffic of the own locality among others by weight.
// Localities to which nothing goes are dropped.
func distribute(out *endpoint.ClusterLoadAssignment, own *core.Locality, rules []*istio.LocalityLoadBalancerSetting_Distribute) {
	i := slices.IndexFunc(rules, func(d *istio.LocalityLoadBalancerSetting_Distribute) bool { return inLocality(own, d.GetFrom()) })
	if i < 0 {
		return
	}
	to := rules[i].GetTo()
	keys := slices.Sorted(maps.Keys(to))
	slices.Reverse(keys) // "region/zone/*" before "region/*" before "*"
	taken := make(map[*endpoint.LocalityLbEndpoints]bool)
	for _, key := range keys {
		var in []*endpoint.LocalityLbEndpoints
		sum := 0.0
		for _, e := range out.GetEndpoints() {
			if !taken[e] && inLocality(e.GetLocality(), key) {
				taken[e] = true
				in = append(in, e)
				sum += float64(e.GetLoadBalancingWeight().GetValue())
			}
		}
		for _, e := range in {
			share := float64(to[key]) * float64(e.GetLoadBalancingWeight().GetValue()) / sum
			e.LoadBalancingWeight = wrapperspb.UInt32(uint32(math.Ceil(share)))
		}
	}
	out.Endpoints = slices.DeleteFunc(out.Endpoints, func(e *endpoint.LocalityLbEndpoints) bool { return !taken[e] })
}

// inLocality reports whether a locality is one that the pattern stands for:
// "region/zone/subzone", cut short or with * for any.
func inLocality(l *core.Locality, pattern string) bool {
	part := append(strings.SplitN(pattern, "/", 3), "", "")
	return (part[0] == "*" || part[0] == l.GetRegion()) &&
		(part[1] == "" || part[1] == "*" || part[1] == l.GetZone()) &&
		(part[2] == "" || part[2] == "*" || part[2] == l.GetSubZone())
}

// checkLocality tells who balances by locality that the proxy does not know
// its own.
func (t *translator) checkLocality(o *ruleObject, field string, lb *istio.LoadBalancerSettings) {
	if t.lost(lb.GetLocalityLbSetting()) {
		t.report(o.Problem(config.Warning, field+".loadBalancer.localityLbSetting", lostMessage, lostHint))
	}
}

func (t *translator) checkMeshLocality() {
	if t.lost(t.mesh.GetLocalityLbSetting()) {
		t.report(config.Problem{
			Severity: config.Warning, Object: "MeshConfig", Field: "localityLbSetting", Message: lostMessage, Hint: lostHint,
		})
	}
}

const (
	lostMessage = "the proxy does not know its own locality: what is said of it has no effect"
	lostHint    = "give the labels " + corev1.LabelTopologyRegion + ", " + corev1.LabelTopologyZone + " and " + subzoneLabel + " to --gateway"
)

// lost reports whether the setting needs the proxy's place, which is not known.
func (t *translator) lost(set *istio.LocalityLoadBalancerSetting) bool {
	if t.ownLocality() != nil || set.GetEnabled() != nil && !set.GetEnabled().GetValue() {
		return false
	}
	return len(set.GetDistribute())+len(set.GetFailover()) > 0 || len(set.GetFailoverPriority()) > 0 && len(t.opt.Gateway) == 0
}
