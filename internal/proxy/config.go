package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/route"
)

// listenerConfig is a listener as one generation has it.
type listenerConfig struct {
	name string
	addr string // "0.0.0.0:80"
	// bind is false for a listener that takes only what another one, with
	// useOriginalDst, was redirected.
	bind           bool
	useOriginalDst bool
	http           *httpConfig // nil: what is redirected elsewhere only
	anyAddr        bool        // listens on every address of its port
	port           uint16
}

// httpConfig is a compiled HttpConnectionManager.
type httpConfig struct {
	listener   string
	statPrefix string
	serverName []byte
	routes     string // name of the route configuration
	table      *route.Table

	useRemoteAddress  bool
	trustedHops       int
	skipXFF           bool
	keepRequestID     bool // preserve_external_request_id
	generateRequestID bool
	normalizePath     bool
	mergeSlashes      bool
	webSocket         bool
	idleTimeout       time.Duration // between requests
	streamIdleTimeout time.Duration // within one; 0 none
	limits            http1.Limits
}

// compileListener reads what Sundog serves of a listener: one filter chain
// with an HTTP connection manager. All that is wrong is told.
func compileListener(l *listenerv3.Listener) (*listenerConfig, error) {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("listener %q: "+format, append([]any{l.GetName()}, args...)...))
	}
	c := &listenerConfig{
		name:           l.GetName(),
		bind:           l.GetBindToPort() == nil || l.GetBindToPort().GetValue(),
		useOriginalDst: l.GetUseOriginalDst().GetValue(),
	}
	sa := l.GetAddress().GetSocketAddress()
	if sa == nil {
		fail("address: only socket_address is supported")
	}
	c.port = uint16(sa.GetPortValue())
	c.addr = net.JoinHostPort(sa.GetAddress(), strconv.Itoa(int(sa.GetPortValue())))
	if ip, err := netip.ParseAddr(sa.GetAddress()); err == nil {
		c.anyAddr = ip.IsUnspecified()
	}
	chains := l.GetFilterChains()
	if len(chains) == 0 && l.GetDefaultFilterChain() != nil {
		chains = []*listenerv3.FilterChain{l.GetDefaultFilterChain()}
	}
	if len(chains) != 1 {
		fail("filter_chains: exactly one is supported, not %d", len(chains))
	}
	for _, chain := range chains {
		if chain.GetTransportSocket() != nil {
			fail("filter_chains: transport_socket is not supported yet")
		}
		for _, f := range chain.GetFilters() {
			m := &hcmv3.HttpConnectionManager{}
			if err := f.GetTypedConfig().UnmarshalTo(m); err != nil {
				fail("filter %q: not an HTTP connection manager: %v", f.GetName(), err)
				continue
			}
			http, err := compileHTTP(m)
			if err != nil {
				fail("%v", err)
			}
			http.listener = l.GetName()
			c.http = http
		}
	}
	return c, errors.Join(errs...)
}

func compileHTTP(m *hcmv3.HttpConnectionManager) (*httpConfig, error) {
	h := &httpConfig{
		statPrefix:        m.GetStatPrefix(),
		serverName:        []byte(m.GetServerName()),
		routes:            m.GetRds().GetRouteConfigName(),
		useRemoteAddress:  m.GetUseRemoteAddress().GetValue(),
		trustedHops:       int(m.GetXffNumTrustedHops()),
		skipXFF:           m.GetSkipXffAppend(),
		keepRequestID:     m.GetPreserveExternalRequestId(),
		generateRequestID: m.GetGenerateRequestId() == nil || m.GetGenerateRequestId().GetValue(),
		normalizePath:     m.GetNormalizePath().GetValue(),
		mergeSlashes:      m.GetMergeSlashes(),
		idleTimeout:       time.Hour,
		streamIdleTimeout: 5 * time.Minute,
	}
	if len(h.serverName) == 0 {
		h.serverName = []byte("envoy")
	}
	if d := m.GetCommonHttpProtocolOptions().GetIdleTimeout(); d != nil {
		h.idleTimeout = d.AsDuration()
	}
	if d := m.GetStreamIdleTimeout(); d != nil {
		h.streamIdleTimeout = d.AsDuration()
	}
	if kb := m.GetMaxRequestHeadersKb(); kb != nil {
		h.limits.Bytes = int(kb.GetValue()) << 10
	}
	if n := m.GetCommonHttpProtocolOptions().GetMaxHeadersCount(); n != nil {
		h.limits.Fields = int(n.GetValue())
	}
	for _, u := range m.GetUpgradeConfigs() {
		if u.GetUpgradeType() == "websocket" && (u.GetEnabled() == nil || u.GetEnabled().GetValue()) {
			h.webSocket = true
		}
	}
	if rc := m.GetRouteConfig(); rc != nil {
		h.routes = rc.GetName()
	} else if h.routes == "" {
		return h, errors.New("route_specifier: needs rds or route_config")
	}
	return h, nil
}
