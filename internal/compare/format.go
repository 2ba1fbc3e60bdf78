package compare

import (
	"fmt"
	"strconv"
	"strings"
)

// Format is what a value looks like: a kind, and for some kinds which of
// their forms (the version of a UUID, the notation of a time, the alphabet and
// length of a token). It is comparable, and small enough to keep many of.
//
// The constants are formats without a form: they stand for all forms of their kind.
type Format uint32

// The kinds of formats.
const (
	FormatUnknown   Format = iota // nothing, null, an object, an array
	FormatAny                     // only in rules: any value of one JSON type
	FormatCounter                 // only in rules: an integer
	FormatBool                    // true or false, also as a string
	FormatInteger                 // also as a string
	FormatFloat                   // also as a string
	FormatTimestamp               // see Value.Timestamp
	FormatUUID
	FormatToken // hex, base64, JWT: no white space, and no word of a language
	FormatIP
	FormatEmail
	FormatURL
	FormatWord // letters, maybe with "-" or "_" between
	FormatText // any other string
	FormatEmpty
	FormatBytes
	formatKinds
)

// The forms of timestamps.
const (
	formRFC3339 = iota + 1
	formRFC3339Offset
	formHTTPDate
	formDate // 2006-01-02
	formDateTime
	formSeconds
	formMilliseconds
	formMicroseconds
	formNanoseconds
)

// The alphabets of tokens: each letter of one is also in those behind it, but for the last.
const (
	formHex = iota + 1
	formHexUpper
	formAlphanumeric
	formBase64
	formBase64URL
	formASCII // with other punctuation
	formJWT
)

func makeFormat(kind Format, form, length int) Format {
	return kind | Format(form)<<8 | Format(min(length, 255))<<16
}

// Kind is the format without its form.
func (f Format) Kind() Format { return f & 0xff }

func (f Format) form() int   { return int(f >> 8 & 0xff) }
func (f Format) length() int { return int(f >> 16 & 0xff) }

func (f Format) declarable() bool {
	switch f {
	case 0, FormatAny, FormatCounter, FormatTimestamp, FormatUUID, FormatToken, FormatFloat:
		return true
	}
	return false
}

func formatName(kind Format) string {
	return [...]string{
		"unknown", "any", "counter", "bool", "integer", "float", "timestamp", "uuid", "token",
		"ip", "email", "url", "word", "text", "empty", "bytes",
	}[min(kind, formatKinds-1)]
}

// String describes the format for people: "uuid v4", "token hex 32".
func (f Format) String() string {
	name := formatName(f.Kind())
	if f.form() == 0 {
		return name
	}
	form := strconv.Itoa(f.form())
	switch f.Kind() {
	case FormatTimestamp:
		form = [...]string{
			"", "rfc3339", "rfc3339 with offset", "http date", "date", "date and time", "unix s", "unix ms", "unix us", "unix ns",
		}[min(f.form(), formNanoseconds)]
	case FormatToken:
		form = [...]string{"", "hex", "upper hex", "alphanumeric", "base64", "base64url", "ascii", "jwt"}[min(f.form(), formJWT)]
	case FormatUUID, FormatIP:
		form = "v" + form
	}
	if f.length() > 0 {
		form += " " + strconv.Itoa(f.length())
	}
	return name + " " + form
}

// MarshalText writes a form that UnmarshalText reads: "token/1/32".
func (f Format) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%s/%d/%d", formatName(f.Kind()), f.form(), f.length()), nil
}

// UnmarshalText reads what MarshalText writes, and what ParseFormat reads.
func (f *Format) UnmarshalText(text []byte) error {
	name, rest, has := strings.Cut(string(text), "/")
	kind, err := ParseFormat(name)
	if err != nil {
		return err
	}
	*f = kind
	if !has {
		return nil
	}
	form, length, _ := strings.Cut(rest, "/")
	x, errX := strconv.ParseUint(form, 10, 8)
	y, errY := strconv.ParseUint(length, 10, 8)
	if errX != nil || errY != nil {
		return fmt.Errorf("compare: format %q is not of the form kind/form/length", text)
	}
	*f = makeFormat(kind, int(x), int(y))
	return nil
}

// ParseFormat returns the kind of a name, whatever its case: "UUID",
// "Timestamp", "Counter", "Token", "Float", "Any"; "": FormatUnknown.
func ParseFormat(name string) (Format, error) {
	if name == "" {
		return FormatUnknown, nil
	}
	for k := range formatKinds {
		if strings.EqualFold(name, formatName(k)) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("compare: there is no format %q; use UUID, Timestamp, Counter, Token, Float or Any", name)
}

// Compatible reports whether a value of format b may stand where those of
// format a stood. Some formats are wider than others: a text may look like
// anything, but no UUID may look like a word.
func Compatible(a, b Format) bool {
	if a == b || a.Kind() == FormatAny {
		return true
	}
	switch a.Kind() {
	case FormatCounter, FormatInteger:
		return b.Kind() == FormatInteger || b.Kind() == FormatCounter || b.numericTime()
	case FormatFloat:
		return b.Kind() == FormatFloat || b.Kind() == FormatInteger || b.numericTime()
	case FormatText, FormatWord:
		return b.Kind() != FormatUnknown && b.Kind() != FormatBytes
	case FormatToken:
		return compatibleTokens(a, b)
	case FormatUUID, FormatTimestamp, FormatIP:
		return a.Kind() == b.Kind() && (a.form() == b.form() || a.form() == 0 || b.form() == 0)
	}
	return a.Kind() == b.Kind()
}

func (f Format) numericTime() bool { return f.Kind() == FormatTimestamp && f.form() >= formSeconds }

// compatibleTokens asks for the same alphabet and about the same length. A short
// token may by chance have letters of a smaller alphabet only, or digits, or
// make a word.
func compatibleTokens(a, b Format) bool {
	switch {
	case a.form() == 0:
		return b.Kind() == FormatToken || b.Kind() == FormatUUID || b.Kind() == FormatInteger || b.Kind() == FormatWord || b.numericTime()
	case b.Kind() == FormatInteger || b.Kind() == FormatFloat || b.Kind() == FormatWord || b.numericTime():
		return a.length() < longToken
	case b.Kind() != FormatToken || a.form() == formJWT != (b.form() == formJWT):
		return false
	}
	if a.length() >= longToken && a.form() != b.form() && (a.form() <= formHexUpper || b.form() <= formHexUpper) {
		return false
	}
	if a.form() <= formHexUpper && b.form() <= formHexUpper {
		return a.length() == b.length()
	}
	return a.length()*2 >= b.length() && b.length()*2 >= a.length()
}

// longToken is the length from which a random token shows its alphabet.
const longToken = 12

// allows reports whether two different values are what a rule declares.
func (f Format) allows(a, b Value) bool {
	if f == FormatAny {
		return true // scalars of one type
	}
	x, y := Classify(a), Classify(b)
	if f == FormatToken {
		return a.Text != "" && b.Text != "" && !strings.ContainsAny(a.Text+b.Text, " \t\r\n") &&
			len(a.Text)*2 >= len(b.Text) && len(b.Text)*2 >= len(a.Text) &&
			(x.Kind() != FormatToken || y.Kind() != FormatToken || compatibleTokens(x, y))
	}
	return Compatible(f, x) && Compatible(f, y) && (f != FormatTimestamp && f != FormatUUID || x == y)
}
