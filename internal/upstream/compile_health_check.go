//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// checks compiles health_checks, nil where there are none.
func (p *compiler) checks(la *endpointv3.ClusterLoadAssignment) *checkSpec {
	all := p.in.GetHealthChecks()
	if len(all) == 0 {
		return nil
	}
	if len(all) > 1 {
		p.fail("health_checks", "only one is supported, not %d", len(all))
	}
	const prefix = "health_checks[0]."
	in := all[0]
	threshold := func(field string, v *wrapperspb.UInt32Value) uint32 {
		if v == nil {
			p.fail(prefix+field, "is not set; say how many checks it takes")
		}
		return max(v.GetValue(), 1)
	}
	s := &checkSpec{
		in:             in,
		timeout:        p.positive(prefix+"timeout", in.GetTimeout(), 0),
		interval:       p.positive(prefix+"interval", in.GetInterval(), 0),
		initialJitter:  p.notNegative(prefix+"initial_jitter", in.GetInitialJitter(), 0),
		jitter:         p.notNegative(prefix+"interval_jitter", in.GetIntervalJitter(), 0),
		jitterPercent:  uint64(in.GetIntervalJitterPercent()),
		noTraffic:      p.positive(prefix+"no_traffic_interval", in.GetNoTrafficInterval(), time.Minute),
		healthyAfter:   threshold("healthy_threshold", in.GetHealthyThreshold()),
		unhealthyAfter: threshold("unhealthy_threshold", in.GetUnhealthyThreshold()),
		reuse:          in.GetReuseConnection() == nil || in.GetReuseConnection().GetValue(),
		host:           p.in.GetName(),
	}
	// What is not set is as long as the one before. A second fault of one that
	// is wrong already says nothing new.
	next := func(field string, v time.Duration) time.Duration {
		if v <= 0 {
			p.fail(prefix+field, "must be above 0")
		}
		return v
	}
	ok := max(s.interval, 1)
	s.healthyEdge = next("healthy_edge_interval", duration(in.GetHealthyEdgeInterval(), ok))
	s.unhealthy = next("unhealthy_interval", duration(in.GetUnhealthyInterval(), ok))
	s.unhealthyEdge = next("unhealthy_edge_interval", duration(in.GetUnhealthyEdgeInterval(), max(s.unhealthy, 1)))
	s.noTrafficHealthy = next("no_traffic_healthy_interval", duration(in.GetNoTrafficHealthyInterval(), max(s.noTraffic, 1)))
	p.checker(prefix, in, s)
	s.endpoints = p.checkAddresses(la, s.host)
	s.alpn = p.checkALPN(prefix+"tls_options.alpn_protocols", in.GetTlsOptions().GetAlpnProtocols())
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"transport_socket_match_criteria", in.GetTransportSocketMatchCriteria() != nil},
		{"event_log_path", in.GetEventLogPath() != ""},
		{"event_logger", len(in.GetEventLogger()) > 0},
		{"alt_port", in.GetAltPort() != nil},
	} {
		if f.set {
			p.ignore(prefix + f.name)
		}
	}
	return s
}

func (p *compiler) checkALPN(field string, names []string) []string {
	for i, name := range names {
		if name == "" || len(name) > 255 {
			p.fail(fmt.Sprintf("%s[%d]", field, i), "must have 1 to 255 bytes")
		}
	}
	return names
}

// checker compiles what is asked and expected.
func (p *compiler) checker(prefix string, in *corev3.HealthCheck, s *checkSpec) {
	switch c := in.GetHealthChecker().(type) {
	case *corev3.HealthCheck_HttpHealthCheck_:
		if c.HttpHealthCheck.GetHost() != "" {
			s.host = c.HttpHealthCheck.GetHost()
		}
		s.probe = p.httpCheck(prefix+"http_health_check.", c.HttpHealthCheck).prober
	case *corev3.HealthCheck_TcpHealthCheck_:
		prefix += "tcp_health_check."
		t := &tcpCheck{}
		if send := c.TcpHealthCheck.GetSend(); send != nil {
			t.send = p.payload(prefix+"send", send)
		}
		for i, r := range c.TcpHealthCheck.GetReceive() {
			t.receive = append(t.receive, p.payload(fmt.Sprintf("%sreceive[%d]", prefix, i), r))
		}
		if c.TcpHealthCheck.GetProxyProtocolConfig() != nil {
			p.fail(prefix+"proxy_protocol_config", "is not supported")
		}
		s.probe = t.prober
	case *corev3.HealthCheck_GrpcHealthCheck_:
		g := c.GrpcHealthCheck
		if g.GetAuthority() != "" {
			s.host = g.GetAuthority()
		}
		check := &grpcCheck{service: g.GetServiceName(), add: p.checkHeaders(prefix+"grpc_health_check.initial_metadata", g.GetInitialMetadata())}
		s.probe = check.prober
	case *corev3.HealthCheck_CustomHealthCheck_:
		p.fail(prefix+"custom_health_check", "%s is not supported", c.CustomHealthCheck.GetName())
	default:
		p.fail("health_checks[0]", "says nothing to check; give an http_health_check, tcp_health_check or grpc_health_check")
	}
}

func (p *compiler) httpCheck(prefix string, in *corev3.HealthCheck_HttpHealthCheck) *httpCheck {
	h := &httpCheck{
		method:    http.MethodGet,
		add:       p.checkHeaders(prefix+"request_headers_to_add", in.GetRequestHeadersToAdd()),
		remove:    in.GetRequestHeadersToRemove(),
		buffer:    1024,
		expected:  p.statuses(prefix+"expected_statuses", in.GetExpectedStatuses()),
		retriable: p.statuses(prefix+"retriable_statuses", in.GetRetriableStatuses()),
		http2:     in.GetCodecClientType() == typev3.CodecClientType_HTTP2,
	}
	if u, err := url.ParseRequestURI(in.GetPath()); err != nil || u.Host != "" || in.GetPath()[0] != '/' {
		p.fail(prefix+"path", "%q is not a path; give one as /healthz", in.GetPath())
	} else {
		h.url = *u
	}
	if m := in.GetMethod(); m == corev3.RequestMethod_CONNECT {
		p.fail(prefix+"method", "CONNECT asks for nothing; use GET")
	} else if m != corev3.RequestMethod_METHOD_UNSPECIFIED {
		h.method = m.String()
	}
	if len(h.expected) == 0 {
		h.expected = []statusRange{{200, 201}}
	}
	if v := in.GetResponseBufferSize(); v != nil {
		h.buffer = int64(min(v.GetValue(), answerLimit))
	}
	if send := in.GetSend(); send != nil {
		h.send = p.payload(prefix+"send", send)
		switch h.method {
		case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodOptions:
		default:
			p.fail(prefix+"send", "a request with the method %s has no body; use POST, PUT, PATCH or OPTIONS", h.method)
		}
	}
	total := 0
	for i, r := range in.GetReceive() {
		h.receive = append(h.receive, p.payload(fmt.Sprintf("%sreceive[%d]", prefix, i), r))
		total += len(h.receive[i])
	}
	if h.buffer > 0 && total > int(h.buffer) {
		p.fail(prefix+"receive", "has %d bytes, but only %d of the answer are looked at; raise response_buffer_size", total, h.buffer)
	}
	if in.GetCodecClientType() == typev3.CodecClientType_HTTP3 {
		p.fail(prefix+"codec_client_type", "HTTP/3 is not supported")
	}
	if in.GetServiceNameMatcher() != nil {
		p.fail(prefix+"service_name_matcher", "is not supported")
	}
	if in.GetUseAlpnProtocol() {
		p.ignore(prefix + "use_alpn_protocol")
	}
	return h
}

func (p *compiler) statuses(field string, in []*typev3.Int64Range) (all []statusRange) {
	for i, r := range in {
		if r.GetStart() < 100 || r.GetEnd() > 600 || r.GetStart() >= r.GetEnd() {
			p.fail(fmt.Sprintf("%s[%d]", field, i), "[%d, %d) is no range within [100, 600)", r.GetStart(), r.GetEnd())
		}
		all = append(all, statusRange{int(r.GetStart()), int(r.GetEnd())})
	}
	return all
}

// payload is the bytes of a payload: text is hexadecimal.
func (p *compiler) payload(field string, in *corev3.HealthCheck_Payload) []byte {
	b := in.GetBinary()
	if text, ok := in.GetPayload().(*corev3.HealthCheck_Payload_Text); ok {
		var err error
		if b, err = hex.DecodeString(text.Text); err != nil {
			p.fail(field+".text", "%q is not hexadecimal", text.Text)
			return nil
		}
	}
	if len(b) == 0 {
		p.fail(field, "is empty")
	}
	return b
}

func (p *compiler) checkHeaders(field string, in []*corev3.HeaderValueOption) (all []checkHeader) {
	for i, o := range in {
		at := fmt.Sprintf("%s[%d]", field, i)
		h := checkHeader{http.CanonicalHeaderKey(o.GetHeader().GetKey()), o.GetHeader().GetValue(), o.GetAppendAction()}
		if h.value == "" {
			h.value = string(o.GetHeader().GetRawValue())
		}
		if o.GetAppend() != nil && !o.GetAppend().GetValue() {
			h.action = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		}
		literal := strings.ReplaceAll(h.value, "%%", "")
		h.value = strings.ReplaceAll(h.value, "%%", "%")
		switch {
		case h.name == "Host" || strings.HasPrefix(h.name, ":"):
			p.fail(at, "%s cannot be set here; use host or authority", o.GetHeader().GetKey())
		case !httpguts.ValidHeaderFieldName(h.name):
			p.fail(at, "%q is not a header's name", h.name)
		case !httpguts.ValidHeaderFieldValue(h.value):
			p.fail(at, "%q is not a header's value", h.value)
		case strings.Contains(literal, "%"):
			p.fail(at, "%q: substitution is not supported; write %%%% for a percent sign", h.value)
		case h.value != "" || o.GetKeepEmptyValue():
			all = append(all, h)
		}
	}
	return all
}

// checkAddresses are the endpoints that have a health_check_config.
func (p *compiler) checkAddresses(la *endpointv3.ClusterLoadAssignment, host string) map[netip.AddrPort]checkAddress {
	all := map[netip.AddrPort]checkAddress{}
	for i, group := range la.GetEndpoints() {
		for j, lb := range group.GetLbEndpoints() {
			ep := lb.GetEndpoint()
			c := ep.GetHealthCheckConfig()
			if c == nil {
				continue
			}
			field := fmt.Sprintf("endpoints[%d].lb_endpoints[%d].endpoint.health_check_config", i, j)
			sa := ep.GetAddress().GetSocketAddress()
			ip, err := netip.ParseAddr(sa.GetAddress())
			if err != nil {
				p.ignore(field + " (of an endpoint that is given by name)")
				continue
			}
			at := checkAddress{
				addr: netip.AddrPortFrom(ip.Unmap(), uint16(sa.GetPortValue())), host: host, disabled: c.GetDisableActiveHealthCheck(),
			}
			own := at.addr
			if c.GetHostname() != "" {
				at.host = c.GetHostname()
			}
			if a := c.GetAddress().GetSocketAddress(); a != nil {
				if ip, err = netip.ParseAddr(a.GetAddress()); err != nil {
					p.fail(field+".address", "%q is not an IP address", a.GetAddress())
				}
				at.addr = netip.AddrPortFrom(ip.Unmap(), uint16(a.GetPortValue()))
			}
			if port := c.GetPortValue(); port > 65535 {
				p.fail(field+".port_value", "%d is no port", port)
			} else if port > 0 {
				at.addr = netip.AddrPortFrom(at.addr.Addr(), uint16(port))
			}
			all[own] = at
		}
	}
	return all
}
