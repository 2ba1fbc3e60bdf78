package http1

import (
	"bytes"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// requestLine is where the parts of a request line stand in the arena.
type requestLine struct {
	method, scheme, authority, path traffic.Span

	hasAuthority bool // of the target, which wins over Host
	bareQuery    bool // an absolute-form target without a path
}

// ParseRequest reads the complete head b, as measured by a Scanner, into h,
// which it Resets first, and returns the framing of the body. It keeps no
// part of b. On an *Error h holds nothing useful.
//
// Host becomes the authority and is no field of h. Content-Length,
// Transfer-Encoding and Connection stay fields, as they came. The scheme is
// that of an absolute-form target, else empty.
func ParseRequest(h *traffic.Head, b []byte, lim Limits) (traffic.Framing, error) {
	h.Reset()
	if len(b) > lim.bytes() {
		return traffic.Framing{}, errTooLarge
	}
	a := h.Load(b)
	i := 0
	for n := 0; len(a)-i >= 2 && a[i] == '\r' && a[i+1] == '\n'; n++ {
		if n == maxBlank {
			return traffic.Framing{}, errBlankLines
		}
		i += 2
	}
	var l requestLine
	i, err := parseRequestLine(h, a, i, &l)
	if err != nil {
		return traffic.Framing{}, err
	}
	var s section
	if err := s.parseFields(h, a, i, ofRequest, lim.fields()); err != nil {
		return traffic.Framing{}, err
	}
	if err := s.checkHost(h, a, &l); err != nil {
		return traffic.Framing{}, err
	}
	h.SetRequestLine(l.method, l.scheme, l.authority, l.path)
	if s.badOption {
		return traffic.Framing{}, errOptions
	}
	f, err := s.requestFraming(h, a)
	if err != nil {
		return traffic.Framing{}, err
	}
	l.fixPath(h)
	return f, nil
}

// parseRequestLine returns where the fields start.
func parseRequestLine(h *traffic.Head, a []byte, i int, l *requestLine) (int, error) {
	start := i
	for i < len(a) && lower[a[i]] != 0 {
		i++
	}
	l.method = span(start, i)
	if i == len(a) {
		return 0, errIncomplete
	}
	if a[i] != ' ' || i == start {
		if err := lineError(a, i); err != nil {
			return 0, err
		}
		return 0, errMethod
	}
	i++
	from := i
	i = graphEnd(a, i)
	rest := a[i:]
	if len(rest) < 11 || string(rest[:8]) != " HTTP/1." || rest[9] != '\r' || rest[10] != '\n' || !isDigit(rest[8]) {
		return 0, requestLineError(a, start, i)
	}
	h.Minor = int(min(rest[8]-'0', 1))
	return i + 11, l.parseTarget(a, from, i)
}

// requestLineError says what is wrong with the request line that starts at
// start and goes wrong at or behind a[i].
func requestLineError(a []byte, start, i int) error {
	end := textEnd(a, i)
	if end >= len(a) || a[end] != '\r' && a[end] != '\n' {
		return textError(a, end)
	}
	if err := lineError(a, end); err != nil {
		return err
	}
	if err := checkVersion(a[start:end]); err != nil {
		return err
	}
	return errTarget
}

// checkVersion looks at the end of a request line for " HTTP/1.", a digit. A
// higher minor version is taken for 1.1 (RFC 9110, section 2.5); another
// major version, or none, as in HTTP/0.9, is not supported.
func checkVersion(line []byte) error {
	const form = " HTTP/1.1"
	n := len(line) - len(form)
	if n >= 0 && string(line[n:n+6]) == form[:6] && isDigit(line[n+6]) && line[n+7] == '.' && isDigit(line[n+8]) {
		if line[n+6] == '1' {
			return nil
		}
		return errNotHTTP1
	}
	if i := bytes.IndexByte(line, ' ') + 1; i > 0 && i < len(line) && graphEnd(line, i) == len(line) {
		return errNotHTTP1
	}
	return errVersion
}

// parseTarget reads the request target a[from:to], which holds visible ASCII
// characters only, in one of its four forms (RFC 9112, section 3.2).
func (l *requestLine) parseTarget(a []byte, from, to int) error {
	t := a[from:to]
	method := a[l.method.Off : l.method.Off+l.method.Len]
	switch {
	case len(t) == 0:
		return errTarget
	case bytes.IndexByte(t, '#') >= 0:
		return errFragment
	case string(method) == "CONNECT":
		if !validHostPort(t) {
			return errAuthority
		}
		l.authority, l.hasAuthority = span(from, to), true
		return nil
	case t[0] == '/':
		l.path = span(from, to)
		return nil
	case t[0] == '*':
		if len(t) > 1 || string(method) != "OPTIONS" {
			return errTarget
		}
		l.path = span(from, to)
		return nil
	}
	return l.parseAbsolute(a, from, to)
}

// parseAbsolute reads a target in absolute form: "http://", or "https://", in
// any case, an authority without user information, then path and query.
func (l *requestLine) parseAbsolute(a []byte, from, to int) error {
	t := a[from:to]
	n := len("http")
	if len(t) > n && t[n]|0x20 == 's' {
		n++
	}
	if len(t) < n+3 || string(t[n:n+3]) != "://" || !traffic.EqualFold(t[:n], "https"[:n]) {
		return errTarget
	}
	for i := range n {
		t[i] |= 0x20
	}
	l.scheme = span(from, from+n)
	auth := from + n + 3
	end := auth
	for end < to && a[end] != '/' && a[end] != '?' {
		end++
	}
	if host, _, ok := splitAuthority(a[auth:end]); !ok || len(host) == 0 {
		return errAuthority
	}
	l.authority, l.hasAuthority = span(auth, end), true
	l.path = span(end, to)
	l.bareQuery = end == to || a[end] == '?'
	return nil
}

// fixPath gives an absolute-form target without a path the one it stands for:
// "/", or "*" for OPTIONS (RFC 9112, section 3.2.4).
func (l *requestLine) fixPath(h *traffic.Head) {
	if !l.bareQuery {
		return
	}
	root := []byte("/")
	if l.path.Len == 0 && string(h.Method()) == "OPTIONS" {
		root = []byte("*")
	}
	query := h.Path()
	p := h.Put(root)
	h.Put(query)
	p.Len += l.path.Len
	l.path = p
	h.SetRequestLine(l.method, l.scheme, l.authority, l.path)
}

// checkHost wants one valid Host field, or at most one in HTTP/1.0, and makes
// it the authority where the target has none (RFC 9112, section 3.2).
func (s *section) checkHost(h *traffic.Head, a []byte, l *requestLine) error {
	switch {
	case s.hosts > 1:
		return errTwoHosts
	case s.hosts == 0 && h.Minor > 0:
		return errNoHost
	}
	if _, _, ok := splitAuthority(a[s.host.Off : s.host.Off+s.host.Len]); !ok {
		return errHost
	}
	if !l.hasAuthority {
		l.authority = s.host
	}
	return nil
}

func span(from, to int) traffic.Span {
	return traffic.Span{Off: uint32(from), Len: uint32(to - from)}
}
