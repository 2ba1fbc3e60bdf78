package translate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/config"
)

// TestEnvoyTakesPolicies gives the routes of every case with a ShadowPolicy to
// a stock Envoy, which has to take them, metadata and all.
func TestEnvoyTakesPolicies(t *testing.T) {
	binary, err := filepath.Abs("../../.cache/envoy/envoy/_bin/envoy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		if binary, err = exec.LookPath("envoy"); err != nil {
			t.Skip("NOT TESTED: Envoy is missing, .ci/deps fetches it")
		}
	}
	boot := &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	static, known := boot.StaticResources, map[string]bool{}
	for _, file := range goldenFiles(t) {
		if !strings.HasPrefix(caseName(file), "shadow-policy") {
			continue
		}
		s, problems := readCase(t, file).translate()
		if config.HasErrors(problems) {
			continue
		}
		for _, c := range s.Clusters {
			if !known[c.GetName()] {
				known[c.GetName()] = true
				static.Clusters = append(static.Clusters, &clusterv3.Cluster{
					Name: c.GetName(), ConnectTimeout: durationpb.New(time.Second),
					ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
				})
			}
		}
		for _, r := range s.Routes {
			static.Listeners = append(static.Listeners, routeListener(t, fmt.Sprintf("%s %s", caseName(file), r.GetName()), r))
		}
	}
	if len(static.Listeners) < 3 {
		t.Fatalf("%d route configurations", len(static.Listeners))
	}
	data, err := protojson.Marshal(boot)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "envoy.json")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "--mode", "validate", "-l", "error", "-c", name).CombinedOutput(); err != nil {
		t.Errorf("Envoy refuses the routes: %v\n%s", err, out)
	}
}

func routeListener(t *testing.T, name string, r *routev3.RouteConfiguration) *listenerv3.Listener {
	t.Helper()
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: "test", RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: r},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: anyOf(t, &routerv3.Router{})},
		}},
	}
	return &listenerv3.Listener{
		Name: name,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: anyOf(t, hcm)},
		}}}},
	}
}

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
