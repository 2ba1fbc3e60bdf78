package tlsconn

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// san matches one of a certificate's subject alternative names.
type san struct {
	kind tlsv3.SubjectAltNameMatcher_SanType // UNSPECIFIED: of any kind
	test func(name string) bool
	dns  string // exact DNS name, which a wildcard in the certificate covers
}

func (s *san) matches(c *x509.Certificate) bool {
	is := func(kind tlsv3.SubjectAltNameMatcher_SanType) bool {
		return s.kind == kind || s.kind == tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED
	}
	if is(tlsv3.SubjectAltNameMatcher_DNS) && slices.ContainsFunc(c.DNSNames, s.matchesDNS) {
		return true
	}
	if is(tlsv3.SubjectAltNameMatcher_URI) {
		for _, u := range c.URIs {
			if s.test(u.String()) {
				return true
			}
		}
	}
	if is(tlsv3.SubjectAltNameMatcher_EMAIL) && slices.ContainsFunc(c.EmailAddresses, s.test) {
		return true
	}
	if is(tlsv3.SubjectAltNameMatcher_IP_ADDRESS) {
		for _, ip := range c.IPAddresses {
			if s.test(ip.String()) {
				return true
			}
		}
	}
	return false
}

// matchesDNS is also for a wildcard in the certificate's name, which covers one
// label (RFC 6125, section 6.4.3).
func (s *san) matchesDNS(name string) bool {
	if s.dns == "" {
		return s.test(name)
	}
	if strings.EqualFold(name, s.dns) {
		return true
	}
	rest, wild := strings.CutPrefix(name, "*.")
	label, parent, ok := strings.Cut(s.dns, ".")
	return wild && ok && label != "" && strings.EqualFold(rest, parent)
}

// sans compiles the names that the peer's certificate must have one of.
func (c *compiler) sans(at string, m *tlsv3.CertificateValidationContext, v *verifier) {
	add := func(at string, kind tlsv3.SubjectAltNameMatcher_SanType, m *matcherv3.StringMatcher) {
		test := c.matcher(at, m)
		if test == nil {
			return
		}
		s := san{kind: kind, test: test}
		if kind != tlsv3.SubjectAltNameMatcher_URI && kind != tlsv3.SubjectAltNameMatcher_EMAIL {
			s.dns = m.GetExact()
		}
		v.sans = append(v.sans, s)
		v.wanted = append(v.wanted, describe(kind, m))
	}
	for i, t := range m.GetMatchTypedSubjectAltNames() {
		at := fmt.Sprintf("%s.match_typed_subject_alt_names[%d]", at, i)
		switch t.GetSanType() {
		case tlsv3.SubjectAltNameMatcher_DNS, tlsv3.SubjectAltNameMatcher_URI, tlsv3.SubjectAltNameMatcher_EMAIL, tlsv3.SubjectAltNameMatcher_IP_ADDRESS:
			add(at+".matcher", t.GetSanType(), t.GetMatcher())
		default:
			c.fail(at+".san_type", "is %s; DNS, URI, EMAIL and IP_ADDRESS are supported", t.GetSanType())
		}
	}
	for i, m := range m.GetMatchSubjectAltNames() { //nolint:staticcheck // deprecated, and still what many control planes send
		add(fmt.Sprintf("%s.match_subject_alt_names[%d]", at, i), tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED, m)
	}
}

func (c *compiler) matcher(at string, m *matcherv3.StringMatcher) func(string) bool {
	fold := func(s string) string { return s }
	if m.GetIgnoreCase() {
		fold = strings.ToLower
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return func(s string) bool { return fold(s) == fold(p.Exact) }
	case *matcherv3.StringMatcher_Prefix:
		return func(s string) bool { return strings.HasPrefix(fold(s), fold(p.Prefix)) }
	case *matcherv3.StringMatcher_Suffix:
		return func(s string) bool { return strings.HasSuffix(fold(s), fold(p.Suffix)) }
	case *matcherv3.StringMatcher_Contains:
		return func(s string) bool { return strings.Contains(fold(s), fold(p.Contains)) }
	case *matcherv3.StringMatcher_SafeRegex:
		c.fail(at, "is a regular expression, which is not supported for names in certificates; use exact, prefix, suffix or contains")
	case nil:
		c.fail(at, "is empty")
	default:
		c.fail(at, "is of a kind that is not supported; use exact, prefix, suffix or contains")
	}
	return nil
}

func describe(kind tlsv3.SubjectAltNameMatcher_SanType, m *matcherv3.StringMatcher) string {
	of := "any name"
	if kind != tlsv3.SubjectAltNameMatcher_SAN_TYPE_UNSPECIFIED {
		of = kind.String()
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Prefix:
		return fmt.Sprintf("%s beginning with %q", of, p.Prefix)
	case *matcherv3.StringMatcher_Suffix:
		return fmt.Sprintf("%s ending in %q", of, p.Suffix)
	case *matcherv3.StringMatcher_Contains:
		return fmt.Sprintf("%s with %q in it", of, p.Contains)
	}
	return fmt.Sprintf("%s %q", of, m.GetExact())
}
