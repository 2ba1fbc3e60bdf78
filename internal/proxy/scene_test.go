package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

func socket(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

func static(name string, addrs ...string) *clusterv3.Cluster {
	la := &endpointv3.LocalityLbEndpoints{}
	for _, a := range addrs {
		la.LbEndpoints = append(la.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: socket(netip.MustParseAddrPort(a))},
		}})
	}
	return &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment:       &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{la}},
	}
}

// scene is a snapshot with one listener and one route to "primary".
type scene struct {
	hcm      *hcmv3.HttpConnectionManager
	match    *routev3.RouteMatch
	fault    map[string]*anypb.Any // of the route
	action   *routev3.RouteAction
	routes   []*routev3.Route // before the one of action
	clusters []*clusterv3.Cluster
	policy   *structpb.Struct // of the route
}

func newScene(primary string, shadows ...string) *scene {
	s := &scene{
		match: prefix("/"),
		hcm: &hcmv3.HttpConnectionManager{
			StatPrefix:     "test",
			RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "routes"}},
			UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		},
		action:   &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "primary"}},
		clusters: []*clusterv3.Cluster{static("primary", primary)},
	}
	for i, addr := range shadows {
		name := fmt.Sprintf("shadow%d", i)
		s.clusters = append(s.clusters, static(name, addr))
		s.action.RequestMirrorPolicies = append(s.action.RequestMirrorPolicies, &routev3.RouteAction_RequestMirrorPolicy{Cluster: name})
	}
	return s
}

func prefix(p string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: p}}
}

func (s *scene) share(millionths uint32) *scene {
	for _, m := range s.action.RequestMirrorPolicies {
		m.RuntimeFraction = &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
			Numerator: millionths, Denominator: typev3.FractionalPercent_MILLION,
		}}
	}
	return s
}

func (s *scene) snapshot(t testing.TB) *envoy.Snapshot {
	t.Helper()
	m, err := anypb.New(s.hcm)
	if err != nil {
		t.Fatal(err)
	}
	return &envoy.Snapshot{
		Listeners: []*listenerv3.Listener{{
			Name: "test", Address: socket(netip.MustParseAddrPort("127.0.0.1:0")),
			FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
				Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: m},
			}}}},
		}},
		Routes: []*routev3.RouteConfiguration{{
			Name: "routes",
			VirtualHosts: []*routev3.VirtualHost{{
				Name: "all", Domains: []string{"*"}, IncludeRequestAttemptCount: true,
				Routes: append(slices.Clone(s.routes), &routev3.Route{
					Name:   "main",
					Match:  s.match,
					Action: &routev3.Route_Route{Route: s.action},

					TypedPerFilterConfig: s.fault,
					Metadata:             &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.MetadataKey: s.policy}},
				}),
			}},
		}},
		Clusters: s.clusters,
	}
}

// serve runs a proxy with the scene until the test ends and returns its address.
func serve(t testing.TB, s *scene, opt proxy.Options) (*proxy.Proxy, string) {
	t.Helper()
	p, err := proxy.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	if err := p.Apply(s.snapshot(t)); err != nil {
		t.Fatal(err)
	}
	return p, p.Status().Listeners[0].Address.String()
}

// backend is a real HTTP server that notes what it gets.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// eventually waits for a condition, for a bounded time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	give := time.NewTimer(10 * time.Second)
	defer give.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-give.C:
			t.Fatalf("in vain: %s", what)
		case <-look.C:
		}
	}
}

func outcome(p *proxy.Proxy, mirror int, name string) uint64 {
	return p.Status().Ledger.Routes[0].Mirrors[mirror].Outcomes[name]
}

// wantCompleted waits until n copies to the first mirror are completed.
func wantCompleted(t testing.TB, p *proxy.Proxy, n uint64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("want %d completed of %v", n, p.Status().Ledger.Routes[0].Mirrors[0].Outcomes)
		}
	}()
	eventually(t, "copies completed", func() bool { return outcome(p, 0, "completed") == n })
}
