package translate

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	proxyprotocol "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsinspector "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	uuid "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"
)

// httpProxy is Istio's name for the routes of an explicit HTTP proxy.
const httpProxy = "http_proxy"

// connectMethod is the type of upgrade that tunnels through an HTTP proxy are.
const connectMethod = "CONNECT"

// addMesh adds the outbound listener, a listener that binds no port for each
// port of the mesh, and their route configurations. A connection that was
// redirected to the outbound listener is handed to the listener of the port
// that it was going to; one made to it on purpose is an HTTP proxy's.
func (t *translator) addMesh(s *envoy.Snapshot) {
	if t.opt.Outbound == "" {
		return
	}
	addr, err := netip.ParseAddrPort(t.opt.Outbound)
	if err != nil {
		t.report(config.Problem{
			Severity: config.Error, Field: "--outbound " + t.opt.Outbound,
			Message: "is not an IP address and a port", Hint: "write it as 127.0.0.1:15001",
		})
		return
	}
	s.Routes = append(s.Routes, t.meshRoutes()...)
	m := t.meshManager("virtualOutbound", httpProxy)
	// Envoy asks for it here, beside the routes.
	m.UpgradeConfigs = append(m.UpgradeConfigs, &hcm.HttpConnectionManager_UpgradeConfig{UpgradeType: connectMethod})
	l := newListener("virtualOutbound", addr.Addr().String(), uint32(addr.Port()), httpChain(m))
	l.UseOriginalDst = wrapperspb.Bool(true)
	l.TrafficDirection = core.TrafficDirection_OUTBOUND
	s.Listeners = append(s.Listeners, l)
	for _, port := range t.meshPorts() {
		name := "0.0.0.0_" + portString(port)
		if slices.ContainsFunc(t.gateways, func(g *gatewayPort) bool { return g.listenerName() == name }) {
			// In Istio a proxy is of the mesh or a gateway. One that is both
			// leaves the name to the gateway's listener, which is the real one.
			name = "mesh_" + name
		}
		l := newListener(name, "0.0.0.0", port, httpChain(t.meshManager("outbound_"+name, portString(port))))
		l.BindToPort = wrapperspb.Bool(false)
		l.TrafficDirection = core.TrafficDirection_OUTBOUND
		s.Listeners = append(s.Listeners, l)
	}
}

// gatewayListeners bind a gateway's port where --publish says, else as the
// gateway has it. The first has the gateway's name, further ones add their
// address to it.
func (t *translator) gatewayListeners(g *gatewayPort) []*listener.Listener {
	chains := t.gatewayChains(g)
	bound := t.published(g.number)
	if len(bound) == 0 {
		bound = []Publish{{Host: g.bind, Port: g.number}}
	}
	var out []*listener.Listener
	for i, p := range bound {
		name := g.listenerName()
		if i > 0 {
			name += "_" + hostPort(orAny(p.Host), p.Port)
		}
		l := newListener(name, orAny(p.Host), p.Port, chains...)
		l.ListenerFilters = t.gatewayFilters(g)
		// Istio's gateways say OUTBOUND too: they send traffic on.
		l.TrafficDirection = core.TrafficDirection_OUTBOUND
		out = append(out, l)
	}
	return out
}

// published is where --publish binds a gateway's port, each place once.
func (t *translator) published(port uint32) []Publish {
	var out []Publish
	for _, p := range t.opt.Publish {
		if p.GatewayPort == port {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Publish) int {
		return cmp.Or(cmp.Compare(orAny(a.Host), orAny(b.Host)), cmp.Compare(a.Port, b.Port))
	})
	return slices.CompactFunc(out, func(a, b Publish) bool { return orAny(a.Host) == orAny(b.Host) && a.Port == b.Port })
}

func orAny(host string) string {
	if host == "" {
		return "0.0.0.0"
	}
	return host
}

func newListener(name, host string, port uint32, chains ...*listener.FilterChain) *listener.Listener {
	return &listener.Listener{Name: name, Address: socketAddress(host, port), FilterChains: chains}
}

func httpChain(m *hcm.HttpConnectionManager) *listener.FilterChain {
	return &listener.FilterChain{Filters: []*listener.Filter{{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(m)},
	}}}
}

// gatewayChains is one chain for all plain servers of a port, or one for each
// HTTPS server, told apart by the name that the client asks for.
func (t *translator) gatewayChains(g *gatewayPort) []*listener.FilterChain {
	stat := "outbound_" + g.listenerName()
	if !g.secure {
		return []*listener.FilterChain{httpChain(t.gatewayManager(stat, g.routeName()))}
	}
	var out []*listener.FilterChain
	for _, s := range g.servers {
		chain := httpChain(t.gatewayManager(cmp.Or(s.server.GetName(), stat), g.secureRouteName(s)))
		if names := s.serverNames(); len(names) > 0 {
			chain.FilterChainMatch = &listener.FilterChainMatch{ServerNames: names}
		}
		chain.TransportSocket = t.serverSocket(s)
		chain.TransportSocketConnectTimeout = durationpb.New(15 * time.Second)
		out = append(out, chain)
	}
	return out
}

// gatewayFilters read what comes before the HTTP of a connection: the PROXY
// protocol, if the gateway stands behind something that speaks it, and the
// name in the TLS handshake.
func (t *translator) gatewayFilters(g *gatewayPort) []*listener.ListenerFilter {
	var out []*listener.ListenerFilter
	add := func(name string, m proto.Message) {
		out = append(out, &listener.ListenerFilter{Name: name, ConfigType: &listener.ListenerFilter_TypedConfig{TypedConfig: packed(m)}})
	}
	if t.topology().GetProxyProtocol() != nil {
		add("envoy.filters.listener.proxy_protocol", &proxyprotocol.ProxyProtocol{})
	}
	if g.secure {
		add("envoy.filters.listener.tls_inspector", &tlsinspector.TlsInspector{})
	}
	return out
}

func (t *translator) topology() *meshconfig.Topology {
	return t.mesh.GetDefaultConfig().GetGatewayTopology()
}

// connectionManager is what the mesh and gateways have in common.
func (t *translator) connectionManager(stat, routes string) *hcm.HttpConnectionManager {
	m := &hcm.HttpConnectionManager{
		StatPrefix: stat,
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{
			ConfigSource: adsSource(), RouteConfigName: routes,
		}},
		HttpFilters: []*hcm.HttpFilter{
			httpFilter(faultName, &faultv3.HTTPFault{}),
			httpFilter("envoy.filters.http.router", &routerv3.Router{}),
		},
		UpgradeConfigs:    []*hcm.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		StreamIdleTimeout: durationpb.New(0),
		AccessLog:         t.accessLogs(),
		RequestIdExtension: &hcm.RequestIDExtension{TypedConfig: packed(&uuid.UuidRequestIdConfig{
			UseRequestIdForTraceSampling: wrapperspb.Bool(true),
		})},
	}
	t.normalizePath(m)
	if t.mesh.GetDefaultConfig().GetProxyHeaders().GetRequestId().GetDisabled().GetValue() {
		m.GenerateRequestId = wrapperspb.Bool(false)
	} else {
		m.GenerateRequestId = wrapperspb.Bool(true)
	}
	return m
}

// meshManager leaves the server's name at Envoy's own, "envoy", as Istio's
// outbound listeners do.
func (t *translator) meshManager(stat, routes string) *hcm.HttpConnectionManager {
	m := t.connectionManager(stat, routes)
	m.UseRemoteAddress = wrapperspb.Bool(false)
	return m
}

func (t *translator) gatewayManager(stat, routes string) *hcm.HttpConnectionManager {
	m := t.connectionManager(stat, routes)
	m.ServerName = "istio-envoy"
	m.UseRemoteAddress = wrapperspb.Bool(true)
	m.XffNumTrustedHops = t.topology().GetNumTrustedProxies()
	m.ForwardClientCertDetails = hcm.HttpConnectionManager_SANITIZE_SET
	if d := t.topology().GetForwardClientCertDetails(); d != meshconfig.ForwardClientCertDetails_UNDEFINED {
		// Istio's list is Envoy's with UNDEFINED before it.
		m.ForwardClientCertDetails = hcm.HttpConnectionManager_ForwardClientCertDetails(d - 1)
	}
	m.SetCurrentClientCertDetails = &hcm.HttpConnectionManager_SetCurrentClientCertDetails{
		Subject: wrapperspb.Bool(true), Cert: true, Uri: true, Dns: true,
	}
	m.HttpProtocolOptions = &core.Http1ProtocolOptions{}
	return m
}

// normalizePath follows MeshConfig.pathNormalization; Istio's default is BASE.
func (t *translator) normalizePath(m *hcm.HttpConnectionManager) {
	m.PathWithEscapedSlashesAction = hcm.HttpConnectionManager_KEEP_UNCHANGED
	kind := t.mesh.GetPathNormalization().GetNormalization()
	if kind == meshconfig.MeshConfig_ProxyPathNormalization_NONE {
		return
	}
	m.NormalizePath = wrapperspb.Bool(true)
	switch kind {
	case meshconfig.MeshConfig_ProxyPathNormalization_MERGE_SLASHES:
		m.MergeSlashes = true
	case meshconfig.MeshConfig_ProxyPathNormalization_DECODE_AND_MERGE_SLASHES:
		m.MergeSlashes = true
		m.PathWithEscapedSlashesAction = hcm.HttpConnectionManager_UNESCAPE_AND_FORWARD
	}
}

func httpFilter(name string, m proto.Message) *hcm.HttpFilter {
	return &hcm.HttpFilter{Name: name, ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: packed(m)}}
}

func (t *translator) accessLogs() []*accesslog.AccessLog {
	file := t.accessLogFile()
	if file == "" {
		return nil
	}
	return []*accesslog.AccessLog{{
		Name:       "envoy.access_loggers.file",
		ConfigType: &accesslog.AccessLog_TypedConfig{TypedConfig: packed(t.fileLog(file))},
	}}
}

// packed puts a message into an Any, its bytes always the same.
func packed(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		// Only invalid UTF-8 fails, and the loader lets none in.
		panic("translate: internal error: " + err.Error())
	}
	return a
}
