package translate

import (
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// assignment groups the endpoints, which come sorted by locality and priority.
func assignment(cluster string, addrs []address) *endpoint.ClusterLoadAssignment {
	out := &endpoint.ClusterLoadAssignment{ClusterName: cluster}
	var group *endpoint.LocalityLbEndpoints
	last := ""
	for _, a := range addrs {
		if group == nil || a.locality != last || a.priority != group.Priority {
			group = &endpoint.LocalityLbEndpoints{
				Locality: locality(a.locality), LoadBalancingWeight: wrapperspb.UInt32(0), Priority: a.priority,
			}
			out.Endpoints = append(out.Endpoints, group)
			last = a.locality
		}
		weight := max(a.weight, 1)
		group.LbEndpoints = append(group.LbEndpoints, &endpoint.LbEndpoint{
			HostIdentifier:      &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: socketAddress(a.host, a.port)}},
			LoadBalancingWeight: wrapperspb.UInt32(weight),
			Metadata:            endpointMetadata(a),
		})
		if sum := uint64(group.LoadBalancingWeight.Value) + uint64(weight); sum < 1<<32 {
			group.LoadBalancingWeight.Value = uint32(sum)
		}
	}
	return out
}

// endpointMetadata names the workload as Istio does, and holds the labels by
// which subsets were told apart.
func endpointMetadata(a address) *core.Metadata {
	if a.workload == "" && len(a.labels) == 0 {
		return nil
	}
	fields := make(map[string]*structpb.Value)
	if a.workload != "" {
		fields["workload"] = structpb.NewStringValue(a.workload)
	}
	m := istioMetadata(fields)
	if len(fields) == 0 {
		delete(m.FilterMetadata, "istio")
	}
	if len(a.labels) > 0 {
		labels := &structpb.Struct{Fields: make(map[string]*structpb.Value)}
		for k, v := range a.labels {
			labels.Fields[k] = structpb.NewStringValue(v)
		}
		m.FilterMetadata["envoy.lb"] = labels
	}
	return m
}

// locality reads Istio's "region/zone/subzone".
func locality(s string) *core.Locality {
	if s == "" {
		return nil
	}
	part := strings.SplitN(s, "/", 3)
	part = append(part, "", "")
	return &core.Locality{Region: part[0], Zone: part[1], SubZone: part[2]}
}

func socketAddress(host string, port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
	}}}
}

// adsSource says that a resource comes over the same stream as everything.
func adsSource() *core.ConfigSource {
	return &core.ConfigSource{
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		InitialFetchTimeout:   durationpb.New(0),
		ResourceApiVersion:    core.ApiVersion_V3,
	}
}
