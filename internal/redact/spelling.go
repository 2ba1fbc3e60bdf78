package redact

import (
	"bytes"
	"html"
	"unicode/utf16"
	"unicode/utf8"
)

// code is a way to write characters as others.
type code uint8

const (
	inURLs   code = iota + 1 // %3C, and + for a space
	inQuotes                 // JSON and scripts: \", \u003c, \x3c
	inHTML                   // &lt;, &#60;, &#x3c;
)

// spellings are the ways in which a secret is looked for, each the outer code and
// the inner one: a URL in a page, JSON in a string of JSON.
var spellings = [...][2]code{
	{inURLs},
	{inQuotes},
	{inHTML},
	{inURLs, inURLs},
	{inURLs, inQuotes},
	{inURLs, inHTML},
	{inQuotes, inURLs},
	{inQuotes, inQuotes},
	{inQuotes, inHTML},
	{inHTML, inURLs},
	{inHTML, inQuotes},
	{inHTML, inHTML},
}

// escapes begin what is written in a code.
const escapes = `%\&+`

// spelled is how many bytes at the beginning of b are the secret, as it is or
// in a code; 0: they are another text. Its steps are taken from those allowed.
func (m *memory) spelled(b, secret []byte) int {
	same, coded := 0, false
	for same < len(secret) && same < len(b) && b[same] == secret[same] {
		coded = coded || isOneOf(b[same], escapes)
		same++
	}
	m.steps -= same + 1
	if same == len(secret) {
		return same
	}
	if same < len(b) && !coded && !isOneOf(b[same], escapes) {
		return 0
	}
	for i := range spellings {
		if n := m.spelledIn(spellings[i][:], b, secret); n > 0 {
			return n
		}
	}
	return 0
}

func (m *memory) spelledIn(codes []code, b, secret []byte) int {
	if codes[1] == 0 {
		codes = codes[:1]
	}
	at := 0
	for len(secret) > 0 && at < len(b) && m.steps > 0 {
		m.steps--
		var room [utf8.UTFMax]byte
		c, n := character(codes, room[:0], b[at:])
		if len(c) == 1 && c[0] == '+' && secret[0] == ' ' {
			c[0] = ' '
		}
		if !bytes.HasPrefix(secret, c) {
			return 0
		}
		secret, at = secret[len(c):], at+n
	}
	if len(secret) > 0 {
		return 0
	}
	return at
}

// character appends the character that b, which is not empty, begins with, and
// returns how many bytes it takes. The last of the codes is undone last.
func character(codes []code, dst, b []byte) (c []byte, n int) {
	if len(codes) == 0 {
		return append(dst, b[0]), 1
	}
	outer, own := codes[:len(codes)-1], codes[len(codes)-1]
	c, n = character(outer, dst, b)
	if len(c) != 1 {
		return c, n
	}
	e := escaped{codes: outer, b: b, at: n}
	var ok bool
	switch {
	case own == inURLs && c[0] == '%':
		var v rune
		if v, ok = e.digits(2); ok {
			return append(dst, byte(v)), e.at
		}
	case own == inQuotes && c[0] == '\\':
		if c, ok = e.quoted(dst); ok {
			return c, e.at
		}
	case own == inHTML && c[0] == '&':
		if c, ok = e.reference(dst); ok {
			return c, e.at
		}
	default:
		return c, n
	}
	return character(outer, dst, b)
}

// escaped reads what follows the beginning of an escape.
type escaped struct {
	codes []code
	b     []byte
	at    int
}

// next is the next character, if it is one of ASCII; 0 otherwise.
func (e *escaped) next() byte {
	if e.at >= len(e.b) {
		return 0
	}
	var room [utf8.UTFMax]byte
	c, n := character(e.codes, room[:0], e.b[e.at:])
	if len(c) != 1 || c[0] >= utf8.RuneSelf {
		return 0
	}
	e.at += n
	return c[0]
}

// digits reads n hexadecimal digits.
func (e *escaped) digits(n int) (v rune, ok bool) {
	for range n {
		d, ok := hexDigit(e.next())
		if !ok {
			return 0, false
		}
		v = v<<4 | rune(d)
	}
	return v, true
}

// quoted reads what follows a backslash.
func (e *escaped) quoted(dst []byte) ([]byte, bool) {
	switch c := e.next(); c {
	case 0:
		return dst, false
	case 'b':
		return append(dst, '\b'), true
	case 'f':
		return append(dst, '\f'), true
	case 'n':
		return append(dst, '\n'), true
	case 'r':
		return append(dst, '\r'), true
	case 't':
		return append(dst, '\t'), true
	case 'x':
		v, ok := e.digits(2)
		return utf8.AppendRune(dst, v), ok
	case 'u':
		v, ok := e.digits(4)
		if ok && utf16.IsSurrogate(v) {
			after := e.at
			if e.next() == '\\' && e.next() == 'u' {
				low, _ := e.digits(4)
				if v = utf16.DecodeRune(v, low); v != utf8.RuneError {
					return utf8.AppendRune(dst, v), true
				}
			}
			v, e.at = utf8.RuneError, after
		}
		return utf8.AppendRune(dst, v), ok
	default:
		return append(dst, c), true
	}
}

// reference reads what follows an ampersand.
func (e *escaped) reference(dst []byte) ([]byte, bool) {
	const longest = 10 // of those that are looked for
	var room [longest]byte
	name := append(room[:0], '&')
	for len(name) < longest {
		c := e.next()
		if c != '#' && c != ';' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return dst, false
		}
		if name = append(name, c); c == ';' {
			text := html.UnescapeString(string(name))
			if len(text) > utf8.UTFMax {
				return dst, false // no reference, or to more than a character
			}
			return append(dst, text...), true
		}
	}
	return dst, false
}
