package compare

import (
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// value returns a node for people.
func (t *tree) value(i int32) Value {
	n := &t.nodes[i]
	switch n.typ {
	case Object, Array:
		text := t.render(nil, i, maxText+1)
		return textValue(n.typ, text)
	case Bytes:
		b := t.bytes(n.text)
		v := textValue(Bytes, hex.AppendEncode(nil, b[:min(len(b), maxText/2)]))
		v.Cut = len(b) > maxText/2
		return v
	}
	return textValue(n.typ, t.bytes(n.text))
}

// context is how much of what is alike stays before the first difference of long strings.
const context = 32

// alike returns how much of two strings can be left out, so that people see
// where they differ; 0: nothing, as it is near enough to their beginning.
func alike(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n < maxText-context {
		return 0
	}
	n -= context
	for n > 0 && !utf8.RuneStart(a[n]) {
		n--
	}
	return n
}

// valueFrom returns a node for people, without the first bytes of its text.
func (t *tree) valueFrom(i int32, skip int) Value {
	if skip == 0 {
		return t.value(i)
	}
	text := t.bytes(t.nodes[i].text)[skip:]
	v := textValue(t.nodes[i].typ, append([]byte("…"), text[:min(len(text), maxText)]...))
	v.Cut = true
	return v
}

// listValue returns the elements of an array for people.
func (t *tree) listValue(elements []int32) Value {
	return textValue(Array, t.renderList(nil, elements, maxText+1))
}

func (t *tree) renderList(dst []byte, elements []int32, limit int) []byte {
	dst = append(dst, '[')
	for k, x := range elements {
		if k > 0 {
			dst = append(dst, ',')
		}
		if dst = t.render(dst, x, limit); len(dst) >= limit {
			return dst
		}
	}
	return append(dst, ']')
}

// render writes a node as JSON would, up to about limit bytes.
func (t *tree) render(dst []byte, i int32, limit int) []byte {
	n := &t.nodes[i]
	switch n.typ {
	case Array, Object:
		open, end := byte('['), byte(']')
		if n.typ == Object {
			open, end = '{', '}'
		}
		dst = append(dst, open)
		for x := i + 1; x < n.next; x = t.nodes[x].next {
			if x > i+1 {
				dst = append(dst, ',')
			}
			if n.typ == Object {
				dst = appendQuoted(dst, t.bytes(t.nodes[x].key), limit)
				dst = append(dst, ':')
			}
			if dst = t.render(dst, x, limit); len(dst) >= limit {
				return dst
			}
		}
		return append(dst, end)
	case String:
		return appendQuoted(dst, t.bytes(n.text), limit)
	case Bytes:
		b := t.bytes(n.text)
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, b[:min(len(b), limit)])
		return append(dst, '"')
	}
	b := t.bytes(n.text)
	return append(dst, b[:min(len(b), limit)]...)
}

func appendQuoted(dst, s []byte, limit int) []byte {
	s = s[:min(len(s), limit)]
	dst = append(dst, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, `\u00`...)
			dst = append(dst, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\x`...)
			dst = strconv.AppendUint(dst, uint64(s[0]), 16)
		default:
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
	return append(dst, '"')
}
