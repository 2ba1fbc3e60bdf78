//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"cmp"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// Protocol is what is spoken to the endpoints of a cluster.
type Protocol uint8

// The protocols.
const (
	HTTP1 Protocol = iota
	HTTP2
	// SameAsClient is what the client speaks (use_downstream_protocol_config).
	SameAsClient
	// Auto is what the endpoint chooses of those offered in TLS (auto_config).
	Auto
)

// httpOptionsKey is the key of typed_extension_protocol_options.
const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// transport compiles the transport socket.
func (p *compiler) transport() {
	s := p.in.GetTransportSocket()
	// Envoy goes by the type, and by the name where there is none.
	switch kind := cmp.Or(s.GetTypedConfig().GetTypeUrl(), s.GetName()); kind {
	case "", "raw_buffer", "envoy.transport_sockets.raw_buffer",
		"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer":
	case "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":
		p.tls(s)
	default:
		p.fail("transport_socket", "%s is not supported", kind)
	}
	for i, m := range p.in.GetTransportSocketMatches() {
		switch kind := cmp.Or(m.GetTransportSocket().GetTypedConfig().GetTypeUrl(), m.GetTransportSocket().GetName()); kind {
		case "", "raw_buffer", "envoy.transport_sockets.raw_buffer",
			"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer":
		default:
			p.fail(fmt.Sprintf("transport_socket_matches[%d]", i), "TLS for some endpoints of a cluster is not supported; use transport_socket")
		}
	}
}

func (p *compiler) tls(s *corev3.TransportSocket) {
	ctx := &tlsv3.UpstreamTlsContext{}
	if err := s.GetTypedConfig().UnmarshalTo(ctx); err != nil {
		p.fail("transport_socket", "%v", err)
		return
	}
	cl, err := tlsconn.CompileClient(ctx, p.secrets)
	if err != nil {
		p.fail("transport_socket", "%v", err)
		return
	}
	for _, name := range cl.Ignored {
		p.ignore("transport_socket: " + name)
	}
	p.out.TLS, p.out.socket = cl, s
}

// keepTLS keeps the TLS of the configuration before where it is the same, so
// that the connections made with it stay of use.
func (p *compiler) keepTLS(old *Cluster) {
	c := p.out
	if c.TLS == nil {
		return
	}
	if c.Protocol != HTTP1 && slices.Contains(c.TLS.Offers(), "h2") {
		c.tls1 = c.TLS.Offering("http/1.1")
	}
	if old == nil || old.TLS == nil {
		return
	}
	if c.TLS.Inherit(old.TLS) && proto.Equal(c.socket, old.socket) && c.verifyName == old.verifyName && (c.Protocol == Auto) == (old.Protocol == Auto) {
		c.TLS = old.TLS
	}
}

// protocol compiles what is spoken to the endpoints.
func (p *compiler) protocol() {
	c := p.in
	p.http2(c.GetHttp2ProtocolOptions())
	p.out.MaxRequestsPerConnection = c.GetMaxRequestsPerConnection().GetValue()
	p.common(c.GetCommonHttpProtocolOptions())
	raw := c.GetTypedExtensionProtocolOptions()[httpOptionsKey]
	if raw == nil {
		return
	}
	var o httpv3.HttpProtocolOptions
	if err := raw.UnmarshalTo(&o); err != nil {
		p.fail("typed_extension_protocol_options["+httpOptionsKey+"]", "%v", err)
		return
	}
	p.common(o.GetCommonHttpProtocolOptions())
	p.serverName(o.GetUpstreamHttpProtocolOptions())
	switch u := o.GetUpstreamProtocolOptions().(type) {
	case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_:
		p.http2(u.ExplicitHttpConfig.GetHttp2ProtocolOptions())
		if u.ExplicitHttpConfig.GetHttp3ProtocolOptions() != nil {
			p.fail("explicit_http_config.http3_protocol_options", "HTTP/3 is not supported")
		}
	case *httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig:
		p.http2(u.UseDownstreamProtocolConfig.GetHttp2ProtocolOptions())
		p.out.Protocol = SameAsClient
	case *httpv3.HttpProtocolOptions_AutoConfig:
		p.auto(u.AutoConfig)
	}
	if len(o.GetRequestMirrorPolicies()) > 0 {
		p.fail("http_protocol_options.request_mirror_policies", "is not supported; use the route's")
	}
	if o.GetRetryPolicy() != nil {
		p.fail("http_protocol_options.retry_policy", "is not supported; use the route's")
	}
	for _, f := range o.GetHttpFilters() {
		if f.GetName() != "envoy.filters.http.upstream_codec" && !f.GetIsOptional() {
			p.fail("http_protocol_options.http_filters", "%s is not supported", f.GetName())
		}
	}
}

// auto notes that ALPN decides. As in Envoy, both protocols are offered where the
// TLS context does not say which.
func (p *compiler) auto(o *httpv3.HttpProtocolOptions_AutoHttpConfig) {
	if o.GetHttp3ProtocolOptions() != nil || o.GetAlternateProtocolsCacheOptions() != nil {
		p.fail("auto_config.http3_protocol_options", "HTTP/3 is not supported")
	}
	p.http2(o.GetHttp2ProtocolOptions())
	p.out.Protocol = Auto
	switch {
	case p.out.TLS == nil:
		p.fail("auto_config", "needs a transport_socket with TLS, whose ALPN says which protocol an endpoint speaks")
	case len(p.out.TLS.Offers()) == 0:
		p.out.TLS = p.out.TLS.Offering("h2", "http/1.1")
	}
}

// http2 notes that HTTP/2 is asked for, and with what.
func (p *compiler) http2(o *corev3.Http2ProtocolOptions) {
	if o == nil {
		return
	}
	p.out.Protocol = HTTP2
	p.out.connect = o.GetAllowConnect()
	p.out.http2 = http2.Options{
		MaxStreams:   o.GetMaxConcurrentStreams().GetValue(),
		StreamWindow: o.GetInitialStreamWindowSize().GetValue(),
		ConnWindow:   o.GetInitialConnectionWindowSize().GetValue(),
	}
}

// serverName compiles where the name in TLS comes from.
func (p *compiler) serverName(o *corev3.UpstreamHttpProtocolOptions) {
	p.out.AutoSNI = o.GetAutoSni()
	if !o.GetAutoSanValidation() || p.out.TLS == nil {
		return
	}
	cl, err := p.out.TLS.VerifyName()
	if err != nil {
		p.fail("upstream_http_protocol_options.auto_san_validation", "%v", err)
		return
	}
	p.out.TLS, p.out.verifyName = cl, true
}
