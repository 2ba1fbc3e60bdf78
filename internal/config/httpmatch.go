package config

import (
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"golang.org/x/net/http/httpguts"
	istio "istio.io/api/networking/v1alpha3"
)

// maxRegex is Istio's bound on the length of a regular expression.
const maxRegex = 1024

func checkHTTPMatch(r *reporter, path string, m *istio.HTTPMatchRequest) {
	for _, f := range []struct {
		name  string
		match *istio.StringMatch
	}{{"uri", m.Uri}, {"scheme", m.Scheme}, {"method", m.Method}, {"authority", m.Authority}} {
		if f.match == nil {
			continue
		}
		field := path + "." + f.name
		if f.match.MatchType == nil {
			r.missing(field, "", "one of exact, prefix and regex is required")
			continue
		}
		checkStringMatch(r, field, f.match)
		if f.name == "uri" {
			checkURIMatch(r, field, f.match)
		}
	}
	for _, f := range []struct {
		name    string
		headers map[string]*istio.StringMatch
	}{{"headers", m.Headers}, {"withoutHeaders", m.WithoutHeaders}} {
		for header, match := range sorted(f.headers) {
			field := KeyPath(path+"."+f.name, header)
			if !strings.HasPrefix(header, "@request.auth.claims") {
				checkMatchHeaderName(r, field, header)
			}
			if match.GetRegex() != "*" { // Istio: the header is there
				checkStringMatch(r, field, match)
			}
		}
	}
	for param, match := range sorted(m.QueryParams) {
		field := KeyPath(path+".queryParams", param)
		if param == "" {
			r.errorf(field, "", "the name of a query parameter cannot be empty")
		}
		checkStringMatch(r, field, match)
	}
	checkMatchPort(r, path+".port", m.Port)
	checkLabels(r, path+".sourceLabels", m.SourceLabels)
	checkGatewayNames(r, path+".gateways", m.Gateways)
}

// checkMatchHeaderName takes what Istio takes: lower-case names or any case,
// and no pseudo-headers, which have fields of their own.
func checkMatchHeaderName(r *reporter, field, name string) {
	if name == "" {
		r.errorf(field, "", "the name of a header cannot be empty")
		return
	}
	if pseudo := map[string]string{":path": "uri", ":method": "method", ":authority": "authority", ":scheme": "scheme"}[name]; pseudo != "" {
		r.errorf(field, "use the field "+pseudo, "invalid header %q: a header match cannot have a \":\" prefix", name)
		return
	}
	if !httpguts.ValidHeaderFieldName(name) {
		r.errorf(field, "", "invalid header %q: that is not a header name", strict.Shorten(name))
	}
}

func checkURIMatch(r *reporter, field string, m *istio.StringMatch) {
	kind, value := "exact", m.GetExact()
	if p, ok := m.MatchType.(*istio.StringMatch_Prefix); ok {
		kind, value = "prefix", p.Prefix
	}
	if value != "" && value[0] != '/' && value != "*" {
		r.warnf(field+"."+kind, fmt.Sprintf("write %q", "/"+value), "%q matches no request: paths start with /", strict.Shorten(value))
	}
	if strings.Contains(value, "?") {
		r.warnf(field+"."+kind, "use queryParams", "%q matches no request: the query is not part of what is matched", strict.Shorten(value))
	}
}

// checkStringMatch checks the value of a match; none at all means that the
// header or parameter is there.
func checkStringMatch(r *reporter, field string, m *istio.StringMatch) {
	switch t := m.GetMatchType().(type) {
	case *istio.StringMatch_Prefix:
		if t.Prefix == "" {
			r.errorf(field+".prefix", "", "prefix cannot be empty")
		}
	case *istio.StringMatch_Regex:
		checkRegex(r, field+".regex", t.Regex)
	}
}

// checkRegex checks that an expression is RE2, which Go's regexp is too.
func checkRegex(r *reporter, field, expr string) {
	switch {
	case expr == "":
		r.missing(field, "", "regex cannot be empty")
	case len(expr) > maxRegex:
		r.errorf(field, "", "the regex has %d characters; at most %d are allowed", len(expr), maxRegex)
	default:
		if _, err := regexp.Compile(expr); err != nil {
			reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			hint := ""
			if strings.Contains(expr, "(?=") || strings.Contains(expr, "(?!") || strings.Contains(expr, "(?<") {
				hint = "RE2 has no lookahead and no lookbehind"
			}
			r.errorf(field, hint, "the regex is not valid RE2: %s", reason)
		}
	}
}

// isAuthority reports whether a header names the request's host.
func isAuthority(name string) bool {
	return strings.EqualFold(name, "host") || strings.EqualFold(name, ":authority")
}

// checkHeaders checks the header operations at path.
func checkHeaders(r *reporter, path string, h *istio.Headers) {
	for _, side := range []struct {
		name string
		ops  *istio.Headers_HeaderOperations
	}{{"request", h.GetRequest()}, {"response", h.GetResponse()}} {
		for _, op := range []struct {
			name    string
			headers map[string]string
		}{{"set", side.ops.GetSet()}, {"add", side.ops.GetAdd()}} {
			for name, value := range sorted(op.headers) {
				field := KeyPath(path+"."+side.name+"."+op.name, name)
				checkHeaderName(r, field, name, side.name == "request")
				checkHeaderValue(r, field, value)
			}
		}
		for i, name := range side.ops.GetRemove() {
			checkHeaderName(r, fmt.Sprintf("%s.%s.remove[%d]", path, side.name, i), name, false)
		}
	}
}

// checkHeaderName checks a header that is changed; the host may only be set or
// added on requests.
func checkHeaderName(r *reporter, field, name string, authority bool) {
	switch {
	case isAuthority(name) && authority:
	case name == "":
		r.errorf(field, "", "the name of a header cannot be empty")
	case strings.HasPrefix(name, ":"):
		r.errorf(field, "", "invalid header %q: a header cannot have a \":\" prefix", strict.Shorten(name))
	case isAuthority(name):
		r.errorf(field, "", "invalid header %q: the Host header cannot be changed here", name)
	case !httpguts.ValidHeaderFieldName(name):
		r.errorf(field, "", "invalid header %q: that is not a header name", strict.Shorten(name))
	}
}

// checkHeaderValue refuses what could end a header line early.
func checkHeaderValue(r *reporter, field, value string) {
	if !httpguts.ValidHeaderFieldValue(value) {
		r.errorf(field, "remove line breaks and other control characters; \"|\" adds a line break, \"|-\" does not", "invalid value %q: it has a control character", strict.Shorten(value))
	}
}

func (h httpRoute) cors() {
	c := h.CorsPolicy
	if c == nil {
		return
	}
	field := h.path + ".corsPolicy"
	if len(c.AllowOrigin) > 0 { //nolint:staticcheck // deprecated by Istio, still in users' files
		h.r.warnf(field+".allowOrigin", "use allowOrigins", "allowOrigin is deprecated")
	}
	for i, origin := range c.AllowOrigins {
		checkStringMatch(h.r, fmt.Sprintf("%s.allowOrigins[%d]", field, i), origin)
	}
	for i, method := range c.AllowMethods {
		if method != "*" && !httpguts.ValidHeaderFieldName(method) {
			h.r.errorf(fmt.Sprintf("%s.allowMethods[%d]", field, i), "", "%q is not an HTTP method", strict.Shorten(method))
		}
	}
	for _, l := range []struct {
		name  string
		names []string
	}{{"allowHeaders", c.AllowHeaders}, {"exposeHeaders", c.ExposeHeaders}} {
		for i, name := range l.names {
			if name != "*" {
				checkHeaderName(h.r, fmt.Sprintf("%s.%s[%d]", field, l.name, i), name, true)
			}
		}
	}
	if c.MaxAge != nil && (c.MaxAge.AsDuration() < 0 || c.MaxAge.AsDuration()%1e9 != 0) {
		h.r.errorf(field+".maxAge", "", "maxAge must be a whole number of seconds, 0 or more; this is %s", c.MaxAge.AsDuration())
	}
}

// sorted goes through a map by its keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
