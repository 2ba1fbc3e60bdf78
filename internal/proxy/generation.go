package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// generation is one compiled snapshot. It is immutable; a request holds one
// from its head to its end.
type generation struct {
	snapshot  *envoy.Snapshot
	applied   time.Time
	listeners map[string]*listenerConfig
	tables    map[string]*route.Table // by the name of their route configuration
	clusters  []*upstream.Cluster
	index     map[string]int
	routes    []*route.Route       // those that forward, by their ID
	policies  [][]*mirror.Policy   // by route ID, in the order of the route's mirrors; the primary asked again is the last
	rules     []*mirror.Rules      // by route ID; nil without a ShadowPolicy
	compared  map[string]*Compared // by the route's key
}

// compile makes a generation of a snapshot. Nothing of the proxy has changed
// when it fails; all that is wrong is told.
func (p *Proxy) compile(s *envoy.Snapshot, old *generation) (*generation, error) {
	g := &generation{snapshot: s, applied: time.Now(), listeners: map[string]*listenerConfig{}, tables: map[string]*route.Table{}, index: map[string]int{}, compared: map[string]*Compared{}}
	errs := p.compileClusters(g, s, old)
	errs = append(errs, p.compileRoutes(g, s, old), g.compileListeners(p, s, old))
	if err := errors.Join(errs...); err != nil {
		g.release()
		return nil, err
	}
	return g, nil
}

// served are the clusters of g, which may be nil.
func (g *generation) served() []*upstream.Cluster {
	if g == nil {
		return nil
	}
	return g.clusters
}

// release gives up the endpoints of a generation that serves no more.
func (g *generation) release() {
	for _, c := range g.served() {
		c.Release()
	}
}

func (p *Proxy) compileClusters(g *generation, s *envoy.Snapshot, old *generation) (errs []error) {
	assignments := map[string]*endpointv3.ClusterLoadAssignment{}
	for _, a := range s.Endpoints {
		assignments[a.GetClusterName()] = a
	}
	for _, c := range s.Clusters {
		var before *upstream.Cluster
		if old != nil {
			if i, ok := old.index[c.GetName()]; ok {
				before = old.clusters[i]
			}
		}
		name := c.GetEdsClusterConfig().GetServiceName()
		if name == "" {
			name = c.GetName()
		}
		compiled, err := upstream.Compile(c, assignments[name], before, p.slots, secretsOf(s))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(compiled.Ignored) > 0 {
			p.opt.Logger.Warn("fields of a cluster have no effect yet", "cluster", c.GetName(), "fields", compiled.Ignored)
		}
		g.index[c.GetName()] = len(g.clusters)
		g.clusters = append(g.clusters, compiled)
	}
	return errs
}

// secretsOf finds the snapshot's secrets by their names.
func secretsOf(s *envoy.Snapshot) tlsconn.Secrets {
	return func(name string) *tlsv3.Secret {
		for _, secret := range s.Secrets {
			if secret.GetName() == name {
				return secret
			}
		}
		return nil
	}
}

func (p *Proxy) compileRoutes(g *generation, s *envoy.Snapshot, old *generation) error {
	var errs []error
	told := map[string]bool{} // a route may be in several configurations
	add := func(rc *routev3.RouteConfiguration) {
		var before *route.Table
		if old != nil {
			before = old.tables[rc.GetName()]
		}
		t, err := route.Recompile(rc, func(name string) (int, bool) { i, ok := g.index[name]; return i, ok }, before)
		if err != nil {
			errs = append(errs, err)
			return
		}
		g.tables[rc.GetName()] = t
		for _, r := range t.Routes() {
			if r.Forward != nil {
				r.ID = len(g.routes)
				g.routes = append(g.routes, r)
				policies, rules, err := p.policiesOf(g, r)
				if err != nil && !told[err.Error()] {
					told[err.Error()] = true
					errs = append(errs, err)
				}
				g.policies, g.rules = append(g.policies, policies), append(g.rules, rules)
			}
		}
	}
	for _, rc := range s.Routes {
		add(rc)
	}
	for _, l := range s.Listeners { // route configurations that stand in their listener
		for _, chain := range l.GetFilterChains() {
			for _, f := range chain.GetFilters() {
				m := &hcmv3.HttpConnectionManager{}
				if f.GetTypedConfig().UnmarshalTo(m) == nil && m.GetRouteConfig() != nil {
					add(m.GetRouteConfig())
				}
			}
		}
	}
	return errors.Join(errs...)
}

func (g *generation) compileListeners(p *Proxy, s *envoy.Snapshot, old *generation) error {
	var errs []error
	for _, l := range s.Listeners {
		c, err := compileListener(l, secretsOf(s))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if old != nil {
			c.inherit(old.listeners[c.name])
		}
		for ch := range c.all() {
			if ch.tls != nil && len(ch.tls.Ignored) > 0 {
				p.opt.Logger.Warn("fields of a listener's TLS have no effect", "listener", c.name, "fields", ch.tls.Ignored)
			}
			if h := ch.http; h != nil {
				if h.table = g.tables[h.routes]; h.table == nil {
					errs = append(errs, fmt.Errorf("listener %q: route configuration %q is not in the snapshot", c.name, h.routes))
				}
			}
		}
		if g.listeners[c.name] != nil {
			errs = append(errs, fmt.Errorf("listener %q: there are two of that name", c.name))
		}
		g.listeners[c.name] = c
	}
	return errors.Join(errs...)
}

// redirected finds the configuration for a connection that was redirected to
// here on its way to dst: a listener of that address, or of its port.
func (g *generation) redirected(dst netip.AddrPort) *listenerConfig {
	var wide *listenerConfig
	for _, l := range g.listeners {
		if l.bind || l.port != dst.Port() {
			continue
		}
		if l.anyAddr {
			wide = l
		} else if l.addr == dst.String() {
			return l
		}
	}
	return wide
}
