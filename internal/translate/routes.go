package translate

import (
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	istio "istio.io/api/networking/v1alpha3"
)

// mesh is the reserved name of the gateway that every sidecar is.
const mesh = "mesh"

// A router is a VirtualService that has HTTP routes, its names completed, or
// the HTTPRoutes of some hosts at one place.
type router struct {
	name     string // that of its objects; for routers of a gateway it is unique
	kube     bool   // of HTTPRoutes
	object   *routeObject
	hosts    []string
	gateways []string // "mesh" or "namespace/name"
	rules    []routeRule
}

// bound reports whether the router serves the gateway.
func (r *router) bound(gateway string) bool { return slices.Contains(r.gateways, gateway) }

// indexVirtualServices fills routers.
func (t *translator) indexVirtualServices() {
	t.delegates = make(map[string]*routeObject)
	for _, o := range t.set.VirtualServices {
		if len(o.Spec.GetHosts()) == 0 {
			t.delegates[o.Namespace+"/"+o.Name] = o
		}
	}
	for _, o := range t.set.VirtualServices {
		if len(o.Spec.GetHttp()) == 0 || len(o.Spec.GetHosts()) == 0 || !t.visible(o.Spec.GetExportTo(), o.Namespace) {
			continue
		}
		r := &router{name: o.String(), object: o, gateways: []string{mesh}}
		for _, h := range o.Spec.GetHosts() {
			if h = t.fqdn(h, o.Namespace); !slices.Contains(r.hosts, h) {
				r.hosts = append(r.hosts, h)
			}
		}
		if len(o.Spec.GetGateways()) > 0 {
			r.gateways = gatewayNames(o.Spec.GetGateways(), o.Namespace)
		}
		r.rules = t.rulesOf(o)
		t.routers = append(t.routers, r)
	}
	t.addKubeRouters()
	t.meshHosts = t.assignMeshHosts()
}

// gatewayNames completes names as Istio does: "name" and "./name" are of the
// namespace, "name.namespace.svc…" is the old form, "namespace/name" is whole.
func gatewayNames(names []string, namespace string) []string {
	var out []string
	for _, n := range names {
		switch ns, rest, slash := strings.Cut(n, "/"); {
		case n == mesh:
		case slash && ns == ".":
			n = namespace + "/" + rest
		case slash:
		case strings.Contains(n, "."):
			part := strings.SplitN(n, ".", 3)
			n = part[1] + "/" + part[0]
		default:
			n = namespace + "/" + n
		}
		out = append(out, n)
	}
	return out
}

// An entrance is where requests come in: a port of the mesh or of a gateway.
type entrance struct {
	port    uint32
	gateway string // "mesh" or "namespace/name"
	secure  bool   // by TLS
}

// routes are those of a router for one entrance. As in Istio nothing follows a
// route that takes every request.
func (t *translator) routes(r *router, in entrance) []*route.Route {
	if r.kube {
		return t.unchanged(routesKey{name: r.gateways[0] + " " + r.name, in: in}, t.newRoutes(r, in))
	}
	if slices.ContainsFunc(r.object.Spec.GetHttp(), func(h *istio.HTTPRoute) bool { return h.GetDelegate() != nil }) {
		return t.newRoutes(r, in) // they are of other objects, too
	}
	return t.kept(routesKey{r.object.Spec, r.object.Namespace + "/" + r.object.Name, in}, func() []*route.Route { return t.newRoutes(r, in) })
}

func (t *translator) newRoutes(r *router, in entrance) []*route.Route {
	var out []*route.Route
	for _, rule := range r.rules {
		if len(rule.http.GetMatch()) == 0 {
			return append(out, t.route(r, rule, nil, in))
		}
		for _, m := range rule.http.GetMatch() {
			if !t.applies(m, r.object.Namespace, in) {
				continue
			}
			made := t.route(r, rule, m, in)
			out = append(out, made)
			if catchAll(made.Match) {
				return out
			}
		}
	}
	return out
}

// applies reports whether a match condition concerns this proxy: what it says
// of ports, gateways and sources is settled here and not with each request.
func (t *translator) applies(m *istio.HTTPMatchRequest, namespace string, in entrance) bool {
	if m.GetPort() != 0 && m.GetPort() != in.port {
		return false
	}
	if len(m.GetGateways()) > 0 {
		return slices.Contains(gatewayNames(m.GetGateways(), namespace), in.gateway)
	}
	var own map[string]string
	if in.gateway != mesh {
		own = t.opt.Gateway
	}
	return selects(m.GetSourceLabels(), own) && (m.GetSourceNamespace() == "" || m.GetSourceNamespace() == t.opt.Namespace)
}

// catchAll reports whether the match takes every request.
func catchAll(m *route.RouteMatch) bool {
	if len(m.GetHeaders()) > 0 || len(m.GetQueryParameters()) > 0 {
		return false
	}
	switch p := m.GetPathSpecifier().(type) {
	case *route.RouteMatch_Prefix:
		return p.Prefix == "/"
	case *route.RouteMatch_SafeRegex:
		return p.SafeRegex.GetRegex() == ".*"
	}
	return false
}

// route translates one HTTPRoute under one of its matches; nil matches all.
// Short names in it are of the namespace where it was written.
func (t *translator) route(r *router, rule routeRule, m *istio.HTTPMatchRequest, in entrance) *route.Route {
	o, h := r.object, rule.http
	path := configPath("virtual-service", o.Namespace, o.Name)
	if rule.kube != nil {
		o = rule.object
		path = kubePath(o)
	}
	out := &route.Route{
		Name:       h.GetName(),
		Match:      routeMatch(m),
		StatPrefix: m.GetStatPrefix(),
		Metadata:   istioMetadata(map[string]*structpb.Value{"config": structpb.NewStringValue(path)}),
	}
	if m.GetName() != "" {
		out.Name += "." + m.GetName()
	}
	ops := headerOperations(h.GetHeaders())
	ops.apply(out)
	switch {
	case h.GetRedirect() != nil:
		out.Action = redirectAction(h.GetRedirect(), in)
	case h.GetDirectResponse() != nil:
		out.Action = directResponse(h.GetDirectResponse())
	default:
		action, baseline := t.routeAction(out, rule, ops.authority, in.port)
		out.Action = &route.Route_Route{Route: action}
		if rule.policy != nil {
			t.addPolicy(out, rule.policy.object, baseline)
		}
	}
	if rule.kube != nil {
		rule.finish(out)
	}
	out.Decorator = &route.Decorator{Operation: operation(out, o.Name, in.port)}
	if fault := faultFilter(h.GetFault()); fault != nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{faultName: packed(fault)}
	}
	return out
}

// routeAction forwards to the destinations of the route, with all that goes
// with it: timeout, retries, rewrite and mirrors. It also gives the cluster of
// the baseline that a ShadowPolicy names.
func (t *translator) routeAction(out *route.Route, rule routeRule, authority string, port uint32) (a *route.RouteAction, baseline string) {
	h, namespace := rule.http, rule.object.Namespace
	a = &route.RouteAction{HashPolicy: t.hashPolicies(h.GetRoute(), namespace, port)}
	a.RetryPolicy = t.retryPolicy(h.GetRetries(), len(a.HashPolicy) > 0)
	setTimeout(a, h.GetTimeout())
	if rw := h.GetRewrite(); rw != nil {
		if re := rw.GetUriRegexRewrite(); re != nil {
			a.RegexRewrite = regexRewrite(re)
		} else {
			a.PrefixRewrite = rw.GetUri()
		}
		if rw.GetAuthority() != "" {
			authority = rw.GetAuthority()
		}
	}
	a.RequestMirrorPolicies, baseline = t.mirrorPolicies(rule, port)
	t.setDestinations(a, out, h.GetRoute(), namespace, &authority, port)
	if authority != "" {
		a.HostRewriteSpecifier = &route.RouteAction_HostRewriteLiteral{HostRewriteLiteral: authority}
	}
	return a, baseline
}

// setDestinations makes one destination the route's cluster and several its
// weighted clusters. Headers of a single destination join the route's own.
func (t *translator) setDestinations(a *route.RouteAction, out *route.Route, to []*istio.HTTPRouteDestination, namespace string, authority *string, port uint32) {
	if len(to) == 1 {
		a.ClusterSpecifier = &route.RouteAction_Cluster{Cluster: t.destinationCluster(to[0].GetDestination(), namespace, port)}
		ops := headerOperations(to[0].GetHeaders())
		ops.apply(out)
		if *authority == "" {
			*authority = ops.authority
		}
		return
	}
	weighted := &route.WeightedCluster{}
	for _, d := range to {
		if d.GetWeight() == 0 {
			continue
		}
		c := &route.WeightedCluster_ClusterWeight{
			Name:   t.destinationCluster(d.GetDestination(), namespace, port),
			Weight: uint32Value(uint32(d.GetWeight())),
		}
		ops := headerOperations(d.GetHeaders())
		c.RequestHeadersToAdd, c.RequestHeadersToRemove = ops.requestAdd, ops.requestRemove
		c.ResponseHeadersToAdd, c.ResponseHeadersToRemove = ops.responseAdd, ops.responseRemove
		if ops.authority != "" {
			c.HostRewriteSpecifier = &route.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: ops.authority}
		}
		weighted.Clusters = append(weighted.Clusters, c)
	}
	a.ClusterSpecifier = &route.RouteAction_WeightedClusters{WeightedClusters: weighted}
}

// hashPolicies are those of the destinations that balance by a hash, each once.
func (t *translator) hashPolicies(to []*istio.HTTPRouteDestination, namespace string, port uint32) []*route.RouteAction_HashPolicy {
	var out []*route.RouteAction_HashPolicy
	for _, d := range to {
		if d.GetWeight() == 0 && len(to) > 1 {
			continue
		}
		s, _, number := t.destination(d.GetDestination(), namespace, port)
		p := t.hashPolicy(s, number, d.GetDestination().GetSubset())
		if p != nil && !slices.ContainsFunc(out, func(o *route.RouteAction_HashPolicy) bool { return proto.Equal(o, p) }) {
			out = append(out, p)
		}
	}
	return out
}

// setTimeout sets Istio's default, which is none, unless the user has one. The
// deprecated field of gRPC is set beside it because Istio does.
func setTimeout(a *route.RouteAction, timeout *durationpb.Duration) {
	if timeout == nil {
		timeout = durationpb.New(0)
	}
	a.Timeout, a.MaxGrpcTimeout = timeout, timeout
}

// defaultRoutes is the route of a service port that no VirtualService speaks of.
func (t *translator) defaultRoutes(s *service, p *servicePort) []*route.Route {
	return t.kept(routesKey{name: s.host, in: entrance{port: p.number, gateway: mesh}}, func() []*route.Route {
		return []*route.Route{t.defaultRoute(s, p)}
	})
}

func (t *translator) defaultRoute(s *service, p *servicePort) *route.Route {
	if s.alias != nil {
		s = s.alias
	}
	a := &route.RouteAction{
		ClusterSpecifier: &route.RouteAction_Cluster{Cluster: clusterName(p.number, "", s.host)},
	}
	if p := t.hashPolicy(s, p.number, ""); p != nil {
		a.HashPolicy = append(a.HashPolicy, p)
	}
	a.RetryPolicy = t.retryPolicy(nil, len(a.HashPolicy) > 0)
	setTimeout(a, nil)
	out := &route.Route{Name: "default", Match: routeMatch(nil), Action: &route.Route_Route{Route: a}}
	out.Decorator = &route.Decorator{Operation: operation(out, "", p.number)}
	return out
}

// operation describes a route for tracing, as Istio does: host, port and path
// of a single destination, else the VirtualService's name instead of the host.
func operation(r *route.Route, name string, port uint32) string {
	path := "/*"
	switch p := r.GetMatch().GetPathSpecifier().(type) {
	case *route.RouteMatch_Prefix:
		path = p.Prefix + "*"
	case *route.RouteMatch_PathSeparatedPrefix:
		path = p.PathSeparatedPrefix + "/*"
	case *route.RouteMatch_Path:
		path = p.Path
	case *route.RouteMatch_SafeRegex:
		path = p.SafeRegex.GetRegex()
	}
	if part := strings.Split(r.GetRoute().GetCluster(), "|"); len(part) == 4 {
		return part[3] + ":" + part[1] + path
	}
	return name + ":" + portString(port) + path
}

// destinationCluster is the cluster of a destination, asked for on a port.
func (t *translator) destinationCluster(d *istio.Destination, namespace string, port uint32) string {
	_, host, number := t.destination(d, namespace, port)
	return clusterName(number, d.GetSubset(), host)
}

// destination looks a destination up; the service is nil if there is none. One
// without a port means the only port of its service, else the port asked for.
func (t *translator) destination(d *istio.Destination, namespace string, port uint32) (s *service, host string, number uint32) {
	host = t.fqdn(d.GetHost(), namespace)
	s = t.byHost[host]
	if s != nil && s.alias != nil {
		s = s.alias
		host = s.host
	}
	switch {
	case d.GetPort().GetNumber() != 0:
		port = d.GetPort().GetNumber()
	case s != nil && len(s.ports) == 1:
		port = s.ports[0].number
	}
	return s, host, port
}

// directResponse answers from the proxy itself.
func directResponse(d *istio.HTTPDirectResponse) *route.Route_DirectResponse {
	a := &route.DirectResponseAction{Status: d.GetStatus()}
	switch b := d.GetBody().GetSpecifier().(type) {
	case *istio.HTTPBody_String_:
		a.Body = &core.DataSource{Specifier: &core.DataSource_InlineString{InlineString: b.String_}}
	case *istio.HTTPBody_Bytes:
		a.Body = &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: b.Bytes}}
	}
	return &route.Route_DirectResponse{DirectResponse: a}
}

// redirectAction sends the client elsewhere. A port that the scheme has anyway
// is not written out.
func redirectAction(in *istio.HTTPRedirect, from entrance) *route.Route_Redirect {
	a := &route.RedirectAction{HostRedirect: in.GetAuthority()}
	switch {
	case in.GetUri() != "":
		a.PathRewriteSpecifier = &route.RedirectAction_PathRedirect{PathRedirect: in.GetUri()}
	case in.GetPrefixRewrite() != "":
		a.PathRewriteSpecifier = &route.RedirectAction_PrefixRewrite{PrefixRewrite: in.GetPrefixRewrite()}
	}
	scheme := "http"
	if from.secure {
		scheme = "https"
	}
	if in.GetScheme() != "" {
		scheme = in.GetScheme()
		a.SchemeRewriteSpecifier = &route.RedirectAction_SchemeRedirect{SchemeRedirect: scheme}
	}
	switch p := in.GetRedirectPort().(type) {
	case *istio.HTTPRedirect_Port:
		a.PortRedirect = p.Port
	case *istio.HTTPRedirect_DerivePort:
		if p.DerivePort == istio.HTTPRedirect_FROM_REQUEST_PORT {
			a.PortRedirect = from.port
		}
	}
	if a.PortRedirect == 80 && scheme == "http" || a.PortRedirect == 443 && scheme == "https" {
		a.PortRedirect = 0
	}
	switch in.GetRedirectCode() {
	case 302:
		a.ResponseCode = route.RedirectAction_FOUND
	case 303:
		a.ResponseCode = route.RedirectAction_SEE_OTHER
	case 307:
		a.ResponseCode = route.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		a.ResponseCode = route.RedirectAction_PERMANENT_REDIRECT
	}
	return &route.Route_Redirect{Redirect: a}
}
