package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
)

type gatewayObject = config.Object[*istio.Gateway]

// mergeGateways fills gateways from the Gateways whose selector fits, and
// from those of the Gateway API.
func (t *translator) mergeGateways() {
	if t.opt.Gateway == nil {
		return
	}
	for _, o := range t.set.Gateways {
		if !selects(o.Spec.GetSelector(), t.opt.Gateway) {
			t.report(o.Problem(config.Note, "spec.selector", "is not that of this gateway: its servers do not listen here",
				"say with --gateway which gateway this is"))
			continue
		}
		for i, s := range o.Spec.GetServers() {
			t.addServer(gatewayServer{gateway: o.Namespace + "/" + o.Name, object: o, field: fmt.Sprintf("spec.servers[%d]", i), server: s})
		}
	}
	for i := range t.kube.Listeners {
		l := &t.kube.Listeners[i]
		t.addServer(gatewayServer{gateway: l.Key, object: l.Object, field: l.Field, server: l.Server, listener: l})
	}
	slices.SortFunc(t.gateways, func(a, b *gatewayPort) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.bind, b.bind))
	})
	for _, p := range t.opt.Publish {
		if !slices.ContainsFunc(t.gateways, func(g *gatewayPort) bool { return g.number == p.GatewayPort }) {
			t.report(config.Problem{
				Severity: config.Warning, Field: fmt.Sprintf("--publish %s", p),
				Message: fmt.Sprintf("no HTTP server of a gateway has the port %d", p.GatewayPort),
				Hint:    "give the port as the Gateway has it after the last colon",
			})
		}
	}
}

// String is the flag's value.
func (p Publish) String() string {
	s := fmt.Sprintf("%d:%d", p.Port, p.GatewayPort)
	if strings.Contains(p.Host, ":") {
		return "[" + p.Host + "]:" + s
	}
	if p.Host != "" {
		return p.Host + ":" + s
	}
	return s
}

func (t *translator) gatewayPort(number uint32, bind string) *gatewayPort {
	for _, g := range t.gateways {
		if g.number == number && g.bind == bind {
			return g
		}
	}
	g := &gatewayPort{number: number, bind: bind}
	t.gateways = append(t.gateways, g)
	return g
}

// addGateways adds the listeners of each port and their route configurations:
// one for all plain servers, one for each HTTPS server.
func (t *translator) addGateways(s *envoy.Snapshot) {
	for _, g := range t.gateways {
		s.Listeners = append(s.Listeners, t.gatewayListeners(g)...)
		if !g.secure {
			s.Routes = append(s.Routes, t.gatewayRoutes(g.routeName(), g, g.servers))
			continue
		}
		for _, server := range g.servers {
			s.Routes = append(s.Routes, t.gatewayRoutes(g.secureRouteName(server), g, []gatewayServer{server}))
		}
	}
}

func (t *translator) gatewayRoutes(name string, g *gatewayPort, servers []gatewayServer) *route.RouteConfiguration {
	return &route.RouteConfiguration{
		Name:                           name,
		VirtualHosts:                   t.gatewayHosts(name, g, servers),
		ValidateClusters:               wrapperspb.Bool(false),
		MaxDirectResponseBodySizeBytes: uint32Value(maxDirectResponse),
		IgnorePortInHostMatching:       true,
	}
}

// A gatewayHost is a virtual host of a gateway port while it is put together.
type gatewayHost struct {
	domains  []string
	routers  []string // what its routes come from, to find hosts that share them
	routes   []*route.Route
	redirect bool // plain requests are sent to https
}

// gatewayHosts are the virtual hosts of servers of a port: for each pair of a
// server's host and a VirtualService's host the narrower of the two.
func (t *translator) gatewayHosts(configuration string, g *gatewayPort, servers []gatewayServer) []*route.VirtualHost {
	hosts := make(map[string]*gatewayHost)
	at := func(host string) *gatewayHost {
		h := hosts[host]
		if h == nil {
			h = &gatewayHost{domains: []string{host}}
			hosts[host] = h
		}
		return h
	}
	for _, s := range servers {
		redirect := s.server.GetTls().GetHttpsRedirect()
		for _, r := range t.routers {
			if !r.bound(s.gateway) {
				continue
			}
			common := intersection(s.hostsFor(r.object.Namespace), r.hosts)
			if len(common) == 0 {
				continue
			}
			routes := t.routes(r, entrance{port: g.number, gateway: s.gateway, secure: g.secure})
			for _, host := range common {
				h := at(host)
				h.routes = append(h.routes, routes...)
				h.routers = append(h.routers, s.gateway+" "+r.name)
				h.redirect = h.redirect || redirect
			}
		}
		if host := serverHost(s.server.GetHosts()[0]); s.listener != nil && host != "*" && len(servers) > 1 {
			at(host) // a listener has the requests for its host to itself, whatever becomes of them
		}
		if redirect {
			for _, host := range s.server.GetHosts() {
				at(serverHost(host)).redirect = true
			}
		}
	}
	return t.finishGatewayHosts(configuration, g, hosts)
}

// finishGatewayHosts merges hosts that share their routes and puts routes that
// take everything last.
func (t *translator) finishGatewayHosts(configuration string, g *gatewayPort, hosts map[string]*gatewayHost) []*route.VirtualHost {
	if len(hosts) == 0 {
		return []*route.VirtualHost{{Name: hostPort("blackhole", g.number), Domains: []string{"*"}}}
	}
	var merged []*gatewayHost
	same := make(map[string]*gatewayHost)
	for _, host := range sortedHosts(hosts) {
		h := hosts[host]
		key := fmt.Sprint(h.redirect, strings.Join(h.routers, "\n"))
		if first := same[key]; first != nil {
			first.domains = append(first.domains, host)
			continue
		}
		same[key] = h
		merged = append(merged, h)
	}
	var out []*route.VirtualHost
	for _, h := range merged {
		slices.SortStableFunc(h.routes, func(a, b *route.Route) int { return compareBools(catchAll(a.Match), catchAll(b.Match)) })
		tls := route.VirtualHost_NONE
		if h.redirect {
			tls = route.VirtualHost_ALL
		}
		out = append(out, t.virtualHost(configuration, hostPort(h.domains[0], g.number), h.domains, h.routes, tls))
	}
	slices.SortFunc(out, func(a, b *route.VirtualHost) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func sortedHosts(hosts map[string]*gatewayHost) []string {
	var out []string
	for h := range hosts {
		out = append(out, h)
	}
	slices.SortFunc(out, compareHosts)
	return out
}

// serverHost is a server's host without the namespace before its slash.
func serverHost(host string) string {
	if _, h, ok := strings.Cut(host, "/"); ok {
		host = h
	}
	return strings.ToLower(host)
}

// hostsFor are the hosts that the server offers to VirtualServices of a
// namespace: "ns/host", "./host" and "*/host" limit who may have them.
func (s gatewayServer) hostsFor(namespace string) []string {
	var out []string
	for _, host := range s.server.GetHosts() {
		if ns, _, ok := strings.Cut(host, "/"); ok && ns != "*" && ns != namespace && (ns != "." || s.object.Namespace != namespace) {
			continue
		}
		out = append(out, serverHost(host))
	}
	return out
}

// intersection has, for each pair of hosts that overlap, the narrower one.
func intersection(server, router []string) []string {
	var out []string
	add := func(h string) {
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	for _, s := range server {
		for _, r := range router {
			if covers(s, r) {
				add(r)
			} else if covers(r, s) {
				add(s)
			}
		}
	}
	slices.SortFunc(out, compareHosts)
	return out
}
