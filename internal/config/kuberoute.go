package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// checkKubeRoute checks an HTTPRoute by itself, by the rules of its definition
// that span several fields. References are looked up by gatewayapi.
func checkKubeRoute(r *reporter, o *Object[*gatewayv1.HTTPRouteSpec]) {
	checkParents(r, o.Spec.ParentRefs)
	for i, h := range o.Spec.Hostnames {
		if isIP(string(h)) {
			r.errorf(fmt.Sprintf("spec.hostnames[%d]", i), "", "%s is an IP address, not a host name", h)
		}
	}
	names := map[string]int{}
	for i := range o.Spec.Rules {
		rule := kubeRule{r, fmt.Sprintf("spec.rules[%d]", i), &o.Spec.Rules[i]}
		if name := string(or(rule.Name)); name != "" {
			checkUnique(r, rule.path+".name", "rule name", "spec.rules", names, name, i)
		}
		rule.check()
	}
}

func checkParents(r *reporter, refs []gatewayv1.ParentReference) {
	type key struct {
		group, kind, namespace, name, section string
		port                                  int32
	}
	seen := map[key]int{}
	for i, p := range refs {
		k := key{string(or(p.Group)), string(or(p.Kind)), string(or(p.Namespace)), string(p.Name), string(or(p.SectionName)), or(p.Port)}
		if first, ok := seen[k]; ok {
			r.errorf(fmt.Sprintf("spec.parentRefs[%d]", i), "keep one of the two", "the same parent twice: it is also spec.parentRefs[%d]", first)
			continue
		}
		seen[k] = i
	}
}

// kubeRule checks one rule of an HTTPRoute.
type kubeRule struct {
	r    *reporter
	path string
	*gatewayv1.HTTPRouteRule
}

func (h kubeRule) check() {
	for i, m := range h.Matches {
		h.match(fmt.Sprintf("%s.matches[%d]", h.path, i), &m)
	}
	h.filters(h.path+".filters", h.Filters)
	for i, b := range h.BackendRefs {
		at := fmt.Sprintf("%s.backendRefs[%d]", h.path, i)
		checkBackendPort(h.r, at, &b.BackendObjectReference)
		h.filters(at+".filters", b.Filters)
	}
	for i, f := range h.Filters {
		if f.RequestRedirect != nil && len(h.BackendRefs) > 0 {
			h.r.errorf(fmt.Sprintf("%s.filters[%d]", h.path, i), "remove the backendRefs or the redirect", "a rule that redirects has no backendRefs")
		}
	}
	if t := h.Timeouts; t != nil {
		request, backend := duration(t.Request), duration(t.BackendRequest)
		if t.Request != nil && request > 0 && backend > request {
			h.r.errorf(h.path+".timeouts.backendRequest", "", "%s is longer than the timeout of the whole request, %s", backend, request)
		}
	}
}

// duration is that of a text that the schema has checked; 0 if it was refused.
func duration(d *gatewayv1.Duration) time.Duration {
	v, err := time.ParseDuration(string(or(d)))
	if err != nil {
		return 0
	}
	return v
}

func checkBackendPort(r *reporter, path string, b *gatewayv1.BackendObjectReference) {
	if or(b.Group) == "" && or(b.Kind) == "Service" && b.Port == nil {
		r.missing(path, "", "port is required for a Service")
	}
}

var pathText = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$`)

func (h kubeRule) match(path string, m *gatewayv1.HTTPRouteMatch) {
	if p := m.Path; p != nil {
		field, value := path+".path.value", or(p.Value)
		switch {
		case or(p.Type) == gatewayv1.PathMatchRegularExpression:
			checkRegex(h.r, field, value)
		case !strings.HasPrefix(value, "/"):
			h.r.errorf(field, fmt.Sprintf("write %q", strict.Shorten("/"+value)), "%q does not begin with /", strict.Shorten(value))
		default:
			lower := strings.ToLower(value)
			for _, part := range []string{"//", "/./", "/../", "%2f", "#"} {
				if strings.Contains(lower, part) {
					h.r.errorf(field, "", "%q must not contain %s", strict.Shorten(value), part)
					return
				}
			}
			if strings.HasSuffix(value, "/.") || strings.HasSuffix(value, "/..") {
				h.r.errorf(field, "", "%q must not end with . or ..", strict.Shorten(value))
			} else if !pathText.MatchString(value) {
				h.r.errorf(field, "the query is not part of it, and other characters are written like %20", "%q is not a path", strict.Shorten(value))
			}
		}
	}
	for i, c := range m.Headers {
		if or(c.Type) == gatewayv1.HeaderMatchRegularExpression {
			checkRegex(h.r, fmt.Sprintf("%s.headers[%d].value", path, i), c.Value)
		}
	}
	for i, c := range m.QueryParams {
		if or(c.Type) == gatewayv1.QueryParamMatchRegularExpression {
			checkRegex(h.r, fmt.Sprintf("%s.queryParams[%d].value", path, i), c.Value)
		}
	}
}

// filters checks those of a rule or of a backend.
func (h kubeRule) filters(path string, filters []gatewayv1.HTTPRouteFilter) {
	seen := map[gatewayv1.HTTPRouteFilterType]int{}
	for i, f := range filters {
		at := fmt.Sprintf("%s[%d]", path, i)
		h.union(at, &f)
		first, again := seen[f.Type]
		switch {
		case !again:
			seen[f.Type] = i
		case f.Type != gatewayv1.HTTPRouteFilterRequestMirror && f.Type != gatewayv1.HTTPRouteFilterExtensionRef:
			h.r.errorf(at, "put all into one", "the filter %s cannot be repeated; it is also filters[%d]", f.Type, first)
		}
		h.filter(at, &f)
	}
	_, redirect := seen[gatewayv1.HTTPRouteFilterRequestRedirect]
	if i, rewrite := seen[gatewayv1.HTTPRouteFilterURLRewrite]; redirect && rewrite {
		h.r.errorf(fmt.Sprintf("%s[%d]", path, i), "keep one of the two", "RequestRedirect and URLRewrite exclude each other")
	}
}

// union wants a filter to have the field that its type names, and no other.
func (h kubeRule) union(at string, f *gatewayv1.HTTPRouteFilter) {
	for _, part := range []struct {
		kind gatewayv1.HTTPRouteFilterType
		name string
		set  bool
	}{
		{gatewayv1.HTTPRouteFilterRequestHeaderModifier, "requestHeaderModifier", f.RequestHeaderModifier != nil},
		{gatewayv1.HTTPRouteFilterResponseHeaderModifier, "responseHeaderModifier", f.ResponseHeaderModifier != nil},
		{gatewayv1.HTTPRouteFilterRequestMirror, "requestMirror", f.RequestMirror != nil},
		{gatewayv1.HTTPRouteFilterRequestRedirect, "requestRedirect", f.RequestRedirect != nil},
		{gatewayv1.HTTPRouteFilterURLRewrite, "urlRewrite", f.URLRewrite != nil},
		{gatewayv1.HTTPRouteFilterCORS, "cors", f.CORS != nil},
		{gatewayv1.HTTPRouteFilterExternalAuth, "externalAuth", f.ExternalAuth != nil},
		{gatewayv1.HTTPRouteFilterExtensionRef, "extensionRef", f.ExtensionRef != nil},
	} {
		switch {
		case f.Type == part.kind && !part.set:
			h.r.missing(at, "", "%s is required for a filter of type %s", part.name, f.Type)
		case f.Type != part.kind && part.set && !h.r.broken(at+".type"):
			h.r.errorf(at+"."+part.name, "write type: "+string(part.kind), "a filter of type %s has no %s", f.Type, part.name)
		}
	}
}

func (h kubeRule) filter(at string, f *gatewayv1.HTTPRouteFilter) {
	if m := f.RequestHeaderModifier; m != nil {
		h.modifier(at+".requestHeaderModifier", m, true)
	}
	if m := f.ResponseHeaderModifier; m != nil {
		h.modifier(at+".responseHeaderModifier", m, false)
	}
	if m := f.RequestMirror; m != nil {
		field := at + ".requestMirror"
		checkBackendPort(h.r, field+".backendRef", &m.BackendRef)
		if m.Percent != nil && m.Fraction != nil {
			h.r.errorf(field, "keep one of the two", "percent and fraction exclude each other")
		}
		if x := m.Fraction; x != nil && x.Denominator != nil && x.Numerator > *x.Denominator {
			h.r.errorf(field+".fraction", "", "%d of %d is more than all", x.Numerator, *x.Denominator)
		}
	}
	if d := f.RequestRedirect; d != nil {
		if !slices.Contains([]int{301, 302, 303, 307, 308}, or(d.StatusCode)) {
			h.r.errorf(at+".requestRedirect.statusCode", "it takes 301, 302, 303, 307 or 308", "%d is not a redirect code", or(d.StatusCode))
		}
		h.pathModifier(at+".requestRedirect.path", d.Path)
	}
	if w := f.URLRewrite; w != nil {
		h.pathModifier(at+".urlRewrite.path", w.Path)
	}
}

func (h kubeRule) modifier(at string, m *gatewayv1.HTTPHeaderFilter, request bool) {
	for _, op := range []struct {
		name    string
		headers []gatewayv1.HTTPHeader
	}{{"set", m.Set}, {"add", m.Add}} {
		for i, v := range op.headers {
			field := fmt.Sprintf("%s.%s[%d]", at, op.name, i)
			if !h.r.broken(field + ".name") {
				checkHeaderName(h.r, field+".name", string(v.Name), request)
			}
			checkHeaderValue(h.r, field+".value", v.Value)
		}
	}
	for i, name := range m.Remove {
		checkHeaderName(h.r, fmt.Sprintf("%s.remove[%d]", at, i), name, false)
	}
}

// pathModifier wants the field that the type names, and for a prefix the one
// match whose prefix is replaced.
func (h kubeRule) pathModifier(at string, p *gatewayv1.HTTPPathModifier) {
	if p == nil {
		return
	}
	for _, part := range []struct {
		kind  gatewayv1.HTTPPathModifierType
		name  string
		value *string
	}{
		{gatewayv1.FullPathHTTPPathModifier, "replaceFullPath", p.ReplaceFullPath},
		{gatewayv1.PrefixMatchHTTPPathModifier, "replacePrefixMatch", p.ReplacePrefixMatch},
	} {
		switch {
		case p.Type == part.kind && part.value == nil:
			h.r.missing(at, "", "%s is required for type %s", part.name, p.Type)
		case p.Type != part.kind && part.value != nil && !h.r.broken(at+".type"):
			h.r.errorf(at+"."+part.name, "write type: "+string(part.kind), "type %s has no %s", p.Type, part.name)
		case part.value != nil:
			if strings.ContainsAny(*part.value, "?# ") || strings.ContainsFunc(*part.value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				h.r.errorf(at+"."+part.name, "", "%q is not a path: the query is not part of it, and blanks are written %%20", strict.Shorten(*part.value))
			}
		}
	}
	if p.Type != gatewayv1.PrefixMatchHTTPPathModifier {
		return
	}
	if len(h.Matches) != 1 || h.Matches[0].Path == nil || or(h.Matches[0].Path.Type) != gatewayv1.PathMatchPathPrefix {
		h.r.errorf(at, "give each prefix a rule of its own", "replacePrefixMatch needs exactly one match, of type PathPrefix")
	}
}
