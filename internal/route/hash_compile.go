package route

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// hashPolicy compiles route.hash_policy; nil where it is empty.
func (c *compiler) hashPolicy(in []*routev3.RouteAction_HashPolicy) *HashPolicy {
	if len(in) > maxHashMethods {
		c.fail("route.hash_policy", "has %d elements; at most %d are supported", len(in), maxHashMethods)
		return nil
	}
	p := &HashPolicy{}
	for i, one := range in {
		if m, ok := c.in(fmt.Sprintf("route.hash_policy[%d]", i)).hashMethod(one); ok {
			p.methods = append(p.methods, m)
		}
	}
	if len(p.methods) == 0 {
		return nil
	}
	return p
}

// hashMethod reports false for a method that never hashes anything.
func (c *compiler) hashMethod(in *routev3.RouteAction_HashPolicy) (m hashMethod, ok bool) {
	m.terminal = in.GetTerminal()
	switch s := in.GetPolicySpecifier().(type) {
	case *routev3.RouteAction_HashPolicy_Header_:
		m.header = lower(s.Header.GetHeaderName())
		if !isToken(strings.TrimPrefix(m.header, ":")) {
			c.fail("header.header_name", "%q is not a header name", s.Header.GetHeaderName())
		}
		m.regex = c.rewriter("header.regex_rewrite", s.Header.GetRegexRewrite())
	case *routev3.RouteAction_HashPolicy_Cookie_:
		m.cookie = c.hashCookie(s.Cookie)
	case *routev3.RouteAction_HashPolicy_ConnectionProperties_:
		m.sourceIP = s.ConnectionProperties.GetSourceIp()
		return m, m.sourceIP
	case *routev3.RouteAction_HashPolicy_QueryParameter_:
		if m.query = s.QueryParameter.GetName(); m.query == "" {
			c.fail("query_parameter.name", "is empty")
		}
	case *routev3.RouteAction_HashPolicy_FilterState_:
		c.fail("filter_state", "is not supported; use header, cookie, connection_properties or query_parameter")
	default:
		c.fail("policy_specifier", "is none of header, cookie, connection_properties and query_parameter")
	}
	return m, true
}

func (c *compiler) hashCookie(in *routev3.RouteAction_HashPolicy_Cookie) *hashCookie {
	if !isToken(lower(in.GetName())) {
		c.fail("cookie.name", "%q is not a cookie's name", in.GetName())
	}
	unfit := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ';' })
	}
	if unfit(in.GetPath()) {
		c.fail("cookie.path", "%q cannot stand in a cookie", in.GetPath())
	}
	var attributes []string
	for i, a := range in.GetAttributes() {
		if a.GetName() == "" || unfit(a.GetName()) || unfit(a.GetValue()) {
			c.fail(fmt.Sprintf("cookie.attributes[%d]", i), "%q: %q cannot stand in a cookie", a.GetName(), a.GetValue())
		}
		text := a.GetName()
		if a.GetValue() != "" {
			text += "=" + a.GetValue()
		}
		attributes = append(attributes, text)
	}
	ttl := c.duration("cookie.ttl", in.GetTtl(), 0)
	return &hashCookie{
		name:     in.GetName(),
		generate: in.GetTtl() != nil,
		tail:     cookieTail(int64(ttl.Seconds()), in.GetPath(), attributes),
	}
}
