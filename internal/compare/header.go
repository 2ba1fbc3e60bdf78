package compare

import (
	"cmp"
	"slices"
	"strings"
)

// headScratch is memory for comparing headers.
type headScratch struct{ a, b []Field }

// leftOut reports whether a header is not compared: it belongs to a connection
// (RFC 9110 7.6.1), says only when and where an answer was made, or is a
// trace or request id.
func leftOut(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "alt-svc":
		return true
	case "date", "age", "server-timing", "content-length", "x-request-id", "x-correlation-id", "request-id",
		"x-amzn-requestid", "x-amzn-trace-id", "x-amz-request-id", "x-amz-id-2", "x-amz-cf-id", "cf-ray",
		"x-cloud-trace-context", "x-runtime", "x-response-time", "x-process-time":
		return true
	case "traceparent", "tracestate", "traceresponse", "b3", "uber-trace-id", "grpc-trace-bin":
		return true
	}
	return strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-b3-")
}

// minor reports whether a header, or attribute of a cookie, may have both values though the answer is the same.
func minor(name string, a, b Value) bool {
	switch name {
	case "etag": // RFC 9110 8.8.3: weak ones begin with W/
		return strings.HasPrefix(a.Text, "W/") == strings.HasPrefix(b.Text, "W/")
	case "last-modified", "expires":
		_, x := a.Timestamp()
		_, y := b.Timestamp()
		return x && y
	}
	return false
}

// listed reports whether a header is a list in which order and case have no meaning.
func listed(name string) bool {
	switch name {
	case "vary", "allow", "cache-control", "content-language", "accept-ranges", "access-control-allow-methods",
		"access-control-allow-headers", "access-control-expose-headers":
		return true
	}
	return false
}

// headers compares the headers that are not left out.
func (c *Comparer) headers(root states, r Request, a, b *Message) {
	s := &c.heads
	s.a = selected(s.a[:0], a, r)
	s.b = selected(s.b[:0], b, r)
	c.fields(root, "header", s.a, s.b)
}

// selected appends the headers of a message that are compared.
func selected(dst []Field, m *Message, r Request) []Field {
	bare := r.Method == "HEAD" || m.Status == 304 // its length is not that of its body
	nominated := m.header("connection")
	only := grpcInHeaders(m)
	for i := range m.Headers {
		f := &m.Headers[i]
		switch {
		case leftOut(f.Name) && (!bare || f.Name != "content-length"):
		case nominated != "" && hasToken(nominated, f.Name):
		case only && grpcTrailer(f.Name):
		default:
			dst = append(dst, *f)
		}
	}
	return dst
}

func hasToken(list, name string) bool {
	for list != "" {
		var one string
		one, list, _ = strings.Cut(list, ",")
		if strings.EqualFold(strings.TrimSpace(one), name) {
			return true
		}
	}
	return false
}

// grpcInHeaders reports whether an answer has its trailers among its headers
// (gRPC over HTTP/2, "Trailers-Only").
func grpcInHeaders(m *Message) bool {
	return len(m.Trailers) == 0 && m.header("grpc-status") != ""
}

func grpcTrailer(name string) bool {
	return name == "grpc-status" || name == "grpc-message" || name == "grpc-status-details-bin"
}

func (c *Comparer) trailers(root states, a, b *Message) {
	s := &c.heads
	s.a = trailersOf(s.a[:0], a)
	s.b = trailersOf(s.b[:0], b)
	c.fields(root, "trailer", s.a, s.b)
}

func trailersOf(dst []Field, m *Message) []Field {
	lines, only := m.Trailers, grpcInHeaders(m)
	if only {
		lines = m.Headers
	}
	for _, f := range lines {
		if only && !grpcTrailer(f.Name) || leftOut(f.Name) {
			continue
		}
		dst = append(dst, f)
	}
	return dst
}

// fields compares lines by name. It sorts both.
func (c *Comparer) fields(root states, part string, a, b []Field) {
	if slices.Equal(a, b) {
		return
	}
	st, e := c.name(root, []byte(part))
	defer c.release(st)
	if e.ignore {
		return
	}
	byName := func(x, y Field) int { return cmp.Compare(x.Name, y.Name) }
	slices.SortStableFunc(a, byName)
	slices.SortStableFunc(b, byName)
	c.enter(part)
	defer c.pop()
	for len(a) > 0 || len(b) > 0 {
		var name string
		if len(a) > 0 && (len(b) == 0 || a[0].Name <= b[0].Name) {
			name = a[0].Name
		} else {
			name = b[0].Name
		}
		na, nb := prefix(a, name), prefix(b, name)
		if !slices.Equal(a[:na], b[:nb]) {
			c.lines(st, name, a[:na], b[:nb])
		}
		a, b = a[na:], b[nb:]
	}
}

// prefix counts the first lines of a name.
func prefix(fields []Field, name string) int {
	n := 0
	for n < len(fields) && fields[n].Name == name {
		n++
	}
	return n
}

// lines compares the lines of one name.
func (c *Comparer) lines(st states, name string, a, b []Field) {
	next, e := c.name(st, []byte(name))
	defer c.release(next)
	if e.ignore {
		return
	}
	c.enter(name)
	defer c.pop()
	switch {
	case name == "set-cookie":
		c.cookies(next, a, b)
	case name == "grpc-status-details-bin" && len(a) == 1 && len(b) == 1 && c.details(next, e, a[0].Value, b[0].Value):
	case listed(name) && len(a) > 0 && len(b) > 0 && members(a) == members(b):
	default:
		c.text(name, joined(a), joined(b), len(a) > 0, len(b) > 0, e)
	}
}

// members is the sorted list of what lines hold.
func members(lines []Field) string {
	all := strings.Split(strings.ToLower(joined(lines)), ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// joined makes one line of several (RFC 9110 5.3).
func joined(lines []Field) string {
	if len(lines) == 0 {
		return ""
	}
	text := lines[0].Value
	for _, l := range lines[1:] {
		text += ", " + l.Value
	}
	return text
}

// text compares a named string that either side may lack.
func (c *Comparer) text(name, a, b string, hasA, hasB bool, e *effect) {
	x, y := textValue(String, []byte(a)), textValue(String, []byte(b))
	kind := Changed
	switch {
	case !hasA:
		kind, x = Added, Value{}
	case !hasB:
		kind, y = Missing, Value{}
	case a == b || e.rule.near([]byte(a), []byte(b)):
		return
	case e.rule.typ != 0:
		if e.rule.typ.allows(x, y) {
			return
		}
		kind = TypeChanged
	}
	if d := c.record(kind); d != nil {
		d.A, d.B = x, y
		d.Minor = kind == Changed && minor(name, x, y)
	}
}

// details compares two google.rpc.Status messages in base64; false: they are none.
func (c *Comparer) details(st states, e *effect, a, b string) bool {
	c.types = c.opts.Types
	if !c.lowerDetails(&c.a, a) || !c.lowerDetails(&c.b, b) {
		return false
	}
	c.walk(0, 0, st, e)
	return true
}
