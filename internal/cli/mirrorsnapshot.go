package cli

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	fileal "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/policy"
)

// mirrorName names the listener's routes, its virtual host and its route.
const mirrorName = "mirror"

// baselineName names the cluster of --baseline.
const baselineName = "baseline"

// snapshot is the configuration that the flags stand for: one listener, one
// route to the cluster "primary", and a mirror policy for each shadow's.
func (f *mirrorFlags) snapshot() (*envoy.Snapshot, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	listen, err := parseListen(f.listen)
	if err != nil {
		return nil, err
	}
	primary, err := parseTarget("--primary", f.primary)
	if err != nil {
		return nil, err
	}
	s := &envoy.Snapshot{Clusters: []*cluster.Cluster{f.cluster("primary", primary)}}
	action := &route.RouteAction{
		ClusterSpecifier: &route.RouteAction_Cluster{Cluster: "primary"},
		Timeout:          durationpb.New(0), // the client decides how long it waits
	}
	for i, raw := range f.shadows {
		shadow, err := parseTarget("--shadow", raw)
		if err != nil {
			return nil, err
		}
		name := "shadow"
		if len(f.shadows) > 1 {
			name = fmt.Sprintf("shadow-%d", i+1)
		}
		s.Clusters = append(s.Clusters, f.cluster(name, shadow))
		action.RequestMirrorPolicies = append(action.RequestMirrorPolicies, f.policy(name))
	}
	if f.baseline != "" {
		baseline, err := parseTarget("--baseline", f.baseline)
		if err != nil {
			return nil, err
		}
		s.Clusters = append(s.Clusters, f.cluster(baselineName, baseline))
		action.RequestMirrorPolicies = append(action.RequestMirrorPolicies, f.policy(baselineName))
	}
	metadata, err := f.metadata()
	if err != nil {
		return nil, err
	}
	s.Routes = []*route.RouteConfiguration{{
		Name: mirrorName,
		VirtualHosts: []*route.VirtualHost{{
			Name: mirrorName, Domains: []string{"*"},
			Routes: []*route.Route{{
				Name:     mirrorName,
				Match:    &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
				Action:   &route.Route_Route{Route: action},
				Metadata: metadata,
			}},
		}},
	}}
	s.Listeners = []*listener.Listener{f.listener(listen)}
	s.Sort()
	return s, nil
}

// metadata holds the policy that has answers compared; nil without --compare.
func (f *mirrorFlags) metadata() (*core.Metadata, error) {
	if !f.compare {
		return nil, nil
	}
	p := policy.Policy{Name: "--compare", Compare: policy.Compare{Enabled: true, Epsilon: 0.001, Alpha: 0.05, MaxLatencyRatio: 1.05, MaxBody: 256 << 10}}
	p.Compare.Ignore = f.ignore
	p.Compare.Reflection = strings.HasPrefix(f.primary, "h2c:") // it may be gRPC
	switch {
	case f.baseline != "":
		p.Compare.Baseline.Cluster = baselineName
	case f.again > 0:
		p.Compare.Baseline = policy.Baseline{Again: f.again / 100, AgainRate: f.againRate}
	}
	said, err := policy.Encode(p)
	if err != nil {
		return nil, err
	}
	return &core.Metadata{FilterMetadata: map[string]*structpb.Struct{
		envoy.MetadataKey: {Fields: map[string]*structpb.Value{policy.MetadataField: structpb.NewStructValue(said)}},
	}}, nil
}

// policy copies the share to a cluster, in units of a ten thousandth of a
// percent.
func (f *mirrorFlags) policy(name string) *route.RouteAction_RequestMirrorPolicy {
	return &route.RouteAction_RequestMirrorPolicy{
		Cluster: name,
		RuntimeFraction: &core.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
			Numerator: uint32(math.Round(f.percent * 10_000)), Denominator: typev3.FractionalPercent_MILLION,
		}},
		DisableShadowHostSuffixAppend: !f.shadowHostSuffix,
	}
}

func (f *mirrorFlags) cluster(name string, t target) *cluster.Cluster {
	c := &cluster.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_STRICT_DNS},
		ConnectTimeout:       durationpb.New(10 * time.Second),
		LbPolicy:             cluster.Cluster_LEAST_REQUEST,
		LoadAssignment: &endpoint.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpoint.LocalityLbEndpoints{{LbEndpoints: []*endpoint.LbEndpoint{{
				HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: socketAddress(t)}},
			}}}},
		},
	}
	if t.tls {
		c.TransportSocket = f.transport(t)
	}
	if t.http2 {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(&httpv3.HttpProtocolOptions{
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
					ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
						ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
							Http2ProtocolOptions: &core.Http2ProtocolOptions{},
						},
					},
				},
			}),
		}
	}
	if t.ip {
		c.ClusterDiscoveryType = &cluster.Cluster_Type{Type: cluster.Cluster_STATIC}
	}
	return c
}

// transport is TLS to the target, whose certificate must be for its host.
func (f *mirrorFlags) transport(t target) *core.TransportSocket {
	ca := f.caFile
	if ca == "" {
		ca = systemAuthorities()
	}
	names := &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: t.host}},
	}
	ctx := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa:                 &core.DataSource{Specifier: &core.DataSource_Filename{Filename: ca}},
			MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{names},
		}},
	}}
	if t.ip {
		names.SanType = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	} else {
		ctx.Sni = t.host
	}
	if t.http2 {
		ctx.CommonTlsContext.AlpnProtocols = []string{"h2"}
	}
	return &core.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &core.TransportSocket_TypedConfig{TypedConfig: packed(ctx)},
	}
}

// systemAuthorities is where this system keeps the authorities that it trusts.
func systemAuthorities() string {
	const debian = "/etc/ssl/certs/ca-certificates.crt"
	for _, file := range []string{debian, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return debian
}

func socketAddress(t target) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: t.host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: t.port},
	}}}
}

func (f *mirrorFlags) listener(t target) *listener.Listener {
	manager := &hcm.HttpConnectionManager{
		StatPrefix: mirrorName,
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{
			RouteConfigName: mirrorName,
			ConfigSource: &core.ConfigSource{
				ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
				ResourceApiVersion:    core.ApiVersion_V3,
			},
		}},
		HttpFilters: []*hcm.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: packed(&routerv3.Router{})},
		}},
		UpgradeConfigs:    []*hcm.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		UseRemoteAddress:  wrapperspb.Bool(true),
		GenerateRequestId: wrapperspb.Bool(true),
		StreamIdleTimeout: durationpb.New(0),
	}
	if f.accessLog != "" {
		path := f.accessLog
		if path == "-" {
			path = "/dev/stdout"
		}
		manager.AccessLog = []*accesslog.AccessLog{{
			Name:       "envoy.access_loggers.file",
			ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: packed(&fileal.FileAccessLog{Path: path})},
		}}
	}
	return &listener.Listener{
		Name:    fmt.Sprintf("%s_%d", t.host, t.port),
		Address: socketAddress(t),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(manager)},
		}}}},
	}
}

// packed puts a message into an Any.
func packed(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic("cli: internal error: " + err.Error()) // flags with invalid UTF-8 are refused before
	}
	return a
}
