package gatewayapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Input is what is converted, and for which proxy.
type Input struct {
	Routes   []*config.Object[*gatewayv1.HTTPRouteSpec]
	Gateways []*config.Object[*gatewayv1.GatewaySpec]
	Grants   []*config.Object[*gatewayv1.ReferenceGrantSpec]
	Services []*config.Object[*corev1.Service]

	// ClusterDomain is the domain of Services: "cluster.local".
	ClusterDomain string
	// Namespace is the proxy's own.
	Namespace string
	// Gateway holds the labels of the gateway that the proxy is; nil: none.
	// With GatewayNameLabel among them it serves the Gateways of that name only.
	Gateway map[string]string
	// Attempts are the retries of a route that says nothing of them.
	Attempts int32
}

// GatewayNameLabel is the label that the pods of a Gateway carry.
const GatewayNameLabel = gatewayv1.GatewayNameLabelKey

// Mesh is the Router.Gateway of routes that are attached to Services.
const Mesh = "mesh"

// Result is what Convert makes.
type Result struct {
	Listeners []Listener
	Routers   []Router
	Problems  []config.Problem
}

// Listener is one listener of a Gateway as an Istio server.
type Listener struct {
	Key    string // by which Routers name it
	Object *config.Object[*istio.Gateway]
	Field  string // "spec.listeners[0]"
	Server *istio.Server
}

// FieldOf is the path of what the user wrote for a field of the server:
// ".tls.credentialName" is that of the certificates.
func (l *Listener) FieldOf(field string) string {
	if strings.HasPrefix(field, ".tls.credentialName") {
		field = ".tls.certificateRefs"
	}
	return l.Field + field
}

// Router holds the routes for hosts that one listener, or the mesh, has.
type Router struct {
	Name    string // of the HTTPRoutes in it; with Gateway it is unique
	Object  *Object
	Hosts   []string // complete, or "*" or "*.example.com"
	Gateway string   // Mesh, or a Listener's Key
	Rules   []Rule   // in the order in which they are tried
}

// Object is an HTTPRoute in the shape of a VirtualService. It has the name, the
// kind and the positions of the HTTPRoute; its Spec is empty.
type Object = config.Object[*istio.VirtualService]

// Rule is a rule of an HTTPRoute under one of its matches.
type Rule struct {
	Object *Object
	Field  string // "spec.rules[0]"
	// Section is the rule's name; may be empty.
	Section string
	// HTTP is named after the HTTPRoute and the rule, by its number if it has no
	// name, and by the number of the match if there are several:
	// "default/shop/api", "default/shop/0.1". It has one match. A prefix in it is one of whole path elements, and has
	// no slash at its end. Destinations may be clusters that are not there: their
	// share of the requests is answered with 500.
	HTTP *istio.HTTPRoute
	// RedirectPath says how a redirect changes the path, if HTTP.Redirect cannot.
	RedirectPath *istio.RegexRewrite
}

// converter holds the state of one conversion.
type converter struct {
	Input
	services map[string]*corev1.Service // by namespace/name
	gateways map[string]*config.Object[*gatewayv1.GatewaySpec]
	problems []config.Problem
}

// route is an HTTPRoute whose rules are converted.
type route struct {
	*config.Object[*gatewayv1.HTTPRouteSpec]
	shown   *Object
	entries []entry
}

// Convert converts the objects. Equal input gives equal output.
func Convert(in Input) Result {
	c := &converter{
		Input: in, services: make(map[string]*corev1.Service, len(in.Services)),
		gateways: make(map[string]*config.Object[*gatewayv1.GatewaySpec], len(in.Gateways)),
	}
	for _, s := range in.Services {
		c.services[s.Namespace+"/"+s.Name] = s.Spec
	}
	for _, g := range in.Gateways {
		c.gateways[g.Namespace+"/"+g.Name] = g
	}
	places := c.places()
	for _, o := range in.Routes {
		r := &route{Object: o, shown: &Object{
			Kind: o.Kind, APIVersion: o.APIVersion, Namespace: o.Namespace, Name: o.Name,
			Labels: o.Labels, Annotations: o.Annotations, Created: o.Created, Spec: &istio.VirtualService{}, Source: o.Source,
		}}
		c.convert(r)
		c.attach(r, places)
	}
	return Result{Listeners: c.listeners(places), Routers: c.routers(places), Problems: c.problems}
}

func (c *converter) warn(o *config.Object[*gatewayv1.HTTPRouteSpec], field, hint, format string, args ...any) {
	c.problems = append(c.problems, o.Problem(config.Warning, field, fmt.Sprintf(format, args...), hint))
}

// or is what p points to, else the other value.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// allowed reports whether a ReferenceGrant lets objects of the kind in a
// namespace name an object of another one.
func (c *converter) allowed(kind gatewayv1.Kind, from string, to gatewayv1.Kind, namespace, name string) bool {
	if from == namespace {
		return true
	}
	return slices.ContainsFunc(c.Grants, func(g *config.Object[*gatewayv1.ReferenceGrantSpec]) bool {
		return g.Namespace == namespace &&
			slices.ContainsFunc(g.Spec.From, func(f gatewayv1.ReferenceGrantFrom) bool {
				return f.Group == gatewayv1.GroupName && f.Kind == kind && string(f.Namespace) == from
			}) &&
			slices.ContainsFunc(g.Spec.To, func(t gatewayv1.ReferenceGrantTo) bool {
				return t.Group == "" && t.Kind == to && (t.Name == nil || *t.Name == "" || string(*t.Name) == name)
			})
	})
}

// entry is a Rule with what its place among others depends on.
type entry struct {
	Rule
	rank, length, method, headers, queries int
	order                                  string // of its object
}

// compareEntries puts first what the Gateway API wants tried first: exact
// paths, longer prefixes, a method, more headers, more query parameters. The
// place of regular expressions is left to implementations: they come after
// prefixes, but before those that take every path. Entries of one object keep their order.
func compareEntries(a, b entry) int {
	return cmp.Or(
		cmp.Compare(b.rank, a.rank), cmp.Compare(b.length, a.length), cmp.Compare(b.method, a.method),
		cmp.Compare(b.headers, a.headers), cmp.Compare(b.queries, a.queries),
		a.Object.Created.Compare(b.Object.Created), cmp.Compare(a.order, b.order),
	)
}
