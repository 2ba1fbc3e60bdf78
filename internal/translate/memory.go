package translate

import (
	"reflect"
	"slices"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	istio "istio.io/api/networking/v1alpha3"
)

// Translator translates one Set after another. Where a config.Loader has kept
// the Specs of objects, it keeps the virtual hosts and routes that it made of
// them: the snapshots share these messages, which nobody changes. What it
// returns is equal to what Translate does. The zero Translator is ready. It is
// not for concurrent use.
type Translator struct{ last *memory }

// Translate is the function Translate.
func (tr *Translator) Translate(set *config.Set, opt Options) (*envoy.Snapshot, []config.Problem) {
	t := newTranslator(set, opt)
	t.made = newMemory(t)
	if t.before = t.made; tr.last != nil && tr.last.fits(t.made) {
		t.before = tr.last
	}
	tr.last = t.made
	return t.translate()
}

// memory is what a translation leaves to the next one.
type memory struct {
	// What the routes depend on, besides their VirtualService.
	opt  Options
	mesh *meshconfig.MeshConfig
	set  config.Set

	routes map[routesKey][]*route.Route
	hosts  map[hostKey]*route.VirtualHost
	// supported are the Specs whose fields all have an effect.
	supported map[proto.Message]bool
}

// routesKey says what routes are for: a VirtualService at an entrance; or, with
// a nil spec, a port of a host, or the tunnel to a cluster.
type routesKey struct {
	spec *istio.VirtualService
	name string // of the object, host or cluster
	in   entrance
}

// hostKey is a virtual host of a route configuration.
type hostKey struct{ configuration, name string }

// newMemory has nothing yet of the translation that begins.
func newMemory(t *translator) *memory {
	return &memory{
		opt: t.opt, mesh: t.mesh, set: config.Set{
			Services: t.set.Services, ServiceEntries: t.set.ServiceEntries, DestinationRules: t.set.DestinationRules,
			ShadowPolicies: t.set.ShadowPolicies,
		},
		routes: make(map[routesKey][]*route.Route), hosts: make(map[hostKey]*route.VirtualHost),
		supported: make(map[proto.Message]bool),
	}
}

// fits reports whether routes of unchanged VirtualServices are what they were.
func (m *memory) fits(next *memory) bool {
	return reflect.DeepEqual(m.opt, next.opt) && proto.Equal(m.mesh, next.mesh) &&
		sameSpecs(m.set.Services, next.set.Services) && sameSpecs(m.set.ServiceEntries, next.set.ServiceEntries) &&
		sameSpecs(m.set.DestinationRules, next.set.DestinationRules) && sameSpecs(m.set.ShadowPolicies, next.set.ShadowPolicies)
}

func sameSpecs[T comparable](a, b []*config.Object[T]) bool {
	return slices.EqualFunc(a, b, func(a, b *config.Object[T]) bool {
		return a.Spec == b.Spec && a.Name == b.Name && a.Namespace == b.Namespace
	})
}

// kept are the routes that were made for the key before, else new ones.
func (t *translator) kept(key routesKey, fresh func() []*route.Route) []*route.Route {
	routes, ok := t.before.routes[key]
	if !ok {
		routes = slices.Clip(fresh())
	}
	t.made.routes[key] = routes
	return routes
}

// unchanged are the routes that were made for the key before, if these are
// equal to them.
func (t *translator) unchanged(key routesKey, fresh []*route.Route) []*route.Route {
	routes, ok := t.before.routes[key]
	if !ok || !slices.EqualFunc(routes, fresh, func(a, b *route.Route) bool { return proto.Equal(a, b) }) {
		routes = slices.Clip(fresh)
	}
	t.made.routes[key] = routes
	return routes
}

// virtualHost makes a virtual host of a route configuration, or keeps the one
// of that name if it would be the same.
func (t *translator) virtualHost(configuration, name string, domains []string, routes []*route.Route, tls route.VirtualHost_TlsRequirementType) *route.VirtualHost {
	key := hostKey{configuration, name}
	v := t.before.hosts[key]
	if v == nil || !slices.Equal(v.Domains, domains) || !slices.Equal(v.Routes, routes) || v.RequireTls != tls {
		v = &route.VirtualHost{
			Name: name, Domains: domains, Routes: routes, RequireTls: tls, IncludeRequestAttemptCount: t.countAttempts(),
		}
	}
	t.made.hosts[key] = v
	return v
}
