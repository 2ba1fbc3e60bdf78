package route

import (
	"bytes"
	"regexp"
	"strconv"
	"sync"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// matcher is a compiled RouteMatch: everything in it must fit.
type matcher struct {
	path     pathMatcher
	fraction *fraction
	salt     uint64
	grpc     bool
	headers  []headerMatcher
	query    []queryMatcher
}

func (m *matcher) fits(h *traffic.Head, path []byte, random uint64, pool *sync.Pool) bool {
	if !m.path.match(path) {
		return false
	}
	if m.fraction != nil && !m.fraction.hit(mix(random, m.salt)) {
		return false
	}
	if m.grpc && !isGRPC(h) {
		return false
	}
	for i := range m.headers {
		if !m.headers[i].match(h, pool) {
			return false
		}
	}
	for i := range m.query {
		if !m.query[i].match(h.Path()) {
			return false
		}
	}
	return true
}

// isGRPC goes by the content type, as Envoy does.
func isGRPC(h *traffic.Head) bool {
	ct, _ := h.Get("content-type")
	rest, ok := bytes.CutPrefix(ct, []byte("application/grpc"))
	return ok && (len(rest) == 0 || rest[0] == '+')
}

type pathKind uint8

const (
	pathPrefix    pathKind = iota
	pathExact              // path
	pathSeparated          // path_separated_prefix
	pathRegex              // safe_regex
	pathConnect            // connect_matcher: CONNECT, which has no path
)

type pathMatcher struct {
	kind pathKind
	text string // in lower case where fold
	fold bool
	re   *regexp.Regexp // anchored at both ends
}

func (m *pathMatcher) match(path []byte) bool {
	if len(path) == 0 {
		return m.kind == pathConnect
	}
	switch m.kind {
	case pathPrefix:
		return len(path) >= len(m.text) && m.equal(path[:len(m.text)])
	case pathExact:
		return m.equal(path)
	case pathSeparated:
		n := len(m.text)
		return len(path) >= n && m.equal(path[:n]) && (len(path) == n || path[n] == '/')
	case pathRegex:
		return m.re.Match(path)
	}
	return false
}

func (m *pathMatcher) equal(b []byte) bool {
	if m.fold {
		return equalFold(b, m.text)
	}
	return string(b) == m.text
}

// matched is how much of the path a prefix rewrite replaces.
func (m *pathMatcher) matched(path []byte) int {
	if m.kind == pathRegex {
		return len(path)
	}
	return min(len(m.text), len(path)) // an exact path may have had parameters cut
}

type textKind uint8

const (
	textExact textKind = iota
	textPrefix
	textSuffix
	textContains
	textRegex
)

// textMatcher is a compiled StringMatcher.
type textMatcher struct {
	kind textKind
	text string // in lower case where fold
	fold bool
	re   *regexp.Regexp
}

func (m *textMatcher) match(v []byte) bool {
	n := len(m.text)
	switch m.kind {
	case textExact:
		return m.equal(v)
	case textPrefix:
		return len(v) >= n && m.equal(v[:n])
	case textSuffix:
		return len(v) >= n && m.equal(v[len(v)-n:])
	case textContains:
		for i := 0; i+n <= len(v); i++ {
			if m.equal(v[i : i+n]) {
				return true
			}
		}
		return false
	}
	return m.re.Match(v)
}

func (m *textMatcher) equal(b []byte) bool {
	if m.fold {
		return equalFold(b, m.text)
	}
	return string(b) == m.text
}

type headerKind uint8

const (
	headerPresent headerKind = iota
	headerText
	headerRange
)

// headerMatcher is a compiled HeaderMatcher.
type headerMatcher struct {
	name    string // lower case; ":authority" and the like name control data
	kind    headerKind
	present bool // of headerPresent: false wants it absent
	text    textMatcher
	from    int64 // of headerRange
	to      int64 // exclusive
	invert  bool
	// missingEmpty: a field that is not there counts as empty; else it never fits.
	missingEmpty bool
}

// match joins the values of several lines by commas, in a buffer of the pool;
// where pool is nil it makes one.
func (m *headerMatcher) match(h *traffic.Head, pool *sync.Pool) bool {
	value, lines := headerValue(h, m.name)
	if m.kind == headerPresent {
		return (lines > 0) == m.present != m.invert
	}
	if lines == 0 && !m.missingEmpty {
		return false
	}
	if lines > 1 {
		return m.matchJoined(h, pool)
	}
	return m.matchValue(value) != m.invert
}

func (m *headerMatcher) matchJoined(h *traffic.Head, pool *sync.Pool) bool {
	var buf *[]byte
	if pool != nil {
		buf = pool.Get().(*[]byte)
		defer pool.Put(buf)
	} else {
		buf = new([]byte)
	}
	*buf = (*buf)[:0]
	for i := range h.Len() {
		if name, value := h.Field(i); string(name) == m.name {
			*buf = append(append(*buf, ','), value...)
		}
	}
	return m.matchValue((*buf)[1:]) != m.invert // without the first comma
}

func (m *headerMatcher) matchValue(v []byte) bool {
	if m.kind == headerText {
		return m.text.match(v)
	}
	n, ok := parseInt(v)
	return ok && n >= m.from && n < m.to
}

// parseInt reads a decimal number with an optional sign.
func parseInt(v []byte) (int64, bool) {
	if len(v) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, 64) // short: the string stays on the stack
	return n, err == nil
}

// headerValue is the first value of a field, and how many lines it has. Names
// of control data are as in HTTP/2.
func headerValue(h *traffic.Head, name string) ([]byte, int) {
	var v []byte
	switch name {
	case ":authority", "host":
		v = h.Authority()
	case ":method":
		v = h.Method()
	case ":path":
		v = h.Path()
	case ":scheme":
		v = h.Scheme()
	default:
		lines := 0
		for i := range h.Len() {
			if n, value := h.Field(i); string(n) == name {
				if lines++; lines == 1 {
					v = value
				}
			}
		}
		return v, lines
	}
	if len(v) == 0 {
		return nil, 0
	}
	return v, 1
}

// queryMatcher is a compiled QueryParameterMatcher. It sees the first value
// of that name, not decoded.
type queryMatcher struct {
	name    string
	exists  bool // present_match, or no matcher at all
	present bool
	text    textMatcher
}

func (m *queryMatcher) match(path []byte) bool {
	value, ok := queryValue(path, m.name)
	if m.exists {
		return ok == m.present
	}
	return ok && m.text.match(value)
}

func queryValue(path []byte, name string) ([]byte, bool) {
	i := bytes.IndexByte(path, '?')
	if i < 0 {
		return nil, false
	}
	rest := path[i+1:]
	if j := bytes.IndexByte(rest, '#'); j >= 0 {
		rest = rest[:j]
	}
	for len(rest) > 0 {
		pair := rest
		if j := bytes.IndexByte(rest, '&'); j >= 0 {
			pair, rest = rest[:j], rest[j+1:]
		} else {
			rest = nil
		}
		key, value, _ := bytes.Cut(pair, []byte("="))
		if string(key) == name {
			return value, true
		}
	}
	return nil, false
}

// fullRegex compiles an expression that must match the whole text. literal is
// how every such text begins.
func fullRegex(expr string) (re *regexp.Regexp, literal string, err error) {
	plain, err := regexp.Compile(expr)
	if err != nil {
		return nil, "", err
	}
	literal, _ = plain.LiteralPrefix()
	re, err = regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		// Such as a comment or flag that swallows the closing bracket.
		return nil, "", err
	}
	return re, literal, nil
}

// lower turns ASCII to lower case and leaves all else alone, as look-ups do.
func lower(s string) string { return string(appendLower(nil, []byte(s))) }
