package endpoint

import "strings"

// Param is the segment of a learnt template that stands for any.
const Param = "{id}"

// look is what a segment looks like.
type look uint8

const (
	word  look = iota // as names in APIs are: letters, dashes, underscores
	odd               // neither a word nor surely a value: "photo-12.jpg"
	value             // a number, a token and the like
	fixed             // nothing, as after a slash at the end
)

// maxWord is how long a segment may be and still be a name.
const maxWord = 64

// key is what a segment is in a template: itself, Param, or itself with the
// values within it replaced: "{id}.json", "list;page={id}", "{id}:cancel".
func key(segment string) (string, look) {
	if segment == "" {
		return "", fixed
	}
	if len(segment) > maxWord {
		return Param, value
	}
	if strings.IndexByte(segment, ';') >= 0 {
		return matrixKey(segment)
	}
	l := lookOf(segment)
	if l == value {
		return Param, value
	}
	// The end of a name that says in which form, or what to do with it.
	if i := strings.LastIndexAny(segment, ".:"); i > 0 && i+1 < len(segment) && isLetters(segment[i+1:]) && lookOf(segment[:i]) == value {
		return Param + segment[i:], odd
	}
	if i := strings.IndexByte(segment, '('); i > 0 && segment[len(segment)-1] == ')' && i+2 < len(segment) { // OData
		if inside := strings.Trim(segment[i+1:len(segment)-1], "'"); lookOf(inside) == value || segment[i+1] == '\'' {
			return segment[:i+1] + Param + ")", odd
		}
	}
	return segment, l
}

// matrixKey is the key of "name;a=1;b=2" (RFC 3986, section 3.3).
func matrixKey(segment string) (string, look) {
	var b strings.Builder
	for i, part := range strings.Split(segment, ";") {
		if i > 0 {
			b.WriteByte(';')
			if eq := strings.IndexByte(part, '='); eq >= 0 {
				b.WriteString(part[:eq+1])
				part = part[eq+1:]
			}
		}
		if lookOf(part) == value {
			part = Param
		}
		b.WriteString(part)
	}
	return b.String(), odd
}

func isLetters(s string) bool {
	for i := range len(s) {
		if !isLower(s[i]) && !isUpper(s[i]) {
			return false
		}
	}
	return len(s) <= 16
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// lookOf tells names from values.
func lookOf(s string) look {
	var c classes
	for i := range len(s) {
		c.add(s[i])
	}
	switch {
	case c.digits > 0 && c.letters() == 0 && c.other == 0:
		return value // numbers, dates, addresses of IPv4, coordinates
	case c.digits == 0 && c.letters()+c.plain == len(s) && !(c.upper > 0 && c.lower > 0 && strings.IndexByte(s, '_') > 0):
		return word
	case isDate(s), isAddress(s), isUUID(s), isPrefixed(s), isToken(s):
		return value
	case c.digits <= 1 && c.letters()+c.digits+c.plain == len(s):
		return word // "v1", "oauth2", "s3-bucket"
	}
	return odd
}

// classes counts the bytes of a segment.
type classes struct{ digits, lower, upper, plain, other int }

func (c *classes) letters() int { return c.lower + c.upper }

func (c *classes) add(b byte) {
	switch {
	case isDigit(b):
		c.digits++
	case isLower(b):
		c.lower++
	case isUpper(b):
		c.upper++
	case strings.IndexByte("-_.,:+", b) >= 0:
		c.plain++
	default:
		c.other++
	}
}

// isDate knows ISO 8601 dates with a time; without one they have no letter.
func isDate(s string) bool {
	return len(s) >= 11 && isDigit(s[0]) && isDigit(s[3]) && s[4] == '-' && isDigit(s[6]) && s[7] == '-' && isDigit(s[9]) &&
		(s[10] == 'T' || s[10] == 't' || s[10] == '%' || s[10] == '+')
}

// isAddress knows e-mail addresses, also with %40.
func isAddress(s string) bool {
	i := strings.IndexByte(s, '@')
	if i < 0 {
		i = strings.Index(s, "%40")
	}
	return i > 0 && strings.IndexByte(s[i:], '.') > 0
}

// isUUID knows UUIDs (RFC 9562), also in braces or after "urn:uuid:".
func isUUID(s string) bool {
	s = strings.TrimPrefix(s, "urn:uuid:")
	if len(s) == 38 && s[0] == '{' && s[37] == '}' {
		s = s[1:37]
	}
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !isHex(s[i]) {
			return false
		}
	}
	return true
}

// isPrefixed knows ids that begin with their type, "cus_NffrFeUfNV2Hib".
func isPrefixed(s string) bool {
	i := strings.LastIndexByte(s, '_')
	if i < 1 || len(s)-i-1 < 10 {
		return false
	}
	var c classes
	for j := range len(s) {
		if j < i && !isLower(s[j]) && s[j] != '_' {
			return false
		}
		if j > i {
			c.add(s[j])
		}
	}
	return c.letters()+c.digits == len(s)-i-1 && (c.digits > 0 || c.upper > 1 && c.lower > 1)
}

// isToken knows hexadecimal and random strings, also as one of the parts of a
// name: "web-7d4b9c6f58-x2x9z".
func isToken(s string) bool {
	if hex, ok := strings.CutPrefix(s, "0x"); ok && len(hex) > 0 && isHexRun(hex) {
		return true
	}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune("-_.~:=", r) }) {
		if isHexRun(part) && len(part) >= 8 && strings.ContainsAny(part, "0123456789") && strings.ContainsAny(part, "abcdefABCDEF") {
			return true
		}
		if isRandom(part) {
			return true
		}
	}
	return isRandom(s)
}

func isHexRun(s string) bool {
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return true
}

// isRandom knows strings of 16 bytes or more that change between letters and
// digits, or to capital letters, more often than names do.
func isRandom(s string) bool {
	if len(s) < 16 {
		return false
	}
	digits, changes := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case isDigit(c):
			digits++
		case !isLower(c) && !isUpper(c) && strings.IndexByte("-_=+~", c) < 0:
			return false
		}
		if i > 0 {
			p := s[i-1]
			if isDigit(p) != isDigit(c) || isLower(p) && isUpper(c) {
				changes++
			}
		}
	}
	return digits >= 2 && changes*4 >= len(s)
}
