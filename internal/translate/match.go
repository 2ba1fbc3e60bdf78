package translate

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
)

// routeMatch translates a match condition; nil matches every request. A prefix
// is a prefix of the string: /foo matches /foobar.
func routeMatch(in *istio.HTTPMatchRequest) *route.RouteMatch {
	out := &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}}
	if in == nil {
		return out
	}
	switch m := in.GetUri().GetMatchType().(type) {
	case *istio.StringMatch_Exact:
		out.PathSpecifier = &route.RouteMatch_Path{Path: m.Exact}
	case *istio.StringMatch_Prefix:
		out.PathSpecifier = &route.RouteMatch_Prefix{Prefix: m.Prefix}
	case *istio.StringMatch_Regex:
		out.PathSpecifier = &route.RouteMatch_SafeRegex{SafeRegex: regex(m.Regex)}
	}
	out.CaseSensitive = wrapperspb.Bool(!in.GetIgnoreUriCase())

	for name, m := range in.GetHeaders() {
		out.Headers = append(out.Headers, headerMatch(name, m))
	}
	for name, m := range in.GetWithoutHeaders() {
		h := headerMatch(name, m)
		h.InvertMatch = true
		h.TreatMissingHeaderAsEmpty = !anyValue(m)
		out.Headers = append(out.Headers, h)
	}
	// A header may be in both maps, so its name alone does not give an order.
	slices.SortFunc(out.Headers, func(a, b *route.HeaderMatcher) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), compareBools(a.InvertMatch, b.InvertMatch))
	})
	for _, pseudo := range []struct {
		name string
		m    *istio.StringMatch
	}{{":method", in.GetMethod()}, {":authority", in.GetAuthority()}, {":scheme", in.GetScheme()}} {
		if pseudo.m != nil {
			out.Headers = append(out.Headers, headerMatch(pseudo.name, pseudo.m))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.GetQueryParams())) {
		out.QueryParameters = append(out.QueryParameters, queryMatch(name, in.GetQueryParams()[name]))
	}
	return out
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func headerMatch(name string, m *istio.StringMatch) *route.HeaderMatcher {
	out := &route.HeaderMatcher{Name: name}
	if anyValue(m) {
		out.HeaderMatchSpecifier = &route.HeaderMatcher_PresentMatch{PresentMatch: true}
	} else {
		out.HeaderMatchSpecifier = &route.HeaderMatcher_StringMatch{StringMatch: stringMatch(m)}
	}
	return out
}

func queryMatch(name string, m *istio.StringMatch) *route.QueryParameterMatcher {
	out := &route.QueryParameterMatcher{Name: name}
	if anyValue(m) {
		out.QueryParameterMatchSpecifier = &route.QueryParameterMatcher_PresentMatch{PresentMatch: true}
	} else {
		out.QueryParameterMatchSpecifier = &route.QueryParameterMatcher_StringMatch{StringMatch: stringMatch(m)}
	}
	return out
}

// anyValue reports whether only presence is asked for: an empty condition, or
// the regex "*", which Istio does not take for a regex.
func anyValue(m *istio.StringMatch) bool {
	return m.GetMatchType() == nil || m.GetRegex() == "*"
}

func stringMatch(m *istio.StringMatch) *matcher.StringMatcher {
	switch v := m.GetMatchType().(type) {
	case *istio.StringMatch_Exact:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: v.Exact}}
	case *istio.StringMatch_Prefix:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Prefix{Prefix: v.Prefix}}
	case *istio.StringMatch_Regex:
		return &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_SafeRegex{SafeRegex: regex(v.Regex)}}
	}
	return &matcher.StringMatcher{}
}

func regex(expr string) *matcher.RegexMatcher { return &matcher.RegexMatcher{Regex: expr} }

func regexRewrite(in *istio.RegexRewrite) *matcher.RegexMatchAndSubstitute {
	return &matcher.RegexMatchAndSubstitute{Pattern: regex(in.GetMatch()), Substitution: in.GetRewrite()}
}

func uint32Value(v uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(v) }

func portString(port uint32) string { return strconv.FormatUint(uint64(port), 10) }
