package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// listenerConfig is a listener as one generation has it.
type listenerConfig struct {
	name string
	addr string // "0.0.0.0:80"
	// bind is false for a listener that takes only what another one, with
	// useOriginalDst, was redirected.
	bind           bool
	useOriginalDst bool
	anyAddr        bool // listens on every address of its port
	port           uint16
	proxyProtocol  bool // each connection begins with its header
	inspect        bool // look for a ClientHello first
	chains         []*chain
	otherwise      *chain // default_filter_chain; nil: none
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
	escapedSlashes    hcmv3.HttpConnectionManager_PathWithEscapedSlashesAction
	underscores       corev3.HttpProtocolOptions_HeadersWithUnderscoresAction
	clientCert        hcmv3.HttpConnectionManager_ForwardClientCertDetails
	certDetails       certDetails
	webSocket         bool
	connect           bool // CONNECT is served where a route does not say
	codec             codec
	idleTimeout       time.Duration // between requests
	headersTimeout    time.Duration // from a head's first byte to its last; 0 none
	streamIdleTimeout time.Duration // within one; 0 none
	limits            http1.Limits
	http2             http2.Options

	maxRequests           uint64        // per connection; 0 any number
	maxConnectionDuration time.Duration // 0 none
	maxStreamDuration     time.Duration // of a request with its answer; 0 none
	requestTimeout        time.Duration // until a request is complete; 0 none
}

// codec is what a client's connection may speak (codec_type).
type codec uint8

const (
	codecAuto codec = iota // what its ALPN or its first bytes say
	codecHTTP1
	codecHTTP2
)

// headersTimeout is how long a head may take where request_headers_timeout
// does not say. Envoy has no limit then, but for that of an idle connection.
const headersTimeout = time.Minute

// compileListener reads what Sundog serves of a listener: filter chains with an
// HTTP connection manager. All that is wrong is told.
func compileListener(l *listenerv3.Listener, secrets tlsconn.Secrets) (*listenerConfig, error) {
	c := &listenerConfig{
		name:           l.GetName(),
		bind:           l.GetBindToPort() == nil || l.GetBindToPort().GetValue(),
		useOriginalDst: l.GetUseOriginalDst().GetValue(),
	}
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %q: %w", l.GetName(), err))
		}
	}
	sa := l.GetAddress().GetSocketAddress()
	if sa == nil {
		fail(errors.New("address: only socket_address is supported"))
	}
	c.port = uint16(sa.GetPortValue())
	c.addr = net.JoinHostPort(sa.GetAddress(), strconv.Itoa(int(sa.GetPortValue())))
	if ip, err := netip.ParseAddr(sa.GetAddress()); err == nil {
		c.anyAddr = ip.IsUnspecified()
	}
	fail(c.filters(l.GetListenerFilters()))
	for i, fc := range l.GetFilterChains() {
		ch, err := compileChain(fc, secrets)
		if err != nil {
			fail(fmt.Errorf("filter_chains[%d]: %w", i, err))
			continue
		}
		c.chains = append(c.chains, ch)
	}
	if fc := l.GetDefaultFilterChain(); fc != nil {
		ch, err := compileChain(fc, secrets)
		fail(err)
		c.otherwise = ch
	}
	if len(l.GetFilterChains()) == 0 && l.GetDefaultFilterChain() == nil {
		fail(errors.New("filter_chains: there is none"))
	}
	for ch := range c.all() {
		if ch.http != nil {
			ch.http.listener = l.GetName()
		}
		c.inspect = c.inspect || ch.match.needsHello()
	}
	return c, errors.Join(errs...)
}

// filters reads the listener filters.
func (c *listenerConfig) filters(all []*listenerv3.ListenerFilter) error {
	var errs []error
	for _, f := range all {
		switch name := f.GetTypedConfig().GetTypeUrl(); name {
		case "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector":
			c.inspect = true
		case "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol":
			c.proxyProtocol = true
		case "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
			"type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector":
			// What they find out is found out anyway.
		default:
			errs = append(errs, fmt.Errorf("listener_filters: %q is not supported", cmp.Or(f.GetName(), name)))
		}
	}
	return errors.Join(errs...)
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
		escapedSlashes:    m.GetPathWithEscapedSlashesAction(),
		underscores:       m.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction(),
		clientCert:        m.GetForwardClientCertDetails(),
		certDetails:       compileCertDetails(m.GetSetCurrentClientCertDetails()),
	}
	if len(h.serverName) == 0 {
		h.serverName = []byte("envoy")
	}
	if h.escapedSlashes == hcmv3.HttpConnectionManager_IMPLEMENTATION_SPECIFIC_DEFAULT {
		h.escapedSlashes = hcmv3.HttpConnectionManager_KEEP_UNCHANGED
	}
	for _, u := range m.GetUpgradeConfigs() {
		enabled := u.GetEnabled() == nil || u.GetEnabled().GetValue()
		switch {
		case strings.EqualFold(u.GetUpgradeType(), "websocket"):
			h.webSocket = enabled
		case strings.EqualFold(u.GetUpgradeType(), "CONNECT"):
			h.connect = enabled
		}
	}
	h.compileTimes(m)
	err := h.compileCodec(m)
	if rc := m.GetRouteConfig(); rc != nil {
		h.routes = rc.GetName()
	} else if h.routes == "" {
		err = errors.Join(err, errors.New("route_specifier: needs rds or route_config"))
	}
	return h, err
}

// compileTimes reads how long things may take, and how often.
func (h *httpConfig) compileTimes(m *hcmv3.HttpConnectionManager) {
	common := m.GetCommonHttpProtocolOptions()
	h.idleTimeout, h.headersTimeout, h.streamIdleTimeout = time.Hour, headersTimeout, 5*time.Minute
	if d := common.GetIdleTimeout(); d != nil {
		h.idleTimeout = d.AsDuration()
	}
	if d := m.GetRequestHeadersTimeout(); d != nil {
		h.headersTimeout = d.AsDuration()
	}
	if d := m.GetStreamIdleTimeout(); d != nil {
		h.streamIdleTimeout = d.AsDuration()
	}
	h.requestTimeout = m.GetRequestTimeout().AsDuration()
	h.maxRequests = uint64(common.GetMaxRequestsPerConnection().GetValue())
	h.maxConnectionDuration = common.GetMaxConnectionDuration().AsDuration()
	h.maxStreamDuration = common.GetMaxStreamDuration().AsDuration()
}

// compileCodec reads what a connection may speak, and its limits.
func (h *httpConfig) compileCodec(m *hcmv3.HttpConnectionManager) error {
	if kb := m.GetMaxRequestHeadersKb(); kb != nil {
		h.limits.Bytes = int(kb.GetValue()) << 10
	}
	if n := m.GetCommonHttpProtocolOptions().GetMaxHeadersCount(); n != nil {
		h.limits.Fields = int(n.GetValue())
	}
	h2 := m.GetHttp2ProtocolOptions()
	h.http2 = http2.Options{
		MaxStreams:   h2.GetMaxConcurrentStreams().GetValue(),
		StreamWindow: h2.GetInitialStreamWindowSize().GetValue(),
		ConnWindow:   h2.GetInitialConnectionWindowSize().GetValue(),
		Limits:       h.limits,

		ExtendedConnect: h2.GetAllowConnect(),
	}
	switch m.GetCodecType() {
	case hcmv3.HttpConnectionManager_HTTP1:
		h.codec = codecHTTP1
	case hcmv3.HttpConnectionManager_HTTP2:
		h.codec = codecHTTP2
	case hcmv3.HttpConnectionManager_HTTP3:
		return errors.New("codec_type: HTTP3 is not supported")
	}
	return nil
}
