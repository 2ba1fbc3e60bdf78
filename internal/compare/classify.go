package compare

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Classify tells what a value looks like.
func Classify(v Value) Format {
	switch v.Type {
	case Bool:
		return FormatBool
	case Number:
		return classifyNumber(v.Text)
	case Bytes:
		return FormatBytes
	case String:
		return classifyString(v.Text)
	}
	return FormatUnknown
}

func classifyNumber(s string) Format {
	whole, ok := isNumber(s)
	if !ok {
		return FormatUnknown
	}
	if form := unixForm(s); form != 0 {
		return makeFormat(FormatTimestamp, form, 0)
	}
	if whole {
		return FormatInteger
	}
	return FormatFloat
}

// isNumber reports whether s is a decimal number, and whether it has no fraction and no exponent.
func isNumber(s string) (whole, ok bool) {
	if s == "" || len(s) > 64 {
		return false, false
	}
	if _, ok = parseDecimal([]byte(s)); !ok {
		return false, false
	}
	return !strings.ContainsAny(s, ".eE"), true
}

// The times that a bare number is taken for are from 2008 to 2039, so that
// few other numbers are.
const (
	unixFrom = 1_200_000_000
	unixTo   = 2_200_000_000
)

func unixForm(s string) int {
	digits := strings.IndexByte(s, '.')
	if digits < 0 {
		digits = len(s)
	}
	if digits < 10 || digits > 19 || s[0] != '1' && s[0] != '2' {
		return 0
	}
	first, err := strconv.ParseUint(s[:10], 10, 64)
	if err != nil || first < unixFrom || first >= unixTo {
		return 0
	}
	switch digits {
	case 10:
		return formSeconds
	case 13:
		return formMilliseconds
	case 16:
		return formMicroseconds
	case 19:
		return formNanoseconds
	}
	return 0
}

func classifyString(s string) Format {
	switch {
	case s == "":
		return FormatEmpty
	case s == "true" || s == "false":
		return FormatBool
	}
	if version, ok := uuidVersion(s); ok {
		return makeFormat(FormatUUID, version, 0)
	}
	if form, _ := parseTime(s); form != 0 {
		return makeFormat(FormatTimestamp, form, 0)
	}
	if f := classifyNumber(s); f != FormatUnknown {
		return f
	}
	switch {
	case isIP(s):
		if strings.Contains(s, ":") {
			return makeFormat(FormatIP, 6, 0)
		}
		return makeFormat(FormatIP, 4, 0)
	case isURL(s):
		return FormatURL
	case isEmail(s):
		return FormatEmail
	}
	return classifyLetters(s)
}

// uuidVersion reads 8-4-4-4-12 hex digits (RFC 9562).
func uuidVersion(s string) (int, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return 0, false
	}
	for i := range len(s) {
		if unhex(s[i]) < 0 && i != 8 && i != 13 && i != 18 && i != 23 {
			return 0, false
		}
	}
	return unhex(s[14]), true
}

// parseTime reads a time that is not a bare number; 0: it is none.
func parseTime(s string) (int, time.Time) {
	if len(s) < 10 || len(s) > 40 {
		return 0, time.Time{}
	}
	if s[0]-'0' <= 9 && s[4] == '-' && s[7] == '-' {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			if s[len(s)-1] == 'Z' || s[len(s)-1] == 'z' {
				return formRFC3339, t
			}
			return formRFC3339Offset, t
		}
		if t, err := time.Parse(time.DateOnly, s); err == nil {
			return formDate, t
		}
		for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime} {
			if t, err := time.Parse(layout, s); err == nil {
				return formDateTime, t
			}
		}
		return 0, time.Time{}
	}
	if s[3] != ',' && s[3] != ' ' && !strings.HasSuffix(s, " GMT") {
		return 0, time.Time{}
	}
	for _, layout := range []string{httpDate, "Mon, 02-Jan-2006 15:04:05 MST", time.RFC1123Z, time.RFC850, time.ANSIC} { // RFC 9110 5.6.7, and cookies
		if t, err := time.Parse(layout, s); err == nil {
			return formHTTPDate, t
		}
	}
	return 0, time.Time{}
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

func isIP(s string) bool {
	if len(s) > 45 {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

func isURL(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme == "" || rest == "" || strings.ContainsAny(s, " \t\r\n") {
		return false
	}
	for _, c := range []byte(scheme) {
		if !letter(c) && !digit(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func isEmail(s string) bool {
	at := strings.IndexByte(s, '@')
	return at > 0 && strings.IndexByte(s[at+1:], '.') > 0 && strings.Count(s, "@") == 1 &&
		!strings.ContainsAny(s, " \t\r\n<>,;:/") && !strings.HasSuffix(s, ".")
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// alphabet counts the letters of a string by their sort.
type alphabet struct {
	lower, upper, digits, hexLower, hexUpper int
	dash, plus, dot, other, space            int
}

func count(s string) alphabet {
	var a alphabet
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z':
			a.lower++
			if c <= 'f' {
				a.hexLower++
			}
		case c >= 'A' && c <= 'Z':
			a.upper++
			if c <= 'F' {
				a.hexUpper++
			}
		case digit(c):
			a.digits++
		case c == '-' || c == '_':
			a.dash++
		case c == '+' || c == '/' || c == '=':
			a.plus++
		case c == '.':
			a.dot++
		case c > ' ' && c < 0x7f:
			a.other++
		default:
			a.space++
		}
	}
	return a
}

// classifyLetters tells words, tokens and text from each other.
func classifyLetters(s string) Format {
	a := count(s)
	n := len(s)
	letters := a.lower + a.upper
	switch {
	case a.space > 0:
		return FormatText
	case a.dot == 2 && n >= 32 && a.other+a.plus == 0 && strings.HasPrefix(s, "eyJ"): // RFC 7519: {" in base64
		return makeFormat(FormatToken, formJWT, n)
	case n >= 8 && a.hexLower+a.digits == n && a.digits > 0:
		return makeFormat(FormatToken, formHex, n)
	case n >= 8 && a.hexUpper+a.digits == n && a.digits > 0:
		return makeFormat(FormatToken, formHexUpper, n)
	case a.digits == 0 && a.plus+a.dot+a.other == 0 && !random(s, a):
		return FormatWord
	case n < 8 || a.digits == 0 && !random(s, a):
		return FormatText
	case letters+a.digits == n:
		return makeFormat(FormatToken, formAlphanumeric, n)
	case a.dash+a.dot+a.other == 0:
		return makeFormat(FormatToken, formBase64, n)
	case a.plus+a.dot+a.other == 0:
		return makeFormat(FormatToken, formBase64URL, n)
	}
	return makeFormat(FormatToken, formASCII, n)
}

// random reports whether letters change their case too often for a language.
func random(s string, a alphabet) bool {
	if len(s) < 12 || a.lower == 0 || a.upper == 0 {
		return false
	}
	changes := 0
	for i := 1; i < len(s); i++ {
		if letter(s[i-1]) && letter(s[i]) && s[i-1]&0x20 != 0 && s[i]&0x20 == 0 {
			changes++ // from lower to upper case
		}
	}
	return changes*5 >= len(s)
}

// Number returns the value of a number, or of a string that is one.
func (v Value) Number() (float64, bool) {
	if v.Cut || v.Type != Number && v.Type != String {
		return 0, false
	}
	if _, ok := isNumber(v.Text); !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.Text, 64)
	return f, err == nil
}

// Timestamp returns the time that a value says: RFC 3339, an HTTP date
// (RFC 9110 5.6.7), a date with or without a time, or a number of
// seconds, milli-, micro- or nanoseconds since 1970 between 2008 and 2039.
func (v Value) Timestamp() (time.Time, bool) {
	if v.Cut || v.Type != Number && v.Type != String {
		return time.Time{}, false
	}
	if _, ok := isNumber(v.Text); !ok {
		form, t := parseTime(v.Text)
		return t, form != 0
	}
	form := unixForm(v.Text)
	if form == 0 {
		return time.Time{}, false
	}
	whole, fraction, _ := strings.Cut(v.Text, ".")
	digits := whole + fraction
	nanos := (digits + "0000000000000000000")[:19] // ten digits of seconds, nine behind
	n, err := strconv.ParseInt(nanos, 10, 64)
	return time.Unix(0, n).UTC(), err == nil
}
