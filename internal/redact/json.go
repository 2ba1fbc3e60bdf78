package redact

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 512

// These say nothing of what the body holds.
var (
	errTruncated  = errors.New("it ends too early")
	errUnexpected = errors.New("no JSON has this byte there")
)

// jsonRewriter copies JSON and puts pseudonyms in the place of what the paths
// find. It checks all of the syntax (RFC 8259): what it cannot read, it must
// not let pass.
type jsonRewriter struct {
	r    *Redactor
	s    *Scratch
	in   []byte
	at   int
	out  []byte
	kept int // in[:kept] is in out already
}

// appendJSON appends the redacted body: one JSON text, or several one after
// the other (RFC 7464 and the like). All other bytes stay. It reports whether
// anything was replaced.
func (r *Redactor) appendJSON(s *Scratch, dst, body []byte) ([]byte, bool, error) {
	w := jsonRewriter{r: r, s: s, in: body, out: dst}
	if len(body) >= 3 && string(body[:3]) == "\xef\xbb\xbf" {
		w.at = 3
	}
	f := r.json.open(s)
	for {
		w.space()
		for w.at < len(w.in) && w.in[w.at] == 0x1e { // RFC 7464, section 2.2
			w.at++
			w.space()
		}
		if w.at == len(w.in) {
			break
		}
		if err := w.value(f, 0); err != nil {
			return dst, false, fmt.Errorf("malformed JSON at byte %d: %w", w.at, err)
		}
	}
	return append(w.out, w.in[w.kept:]...), w.kept > 0, nil
}

func (w *jsonRewriter) space() {
	for w.at < len(w.in) {
		switch w.in[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

// next is the byte that the scan stands at; 0 at the end.
func (w *jsonRewriter) next() byte {
	if w.at < len(w.in) {
		return w.in[w.at]
	}
	return 0
}

func (w *jsonRewriter) value(f frame, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d levels", maxDepth)
	}
	from := w.at
	switch c := w.next(); {
	case c == '{':
		return w.object(f, depth)
	case c == '[':
		return w.array(f, depth)
	case c == '"':
		if err := w.text(); err != nil {
			return err
		}
		w.s.value = unquote(w.s.value[:0], w.in[from+1:w.at-1])
		w.found(f.hit, from)
	case c == '-' || c >= '0' && c <= '9':
		if err := w.number(); err != nil {
			return err
		}
		w.s.number = shortest(w.s.number[:0], w.in[from:w.at])
		if f.hit || w.s.secrets.isSecret(w.s.number) {
			w.flush(from)
			w.out = w.r.numberToken(w.s, w.out, w.s.number)
		}
	case c == 't':
		return w.literal("true", f.hit)
	case c == 'f':
		return w.literal("false", f.hit)
	case c == 'n':
		return w.literal("null", false)
	case w.at == len(w.in):
		return errTruncated
	default:
		return errUnexpected
	}
	return nil
}

// flush copies what comes before in[from:at], and leaves that out.
func (w *jsonRewriter) flush(from int) {
	w.out = append(w.out, w.in[w.kept:from]...)
	w.kept = w.at
}

// found handles the string in[from:at], which stands for s.value.
func (w *jsonRewriter) found(hit bool, from int) {
	switch m := &w.s.secrets; {
	case hit && len(w.s.value) > 0:
		w.flush(from)
		w.out = append(w.out, '"')
		at := len(w.out)
		w.out = w.r.token(w.s, w.out, w.s.value)
		if w.in[from] == '"' { // as it was written, for texts that repeat it so
			m.add(w.in[from+1:w.at-1], w.out[at:])
		}
		w.out = append(w.out, '"')
	case m.any() && m.holds(w.s.value):
		w.flush(from)
		w.s.buf = m.scrub(w.s.buf[:0], w.s.value)
		w.out = appendQuoted(w.out, w.s.buf)
	}
}

func (w *jsonRewriter) literal(word string, hit bool) error {
	from := w.at
	for i := range len(word) {
		if w.next() != word[i] {
			return w.unexpected()
		}
		w.at++
	}
	if hit {
		w.s.value = append(w.s.value[:0], word...)
		w.found(true, from)
	}
	return nil
}

func (w *jsonRewriter) unexpected() error {
	if w.at >= len(w.in) {
		return errTruncated
	}
	return errUnexpected
}

func (w *jsonRewriter) object(f frame, depth int) error {
	w.at++
	w.space()
	if w.next() == '}' {
		w.at++
		return nil
	}
	for {
		from := w.at
		if w.next() != '"' {
			return w.unexpected()
		}
		if err := w.text(); err != nil {
			return err
		}
		w.s.name = unquote(w.s.name[:0], w.in[from+1:w.at-1])
		c := w.r.json.child(w.s, f, w.s.name, -1)
		if w.s.secrets.any() {
			w.s.value = append(w.s.value[:0], w.s.name...)
			w.found(false, from)
		}
		w.space()
		if w.next() != ':' {
			return w.unexpected()
		}
		w.at++
		w.space()
		if err := w.value(c, depth+1); err != nil {
			return err
		}
		w.s.states = w.s.states[:c.from]
		if more, err := w.more('}'); !more {
			return err
		}
	}
}

func (w *jsonRewriter) array(f frame, depth int) error {
	w.at++
	w.space()
	if w.next() == ']' {
		w.at++
		return nil
	}
	for i := 0; ; i++ {
		c := w.r.json.child(w.s, f, nil, i)
		if err := w.value(c, depth+1); err != nil {
			return err
		}
		w.s.states = w.s.states[:c.from]
		if more, err := w.more(']'); !more {
			return err
		}
	}
}

// more reads the comma before another item, or the end.
func (w *jsonRewriter) more(end byte) (bool, error) {
	w.space()
	switch w.next() {
	case ',':
		w.at++
		w.space()
		return true, nil
	case end:
		w.at++
		return false, nil
	}
	return false, w.unexpected()
}

// text reads a string with its quotes.
func (w *jsonRewriter) text() error {
	for w.at++; w.at < len(w.in); w.at++ {
		switch c := w.in[w.at]; {
		case c == '"':
			w.at++
			return nil
		case c < 0x20:
			return errUnexpected
		case c == '\\':
			w.at++
			switch w.next() {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					w.at++
					if _, ok := hexDigit(w.next()); !ok {
						return w.unexpected()
					}
				}
			default:
				return w.unexpected()
			}
		}
	}
	return errTruncated
}

// number reads a number (RFC 8259, section 6).
func (w *jsonRewriter) number() error {
	if w.next() == '-' {
		w.at++
	}
	if w.next() == '0' {
		w.at++
	} else if !w.digits() {
		return w.unexpected()
	}
	if w.next() == '.' {
		w.at++
		if !w.digits() {
			return w.unexpected()
		}
	}
	if c := w.next(); c == 'e' || c == 'E' {
		w.at++
		if c := w.next(); c == '+' || c == '-' {
			w.at++
		}
		if !w.digits() {
			return w.unexpected()
		}
	}
	return nil
}

func (w *jsonRewriter) digits() bool {
	n := digits(w.in[w.at:])
	w.at += n
	return n > 0
}

// unquote appends what the inside of a valid JSON string stands for.
func unquote(dst, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch v[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			c := hex4(v[i+1:])
			i += 4
			if utf16.IsSurrogate(c) {
				low := rune(-1)
				if i+6 < len(v) && v[i+1] == '\\' && v[i+2] == 'u' {
					low = hex4(v[i+3:])
				}
				if c = utf16.DecodeRune(c, low); c != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, c)
		default:
			dst = append(dst, v[i])
		}
	}
	return dst
}

func hex4(v []byte) rune {
	var c rune
	for _, d := range v[:4] {
		n, _ := hexDigit(d)
		c = c<<4 | rune(n)
	}
	return c
}

// appendQuoted appends v as a JSON string.
func appendQuoted(dst, v []byte) []byte {
	dst = append(dst, '"')
	for _, c := range v {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', '0'+c>>4, "0123456789abcdef"[c&0xf])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
