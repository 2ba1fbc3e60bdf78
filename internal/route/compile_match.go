//lint:file-ignore SA1019 control planes still send the deprecated fields

package route

import (
	"fmt"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// match compiles a RouteMatch. literal is how every path begins that its
// regex matches; text is a short text of it all.
func (c *compiler) match(in *routev3.RouteMatch) (m matcher, literal, text string) {
	c.only(in, "prefix", "path", "safe_regex", "connect_matcher", "path_separated_prefix", "case_sensitive",
		"runtime_fraction", "headers", "query_parameters", "grpc")
	fold := in.GetCaseSensitive() != nil && !in.GetCaseSensitive().GetValue()
	path := func(kind pathKind, text string) {
		m.path = pathMatcher{kind: kind, text: text, fold: fold}
		if fold {
			m.path.text = lower(text)
		}
	}
	switch p := in.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		path(pathPrefix, p.Prefix)
		text = "prefix " + p.Prefix
	case *routev3.RouteMatch_Path:
		path(pathExact, p.Path)
		text = "path " + p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		path(pathSeparated, p.PathSeparatedPrefix)
		text = "path_separated_prefix " + p.PathSeparatedPrefix
		if s := p.PathSeparatedPrefix; !strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") || strings.ContainsAny(s, "?#") {
			c.fail("match.path_separated_prefix", "%q must begin and must not end with a slash, and has no query", s)
		}
	case *routev3.RouteMatch_SafeRegex:
		// Case is the expression's own matter.
		re, lit, err := fullRegex(p.SafeRegex.GetRegex())
		if err != nil {
			c.failErr("match.safe_regex", err)
		}
		m.path = pathMatcher{kind: pathRegex, re: re}
		literal, text = lit, "regex "+p.SafeRegex.GetRegex()
	case *routev3.RouteMatch_ConnectMatcher_:
		m.path.kind = pathConnect
		text = "connect"
	case nil:
		c.fail("match", "has no path, prefix or regex")
	}
	if fold {
		text += " ignoring case"
	}
	if f := in.GetRuntimeFraction(); f != nil {
		share := c.fraction("match.runtime_fraction", f)
		m.fraction, m.salt = &share, saltMatch
		text += " fraction " + strconv.FormatFloat(share.share(), 'g', -1, 64)
	}
	m.grpc = in.GetGrpc() != nil
	if m.grpc {
		text += " grpc"
	}
	for i, h := range in.GetHeaders() {
		m.headers = append(m.headers, c.headerMatcher(fmt.Sprintf("match.headers[%d]", i), h))
		text += headerKey(h)
	}
	for i, q := range in.GetQueryParameters() {
		m.query = append(m.query, c.queryMatcher(fmt.Sprintf("match.query_parameters[%d]", i), q))
		text += " query " + q.GetName() + stringText(q.GetStringMatch())
	}
	return m, literal, text
}

// headerKey is the text of a header match for a route's key.
func headerKey(h *routev3.HeaderMatcher) string {
	t := " header " + h.GetName()
	if h.GetName() == ":method" {
		t = " method"
	}
	if h.GetInvertMatch() {
		t += " not"
	}
	switch m := h.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_StringMatch:
		t += stringText(m.StringMatch)
	case *routev3.HeaderMatcher_ExactMatch:
		t += " " + m.ExactMatch
	case *routev3.HeaderMatcher_PrefixMatch:
		t += " prefix " + m.PrefixMatch
	case *routev3.HeaderMatcher_SuffixMatch:
		t += " suffix " + m.SuffixMatch
	case *routev3.HeaderMatcher_ContainsMatch:
		t += " contains " + m.ContainsMatch
	case *routev3.HeaderMatcher_SafeRegexMatch:
		t += " regex " + m.SafeRegexMatch.GetRegex()
	case *routev3.HeaderMatcher_RangeMatch:
		t += fmt.Sprintf(" range %d-%d", m.RangeMatch.GetStart(), m.RangeMatch.GetEnd())
	case *routev3.HeaderMatcher_PresentMatch:
		if !m.PresentMatch {
			t += " absent"
		}
	}
	return t
}

func stringText(m *matcherv3.StringMatcher) string {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return " " + p.Exact
	case *matcherv3.StringMatcher_Prefix:
		return " prefix " + p.Prefix
	case *matcherv3.StringMatcher_Suffix:
		return " suffix " + p.Suffix
	case *matcherv3.StringMatcher_Contains:
		return " contains " + p.Contains
	case *matcherv3.StringMatcher_SafeRegex:
		return " regex " + p.SafeRegex.GetRegex()
	}
	return ""
}

func (c *compiler) headerMatcher(field string, in *routev3.HeaderMatcher) headerMatcher {
	m := headerMatcher{
		name: lower(in.GetName()), kind: headerText, invert: in.GetInvertMatch(), missingEmpty: in.GetTreatMissingHeaderAsEmpty(),
	}
	if m.name == "" {
		c.fail(field+".name", "is empty")
	}
	plain := func(kind textKind, text string) {
		m.text = textMatcher{kind: kind, text: text}
	}
	switch p := in.GetHeaderMatchSpecifier().(type) {
	case nil: // Envoy: the field must be there
		m.kind, m.present = headerPresent, true
	case *routev3.HeaderMatcher_PresentMatch:
		m.kind, m.present = headerPresent, p.PresentMatch
	case *routev3.HeaderMatcher_RangeMatch:
		m.kind, m.from, m.to = headerRange, p.RangeMatch.GetStart(), p.RangeMatch.GetEnd()
	case *routev3.HeaderMatcher_StringMatch:
		m.text = c.textMatcher(field+".string_match", p.StringMatch)
	case *routev3.HeaderMatcher_ExactMatch:
		// Deprecated; an empty one fits every value, as in Envoy.
		if plain(textExact, p.ExactMatch); p.ExactMatch == "" {
			plain(textPrefix, "")
		}
	case *routev3.HeaderMatcher_PrefixMatch:
		plain(textPrefix, p.PrefixMatch)
	case *routev3.HeaderMatcher_SuffixMatch:
		plain(textSuffix, p.SuffixMatch)
	case *routev3.HeaderMatcher_ContainsMatch:
		plain(textContains, p.ContainsMatch)
	case *routev3.HeaderMatcher_SafeRegexMatch:
		m.text = c.regexText(field+".safe_regex_match", p.SafeRegexMatch)
	}
	return m
}

func (c *compiler) textMatcher(field string, in *matcherv3.StringMatcher) textMatcher {
	m := textMatcher{fold: in.GetIgnoreCase()}
	switch p := in.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		m.kind, m.text = textExact, p.Exact
	case *matcherv3.StringMatcher_Prefix:
		m.kind, m.text = textPrefix, p.Prefix
	case *matcherv3.StringMatcher_Suffix:
		m.kind, m.text = textSuffix, p.Suffix
	case *matcherv3.StringMatcher_Contains:
		m.kind, m.text = textContains, p.Contains
	case *matcherv3.StringMatcher_SafeRegex:
		if m.fold {
			c.fail(field+".ignore_case", "does not go with safe_regex; write (?i) in the expression")
		}
		return c.regexText(field+".safe_regex", p.SafeRegex)
	case *matcherv3.StringMatcher_Custom:
		c.fail(field+".custom", "is not supported")
	default:
		c.fail(field, "is empty")
	}
	if m.fold {
		m.text = lower(m.text)
	}
	return m
}

func (c *compiler) regexText(field string, in *matcherv3.RegexMatcher) textMatcher {
	re, _, err := fullRegex(in.GetRegex())
	if err != nil {
		c.failErr(field, err)
	}
	return textMatcher{kind: textRegex, re: re}
}

func (c *compiler) queryMatcher(field string, in *routev3.QueryParameterMatcher) queryMatcher {
	m := queryMatcher{name: in.GetName()}
	switch p := in.GetQueryParameterMatchSpecifier().(type) {
	case nil:
		m.exists, m.present = true, true
	case *routev3.QueryParameterMatcher_PresentMatch:
		m.exists, m.present = true, p.PresentMatch
	case *routev3.QueryParameterMatcher_StringMatch:
		m.text = c.textMatcher(field+".string_match", p.StringMatch)
	}
	return m
}

// fraction compiles a share. Sundog has no runtime, so the default counts.
func (c *compiler) fraction(field string, in *corev3.RuntimeFractionalPercent) fraction {
	if in.GetDefaultValue() == nil {
		c.fail(field+".default_value", "is missing")
	}
	return c.percent(field+".default_value", in.GetDefaultValue())
}

// percent compiles a FractionalPercent; more than all of the requests is all.
func (c *compiler) percent(field string, in *typev3.FractionalPercent) fraction {
	f := fraction{numerator: uint64(in.GetNumerator())}
	switch in.GetDenominator() {
	case typev3.FractionalPercent_HUNDRED:
		f.denominator = 100
	case typev3.FractionalPercent_TEN_THOUSAND:
		f.denominator = 10_000
	case typev3.FractionalPercent_MILLION:
		f.denominator = 1_000_000
	default:
		c.fail(field+".denominator", "%v is not known", in.GetDenominator())
	}
	f.numerator = min(f.numerator, f.denominator)
	return f
}
