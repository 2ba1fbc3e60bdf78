package translate

import (
	"fmt"
	"maps"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/gatewayapi"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	istio "istio.io/api/networking/v1alpha3"
)

// A rule of a router is one HTTPRoute with where it was written: in the
// router's own object, in one that it delegates to, or in one of the Gateway API.
type routeRule struct {
	http   *istio.HTTPRoute
	object *routeObject
	field  string // "spec.http[0]"
	policy *attachment
	kube   *gatewayapi.Rule // nil: of a VirtualService
}

// rulesOf are the routes of a VirtualService, those of its delegates in the
// place of the routes that name them.
func (t *translator) rulesOf(o *routeObject) []routeRule {
	var out []routeRule
	for i, h := range o.Spec.GetHttp() {
		field := fmt.Sprintf("spec.http[%d]", i)
		if h.GetDelegate() == nil {
			out = append(out, routeRule{http: h, object: o, field: field, policy: t.policyFor(o, h.GetName(), nil, "")})
			continue
		}
		namespace := h.GetDelegate().GetNamespace()
		if namespace == "" {
			namespace = o.Namespace
		}
		d := t.delegates[namespace+"/"+h.GetDelegate().GetName()]
		if d == nil {
			t.report(o.Problem(config.Error, field+".delegate.name",
				fmt.Sprintf("there is no VirtualService %s/%s without hosts to delegate to", namespace, h.GetDelegate().GetName()),
				"add it, with http routes and without hosts and gateways"))
			continue
		}
		out = append(out, t.delegated(o, h, d)...)
	}
	return out
}

// delegated are the delegate's routes, each under the conditions of the root's
// route as well, and with the root's settings where it has none of its own.
func (t *translator) delegated(root *routeObject, h *istio.HTTPRoute, d *routeObject) []routeRule {
	var out []routeRule
	rootName := h.GetName()
	h = t.completed(h, root.Namespace)
	for i, own := range d.Spec.GetHttp() {
		field := fmt.Sprintf("spec.http[%d]", i)
		if own.GetDelegate() != nil {
			t.report(d.Problem(config.Error, field+".delegate", "a VirtualService that others delegate to cannot delegate further", "name the last one at once"))
			continue
		}
		merged := t.completed(own, d.Namespace)
		matches, ok := mergeMatches(h.GetMatch(), own.GetMatch())
		if !ok {
			t.report(d.Problem(config.Warning, field, fmt.Sprintf("no request fits its conditions and those of %s: the route is not used", root),
				"match what the route that delegates here matches, or a part of it"))
			continue
		}
		merged.Match = matches
		merged.Name = joinNames(h.GetName(), own.GetName())
		inherit(merged.ProtoReflect(), h.ProtoReflect())
		out = append(out, routeRule{http: merged, object: d, field: field, policy: t.policyFor(d, own.GetName(), root, rootName)})
	}
	return out
}

// completed is a copy of the route whose hosts are complete, so that routes of
// two namespaces can be merged.
func (t *translator) completed(h *istio.HTTPRoute, namespace string) *istio.HTTPRoute {
	h = proto.CloneOf(h)
	complete := func(d *istio.Destination) {
		if d != nil {
			d.Host = t.fqdn(d.GetHost(), namespace)
		}
	}
	complete(h.GetMirror())
	for _, m := range h.GetMirrors() {
		complete(m.GetDestination())
	}
	for _, r := range h.GetRoute() {
		complete(r.GetDestination())
	}
	return h
}

// inherit takes from the root what the delegate leaves open, field by field.
func inherit(to, root protoreflect.Message) {
	for _, name := range []protoreflect.Name{
		"rewrite", "direct_response", "timeout", "retries", "fault", "mirror", "mirrors",
		"mirror_percent", "mirror_percentage", "cors_policy", "headers",
	} {
		fd := root.Descriptor().Fields().ByName(name)
		if root.Has(fd) && !to.Has(fd) {
			to.Set(fd, root.Get(fd))
		}
	}
}

func joinNames(root, own string) string {
	if root == "" || own == "" {
		return root + own
	}
	return root + "-" + own
}

// mergeMatches are the conditions of both. Each of the delegate's must agree
// with one of the root's; false if one does not.
func mergeMatches(root, own []*istio.HTTPMatchRequest) ([]*istio.HTTPMatchRequest, bool) {
	if len(root) == 0 || len(own) == 0 {
		return append(root[:len(root):len(root)], own...), true
	}
	var out []*istio.HTTPMatchRequest
	for _, o := range own {
		before := len(out)
		for _, r := range root {
			if !contradict(r, o) {
				out = append(out, mergeMatch(r, o))
			}
		}
		if len(out) == before {
			return nil, false
		}
	}
	return out, true
}

func mergeMatch(root, own *istio.HTTPMatchRequest) *istio.HTTPMatchRequest {
	out := proto.CloneOf(root)
	out.Name = joinNames(root.GetName(), own.GetName())
	if own.GetUri() != nil {
		out.Uri = own.GetUri()
	}
	if own.GetScheme() != nil {
		out.Scheme = own.GetScheme()
	}
	if own.GetMethod() != nil {
		out.Method = own.GetMethod()
	}
	if own.GetAuthority() != nil {
		out.Authority = own.GetAuthority()
	}
	if own.GetPort() != 0 {
		out.Port = own.GetPort()
	}
	if len(own.GetGateways()) > 0 {
		out.Gateways = own.GetGateways()
	}
	if own.GetSourceNamespace() != "" {
		out.SourceNamespace = own.GetSourceNamespace()
	}
	if own.GetStatPrefix() != "" {
		out.StatPrefix = own.GetStatPrefix()
	}
	out.Headers = mergeMaps(root.GetHeaders(), own.GetHeaders())
	out.WithoutHeaders = mergeMaps(root.GetWithoutHeaders(), own.GetWithoutHeaders())
	out.QueryParams = mergeMaps(root.GetQueryParams(), own.GetQueryParams())
	out.SourceLabels = mergeMaps(root.GetSourceLabels(), own.GetSourceLabels())
	return out
}

func mergeMaps[V any](root, own map[string]V) map[string]V {
	if len(root) == 0 {
		return own
	}
	out := maps.Clone(root)
	maps.Copy(out, own)
	return out
}

// contradict reports whether no request could meet both conditions, or Istio
// cannot tell: the delegate's must be the root's or narrower.
func contradict(root, own *istio.HTTPMatchRequest) bool {
	if root.GetIgnoreUriCase() != own.GetIgnoreUriCase() ||
		root.GetPort() != 0 && own.GetPort() != 0 && root.GetPort() != own.GetPort() ||
		root.GetSourceNamespace() != "" && own.GetSourceNamespace() != "" && root.GetSourceNamespace() != own.GetSourceNamespace() {
		return true
	}
	for k, v := range own.GetSourceLabels() {
		if r, ok := root.GetSourceLabels()[k]; ok && r != v {
			return true
		}
	}
	if widens(root.GetUri(), own.GetUri()) || widens(root.GetScheme(), own.GetScheme()) ||
		widens(root.GetMethod(), own.GetMethod()) || widens(root.GetAuthority(), own.GetAuthority()) {
		return true
	}
	for _, pair := range [][2]map[string]*istio.StringMatch{
		{root.GetHeaders(), own.GetHeaders()},
		{root.GetWithoutHeaders(), own.GetWithoutHeaders()},
		{root.GetQueryParams(), own.GetQueryParams()},
	} {
		for k, v := range pair[1] {
			if widens(pair[0][k], v) {
				return true
			}
		}
	}
	return false
}

// widens reports whether own may match what root does not.
func widens(root, own *istio.StringMatch) bool {
	if root.GetMatchType() == nil || own.GetMatchType() == nil {
		return false
	}
	value := own.GetExact()
	switch own.GetMatchType().(type) {
	case *istio.StringMatch_Regex:
		return true
	case *istio.StringMatch_Prefix:
		if value = own.GetPrefix(); root.GetExact() != "" {
			return true
		}
	}
	switch r := root.GetMatchType().(type) {
	case *istio.StringMatch_Exact:
		return value != r.Exact
	case *istio.StringMatch_Prefix:
		return !strings.HasPrefix(value, r.Prefix)
	}
	return true
}
