package upstream

import (
	"fmt"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

func (p *compiler) targets(la *endpointv3.ClusterLoadAssignment) {
	if p.out.Type == OriginalDst {
		if la != nil {
			p.fail("load_assignment", "a cluster of type ORIGINAL_DST has no endpoints of its own")
		}
		return
	}
	p.assignmentPolicy(la.GetPolicy())
	for i, group := range la.GetEndpoints() {
		at := p.place(group)
		for j, lb := range group.GetLbEndpoints() {
			p.target(fmt.Sprintf("endpoints[%d].lb_endpoints[%d]", i, j), lb, at)
		}
	}
	if p.out.Type == LogicalDNS && len(p.given)+len(p.names) != 1 {
		p.fail("load_assignment", "a cluster of type LOGICAL_DNS has exactly one endpoint, not %d", len(p.given)+len(p.names))
	}
}

func (p *compiler) target(field string, lb *endpointv3.LbEndpoint, at int32) {
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
	t := target{hostname: ep.GetHostname(), weight: 1, ready: isReady(lb.GetHealthStatus()), place: at}
	t.hashKey = lb.GetMetadata().GetFilterMetadata()["envoy.lb"].GetFields()["hash_key"].GetStringValue()
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
	if out.Type == StrictDNS || out.Type == LogicalDNS {
		out.dns = newDNSSpec(p.in, p.given, p.names)
		out.stats = &dnsStats{}
		if old != nil && old.dns != nil && old.dns.equal(out.dns) {
			out.dns, out.stats = old.dns, old.stats
		}
		out.join(old, out.targetsNow)
		return
	}
	out.join(old, func() []target { return p.given })
}
