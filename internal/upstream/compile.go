//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"errors"
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// Compile compiles c. la is its assignment where its type is EDS, nil while
// none is known. old is the cluster of that name in the configuration that
// serves now, or nil: endpoints that have not changed are taken from it, and
// so are addresses resolved so far. secrets finds those that the transport
// socket names.
//
// The errors are joined; each names the cluster and the field.
func Compile(
	c *clusterv3.Cluster, la *endpointv3.ClusterLoadAssignment, old *Cluster, slots *Slots, secrets tlsconn.Secrets,
) (*Cluster, error) {
	p := compiler{in: c, secrets: secrets, out: &Cluster{
		Name:           c.GetName(),
		StatName:       c.GetAltStatName(),
		ConnectTimeout: duration(c.GetConnectTimeout(), 5*time.Second),
		IdleTimeout:    time.Hour,
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
	p.ignored()
	if !p.eds {
		la = c.GetLoadAssignment()
	}
	p.targets(la)
	p.health(la, old)
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	p.keepTLS(old)
	p.finish(old)
	return p.out, nil
}

// compiler collects what is wrong while it compiles one cluster.
type compiler struct {
	in   *clusterv3.Cluster
	out  *Cluster
	eds  bool
	errs []error

	secrets tlsconn.Secrets

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

func (p *compiler) common(o *corev3.HttpProtocolOptions) {
	if o == nil {
		return
	}
	p.out.IdleTimeout = duration(o.GetIdleTimeout(), p.out.IdleTimeout)
	if n := o.GetMaxRequestsPerConnection(); n != nil {
		p.out.MaxRequestsPerConnection = n.GetValue()
	}
	p.out.MaxConnectionDuration = o.GetMaxConnectionDuration().AsDuration()
}

func (p *compiler) ignore(field string) { p.out.Ignored = append(p.out.Ignored, field) }

func (p *compiler) ignored() {
	c := p.in
	for _, f := range []struct {
		name string
		set  bool
	}{
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
	} {
		if f.set {
			p.ignore(f.name)
		}
	}
}

// duration is d, or def where d is not set.
func duration(d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return d.AsDuration()
}
