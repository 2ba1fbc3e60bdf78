package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/api/v1alpha1"
	"github.com/sundog-mesh/sundog/internal/config/strict"
	"github.com/sundog-mesh/sundog/internal/policy"
	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/api/resource"
)

// shadowPolicyKind reads ShadowPolicies. Their Specs in a Set have every
// default of the definition filled in.
func shadowPolicyKind() kind {
	var s *schema // of the spec; read with the first policy
	return kind{
		group: v1alpha1.Group, name: v1alpha1.Kind, versions: []string{v1alpha1.Version},
		shape: func(c *strict.Shapes) *strict.Shape { return c.Type(reflect.TypeFor[v1alpha1.ShadowPolicy]()) },
		read: func(h header, clean map[string]any) (object, error) {
			if s == nil {
				var err error
				if s, err = specSchema(v1alpha1.CRD()); err != nil {
					return nil, err
				}
			}
			spec, ok := clean["spec"]
			if !ok {
				h.r.missing("spec", "begin with targetRefs", "is required")
				spec = map[string]any{}
				h.r.errors = append(h.r.errors, "spec")
			}
			s.check(h.r, "spec", spec)
			s.complete(spec)
			data, err := json.Marshal(spec)
			if err != nil {
				return nil, err
			}
			p := &v1alpha1.ShadowPolicySpec{}
			if err := json.Unmarshal(data, p); err != nil {
				return nil, err
			}
			return newObject(h, p, func(s *Set) *[]*Object[*v1alpha1.ShadowPolicySpec] { return &s.ShadowPolicies }, checkShadowPolicy), nil
		},
	}
}

// checkShadowPolicy checks what the schema cannot say. What the targets and the
// baseline name is looked up by translate.
func checkShadowPolicy(r *reporter, o *Object[*v1alpha1.ShadowPolicySpec]) {
	p := o.Spec
	checkTargetRefs(r, p.TargetRefs)
	if p.Sample != nil {
		checkSample(r, p.Sample)
	}
	if p.Request != nil {
		checkShadowRequest(r, p.Request)
	}
	if b := p.Budget; b != nil {
		if b.Timeout != nil && b.Timeout.Duration < 1e6 {
			r.errorf("spec.budget.timeout", "leave timeout out to have the default", "a duration must be at least 1ms; this is %s", b.Timeout.Duration)
		}
		checkSize(r, "spec.budget.buffer", b.Buffer)
		checkSize(r, "spec.budget.maxBytes", b.MaxBytes)
	}
	if p.Compare != nil {
		checkCompare(r, p.Compare)
	}
}

func checkTargetRefs(r *reporter, refs []v1alpha1.TargetRef) {
	groups := map[string]string{"VirtualService": istioGroup, "HTTPRoute": gatewayGroup}
	seen := map[v1alpha1.TargetRef]int{}
	for i, ref := range refs {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		if want := groups[ref.Kind]; want != "" && ref.Group != "" && ref.Group != want && !r.broken(field) {
			r.errorf(field+".group", "write "+want, "there is no %s in %s", ref.Kind, strict.Shorten(ref.Group))
		}
		if first, ok := seen[ref]; ok {
			r.errorf(field, "keep one of the two", "the same target twice: it is also spec.targetRefs[%d]", first)
			continue
		}
		seen[ref] = i
	}
}

func checkSample(r *reporter, s *v1alpha1.Sample) {
	const field = "spec.sample"
	if p := s.Percent; p != nil && *p > 0 && *p*10000 < 1 {
		r.warnf(field+".percent", "write 0.0001 or more", "%s %% is less than one millionth, so it counts as 0 and nothing is chosen",
			strconv.FormatFloat(*p, 'f', -1, 64))
	}
	if k := s.Key; k != nil {
		at := field + ".key"
		switch named := k.Type == v1alpha1.KeyHeader || k.Type == v1alpha1.KeyCookie; {
		case named && k.Name == "":
			r.missing(at, "", "name is required: that of the %s", strings.ToLower(string(k.Type)))
		case k.Name != "" && !named:
			r.errorf(at+".name", "use type Header or Cookie, or leave name out", "%s has no name", k.Type)
		case k.Type == v1alpha1.KeyHeader:
			checkHeaderName(r, at+".name", k.Name, true)
		case named:
			checkToken(r, at+".name", "cookie", k.Name)
		}
	}
	for i, m := range s.Methods {
		if upper := strings.ToUpper(m); upper != m && httpguts.ValidHeaderFieldName(m) {
			r.warnf(fmt.Sprintf("%s.methods[%d]", field, i), "write "+upper, "methods are told apart by case: %s is not %s", strict.Shorten(m), strict.Shorten(upper))
		}
	}
	if s.Match != "" {
		checkExpression(r, field+".match", s.Match)
	}
}

func checkShadowRequest(r *reporter, q *v1alpha1.Request) {
	const field = "spec.request"
	if q.Authority != "" {
		if q.AuthorityMode != "" {
			r.errorf(field+".authorityMode", "keep one of the two", "authority and authorityMode exclude each other")
		}
		if host, _, _ := strings.Cut(q.Authority, ":"); hostProblem(host, false) != "" && !isIP(strings.Trim(q.Authority, "[]")) || strings.ContainsAny(q.Authority, " /?#@") {
			r.errorf(field+".authority", "write host or host:port", "%q is not a host", strict.Shorten(q.Authority))
		}
	}
	if h := q.Headers; h != nil {
		for _, op := range []struct {
			name    string
			headers map[string]string
		}{{"set", h.Set}, {"add", h.Add}} {
			for name, value := range sorted(op.headers) {
				at := KeyPath(field+".headers."+op.name, name)
				checkCopyHeader(r, at, name)
				checkHeaderValue(r, at, value)
			}
		}
		for i, name := range h.Remove {
			checkCopyHeader(r, fmt.Sprintf("%s.headers.remove[%d]", field, i), name)
		}
	}
	if p := q.Path; p != nil {
		checkPathRewrite(r, field+".path", p)
	}
	if d := q.Redact; d != nil {
		checkRedact(r, field+".redact", d)
	}
}

// checkCopyHeader refuses, besides what is no header, those that say how the
// message is sent: the proxy makes them itself. The host is authority's.
func checkCopyHeader(r *reporter, field, name string) {
	switch {
	case isAuthority(name):
		r.errorf(field, "use authority or authorityMode", "invalid header %q: the Host header is not changed here", name)
	case framing(name):
		r.errorf(field, "", "invalid header %q: it says how the message is sent, and the proxy makes it itself", name)
	default:
		checkHeaderName(r, field, name, false)
	}
}

// framing reports whether a header belongs to a message on one connection.
func framing(name string) bool {
	return slices.Contains([]string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}, strings.ToLower(name))
}

func checkPathRewrite(r *reporter, field string, p *v1alpha1.PathRewrite) {
	switch {
	case p.Prefix != nil && p.Regex != nil:
		r.errorf(field, "keep one of the two", "prefix and regex exclude each other")
	case p.Prefix == nil && p.Regex == nil:
		r.missing(field, "", "one of prefix and regex is required")
	}
	if x := p.Prefix; x != nil {
		for _, part := range []struct{ name, value string }{{"match", x.Match}, {"rewrite", x.Rewrite}} {
			if strings.ContainsAny(part.value, "?# ") || strings.ContainsFunc(part.value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				r.errorf(field+".prefix."+part.name, "", "%q is not a path: the query is not part of it, and blanks are written %%20", strict.Shorten(part.value))
			}
		}
	}
	if x := p.Regex; x != nil && x.Match != "" {
		checkRegex(r, field+".regex.match", x.Match)
		checkHeaderValue(r, field+".regex.rewrite", x.Rewrite)
		if re, err := regexp.Compile(x.Match); err == nil {
			checkSubstitution(r, field+".regex.rewrite", x.Rewrite, re.NumSubexp())
		}
	}
}

// checkSubstitution checks the references of a rewrite to groups, \1.
func checkSubstitution(r *reporter, field, text string, groups int) {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		switch {
		case i == len(text) || text[i] != '\\' && (text[i] < '0' || text[i] > '9'):
			r.errorf(field, `write \\ for a backslash`, `a backslash stands before a digit, as in \1, or before another`)
			return
		case text[i] != '\\' && int(text[i]-'0') > groups:
			r.errorf(field, "", `\%c asks for group %c, and the pattern has %d`, text[i], text[i], groups)
			return
		}
	}
}

func checkRedact(r *reporter, field string, d *v1alpha1.Redact) {
	for i, name := range d.Headers {
		at := fmt.Sprintf("%s.headers[%d]", field, i)
		if name == "" || httpguts.ValidHeaderFieldName(name) {
			checkRedaction(r, at, strings.ToLower(name), policy.Redact{Headers: []string{name}})
		} else {
			checkHeaderName(r, at, name, false)
		}
	}
	for i, name := range d.Cookies {
		checkToken(r, fmt.Sprintf("%s.cookies[%d]", field, i), "cookie", name)
	}
	for i, name := range d.QueryParams {
		checkRedaction(r, fmt.Sprintf("%s.queryParams[%d]", field, i), name, policy.Redact{Query: []string{name}})
	}
	for i, path := range d.JSONPaths {
		checkRedaction(r, fmt.Sprintf("%s.jsonPaths[%d]", field, i), path, policy.Redact{JSON: []string{path}})
	}
	if len(d.Headers)+len(d.Cookies)+len(d.QueryParams)+len(d.JSONPaths) == 0 && !r.broken(field) {
		r.warnf(field, "name headers, cookies, queryParams or jsonPaths", "nothing is redacted")
	}
}

// checkToken checks the name of a cookie (RFC 6265, section 4.1.1) or the like.
func checkToken(r *reporter, field, what, name string) {
	if !httpguts.ValidHeaderFieldName(name) {
		r.errorf(field, "", "%q is not the name of a %s", strict.Shorten(name), what)
	}
}

// maxSize is more than any process has memory.
const maxSize = 1 << 50

// checkSize checks a number of bytes.
func checkSize(r *reporter, field string, q *resource.Quantity) {
	if q == nil {
		return
	}
	switch {
	case q.Sign() <= 0:
		r.errorf(field, "", "%s bytes are not allowed; it must be at least 1", q)
	case q.Cmp(*resource.NewQuantity(maxSize, resource.BinarySI)) > 0:
		r.errorf(field, "", "%s bytes are not allowed; it must be at most 1Pi", q)
	case q.MilliValue()%1000 != 0:
		r.errorf(field, `write it like "512Ki" or "64Mi"`, "%s is not a whole number of bytes", q)
	}
}
