package envoy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sundog-mesh/sundog/internal/envoy"
)

func snapshot(t *testing.T) *envoy.Snapshot {
	t.Helper()
	manager, err := anypb.New(&hcm.HttpConnectionManager{StatPrefix: "in"})
	if err != nil {
		t.Fatal(err)
	}
	// Maps are what protobuf writes in any order unless told not to.
	labels := map[string]*structpb.Value{}
	for _, k := range strings.Split("abcdefghij", "") {
		labels[k] = structpb.NewStringValue(k)
	}
	return &envoy.Snapshot{
		Listeners: []*listener.Listener{{
			Name: "l",
			FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
				Name: "hcm", ConfigType: &listener.Filter_TypedConfig{TypedConfig: manager},
			}}}},
		}},
		Routes: []*route.RouteConfiguration{{Name: "r2"}, {Name: "r1", IgnorePortInHostMatching: true}},
		Clusters: []*cluster.Cluster{{
			Name:     "c",
			Metadata: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{"istio": {Fields: labels}}},
		}},
		Endpoints: []*endpoint.ClusterLoadAssignment{{ClusterName: "c"}},
	}
}

func TestVersionNamesTheContent(t *testing.T) {
	s := snapshot(t)
	s.Sort()
	version := s.Version()
	if len(version) != 16 {
		t.Errorf("the version is %q, not 16 digits", version)
	}
	for range 20 {
		again := snapshot(t)
		again.Sort()
		if again.Version() != version {
			t.Fatal("equal snapshots have different versions")
		}
	}
	for name, change := range map[string]func(*envoy.Snapshot){
		"a listener":          func(s *envoy.Snapshot) { s.Listeners[0].Name = "m" },
		"a route":             func(s *envoy.Snapshot) { s.Routes[0].IgnorePortInHostMatching = false },
		"a cluster":           func(s *envoy.Snapshot) { s.Clusters = nil },
		"an endpoint":         func(s *envoy.Snapshot) { s.Endpoints[0].ClusterName = "d" },
		"the kind of a thing": func(s *envoy.Snapshot) { s.Routes, s.Clusters = nil, []*cluster.Cluster{{Name: "r1"}} },
	} {
		changed := snapshot(t)
		changed.Sort()
		change(changed)
		if changed.Version() == version {
			t.Errorf("changing %s leaves the version as it was", name)
		}
	}
	if (&envoy.Snapshot{}).Version() == version {
		t.Error("an empty snapshot has the same version")
	}
}

func TestSort(t *testing.T) {
	s := snapshot(t)
	s.Sort()
	if s.Routes[0].GetName() != "r1" || s.Routes[1].GetName() != "r2" {
		t.Errorf("the routes are in the order %s, %s", s.Routes[0].GetName(), s.Routes[1].GetName())
	}
}

func applied() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func TestConfigDumpIsEnvoys(t *testing.T) {
	s := snapshot(t)
	s.Sort()
	data, err := envoy.MarshalDump(envoy.ConfigDump(s, applied()))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Configs []map[string]any `json:"configs"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	const at = "2026-11-22T12:00:00Z"
	v := s.Version()
	typed := func(name string) string { return "type.googleapis.com/envoy." + name }
	dynamic := func(field string, resource map[string]any) map[string]any {
		return map[string]any{"version_info": v, "last_updated": at, field: resource}
	}
	labels := map[string]any{}
	for _, k := range strings.Split("abcdefghij", "") {
		labels[k] = k
	}
	state := dynamic("listener", map[string]any{
		"@type": typed("config.listener.v3.Listener"), "name": "l",
		"filter_chains": []any{map[string]any{"filters": []any{map[string]any{"name": "hcm", "typed_config": map[string]any{
			"@type":       typed("extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
			"stat_prefix": "in",
		}}}}},
	})
	want := []map[string]any{
		{"@type": typed("admin.v3.ClustersConfigDump"), "version_info": v, "dynamic_active_clusters": []any{
			dynamic("cluster", map[string]any{
				"@type": typed("config.cluster.v3.Cluster"), "name": "c",
				"metadata": map[string]any{"filter_metadata": map[string]any{"istio": labels}},
			}),
		}},
		{"@type": typed("admin.v3.EndpointsConfigDump"), "dynamic_endpoint_configs": []any{
			dynamic("endpoint_config", map[string]any{"@type": typed("config.endpoint.v3.ClusterLoadAssignment"), "cluster_name": "c"}),
		}},
		{"@type": typed("admin.v3.ListenersConfigDump"), "version_info": v, "dynamic_listeners": []any{
			map[string]any{"name": "l", "active_state": state},
		}},
		{"@type": typed("admin.v3.RoutesConfigDump"), "dynamic_route_configs": []any{
			dynamic("route_config", map[string]any{"@type": typed("config.route.v3.RouteConfiguration"), "name": "r1", "ignore_port_in_host_matching": true}),
			dynamic("route_config", map[string]any{"@type": typed("config.route.v3.RouteConfiguration"), "name": "r2"}),
		}},
	}
	if diff := cmp.Diff(want, got.Configs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestConfigDumpReadsBack takes the JSON for what it says it is, and wants the
// same bytes each time it is written.
func TestConfigDumpReadsBack(t *testing.T) {
	s := snapshot(t)
	first, err := envoy.MarshalDump(envoy.ConfigDump(s, applied()))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := envoy.MarshalDump(envoy.ConfigDump(snapshot(t), applied()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(first), string(again)); diff != "" {
			t.Fatalf("equal dumps differ:\n%s", diff)
		}
	}
	read := &adminv3.ConfigDump{}
	if err := protojson.Unmarshal(first, read); err != nil {
		t.Fatal(err)
	}
	if n := len(read.GetConfigs()); n != 4 {
		t.Errorf("the dump has %d configs, not 4", n)
	}
}

func TestSelectResource(t *testing.T) {
	dump := envoy.ConfigDump(snapshot(t), applied())
	got, err := envoy.SelectResource(dump, "dynamic_route_configs")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range got.GetConfigs() {
		d, r := &adminv3.RoutesConfigDump_DynamicRouteConfig{}, &route.RouteConfiguration{}
		if err := c.UnmarshalTo(d); err != nil {
			t.Fatal(err)
		}
		if err := d.GetRouteConfig().UnmarshalTo(r); err != nil {
			t.Fatal(err)
		}
		names = append(names, r.GetName())
	}
	if diff := cmp.Diff([]string{"r2", "r1"}, names); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if _, err := envoy.SelectResource(dump, "version_info"); err == nil {
		t.Error("a field that is no list of resources is selected")
	}
}
