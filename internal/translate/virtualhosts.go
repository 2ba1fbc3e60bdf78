package translate

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// meshHosts says which router speaks for which host in the mesh.
type meshHosts struct {
	services map[*service]*router
	owner    map[string]*router // by host, with and without a service
	// extra are the hosts of a router that no service has.
	extra map[*router][]string
	// served are the services of a router, in the order of their hosts.
	served map[*router][]*service
}

// assignMeshHosts gives each service the router that names its host, else the
// one with the longest wildcard over it; among equals the oldest.
func (t *translator) assignMeshHosts() *meshHosts {
	m := &meshHosts{
		services: make(map[*service]*router), owner: make(map[string]*router),
		extra: make(map[*router][]string), served: make(map[*router][]*service),
	}
	var wild []string
	for _, r := range t.routers {
		if !r.bound(mesh) {
			continue
		}
		for _, h := range r.hosts {
			if first := m.owner[h]; first != nil {
				t.report(r.object.Problem(config.Warning, hostField(r, h),
					fmt.Sprintf("the host %s already has its routes from %s; these are not used for it", h, first.object),
					"put the routes of a host into one VirtualService"))
				continue
			}
			m.owner[h] = r
			if s := t.byHost[h]; s != nil {
				m.services[s] = r
				continue
			}
			if wildcard(h) {
				wild = append(wild, h)
			}
			m.extra[r] = append(m.extra[r], h)
		}
	}
	slices.SortFunc(wild, compareHosts)
	for _, s := range t.services {
		if m.services[s] == nil {
			for _, w := range wild {
				if covers(w, s.host) {
					m.services[s] = m.owner[w]
					break
				}
			}
		}
		if r := m.services[s]; r != nil {
			m.served[r] = append(m.served[r], s)
		}
	}
	return m
}

// hostField is the path of the host as the user wrote it in the router.
func hostField(r *router, host string) string {
	if r.kube {
		return "spec.parentRefs"
	}
	for i, h := range r.object.Spec.GetHosts() {
		if h == host || strings.HasPrefix(host, strings.ToLower(h)+".") {
			return fmt.Sprintf("spec.hosts[%d]", i)
		}
	}
	return "spec.hosts"
}

// meshPorts are the ports on which the mesh has HTTP routes.
func (t *translator) meshPorts() []uint32 {
	var out []uint32
	for _, s := range t.services {
		for _, p := range s.ports {
			if p.http() {
				out = append(out, p.number)
			}
		}
	}
	if len(t.meshHosts.extra) > 0 {
		out = append(out, 80)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// A meshVirtualHost is a virtual host of the mesh before its domains are set.
type meshVirtualHost struct {
	host    string
	service *service // nil for a host that no service has
	routes  []*route.Route
}

// virtualHostsOn are the virtual hosts of one port: those of the routers first,
// then the services that no router speaks for.
func (t *translator) virtualHostsOn(port uint32) []meshVirtualHost {
	var out []meshVirtualHost
	routed := make(map[*service]bool)
	for _, r := range t.routers {
		if !r.bound(mesh) {
			continue
		}
		var served []*service
		for _, s := range t.meshHosts.served[r] {
			if p := s.port(port); p != nil && p.http() {
				served = append(served, s)
			}
		}
		// A host without a service has no port of its own: it is reached on 80,
		// and on the ports of the services that share its routes.
		if len(served) == 0 && (port != 80 || len(t.meshHosts.extra[r]) == 0) {
			continue
		}
		routes := t.routes(r, entrance{port: port, gateway: mesh})
		if len(routes) == 0 {
			continue
		}
		for _, h := range t.meshHosts.extra[r] {
			out = append(out, meshVirtualHost{host: h, routes: routes})
		}
		for _, s := range served {
			routed[s] = true
			out = append(out, meshVirtualHost{host: s.host, service: s, routes: routes})
		}
	}
	for _, s := range t.services {
		if p := s.port(port); p != nil && p.http() && !routed[s] {
			out = append(out, meshVirtualHost{host: s.host, service: s, routes: t.defaultRoutes(s, p)})
		}
	}
	return out
}

// meshRoutes are the route configurations of the mesh: one for each port, for
// connections that were going there, and http_proxy over all ports, for
// requests that name their target themselves.
func (t *translator) meshRoutes() []*route.RouteConfiguration {
	var out []*route.RouteConfiguration
	var all []*route.VirtualHost
	proxyDomains := make(domainSet)
	for _, port := range t.meshPorts() {
		hosts := t.virtualHostsOn(port)
		domains := make(domainSet)
		var on []*route.VirtualHost
		for _, h := range hosts {
			on = t.addVirtualHost(on, portString(port), h, port, domains.free(t.domains(h, 0)))
			h.routes = t.withTunnel(h, port)
			all = t.addVirtualHost(all, httpProxy, h, port, proxyDomains.free(t.domains(h, port)))
		}
		out = append(out, t.meshConfiguration(portString(port), on, true))
	}
	// Envoy's http_proxy configuration must see ports, or a service on 8000
	// and one on 80 of the same host could not be told apart.
	proxy := t.meshConfiguration(httpProxy, all, false)
	if t.allowAny() {
		other := proxy.VirtualHosts[len(proxy.VirtualHosts)-1]
		other.Routes = append(other.Routes, tunnelRoute(passthroughCluster))
	}
	return append(out, proxy)
}

// withTunnel adds a route for CONNECT, which no other route fits, to those of a
// service. What comes through a tunnel is not looked at, so it goes to the
// service itself, whatever a VirtualService says of requests.
func (t *translator) withTunnel(h meshVirtualHost, port uint32) []*route.Route {
	if h.service == nil {
		return h.routes
	}
	s := h.service
	if s.alias != nil {
		s = s.alias
	}
	cluster := clusterName(port, "", s.host)
	tunnel := t.kept(routesKey{name: cluster}, func() []*route.Route { return []*route.Route{tunnelRoute(cluster)} })
	return slices.Concat(h.routes, tunnel)
}

func tunnelRoute(cluster string) *route.Route {
	a := &route.RouteAction{
		ClusterSpecifier: &route.RouteAction_Cluster{Cluster: cluster},
		UpgradeConfigs: []*route.RouteAction_UpgradeConfig{{
			UpgradeType: connectMethod, ConnectConfig: &route.RouteAction_UpgradeConfig_ConnectConfig{},
		}},
	}
	setTimeout(a, nil)
	return &route.Route{
		Name:   "connect",
		Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_ConnectMatcher_{ConnectMatcher: &route.RouteMatch_ConnectMatcher{}}},
		Action: &route.Route_Route{Route: a},
	}
}

func (t *translator) addVirtualHost(to []*route.VirtualHost, configuration string, h meshVirtualHost, port uint32, domains []string) []*route.VirtualHost {
	if len(domains) == 0 {
		return to
	}
	return append(to, t.virtualHost(configuration, hostPort(h.host, port), domains, h.routes, route.VirtualHost_NONE))
}

func (t *translator) meshConfiguration(name string, hosts []*route.VirtualHost, ignorePort bool) *route.RouteConfiguration {
	slices.SortStableFunc(hosts, func(a, b *route.VirtualHost) int { return cmp.Compare(a.Name, b.Name) })
	return &route.RouteConfiguration{
		Name:                           name,
		VirtualHosts:                   append(hosts, t.everyOtherHost()),
		ValidateClusters:               wrapperspb.Bool(false),
		MaxDirectResponseBodySizeBytes: uint32Value(maxDirectResponse),
		IgnorePortInHostMatching:       ignorePort,
	}
}

// maxDirectResponse is Istio's bound of a direct response, 1 MiB.
const maxDirectResponse = 1 << 20

// domainSet holds domains that are taken, in lower case.
type domainSet map[string]bool

// free takes those of the domains that nobody had before.
func (d domainSet) free(domains []string) []string {
	var out []string
	for _, name := range domains {
		if key := strings.ToLower(name); !d[key] {
			d[key] = true
			out = append(out, name)
		}
	}
	return out
}

// domains are the Host headers that reach a virtual host, the full host first.
// With a port they carry it, and for port 80 they also come bare.
func (t *translator) domains(h meshVirtualHost, port uint32) []string {
	names := []string{h.host}
	if h.service != nil {
		names = append(names, t.shortNames(h.service)...)
		for _, a := range h.service.addresses {
			if strings.Contains(a, ":") {
				a = "[" + a + "]"
			}
			names = append(names, a)
		}
	}
	if port == 0 {
		return names
	}
	var out []string
	for _, n := range names {
		if port == 80 {
			out = append(out, n)
		}
		if n != "*" {
			out = append(out, n+":"+portString(port))
		}
	}
	return out
}

// shortNames are the other names by which clients in the proxy's namespace
// reach a service of the cluster: with the final dot of DNS, and shorter ones,
// unless one is the whole name of something else.
func (t *translator) shortNames(s *service) []string {
	suffix := ".svc." + t.opt.ClusterDomain
	base, ok := strings.CutSuffix(s.host, suffix)
	if !ok || s.kube == nil {
		return nil
	}
	out := []string{s.host + "."}
	if s.namespace == t.opt.Namespace {
		out = append(out, s.name)
	}
	return slices.DeleteFunc(append(out, base+".svc", base), func(name string) bool {
		return t.byHost[name] != nil || t.meshHosts.owner[name] != nil
	})
}

func hostPort(host string, port uint32) string { return net.JoinHostPort(host, portString(port)) }

// everyOtherHost answers for hosts that nobody declared.
func (t *translator) everyOtherHost() *route.VirtualHost {
	r := &route.Route{Match: routeMatch(nil)}
	if t.allowAny() {
		r.Name = "allow_any"
		a := &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: passthroughCluster}}
		a.Timeout = durationpb.New(0)
		a.MaxGrpcTimeout = durationpb.New(0)
		r.Action = &route.Route_Route{Route: a}
	} else {
		r.Name = "block_all"
		r.Action = &route.Route_DirectResponse{DirectResponse: &route.DirectResponseAction{
			Status:     502,
			BodyFormat: textFormat("no service of the mesh has the host %REQ(:AUTHORITY)%\n"),
		}}
	}
	return &route.VirtualHost{
		Name: r.Name, Domains: []string{"*"}, Routes: []*route.Route{r}, IncludeRequestAttemptCount: t.countAttempts(),
	}
}

func textFormat(format string) *core.SubstitutionFormatString {
	return &core.SubstitutionFormatString{Format: &core.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: format}},
	}}
}

// countAttempts reports whether upstreams get x-envoy-attempt-count.
func (t *translator) countAttempts() bool {
	return !t.mesh.GetDefaultConfig().GetProxyHeaders().GetAttemptCount().GetDisabled().GetValue()
}
