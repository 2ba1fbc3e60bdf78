//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// httpOptionsKey is the key of typed_extension_protocol_options.
const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// Compile compiles c. la is its assignment where its type is EDS, nil while
// none is known. old is the cluster of that name in the configuration that
// serves now, or nil: endpoints that have not changed are taken from it, and
// so are addresses resolved so far.
//
// The errors are joined; each names the cluster and the field.
func Compile(c *clusterv3.Cluster, la *endpointv3.ClusterLoadAssignment, old *Cluster, slots *Slots) (*Cluster, error) {
	p := compiler{in: c, out: &Cluster{
		Name:           c.GetName(),
		StatName:       c.GetAltStatName(),
		ConnectTimeout: duration(c.GetConnectTimeout(), 5*time.Second),
		IdleTimeout:    time.Hour,
		choices:        2,
		slots:          slots,
	}}
	if p.out.StatName == "" {
		p.out.StatName = c.GetName()
	}
	if p.out.ConnectTimeout <= 0 {
		p.fail("connect_timeout", "must be above 0")
	}
	p.kind()
	p.policy()
	p.transport()
	p.protocol()
	p.limits()
	p.ignored()
	if p.out.Type == Static && p.eds {
		p.targets(la)
	} else {
		p.targets(c.GetLoadAssignment())
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	p.finish(old)
	return p.out, nil
}

// compiler collects what is wrong while it compiles one cluster.
type compiler struct {
	in   *clusterv3.Cluster
	out  *Cluster
	eds  bool
	errs []error

	given []target  // endpoints with an address
	names []dnsName // endpoints with a name, of the DNS types
}

func (p *compiler) fail(field, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("cluster %q: %s: %s", p.in.GetName(), field, fmt.Sprintf(format, args...)))
}

func (p *compiler) kind() {
	switch t := p.in.GetClusterDiscoveryType().(type) {
	case nil: // STATIC is the default
	case *clusterv3.Cluster_ClusterType:
		p.fail("cluster_type", "%s is not supported", t.ClusterType.GetName())
	case *clusterv3.Cluster_Type:
		switch t.Type {
		case clusterv3.Cluster_STATIC:
		case clusterv3.Cluster_EDS:
			p.eds = true
		case clusterv3.Cluster_STRICT_DNS:
			p.out.Type = StrictDNS
		case clusterv3.Cluster_LOGICAL_DNS:
			p.out.Type = LogicalDNS
		case clusterv3.Cluster_ORIGINAL_DST:
			p.out.Type = OriginalDst
		default:
			p.fail("type", "%v is not known", t.Type)
		}
	}
}

func (p *compiler) policy() {
	c := p.in
	if c.GetLoadBalancingPolicy() != nil {
		p.fail("load_balancing_policy", "is not supported; use lb_policy")
	}
	if c.GetLbSubsetConfig() != nil {
		p.fail("lb_subset_config", "is not supported; use one cluster per subset")
	}
	switch c.GetLbPolicy() {
	case clusterv3.Cluster_ROUND_ROBIN:
	case clusterv3.Cluster_LEAST_REQUEST:
		p.out.Policy = LeastRequest
		lr := c.GetLeastRequestLbConfig()
		if n := lr.GetChoiceCount(); n != nil {
			p.out.choices = min(n.GetValue(), 16)
			if n.GetValue() < 2 {
				p.fail("least_request_lb_config.choice_count", "must be 2 or more")
			}
		}
		if b := lr.GetActiveRequestBias(); b != nil && b.GetDefaultValue() != 1 {
			p.ignore("least_request_lb_config.active_request_bias")
		}
		if lr.GetSlowStartConfig() != nil {
			p.ignore("least_request_lb_config.slow_start_config")
		}
	case clusterv3.Cluster_RANDOM:
		p.out.Policy = Random
	case clusterv3.Cluster_CLUSTER_PROVIDED:
		if p.out.Type != OriginalDst {
			p.fail("lb_policy", "CLUSTER_PROVIDED goes with the type ORIGINAL_DST only")
		}
	default:
		p.fail("lb_policy", "%v is not supported; use LEAST_REQUEST, ROUND_ROBIN or RANDOM", c.GetLbPolicy())
	}
	if c.GetRoundRobinLbConfig().GetSlowStartConfig() != nil {
		p.ignore("round_robin_lb_config.slow_start_config")
	}
	p.out.OriginalDstHeader = c.GetOriginalDstLbConfig().GetUseHttpHeader()
}

func (p *compiler) transport() {
	check := func(field string, s *corev3.TransportSocket) {
		// Envoy goes by the type, and by the name where there is none.
		switch kind := cmp.Or(s.GetTypedConfig().GetTypeUrl(), s.GetName()); kind {
		case "", "raw_buffer", "envoy.transport_sockets.raw_buffer",
			"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer":
		case "tls", "envoy.transport_sockets.tls",
			"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":
			p.fail(field, "TLS to upstreams is not supported yet")
		default:
			p.fail(field, "%s is not supported", kind)
		}
	}
	check("transport_socket", p.in.GetTransportSocket())
	for i, m := range p.in.GetTransportSocketMatches() {
		check(fmt.Sprintf("transport_socket_matches[%d]", i), m.GetTransportSocket())
	}
}

func (p *compiler) protocol() {
	c := p.in
	p.out.HTTP2 = c.GetHttp2ProtocolOptions() != nil
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
	switch u := o.GetUpstreamProtocolOptions().(type) {
	case *httpv3.HttpProtocolOptions_ExplicitHttpConfig_:
		p.out.HTTP2 = u.ExplicitHttpConfig.GetHttp2ProtocolOptions() != nil
		if u.ExplicitHttpConfig.GetHttp3ProtocolOptions() != nil {
			p.fail("explicit_http_config.http3_protocol_options", "HTTP/3 is not supported")
		}
	case *httpv3.HttpProtocolOptions_AutoConfig:
		p.fail("auto_config", "needs TLS to upstreams, which is not supported yet")
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

func (p *compiler) common(o *corev3.HttpProtocolOptions) {
	if o == nil {
		return
	}
	p.out.IdleTimeout = duration(o.GetIdleTimeout(), p.out.IdleTimeout)
	if n := o.GetMaxRequestsPerConnection(); n != nil {
		p.out.MaxRequestsPerConnection = n.GetValue()
	}
	if o.GetMaxConnectionDuration().AsDuration() > 0 {
		p.ignore("common_http_protocol_options.max_connection_duration")
	}
}

func (p *compiler) limits() {
	p.out.Limits = Limits{Connections: 1024, PendingRequests: 1024, Requests: 1024, Retries: 3}
	l := &p.out.Limits
	for _, t := range p.in.GetCircuitBreakers().GetThresholds() {
		if t.GetPriority() != corev3.RoutingPriority_DEFAULT {
			continue
		}
		if v := t.GetMaxConnections(); v != nil {
			l.Connections = v.GetValue()
		}
		if v := t.GetMaxPendingRequests(); v != nil {
			l.PendingRequests = v.GetValue()
		}
		if v := t.GetMaxRequests(); v != nil {
			l.Requests = v.GetValue()
		}
		if v := t.GetMaxRetries(); v != nil {
			l.Retries = v.GetValue()
		}
		if t.GetRetryBudget() != nil {
			p.ignore("circuit_breakers.thresholds.retry_budget")
		}
	}
}

func (p *compiler) ignore(field string) { p.out.Ignored = append(p.out.Ignored, field) }

func (p *compiler) ignored() {
	c := p.in
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"health_checks", len(c.GetHealthChecks()) > 0},
		{"outlier_detection", c.GetOutlierDetection() != nil},
		{"dns_resolvers", len(c.GetDnsResolvers()) > 0},
		{"dns_resolution_config", c.GetDnsResolutionConfig() != nil},
		{"typed_dns_resolver_config", c.GetTypedDnsResolverConfig() != nil},
		{"respect_dns_ttl", c.GetRespectDnsTtl()},
		{"upstream_bind_config", c.GetUpstreamBindConfig() != nil},
		{"upstream_connection_options", c.GetUpstreamConnectionOptions() != nil},
		{"filters", len(c.GetFilters()) > 0},
		{"preconnect_policy", c.GetPreconnectPolicy() != nil},
		{"connection_pool_per_downstream_connection", c.GetConnectionPoolPerDownstreamConnection()},
		{"close_connections_on_host_health_failure", c.GetCloseConnectionsOnHostHealthFailure()},
		{"common_lb_config.locality_weighted_lb_config", c.GetCommonLbConfig().GetLocalityWeightedLbConfig() != nil},
	} {
		if f.set {
			p.ignore(f.name)
		}
	}
}

func (p *compiler) targets(la *endpointv3.ClusterLoadAssignment) {
	if p.out.Type == OriginalDst {
		if la != nil {
			p.fail("load_assignment", "a cluster of type ORIGINAL_DST has no endpoints of its own")
		}
		return
	}
	for i, group := range la.GetEndpoints() {
		for j, lb := range group.GetLbEndpoints() {
			p.target(fmt.Sprintf("endpoints[%d].lb_endpoints[%d]", i, j), lb, group.GetPriority())
		}
	}
	if p.out.Type == LogicalDNS && len(p.given)+len(p.names) != 1 {
		p.fail("load_assignment", "a cluster of type LOGICAL_DNS has exactly one endpoint, not %d", len(p.given)+len(p.names))
	}
}

func (p *compiler) target(field string, lb *endpointv3.LbEndpoint, priority uint32) {
	ep := lb.GetEndpoint()
	if ep == nil {
		p.fail(field, "endpoint_name is not supported; give the endpoint itself")
		return
	}
	sa := ep.GetAddress().GetSocketAddress()
	if sa == nil {
		p.fail(field+".endpoint.address", "only a socket_address is supported")
		return
	}
	if sa.GetProtocol() != corev3.SocketAddress_TCP {
		p.fail(field+".endpoint.address", "protocol %v is not supported", sa.GetProtocol())
	}
	port, ok := sa.GetPortSpecifier().(*corev3.SocketAddress_PortValue)
	if !ok || port.PortValue == 0 || port.PortValue > 65535 {
		p.fail(field+".endpoint.address.port_value", "needs a number from 1 to 65535")
		return
	}
	if len(ep.GetAdditionalAddresses()) > 0 {
		p.ignore(field + ".endpoint.additional_addresses")
	}
	t := target{hostname: ep.GetHostname(), weight: 1, ready: isReady(lb.GetHealthStatus()), priority: priority}
	if w := lb.GetLoadBalancingWeight(); w != nil {
		if t.weight = w.GetValue(); t.weight == 0 {
			p.fail(field+".load_balancing_weight", "must be 1 or more")
		}
	}
	ip, err := netip.ParseAddr(sa.GetAddress())
	switch {
	case err == nil:
		t.addr = netip.AddrPortFrom(ip.Unmap(), uint16(port.PortValue))
		if t.hostname == "" && p.out.Type != Static {
			t.hostname = sa.GetAddress()
		}
		p.given = append(p.given, t)
	case p.out.Type == Static:
		p.fail(field+".endpoint.address", "%q is not an IP address; names need the type STRICT_DNS or LOGICAL_DNS", sa.GetAddress())
	case sa.GetAddress() == "":
		p.fail(field+".endpoint.address", "is empty")
	default:
		if t.hostname == "" {
			t.hostname = sa.GetAddress()
		}
		p.names = append(p.names, dnsName{sa.GetAddress(), uint16(port.PortValue), t})
	}
}

// isReady: an endpoint of unknown health takes requests, as in Envoy.
func isReady(s corev3.HealthStatus) bool {
	return slices.Contains([]corev3.HealthStatus{
		corev3.HealthStatus_UNKNOWN, corev3.HealthStatus_HEALTHY, corev3.HealthStatus_DEGRADED,
	}, s)
}

// finish makes the endpoint set. Only from here on are slots taken.
func (p *compiler) finish(old *Cluster) {
	out := p.out
	var oldSet *EndpointSet
	if old != nil {
		oldSet = old.Endpoints()
	}
	if out.Type == StrictDNS || out.Type == LogicalDNS {
		out.dns = newDNSSpec(p.in, p.given, p.names)
		out.stats = &dnsStats{}
		if old != nil && old.dns != nil && old.dns.equal(out.dns) {
			out.dns, out.stats = old.dns, old.stats
		}
		out.set.Store(newSet(out.targetsNow(), out.Name, oldSet, out.slots))
		return
	}
	out.set.Store(newSet(p.given, out.Name, oldSet, out.slots))
}

// duration is d, or def where d is not set.
func duration(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}
