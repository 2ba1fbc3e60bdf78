package framing

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// target is a proxy with its upstream.
type target struct {
	name     string
	address  string
	upstream *upstream
}

// targets are Sundog, nginx and, if there is one, Envoy.
func targets(t testing.TB) (sundog *target, peers []*target) {
	t.Helper()
	nginx, envoy := nginxBinary(t), envoyBinary(t)
	sundog = startSundog(t, hcmv3.HttpConnectionManager_HTTP1)
	peers = append(peers, startNginx(t, nginx))
	if envoy != "" {
		peers = append(peers, startEnvoy(t, envoy))
	}
	return sundog, peers
}

func socket(t testing.TB, address string) *corev3.Address {
	t.Helper()
	a, err := netip.ParseAddrPort(address)
	must(t, err)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

func packed(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	must(t, err)
	return a
}

// snapshot is one listener that sends all to the upstream: the same protos for
// Sundog and for Envoy.
func snapshot(t testing.TB, address, upstream string, codec hcmv3.HttpConnectionManager_CodecType) *envoy.Snapshot {
	t.Helper()
	routes := &routev3.RouteConfiguration{
		Name: "routes",
		VirtualHosts: []*routev3.VirtualHost{{
			Name: "all", Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "primary"}}},
			}},
		}},
	}
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: "framing", CodecType: codec, UseRemoteAddress: wrapperspb.Bool(true),
		DelayedCloseTimeout: durationpb.New(5 * time.Millisecond), // Envoy closes when it has said so
		RouteSpecifier:      &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(t, &routerv3.Router{})},
		}},
	}
	return &envoy.Snapshot{
		Listeners: []*listenerv3.Listener{{
			Name: "listener", Address: socket(t, address),
			FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
				Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(t, hcm)},
			}}}},
		}},
		Routes: []*routev3.RouteConfiguration{routes},
		Clusters: []*clusterv3.Cluster{{
			Name: "primary", ConnectTimeout: durationpb.New(5 * time.Second),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
			LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: "primary", Endpoints: []*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: socket(t, upstream)},
				}}},
			}}},
		}},
	}
}

func startSundog(t testing.TB, codec hcmv3.HttpConnectionManager_CodecType) *target {
	t.Helper()
	u := newUpstream(t)
	p, err := proxy.New(proxy.Options{Concurrency: 1, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("sundog: %v", err)
		}
	})
	must(t, p.Apply(snapshot(t, "127.0.0.1:0", u.address, codec)))
	return &target{"sundog", p.Status().Listeners[0].Address.String(), u}
}

func startEnvoy(t testing.TB, binary string) *target {
	t.Helper()
	u, address := newUpstream(t), freeAddress(t)
	s := snapshot(t, address, u.address, hcmv3.HttpConnectionManager_HTTP1)
	config, err := protojson.Marshal(&bootstrapv3.Bootstrap{
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Listeners: s.Listeners, Clusters: s.Clusters},
	})
	must(t, err)
	file := filepath.Join(t.TempDir(), "envoy.json")
	must(t, os.WriteFile(file, config, 0o600))
	launch(t, address, binary, "--config-path", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
	return &target{"envoy", address, u}
}

// nginxConfig streams both ways, as the others do, and keeps connections.
const nginxConfig = `
daemon off; master_process off; pid DIR/pid; error_log DIR/log crit;
events {}
http {
  access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  client_max_body_size 0;
  upstream primary { server UPSTREAM; keepalive 8; }
  server {
    listen LISTEN;
    location / {
      proxy_pass http://primary; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_request_buffering off; proxy_buffering off; proxy_next_upstream off;
    }
  }
}
`

func startNginx(t testing.TB, binary string) *target {
	t.Helper()
	u, address, dir := newUpstream(t), freeAddress(t), t.TempDir()
	config := strings.NewReplacer("DIR", dir, "LISTEN", address, "UPSTREAM", u.address).Replace(nginxConfig)
	file := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	launch(t, address, binary, "-p", dir, "-c", file)
	return &target{"nginx", address, u}
}

// launch runs a peer until the test ends, and waits until it listens.
func launch(t testing.TB, address, binary string, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = ownGroup()
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-ended
	})
	eventually(t, binary+" listens", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", binary, said.String())
		default:
		}
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}
