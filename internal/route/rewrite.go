package route

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// RewriteRequest makes the head what the endpoint gets: the header operations
// of all levels, then the authority, then the path. wc is what Pick returned.
//
// The order is Envoy's: the weighted cluster first, then the route, its
// virtual host and the route configuration, so that the least specific level
// wins; with most_specific_header_mutations_wins the last three are turned
// round. ctx is never nil. x-envoy-original-path and x-envoy-original-host keep what a rewrite
// replaced.
func (r *Route) RewriteRequest(h *traffic.Head, wc *WeightedCluster, ctx *Context) {
	f := r.Forward
	t := r.VirtualHost.table
	if wc != nil {
		wc.request.apply(h, h, nil, ctx)
		if len(wc.hostLiteral) > 0 {
			h.SetAuthority(wc.hostLiteral)
		}
	}
	if t.specificLast {
		t.request.apply(h, h, nil, ctx)
		r.VirtualHost.request.apply(h, h, nil, ctx)
		r.request.apply(h, h, nil, ctx)
	} else {
		r.request.apply(h, h, nil, ctx)
		r.VirtualHost.request.apply(h, h, nil, ctx)
		t.request.apply(h, h, nil, ctx)
	}
	if f == nil {
		return
	}
	f.rewriteHost(h, ctx)
	if f.path.set() {
		old := h.Path()
		h.Set("x-envoy-original-path", old)
		var buf [512]byte
		h.SetPath(f.path.append(buf[:0], r, h, ctx))
	}
}

// RewriteResponse applies the header operations of all levels to the head
// that the client gets, of an endpoint's answer or of the route's own.
// ctx.Request is the request's head.
func (r *Route) RewriteResponse(h *traffic.Head, wc *WeightedCluster, ctx *Context) {
	t := r.VirtualHost.table
	if wc != nil {
		wc.answer.apply(h, ctx.Request, h, ctx)
	}
	if t.specificLast {
		t.answer.apply(h, ctx.Request, h, ctx)
		r.VirtualHost.answer.apply(h, ctx.Request, h, ctx)
		r.answer.apply(h, ctx.Request, h, ctx)
		return
	}
	r.answer.apply(h, ctx.Request, h, ctx)
	r.VirtualHost.answer.apply(h, ctx.Request, h, ctx)
	t.answer.apply(h, ctx.Request, h, ctx)
}

// Rewrite makes a copy's head what the shadow gets, but for the "-shadow":
// the mirror's own header operations and authority. It reports whether the
// authority was replaced, in which case it gets no suffix.
func (m *Mirror) Rewrite(h *traffic.Head, ctx *Context) (host bool) {
	for i := range m.mutations {
		m.mutations[i].apply(h, h, nil, ctx)
	}
	m.path.rewrite(h)
	if len(m.hostLiteral) > 0 {
		h.SetAuthority(m.hostLiteral)
		return true
	}
	return false
}

func (f *Forward) rewriteHost(h *traffic.Head, ctx *Context) {
	switch {
	case len(f.hostLiteral) > 0:
		f.SetHost(h, f.hostLiteral)
	case f.hostHeader != "":
		if v, _ := headerValue(h, f.hostHeader); len(v) > 0 {
			f.SetHost(h, v)
		}
	case f.hostRegex != nil:
		if v := f.hostRegex.append(nil, barePath(h.Path())); len(v) > 0 {
			f.SetHost(h, v)
		}
	case f.hostFormat != nil:
		var buf [256]byte
		if v := f.hostFormat.append(buf[:0], h, nil, ctx); len(v) > 0 {
			f.SetHost(h, v)
		}
	}
}

// SetHost replaces the authority as a host rewrite does: the old one goes to
// x-envoy-original-host, unless that is there already (from an earlier try),
// and to x-forwarded-host where the route says so.
func (f *Forward) SetHost(h *traffic.Head, host []byte) {
	old := h.Authority()
	if len(old) > 0 {
		if f.appendXFH && !lastIs(h, "x-forwarded-host", old) {
			h.Append("x-forwarded-host", old)
		}
		if !h.Has("x-envoy-original-host") {
			h.Add("x-envoy-original-host", old)
		}
	}
	h.SetAuthority(host)
}

// lastIs reports whether the last item of the list in a field is value.
func lastIs(h *traffic.Head, name string, value []byte) bool {
	list, _ := h.Get(name)
	if i := bytes.LastIndexByte(list, ','); i >= 0 {
		list = list[i+1:]
	}
	return bytes.Equal(bytes.TrimSpace(list), value)
}

// pathRewrite is what a route makes of the path. At most one kind is set.
type pathRewrite struct {
	prefix []byte    // prefix_rewrite: takes the place of what matched
	regex  *rewriter // regex_rewrite: of the path without its query
	format format    // path_rewrite: the whole path without its query
}

func (p *pathRewrite) set() bool { return len(p.prefix) > 0 || p.regex != nil || p.format != nil }

// append appends the new path with the request's query.
func (p *pathRewrite) append(dst []byte, r *Route, h *traffic.Head, ctx *Context) []byte {
	path := h.Path()
	bare := barePath(path)
	query := path[len(bare):]
	switch {
	case len(p.prefix) > 0:
		dst = append(dst, p.prefix...)
		dst = append(dst, bare[r.match.path.matched(bare):]...)
	case p.regex != nil:
		dst = p.regex.append(dst, bare)
	default:
		n := len(dst)
		if dst = p.format.append(dst, h, nil, ctx); len(dst) == n {
			dst = append(dst, bare...)
		}
	}
	return append(dst, query...)
}

// rewriter replaces every match of an expression (RegexMatchAndSubstitute).
type rewriter struct {
	re *regexp.Regexp
	to []byte // in the form of Regexp.Expand
}

// append allocates: Go's regexp has no way to find groups without.
func (w *rewriter) append(dst, text []byte) []byte {
	return append(dst, w.re.ReplaceAll(text, w.to)...)
}

// newRewriter compiles an expression and a substitution with \0 to \9 for the
// groups and \\ for a backslash, as RE2 has them.
func newRewriter(expr, substitution string) (*rewriter, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	var to strings.Builder
	for i := 0; i < len(substitution); i++ {
		c := substitution[i]
		switch {
		case c == '$':
			to.WriteString("$$")
		case c != '\\':
			to.WriteByte(c)
		case i+1 == len(substitution):
			return nil, fmt.Errorf("the substitution %q ends in a single backslash", substitution)
		default:
			i++
			switch c = substitution[i]; {
			case c == '\\':
				to.WriteByte(c)
			case c >= '0' && c <= '9':
				if int(c-'0') > re.NumSubexp() {
					return nil, fmt.Errorf("the substitution %q asks for group %c, and the pattern has %d", substitution, c, re.NumSubexp())
				}
				fmt.Fprintf(&to, "${%c}", c)
			default:
				return nil, fmt.Errorf("the substitution %q has a backslash before %q; only a digit or a backslash may follow one", substitution, c)
			}
		}
	}
	return &rewriter{re, []byte(to.String())}, nil
}
