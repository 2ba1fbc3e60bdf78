package gatewayapi

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A place is where HTTPRoutes are attached: a listener, or a Service of the mesh.
type place struct {
	gateway *config.Object[*gatewayv1.GatewaySpec] // nil: the mesh
	index   int                                    // of the listener
	key     string
	served  bool // by this proxy
	hosts   map[string][]attached
}

// attached is a route at a host; port limits it to one of a Service's.
type attached struct {
	*route
	port     int32
	consumer bool // the route is not of the Service's namespace
}

func (p *place) listener() *gatewayv1.Listener { return &p.gateway.Spec.Listeners[p.index] }

// hostname is that of the listener, "*" for all.
func hostname(l *gatewayv1.Listener) string {
	return strings.ToLower(cmp.Or(string(or(l.Hostname, "")), "*"))
}

func (p *place) add(host string, a attached) {
	if !slices.ContainsFunc(p.hosts[host], func(other attached) bool { return other.route == a.route && other.port == a.port }) {
		p.hosts[host] = append(p.hosts[host], a)
	}
}

// places are all listeners, and the mesh last.
func (c *converter) places() []*place {
	var out []*place
	name, only := c.Gateway[GatewayNameLabel]
	for _, g := range c.Gateways {
		served := c.Gateway != nil && (!only || g.Name == name)
		if only && !served {
			c.problems = append(c.problems, g.Problem(config.Note, "metadata.name", "is not the name of this gateway: its listeners are not served here",
				"say with --gateway which gateway this is"))
		}
		for i, l := range g.Spec.Listeners {
			out = append(out, &place{gateway: g, index: i, key: g.Namespace + "/" + g.Name + "/" + string(l.Name), served: served, hosts: map[string][]attached{}})
		}
	}
	return append(out, &place{key: Mesh, served: true, hosts: map[string][]attached{}})
}

// attach puts the route where its parents let it.
func (c *converter) attach(r *route, places []*place) {
	if len(r.Spec.ParentRefs) == 0 {
		c.warn(r.Object, "spec", "add parentRefs with the name of a Gateway, or of a Service for traffic inside the mesh", "the route has no parentRefs: nothing reaches it")
	}
	for i, p := range r.Spec.ParentRefs {
		field := fmt.Sprintf("spec.parentRefs[%d]", i)
		namespace := string(or(p.Namespace, gatewayv1.Namespace(r.Namespace)))
		switch group, kind := or(p.Group, gatewayv1.GroupName), or(p.Kind, "Gateway"); {
		case group == gatewayv1.GroupName && kind == "Gateway":
			c.attachGateway(r, field, &p, namespace, places)
		case group == "" && kind == "Service":
			c.attachService(r, field, &p, namespace, places[len(places)-1])
		default:
			c.warn(r.Object, field+".kind", "name a Gateway, or a Service for traffic inside the mesh",
				"%s of %q is no parent that Sundog knows: through it nothing reaches these routes", kind, group)
		}
	}
}

func (c *converter) attachGateway(r *route, field string, p *gatewayv1.ParentReference, namespace string, places []*place) {
	key := namespace + "/" + string(p.Name)
	g := c.gateways[key]
	if g == nil {
		hint := "give its file with -f"
		if len(c.gateways) > 0 {
			hint = "there are " + strings.Join(slices.Sorted(maps.Keys(c.gateways)), ", ")
		}
		c.warn(r.Object, field+".name", hint, "there is no Gateway %s: through it nothing reaches these routes", key)
		return
	}
	named, open, found := false, false, false
	for _, at := range places {
		if at.gateway != g {
			continue
		}
		l := at.listener()
		if p.SectionName != nil && *p.SectionName != l.Name || p.Port != nil && *p.Port != l.Port {
			continue
		}
		named = true
		if !takesKind(l) || !c.takesNamespace(at, r, field) {
			continue
		}
		open = true
		for _, host := range intersect(hostname(l), r.Spec.Hostnames) {
			if at.owns(host, places) {
				found = true
				at.add(host, attached{route: r})
			}
		}
	}
	switch {
	case !named && p.SectionName != nil:
		c.warn(r.Object, field+".sectionName", "its listeners are "+listenerNames(g), "%s has no such listener %s: through it nothing reaches these routes", g, *p.SectionName)
	case !named:
		c.warn(r.Object, field+".port", "its listeners are "+listenerNames(g), "%s has no listener on the port: through it nothing reaches these routes", g)
	case !open:
		c.warn(r.Object, field, "set allowedRoutes.namespaces.from: All on the listener, or move the route",
			"no listener of %s takes HTTPRoutes of the namespace %s: through it nothing reaches these routes", g, r.Namespace)
	case !found:
		c.warn(r.Object, field, "its listeners are "+listenerNames(g), "no hostname of the route is one of %s: through it nothing reaches these routes", g)
	}
}

func listenerNames(g *config.Object[*gatewayv1.GatewaySpec]) string {
	var out []string
	for _, l := range g.Spec.Listeners {
		out = append(out, fmt.Sprintf("%s (%s:%d)", l.Name, hostname(&l), l.Port))
	}
	return strings.Join(out, ", ")
}

// takesKind reports whether the listener is for HTTPRoutes.
func takesKind(l *gatewayv1.Listener) bool {
	if l.Protocol != gatewayv1.HTTPProtocolType && l.Protocol != gatewayv1.HTTPSProtocolType {
		return false
	}
	return l.AllowedRoutes == nil || len(l.AllowedRoutes.Kinds) == 0 || slices.ContainsFunc(l.AllowedRoutes.Kinds, func(k gatewayv1.RouteGroupKind) bool {
		return or(k.Group, gatewayv1.GroupName) == gatewayv1.GroupName && k.Kind == "HTTPRoute"
	})
}

// takesNamespace reports whether the listener takes routes of the namespace. Of
// the labels of namespaces only the one with its name is known.
func (c *converter) takesNamespace(at *place, r *route, field string) bool {
	l := at.listener()
	from := gatewayv1.NamespacesFromSame
	var selector *metav1.LabelSelector
	if a := l.AllowedRoutes; a != nil && a.Namespaces != nil {
		from, selector = or(a.Namespaces.From, from), a.Namespaces.Selector
	}
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return r.Namespace == at.gateway.Namespace
	case gatewayv1.NamespacesFromSelector:
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			return false // the loader reports it
		}
		if requirements, _ := s.Requirements(); slices.ContainsFunc(requirements, func(q labels.Requirement) bool {
			return q.Key() != metav1.ObjectNameField && q.Key() != "kubernetes.io/metadata.name"
		}) {
			c.warn(r.Object, field, "select by kubernetes.io/metadata.name, or set from: All",
				"the listener %s of %s selects namespaces by labels, which files do not tell: the route is not attached there", l.Name, at.gateway)
			return false
		}
		return s.Matches(labels.Set{"kubernetes.io/metadata.name": r.Namespace})
	}
	return false
}

// intersect has, for each host of the route that overlaps with the listener's,
// the narrower of the two.
func intersect(listener string, hosts []gatewayv1.Hostname) []string {
	if len(hosts) == 0 {
		return []string{listener}
	}
	var out []string
	for _, h := range hosts {
		host := strings.ToLower(string(h))
		switch {
		case covers(listener, host):
		case covers(host, listener):
			host = listener
		default:
			continue
		}
		if !slices.Contains(out, host) {
			out = append(out, host)
		}
	}
	return out
}

// covers reports whether every name that b stands for is one of a's.
func covers(a, b string) bool {
	suffix, wild := strings.CutPrefix(a, "*")
	if !wild {
		return a == b
	}
	return strings.HasSuffix(b, suffix) && (strings.HasPrefix(b, "*") || len(b) > len(suffix))
}

// owns reports whether no other listener of the port names the host more
// exactly: that one gets its requests.
func (p *place) owns(host string, places []*place) bool {
	own := p.listener()
	return !slices.ContainsFunc(places, func(other *place) bool {
		if other == p || other.gateway != p.gateway {
			return false
		}
		l := other.listener()
		return l.Port == own.Port && l.Protocol == own.Protocol && covers(hostname(l), host) && hostname(l) != hostname(own) && covers(hostname(own), hostname(l))
	})
}

// attachService attaches the route to a Service: for all clients if it is of
// the Service's namespace, else for those of the route's own.
func (c *converter) attachService(r *route, field string, p *gatewayv1.ParentReference, namespace string, mesh *place) {
	s := c.services[namespace+"/"+string(p.Name)]
	if s == nil {
		c.warn(r.Object, field+".name", "give its file with -f", "there is no Service %s/%s: through it nothing reaches these routes", namespace, p.Name)
		return
	}
	if p.Port != nil && !hasPort(s, *p.Port) {
		c.warn(r.Object, field+".port", "its ports are "+ports(s), "the Service %s/%s has no port %d: through it nothing reaches these routes", namespace, p.Name, *p.Port)
		return
	}
	if namespace != r.Namespace && r.Namespace != c.Namespace {
		c.problems = append(c.problems, r.Problem(config.Note, field, "a route for a Service of another namespace is for clients of its own, "+r.Namespace+": this proxy's is "+c.Namespace, ""))
		return
	}
	mesh.add(c.host(namespace, string(p.Name)), attached{r, or(p.Port, 0), namespace != r.Namespace})
}

// host is the name of a Service.
func (c *converter) host(namespace, name string) string {
	return strings.ToLower(name) + "." + namespace + ".svc." + c.ClusterDomain
}

// routers puts the rules of all routes of a host in order. Hosts that have the
// same routes share them.
func (c *converter) routers(places []*place) []Router {
	var out []Router
	for _, p := range places {
		if !p.served {
			continue
		}
		same := map[string]int{}
		for _, host := range slices.Sorted(maps.Keys(p.hosts)) {
			at := p.hosts[host]
			if slices.ContainsFunc(at, func(a attached) bool { return a.consumer }) {
				at = slices.DeleteFunc(slices.Clone(at), func(a attached) bool { return !a.consumer })
			}
			var names []string
			for _, a := range at {
				names = append(names, fmt.Sprintf("%s:%d", a.shown, a.port))
			}
			name := strings.Join(names, ", ")
			if i, ok := same[name]; ok {
				out[i].Hosts = append(out[i].Hosts, host)
				continue
			}
			same[name] = len(out)
			out = append(out, Router{Name: name, Object: at[0].shown, Hosts: []string{host}, Gateway: p.key, Rules: ordered(at)})
		}
	}
	return out
}

// ordered are the rules of the routes, first tried first.
func ordered(at []attached) []Rule {
	var all []entry
	for _, a := range at {
		for _, e := range a.entries {
			if a.port != 0 {
				e.HTTP = onPort(e.HTTP, a.port)
			}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, compareEntries)
	out := make([]Rule, len(all))
	for i, e := range all {
		out[i] = e.Rule
	}
	return out
}

// listeners are the servers that this proxy is to have.
func (c *converter) listeners(places []*place) []Listener {
	var out []Listener
	for _, p := range places {
		if p.gateway == nil || !p.served {
			continue
		}
		g := p.gateway
		server := c.server(p, p.listener())
		if server == nil {
			continue
		}
		shown := &config.Object[*istio.Gateway]{
			Kind: g.Kind, APIVersion: g.APIVersion, Namespace: g.Namespace, Name: g.Name,
			Labels: g.Labels, Annotations: g.Annotations, Created: g.Created, Spec: &istio.Gateway{}, Source: g.Source,
		}
		out = append(out, Listener{Key: p.key, Object: shown, Field: fmt.Sprintf("spec.listeners[%d]", p.index), Server: server})
	}
	return out
}
