package translate

import (
	"fmt"
	"strings"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	istio "istio.io/api/networking/v1alpha3"
)

// Istio's names of the two clusters that stand for no service.
const (
	blackHoleCluster   = "BlackHoleCluster"
	passthroughCluster = "PassthroughCluster"
)

// clusterName is Istio's name for a port of a host, or of a subset of it.
func clusterName(port uint32, subset, host string) string {
	return fmt.Sprintf("outbound|%d|%s|%s", port, subset, host)
}

// addClusters makes a cluster for each port of each service, and for each
// subset of it, with the assignments of those whose endpoints are listed.
func (t *translator) addClusters(s *envoy.Snapshot) {
	s.Clusters = append(s.Clusters, t.blackHole())
	if t.opt.Outbound != "" {
		s.Clusters = append(s.Clusters, t.passthrough())
	}
	for _, svc := range t.services {
		if svc.alias != nil {
			continue
		}
		rule := t.rule(svc)
		used := 0
		filled := make(map[*subset]bool)
		for _, p := range svc.ports {
			all := t.addresses(svc, p)
			used += len(all)
			t.addCluster(s, svc, p, nil, all)
			if rule == nil {
				continue
			}
			for _, sub := range rule.subsets {
				in := inSubset(all, sub, t.overrides[svc])
				filled[sub] = filled[sub] || len(in) > 0
				t.addCluster(s, svc, p, sub, in)
			}
		}
		t.checkEndpoints(svc, rule, used, filled)
	}
}

func (t *translator) addCluster(s *envoy.Snapshot, svc *service, p *servicePort, sub *subset, addrs []address) {
	name := ""
	if sub != nil {
		name = sub.name
	}
	r := t.rule(svc)
	set := r.settings(p.number, sub)
	c := &cluster.Cluster{
		Name:           clusterName(p.number, name, svc.host),
		CommonLbConfig: &cluster.Cluster_CommonLbConfig{},
		Metadata:       t.clusterMetadata(svc, p, r, name),
	}
	kind := svc.resolution
	if _, given := t.overrides[svc]; given {
		kind = listed
	}
	if set.balancer.GetSimple() == istio.LoadBalancerSettings_PASSTHROUGH {
		kind = passthrough
	}
	c.ClusterDiscoveryType = discoveryType(kind, addrs)
	t.applyPolicy(c, svc, p, set)
	switch kind {
	case listed:
		c.EdsClusterConfig = &cluster.Cluster_EdsClusterConfig{EdsConfig: adsSource(), ServiceName: c.Name}
		s.Endpoints = append(s.Endpoints, t.assign(c.Name, addrs, set))
	case dnsAll, dnsOne:
		c.DnsLookupFamily = cluster.Cluster_V4_PREFERRED
		c.DnsRefreshRate = durationpb.New(60 * time.Second)
		if rate := t.mesh.GetDnsRefreshRate(); rate.AsDuration() > 0 {
			c.DnsRefreshRate = rate
		}
		c.RespectDnsTtl = true
		c.LoadAssignment = t.assign(c.Name, addrs, set)
	}
	s.Clusters = append(s.Clusters, c)
}

func discoveryType(kind resolution, addrs []address) *cluster.Cluster_Type {
	switch {
	case kind == dnsOne && len(addrs) == 1: // Envoy takes no other number
		return &cluster.Cluster_Type{Type: cluster.Cluster_LOGICAL_DNS}
	case kind == dnsAll || kind == dnsOne:
		return &cluster.Cluster_Type{Type: cluster.Cluster_STRICT_DNS}
	case kind == passthrough:
		return &cluster.Cluster_Type{Type: cluster.Cluster_ORIGINAL_DST}
	}
	return &cluster.Cluster_Type{Type: cluster.Cluster_EDS}
}

func (t *translator) connectTimeout() *durationpb.Duration {
	if d := t.mesh.GetConnectTimeout(); d.AsDuration() > 0 {
		return durationpb.New(d.AsDuration())
	}
	return durationpb.New(10 * time.Second)
}

// clusterMetadata says, under Istio's key, what the cluster was made from.
func (t *translator) clusterMetadata(svc *service, p *servicePort, r *rule, sub string) *core.Metadata {
	fields := map[string]*structpb.Value{
		"default_original_port": structpb.NewNumberValue(float64(p.number)),
		"services": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
			structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
				"host":      structpb.NewStringValue(svc.host),
				"name":      structpb.NewStringValue(svc.name),
				"namespace": structpb.NewStringValue(svc.namespace),
			}}),
		}}),
	}
	if r != nil {
		fields["config"] = structpb.NewStringValue(configPath("destination-rule", r.objects[0].Namespace, r.objects[0].Name))
	}
	if sub != "" {
		fields["subset"] = structpb.NewStringValue(sub)
	}
	return istioMetadata(fields)
}

func istioMetadata(fields map[string]*structpb.Value) *core.Metadata {
	return &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"istio": {Fields: fields}}}
}

// configPath is how Istio points from the proxy's configuration to an object.
func configPath(kind, namespace, name string) string {
	return "/apis/networking.istio.io/v1/namespaces/" + namespace + "/" + kind + "/" + name
}

func (t *translator) blackHole() *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 blackHoleCluster,
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_STATIC},
		ConnectTimeout:       t.connectTimeout(),
	}
}

// passthrough speaks to servers what clients speak to it, as Istio's does.
func (t *translator) passthrough() *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 passthroughCluster,
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_ORIGINAL_DST},
		ConnectTimeout:       t.connectTimeout(),
		LbPolicy:             cluster.Cluster_CLUSTER_PROVIDED,
		CircuitBreakers:      &cluster.CircuitBreakers{Thresholds: []*cluster.CircuitBreakers_Thresholds{unlimited()}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			httpOptionsKey: packed(&httpv3.HttpProtocolOptions{
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
					UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
						HttpProtocolOptions: &core.Http1ProtocolOptions{}, Http2ProtocolOptions: &core.Http2ProtocolOptions{},
					},
				},
			}),
		},
	}
}

// allowAny reports whether hosts that nobody declared may be reached.
func (t *translator) allowAny() bool {
	return t.mesh.GetOutboundTrafficPolicy().GetMode() == meshconfig.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY
}

// checkEndpoints warns of a service, or a subset, that nothing serves.
func (t *translator) checkEndpoints(svc *service, r *rule, used int, filled map[*subset]bool) {
	if svc.resolution == passthrough || len(svc.ports) == 0 {
		return
	}
	if used == 0 {
		if svc.entry != nil && len(svc.entry.Spec.GetEndpoints()) == 0 && svc.entry.Spec.GetWorkloadSelector() == nil {
			return // the loader reports it
		}
		name := ""
		if r != nil && len(r.subsets) > 0 {
			name = r.subsets[0].name
		}
		t.report(svc.problem(config.Warning, "spec", svc.host+" has no endpoints: requests to it get 503",
			"add its EndpointSlices or Pods, or give an endpoint with "+t.endpointFlag(svc, name)))
		return
	}
	if r == nil {
		return
	}
	for _, sub := range r.subsets {
		if !filled[sub] {
			t.report(sub.object.Problem(config.Warning, sub.field+".labels",
				fmt.Sprintf("no endpoint of %s has the labels of subset %s: requests to it get 503", svc.host, sub.name),
				"correct the labels, or give an endpoint with "+t.endpointFlag(svc, sub.name)))
		}
	}
}

// endpointFlag is an example of --endpoint for the service.
func (t *translator) endpointFlag(svc *service, subset string) string {
	name := strings.TrimSuffix(svc.host, "."+t.opt.Namespace+".svc."+t.opt.ClusterDomain)
	if subset != "" {
		name += "/" + subset
	}
	return "--endpoint " + name + "=127.0.0.1:28001"
}
