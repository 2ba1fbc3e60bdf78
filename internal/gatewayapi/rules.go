package gatewayapi

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	istio "istio.io/api/networking/v1alpha3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Ranks of paths, tried from the highest. A regular expression comes before the
// prefix that every path has.
const (
	rankAll = iota
	rankRegex
	rankPrefix
	rankExact
)

// convert fills the entries of the route: one for each match of each rule.
func (c *converter) convert(r *route) {
	for i := range r.Spec.Rules {
		rule := &r.Spec.Rules[i]
		field := fmt.Sprintf("spec.rules[%d]", i)
		base := c.rule(r, field, rule)
		matches := rule.Matches
		if len(matches) == 0 {
			matches = []gatewayv1.HTTPRouteMatch{{}}
		}
		for j, m := range matches {
			e := entry{order: r.Namespace + "/" + r.Name}
			e.Object, e.Field, e.Section, e.HTTP = r.shown, field, string(or(rule.Name, "")), proto.CloneOf(base)
			e.HTTP.Name = e.order + "/" + cmp.Or(e.Section, strconv.Itoa(i))
			if len(matches) > 1 {
				e.HTTP.Name += "." + strconv.Itoa(j)
			}
			e.match(&m)
			e.paths(rule.Filters)
			r.entries = append(r.entries, e)
		}
	}
}

// match sets the only match of the entry, and what its place depends on.
func (e *entry) match(m *gatewayv1.HTTPRouteMatch) {
	out := &istio.HTTPMatchRequest{}
	value, kind := "/", gatewayv1.PathMatchPathPrefix
	if m.Path != nil {
		value, kind = or(m.Path.Value, value), or(m.Path.Type, kind)
	}
	switch kind {
	case gatewayv1.PathMatchExact:
		e.rank, out.Uri = rankExact, exact(value)
	case gatewayv1.PathMatchRegularExpression:
		e.rank, out.Uri = rankRegex, &istio.StringMatch{MatchType: &istio.StringMatch_Regex{Regex: value}}
	default:
		value = cmp.Or(strings.TrimRight(value, "/"), "/")
		if value != "/" {
			e.rank = rankPrefix
		}
		out.Uri = &istio.StringMatch{MatchType: &istio.StringMatch_Prefix{Prefix: value}}
	}
	e.length = len(value)
	if m.Method != nil {
		e.method, out.Method = 1, exact(string(*m.Method))
	}
	for _, h := range m.Headers { // of two of one name the first counts
		name := strings.ToLower(string(h.Name))
		condition := text(or(h.Type, gatewayv1.HeaderMatchExact) == gatewayv1.HeaderMatchRegularExpression, h.Value)
		if name == "host" {
			if out.Authority == nil {
				out.Authority, e.headers = condition, e.headers+1
			}
		} else if _, again := out.Headers[name]; !again {
			put(&out.Headers, name, condition)
			e.headers++
		}
	}
	for _, q := range m.QueryParams {
		if _, again := out.QueryParams[string(q.Name)]; !again {
			put(&out.QueryParams, string(q.Name), text(or(q.Type, gatewayv1.QueryParamMatchExact) == gatewayv1.QueryParamMatchRegularExpression, q.Value))
			e.queries++
		}
	}
	e.HTTP.Match = []*istio.HTTPMatchRequest{out}
}

func exact(v string) *istio.StringMatch {
	return &istio.StringMatch{MatchType: &istio.StringMatch_Exact{Exact: v}}
}

func text(regex bool, v string) *istio.StringMatch {
	if regex {
		return &istio.StringMatch{MatchType: &istio.StringMatch_Regex{Regex: v}}
	}
	return exact(v)
}

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = make(map[string]V)
	}
	(*m)[key] = value
}

// onPort is the route for one port of the mesh.
func onPort(h *istio.HTTPRoute, port int32) *istio.HTTPRoute {
	h = proto.CloneOf(h)
	for _, m := range h.Match {
		m.Port = uint32(port)
	}
	return h
}

// rule converts all of a rule but its matches and what it does to paths.
func (c *converter) rule(r *route, field string, in *gatewayv1.HTTPRouteRule) *istio.HTTPRoute {
	out := &istio.HTTPRoute{}
	if in.SessionPersistence != nil {
		c.warn(r.Object, field+".sessionPersistence", "use a DestinationRule with loadBalancer.consistentHash", "is understood but not done yet: it has no effect")
	}
	fails := false
	for i, f := range in.Filters {
		fails = c.filter(r, fmt.Sprintf("%s.filters[%d]", field, i), &f, out) || fails
	}
	c.timeouts(in, out)
	c.backends(r, field, in, out)
	if fails || out.Redirect == nil && len(out.Route) == 0 {
		return &istio.HTTPRoute{DirectResponse: &istio.HTTPDirectResponse{Status: 500}}
	}
	return out
}

// filter applies a filter of a rule; true: every request is to be answered with
// 500, since the filter must not be passed over.
func (c *converter) filter(r *route, field string, f *gatewayv1.HTTPRouteFilter, out *istio.HTTPRoute) bool {
	switch f.Type {
	case gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier:
		if out.Headers == nil {
			out.Headers = &istio.Headers{}
		}
		modify(out.Headers, f)
	case gatewayv1.HTTPRouteFilterRequestMirror:
		if m := f.RequestMirror; m != nil {
			if d, _ := c.destination(r, field+".requestMirror.backendRef", &m.BackendRef, "the mirror is left out"); d != nil {
				out.Mirrors = append(out.Mirrors, &istio.HTTPMirrorPolicy{Destination: d, Percentage: share(m)})
			}
		}
	case gatewayv1.HTTPRouteFilterRequestRedirect:
		if f.RequestRedirect != nil {
			out.Redirect = redirect(f.RequestRedirect)
		}
	case gatewayv1.HTTPRouteFilterURLRewrite:
		if f.URLRewrite != nil && f.URLRewrite.Hostname != nil {
			out.Rewrite = &istio.HTTPRewrite{Authority: string(*f.URLRewrite.Hostname)}
		}
	case gatewayv1.HTTPRouteFilterCORS:
		c.warn(r.Object, field, "let the service answer for itself", "CORS is understood but not done yet: it has no effect")
	case gatewayv1.HTTPRouteFilterExternalAuth:
		c.warn(r.Object, field, "remove the filter", "ExternalAuth is not done: requests for this rule are answered with 500")
		return true
	default:
		c.warn(r.Object, field, "remove the filter", "no extension is known to Sundog: requests for this rule are answered with 500")
		return true
	}
	return false
}

// modify adds a header modifier. Of two of one name the first counts.
func modify(to *istio.Headers, f *gatewayv1.HTTPRouteFilter) {
	in, at := f.RequestHeaderModifier, &to.Request
	if f.Type == gatewayv1.HTTPRouteFilterResponseHeaderModifier {
		in, at = f.ResponseHeaderModifier, &to.Response
	}
	if in == nil {
		return
	}
	if *at == nil {
		*at = &istio.Headers_HeaderOperations{}
	}
	first := func(m *map[string]string, headers []gatewayv1.HTTPHeader) {
		seen := map[string]bool{}
		for _, h := range headers {
			if name := strings.ToLower(string(h.Name)); !seen[name] {
				seen[name] = true
				put(m, string(h.Name), h.Value)
			}
		}
	}
	first(&(*at).Set, in.Set)
	first(&(*at).Add, in.Add)
	(*at).Remove = append((*at).Remove, in.Remove...)
}

// share is the share of requests that a mirror copies; nil: all (GEP-3171).
func share(m *gatewayv1.HTTPRequestMirrorFilter) *istio.Percent {
	switch {
	case m.Percent != nil:
		return &istio.Percent{Value: float64(*m.Percent)}
	case m.Fraction != nil:
		if d := or(m.Fraction.Denominator, 100); d > 0 {
			return &istio.Percent{Value: 100 * float64(m.Fraction.Numerator) / float64(d)}
		}
	}
	return nil
}

// redirect is without its path. The port is the redirect's, else the usual one
// of its scheme, else that of the listener.
func redirect(in *gatewayv1.HTTPRequestRedirectFilter) *istio.HTTPRedirect {
	out := &istio.HTTPRedirect{
		Scheme: or(in.Scheme, ""), Authority: string(or(in.Hostname, "")), RedirectCode: uint32(or(in.StatusCode, 302)),
		RedirectPort: &istio.HTTPRedirect_DerivePort{DerivePort: istio.HTTPRedirect_FROM_REQUEST_PORT},
	}
	switch {
	case in.Port != nil:
		out.RedirectPort = &istio.HTTPRedirect_Port{Port: uint32(*in.Port)}
	case in.Scheme != nil:
		out.RedirectPort = &istio.HTTPRedirect_DerivePort{DerivePort: istio.HTTPRedirect_FROM_PROTOCOL_DEFAULT}
	}
	return out
}

// paths applies what filters do to paths, which depends on the match.
func (e *entry) paths(filters []gatewayv1.HTTPRouteFilter) {
	for _, f := range filters {
		switch {
		case f.URLRewrite != nil && f.URLRewrite.Path != nil && len(e.HTTP.Route) > 0:
			if e.HTTP.Rewrite == nil {
				e.HTTP.Rewrite = &istio.HTTPRewrite{}
			}
			uri, regex := e.path(f.URLRewrite.Path)
			if f.URLRewrite.Path.Type == gatewayv1.FullPathHTTPPathModifier {
				uri, regex = "", &istio.RegexRewrite{Match: "/.*", Rewrite: literal(uri)}
			}
			e.HTTP.Rewrite.Uri, e.HTTP.Rewrite.UriRegexRewrite = uri, regex
		case f.RequestRedirect != nil && f.RequestRedirect.Path != nil && e.HTTP.Redirect != nil:
			uri, regex := e.path(f.RequestRedirect.Path)
			switch {
			case regex != nil:
				e.RedirectPath = regex
			case f.RequestRedirect.Path.Type == gatewayv1.FullPathHTTPPathModifier:
				e.HTTP.Redirect.Uri = uri
			default:
				e.HTTP.Redirect.PrefixRewrite = uri
			}
		}
	}
}

// path is what becomes of the path: all of it, or the prefix of the match, is
// replaced by uri. Where nothing stands in for a prefix a slash must stay, which
// takes a regular expression.
func (e *entry) path(p *gatewayv1.HTTPPathModifier) (uri string, regex *istio.RegexRewrite) {
	if p.Type == gatewayv1.FullPathHTTPPathModifier {
		return "/" + strings.TrimLeft(or(p.ReplaceFullPath, ""), "/"), nil
	}
	prefix := e.HTTP.Match[0].GetUri().GetPrefix()
	uri = strings.Trim(or(p.ReplacePrefixMatch, ""), "/")
	switch {
	case prefix == "/" && uri == "", prefix == "": // nothing changes; or the loader refused it
		return "/", nil
	case prefix == "/":
		return "/" + uri + "/", nil
	case uri == "":
		return "", &istio.RegexRewrite{Match: "^" + regexp.QuoteMeta(prefix) + "/*", Rewrite: "/"}
	}
	return "/" + uri, nil
}

// literal is a text as the replacement of a regular expression.
func literal(v string) string { return strings.ReplaceAll(v, `\`, `\\`) }

// timeouts sets the timeout of the whole request and of each try, and retries.
func (c *converter) timeouts(in *gatewayv1.HTTPRouteRule, out *istio.HTTPRoute) {
	var request, try time.Duration
	if t := in.Timeouts; t != nil {
		request, try = duration(t.Request), duration(t.BackendRequest)
	}
	if request > 0 {
		out.Timeout = durationpb.New(request)
	}
	attempts := c.Attempts
	if in.Retry != nil {
		attempts = int32(or(in.Retry.Attempts, int(cmp.Or(c.Attempts, 1))))
		out.Retries = &istio.HTTPRetry{Attempts: attempts}
		if attempts > 0 {
			on := []string{"connect-failure", "refused-stream", "unavailable", "cancelled"}
			for _, code := range in.Retry.Codes {
				on = append(on, strconv.Itoa(int(code)))
			}
			if len(in.Retry.Codes) > 0 {
				out.Retries.RetryOn = strings.Join(on, ",")
			}
			if d := duration(in.Retry.Backoff); d > 0 {
				out.Retries.Backoff = durationpb.New(d)
			}
		}
	}
	switch {
	case try <= 0:
	case attempts <= 0: // the only try is the request
		if request <= 0 || try < request {
			out.Timeout = durationpb.New(try)
		}
	case out.Retries == nil:
		out.Retries = &istio.HTTPRetry{Attempts: attempts, PerTryTimeout: durationpb.New(try)}
	default:
		out.Retries.PerTryTimeout = durationpb.New(try)
	}
}

// duration is 0 for none.
func duration(d *gatewayv1.Duration) time.Duration {
	v, err := time.ParseDuration(string(or(d, "0s")))
	if err != nil {
		return 0 // the loader reports it
	}
	return v
}

// backends sets the destinations. A rule that forwards to none has none.
func (c *converter) backends(r *route, field string, in *gatewayv1.HTTPRouteRule, out *istio.HTTPRoute) {
	if out.Redirect != nil {
		return
	}
	total := int32(0)
	for i, b := range in.BackendRefs {
		at := fmt.Sprintf("%s.backendRefs[%d]", field, i)
		weight := or(b.Weight, 1)
		total += weight
		d, why := c.destination(r, at, &b.BackendObjectReference, "its share of the requests is answered with 500")
		if d == nil {
			d = &istio.Destination{Host: why + ".invalid", Port: &istio.PortSelector{Number: 80}}
		}
		to := &istio.HTTPRouteDestination{Destination: d, Weight: weight}
		for j, f := range b.Filters {
			switch f.Type {
			case gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier:
				if to.Headers == nil {
					to.Headers = &istio.Headers{}
				}
				modify(to.Headers, &f)
			default:
				c.warn(r.Object, fmt.Sprintf("%s.filters[%d]", at, j), "put it into the filters of the rule",
					"%s is not done for one of the backends: its share of the requests is answered with 500", f.Type)
				to.Destination = &istio.Destination{Host: "filter.invalid", Port: &istio.PortSelector{Number: 80}}
			}
		}
		out.Route = append(out.Route, to)
	}
	switch {
	case len(in.BackendRefs) == 0:
		c.warn(r.Object, field, "add backendRefs with the name and port of a Service", "the rule has no backendRefs: its requests are answered with 500")
	case total == 0:
		c.warn(r.Object, field+".backendRefs", "give the backends weights, like 90 and 10", "the weights sum to 0: requests are answered with 500")
		out.Route = nil
	case len(out.Route) > 1:
		out.Route = slices.DeleteFunc(out.Route, func(d *istio.HTTPRouteDestination) bool { return d.Weight == 0 })
	}
}
