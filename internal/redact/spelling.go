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
	{inURLs}, // first those of one code, see own
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

// character is one character of a text, in UTF-8, or a byte that is none.
type character struct {
	b [utf8.UTFMax]byte
	n int
}

func of(b byte) character { return character{[utf8.UTFMax]byte{b}, 1} }

func ofRune(r rune) (c character) {
	c.n = utf8.EncodeRune(c.b[:], r)
	return c
}

// begins reports whether secret begins with the character. A plus may stand for
// a space in each code.
func (c *character) begins(secret []byte) bool {
	return bytes.HasPrefix(secret, c.b[:c.n]) || c.n == 1 && c.b[0] == '+' && secret[0] == ' '
}

// spellingsOf are those, as bits, in which b may begin with a secret.
func (m *memory) spellingsOf(b []byte) (set uint16) {
	if !isOneOf(b[0], escapes) {
		return 1<<len(spellings) - 1
	}
	if c, n := read(codesOf(own(b[0])), b); n > 1 && !isOneOf(c.b[0], escapes) && !holdsEscape(b[1:n]) {
		m.steps--
		if !m.begins[c.b[0]] && !m.begins[b[0]] {
			return 0 // another code, outside or within, changes nothing
		}
	}
	m.steps -= len(spellings)
	for i := range spellings {
		c, _ := read(codesOf(i), b)
		if m.begins[c.b[0]] || c.b[0] == '+' && m.begins[' '] {
			set |= 1 << i
		}
	}
	return set
}

// own is the spelling in one code whose escapes begin so.
func own(escape byte) int {
	switch escape {
	case '\\':
		return 1
	case '&':
		return 2
	default:
		return 0
	}
}

func holdsEscape(b []byte) bool {
	for _, c := range b {
		if isOneOf(c, escapes) {
			return true
		}
	}
	return false
}

// spelled is how many bytes at the beginning of b are the secret, as it is or
// in one of the spellings; 0: they are another text. Its steps are taken from
// those allowed.
func (m *memory) spelled(set uint16, b, secret []byte) int {
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
		if set&(1<<i) == 0 {
			continue
		}
		if n := m.spelledIn(codesOf(i), b, secret); n > 0 {
			return n
		}
	}
	return 0
}

// codesOf are those of a spelling.
func codesOf(i int) []code {
	codes := spellings[i][:]
	if codes[1] == 0 {
		codes = codes[:1]
	}
	return codes
}

func (m *memory) spelledIn(codes []code, b, secret []byte) int {
	at := 0
	for len(secret) > 0 && at < len(b) && m.steps > 0 {
		m.steps--
		c, n := read(codes, b[at:])
		if !c.begins(secret) {
			return 0
		}
		secret, at = secret[c.n:], at+n
	}
	if len(secret) > 0 {
		return 0
	}
	return at
}

// read is the character that b, which is not empty, begins with, and how many
// bytes it takes. The last of the codes is undone last.
func read(codes []code, b []byte) (c character, n int) {
	if len(codes) == 0 {
		return of(b[0]), 1
	}
	outer, own := codes[:len(codes)-1], codes[len(codes)-1]
	c, n = read(outer, b)
	if c.n != 1 {
		return c, n
	}
	e := escaped{codes: outer, b: b, at: n}
	var plain character
	var ok bool
	switch {
	case own == inURLs && c.b[0] == '%':
		var v rune
		v, ok = e.digits(2)
		plain = of(byte(v))
	case own == inQuotes && c.b[0] == '\\':
		plain, ok = e.quoted()
	case own == inHTML && c.b[0] == '&':
		plain, ok = e.reference()
	}
	if ok {
		return plain, e.at
	}
	return c, n
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
	c, n := read(e.codes, e.b[e.at:])
	if c.n != 1 || c.b[0] >= utf8.RuneSelf {
		return 0
	}
	e.at += n
	return c.b[0]
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
func (e *escaped) quoted() (character, bool) {
	switch c := e.next(); c {
	case 0:
		return character{}, false
	case 'b':
		return of('\b'), true
	case 'f':
		return of('\f'), true
	case 'n':
		return of('\n'), true
	case 'r':
		return of('\r'), true
	case 't':
		return of('\t'), true
	case 'x':
		v, ok := e.digits(2)
		return ofRune(v), ok
	case 'u':
		v, ok := e.digits(4)
		if ok && utf16.IsSurrogate(v) {
			after := e.at
			if e.next() == '\\' && e.next() == 'u' {
				low, _ := e.digits(4)
				if v = utf16.DecodeRune(v, low); v != utf8.RuneError {
					return ofRune(v), true
				}
			}
			v, e.at = utf8.RuneError, after
		}
		return ofRune(v), ok
	default:
		return of(c), true
	}
}

// reference reads what follows an ampersand.
func (e *escaped) reference() (plain character, ok bool) {
	const longest = 10 // of those that are looked for
	var room [longest]byte
	name := append(room[:0], '&')
	for len(name) < longest {
		c := e.next()
		if c != '#' && c != ';' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return plain, false
		}
		if name = append(name, c); c == ';' {
			return referred(name)
		}
	}
	return plain, false
}

// referred is the character that a reference of HTML stands for.
func referred(name []byte) (plain character, ok bool) {
	switch string(name) { // of most, no string has to be made
	case "&amp;":
		return of('&'), true
	case "&lt;":
		return of('<'), true
	case "&gt;":
		return of('>'), true
	case "&quot;":
		return of('"'), true
	}
	text := html.UnescapeString(string(name))
	if len(text) > utf8.UTFMax {
		return plain, false // no reference, or to more than a character
	}
	plain.n = copy(plain.b[:], text)
	return plain, true
}
