package compare

import (
	"unicode/utf16"
	"unicode/utf8"
)

// jsonParser reads JSON (RFC 8259) into a tree: strictly but for what cannot
// be said otherwise: strings may hold bytes that are not UTF-8.
//
// It is our own since trees want what no parser gives together: where each
// value stands in the text (equal text needs no look), duplicate names, numbers
// as written, limits of depth and nodes, and memory that is used again.
type jsonParser struct {
	t    *tree
	b    []byte // what is read
	base uint32 // offset of b in the tree
	p    int
	bad  Reason
}

// parseJSON adds one document, or, where many is set, an array of several.
// Nothing may follow but white space.
func parseJSON(t *tree, s span, many bool) Reason {
	j := jsonParser{t: t, b: t.bytes(s), base: s.from}
	j.space()
	if !many {
		if j.value(span{}, t.limit.depth) {
			if j.space(); j.p < len(j.b) {
				return Malformed
			}
		}
		return j.bad
	}
	at := len(t.nodes)
	if !t.add(node{typ: Array, text: s}) {
		return TooComplex
	}
	for j.p < len(j.b) {
		if j.b[j.p] == 0x1e { // RFC 7464: a record separator before each text
			j.p++
			j.space()
			continue
		}
		if !j.value(span{}, t.limit.depth-1) {
			return j.bad
		}
		t.nodes[at].count++
		j.space()
	}
	t.close(at)
	return ""
}

func (j *jsonParser) fail(why Reason) bool {
	if j.bad == "" {
		j.bad = why
	}
	return false
}

func (j *jsonParser) space() {
	for j.p < len(j.b) {
		switch j.b[j.p] {
		case ' ', '\n', '\t', '\r':
			j.p++
		default:
			return
		}
	}
}

func (j *jsonParser) span(from, to int) span {
	return span{j.base + uint32(from), j.base + uint32(to)}
}

func (j *jsonParser) value(key span, depth int) bool {
	if j.p >= len(j.b) {
		return j.fail(Malformed)
	}
	switch c := j.b[j.p]; c {
	case '{', '[':
		if depth <= 0 {
			return j.fail(TooComplex)
		}
		if c == '{' {
			return j.object(key, depth-1)
		}
		return j.array(key, depth-1)
	case '"':
		s, ok := j.str()
		return ok && j.leaf(node{key: key, text: s, typ: String})
	case 't':
		return j.word(key, "true", Bool)
	case 'f':
		return j.word(key, "false", Bool)
	case 'n':
		return j.word(key, "null", Null)
	default:
		return j.number(key)
	}
}

func (j *jsonParser) leaf(n node) bool {
	return j.t.add(n) || j.fail(TooComplex)
}

func (j *jsonParser) word(key span, word string, typ Type) bool {
	if len(j.b)-j.p < len(word) || string(j.b[j.p:j.p+len(word)]) != word {
		return j.fail(Malformed)
	}
	j.p += len(word)
	return j.leaf(node{key: key, text: j.span(j.p-len(word), j.p), typ: typ})
}

func (j *jsonParser) object(key span, depth int) bool {
	at := len(j.t.nodes)
	if !j.leaf(node{key: key, typ: Object}) {
		return false
	}
	from := j.p
	j.p++
	count := int32(0)
	for {
		j.space()
		if j.p < len(j.b) && j.b[j.p] == '}' && count == 0 {
			break
		}
		if j.p >= len(j.b) || j.b[j.p] != '"' {
			return j.fail(Malformed)
		}
		name, ok := j.str()
		if !ok {
			return false
		}
		if j.space(); j.p >= len(j.b) || j.b[j.p] != ':' {
			return j.fail(Malformed)
		}
		j.p++
		j.space()
		if !j.value(name, depth) {
			return false
		}
		count++
		if j.space(); j.p < len(j.b) && j.b[j.p] == '}' {
			break
		}
		if j.p >= len(j.b) || j.b[j.p] != ',' {
			return j.fail(Malformed)
		}
		j.p++
	}
	j.p++
	j.finish(at, from, count)
	return true
}

func (j *jsonParser) array(key span, depth int) bool {
	at := len(j.t.nodes)
	if !j.leaf(node{key: key, typ: Array}) {
		return false
	}
	from := j.p
	j.p++
	count := int32(0)
	for {
		j.space()
		if j.p < len(j.b) && j.b[j.p] == ']' && count == 0 {
			break
		}
		if !j.value(span{}, depth) {
			return false
		}
		count++
		if j.space(); j.p < len(j.b) && j.b[j.p] == ']' {
			break
		}
		if j.p >= len(j.b) || j.b[j.p] != ',' {
			return j.fail(Malformed)
		}
		j.p++
	}
	j.p++
	j.finish(at, from, count)
	return true
}

func (j *jsonParser) finish(at, from int, count int32) {
	n := &j.t.nodes[at]
	n.text, n.count, n.next = j.span(from, j.p), count, int32(len(j.t.nodes))
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (j *jsonParser) number(key span) bool {
	b, from := j.b, j.p
	if b[j.p] == '-' {
		j.p++
	}
	whole := j.p
	if j.digits() == 0 || b[whole] == '0' && j.p > whole+1 {
		return j.fail(Malformed)
	}
	if j.p < len(b) && b[j.p] == '.' {
		j.p++
		if j.digits() == 0 {
			return j.fail(Malformed)
		}
	}
	if j.p < len(b) && b[j.p]|0x20 == 'e' {
		j.p++
		if j.p < len(b) && (b[j.p] == '+' || b[j.p] == '-') {
			j.p++
		}
		if j.digits() == 0 {
			return j.fail(Malformed)
		}
	}
	return j.leaf(node{key: key, text: j.span(from, j.p), typ: Number})
}

func (j *jsonParser) digits() int {
	from := j.p
	for j.p < len(j.b) && j.b[j.p]-'0' <= 9 {
		j.p++
	}
	return j.p - from
}

// str reads a string and returns what it means.
func (j *jsonParser) str() (span, bool) {
	j.p++
	from := j.p
	for i, c := range j.b[from:] {
		if c == '"' {
			j.p = from + i + 1
			return j.span(from, from+i), true
		}
		if c == '\\' {
			return j.escaped(from, from+i)
		}
		if c < 0x20 {
			break
		}
	}
	return span{}, j.fail(Malformed)
}

// escaped reads on at the first backslash, and keeps the meaning in extra.
func (j *jsonParser) escaped(from, p int) (span, bool) {
	t, b := j.t, j.b
	begin := len(t.extra)
	t.extra = append(t.extra, b[from:p]...)
	for p < len(b) {
		c := b[p]
		switch {
		case c == '"':
			j.p = p + 1
			n := uint32(len(t.src))
			return span{n + uint32(begin), n + uint32(len(t.extra))}, true
		case c < 0x20:
			return span{}, j.fail(Malformed)
		case c != '\\':
			t.extra = append(t.extra, c)
			p++
			continue
		}
		if p+1 >= len(b) {
			break
		}
		if b[p+1] == 'u' {
			r, n := unicodeEscape(b[p:])
			if n == 0 {
				return span{}, j.fail(Malformed)
			}
			t.extra = appendRune(t.extra, r)
			p += n
			continue
		}
		c = unescape(b[p+1])
		if c == 0 {
			return span{}, j.fail(Malformed)
		}
		t.extra = append(t.extra, c)
		p += 2
	}
	return span{}, j.fail(Malformed)
}

func unescape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// unicodeEscape reads \uXXXX, or a pair of surrogates, and returns its length.
func unicodeEscape(b []byte) (rune, int) {
	r, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(b[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
	}
	return r, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		d := unhex(c)
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendRune writes lone surrogates as three bytes each, so that different ones stay different.
func appendRune(b []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(b, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0xbf, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(b, r)
}
