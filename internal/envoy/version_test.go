package envoy_test

import (
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/sundog-mesh/sundog/internal/envoy"
)

// Virtual hosts that one snapshot shares with the next are hashed once, and
// count all the same.
func TestVersionsOfSharedHosts(t *testing.T) {
	a, b := &route.VirtualHost{Name: "a"}, &route.VirtualHost{Name: "b"}
	snapshot := func(hosts ...*route.VirtualHost) *envoy.Snapshot {
		return &envoy.Snapshot{Routes: []*route.RouteConfiguration{{Name: "r", VirtualHosts: hosts}}}
	}
	var versions envoy.Versions
	seen := map[string]int{}
	for i, s := range []*envoy.Snapshot{
		snapshot(), snapshot(a), snapshot(a, b), snapshot(b, a), snapshot(b), snapshot(a, &route.VirtualHost{Name: "c"}),
		{Routes: []*route.RouteConfiguration{{Name: "r", VirtualHosts: []*route.VirtualHost{a}}, {Name: "r", VirtualHosts: []*route.VirtualHost{b}}}},
	} {
		version := versions.Of(s)
		if version != s.Version() {
			t.Errorf("snapshot %d: after others its version is %s, alone %s", i, version, s.Version())
		}
		if other, ok := seen[version]; ok {
			t.Errorf("snapshots %d and %d have the same version", other, i)
		}
		seen[version] = i
	}
}
