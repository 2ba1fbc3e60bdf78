package translate

import (
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/sundog-mesh/sundog/internal/gatewayapi"
)

// convert gives the Gateway API's objects the shape of Istio's.
func (t *translator) convert() gatewayapi.Result {
	attempts := int32(defaultRetries)
	if p := t.mesh.GetDefaultHttpRetryPolicy(); p != nil {
		attempts = p.GetAttempts()
	}
	out := gatewayapi.Convert(gatewayapi.Input{
		Routes: t.set.HTTPRoutes, Gateways: t.set.KubeGateways, Grants: t.set.ReferenceGrants, Services: t.set.Services,
		ClusterDomain: t.opt.ClusterDomain, Namespace: t.opt.Namespace, Gateway: t.opt.Gateway, Attempts: attempts,
	})
	t.problems = append(t.problems, out.Problems...)
	return out
}

// addKubeRouters adds the routers of HTTPRoutes to those of VirtualServices.
func (t *translator) addKubeRouters() {
	for _, in := range t.kube.Routers {
		r := &router{name: in.Name, kube: true, object: in.Object, hosts: in.Hosts, gateways: []string{in.Gateway}}
		for i := range in.Rules {
			rule := &in.Rules[i]
			r.rules = append(r.rules, routeRule{
				http: rule.HTTP, object: rule.Object, field: rule.Field, kube: rule, policy: t.policyFor(rule.Object, rule.Section, nil, ""),
			})
		}
		t.routers = append(t.routers, r)
	}
}

// kubePath is to an HTTPRoute what configPath is to Istio's objects.
func kubePath(o *routeObject) string {
	return "/apis/gateway.networking.k8s.io/v1/namespaces/" + o.Namespace + "/http-route/" + o.Name
}

// finish gives a route what the Gateway API means and Istio's fields do not
// say: prefixes end where a path element does, and a backend that is not there
// is an error of the configuration's, 500.
func (rule routeRule) finish(out *route.Route) {
	if p, ok := out.Match.PathSpecifier.(*route.RouteMatch_Prefix); ok && p.Prefix != "/" {
		out.Match.PathSpecifier = &route.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: p.Prefix}
	}
	if a := out.GetRoute(); a != nil {
		a.ClusterNotFoundResponseCode = route.RouteAction_INTERNAL_SERVER_ERROR
	}
	if re := rule.kube.RedirectPath; re != nil && out.GetRedirect() != nil {
		out.GetRedirect().PathRewriteSpecifier = &route.RedirectAction_RegexRewrite{RegexRewrite: regexRewrite(re)}
	}
}
