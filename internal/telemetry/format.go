package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// record is what one line tells of: an exchange as seen by one of the
// destinations that answered it.
type record struct {
	e      *traffic.Exchange
	a      *traffic.Answer
	shadow bool
	// altNames maps clusters to the name under which Envoy reports them.
	altNames map[string]string
}

// operator appends the value of one command operator; false means that there
// is none, and that dst is unchanged.
type operator func(dst []byte, r *record) ([]byte, bool)

// mode says how an operator's value is written.
type mode uint8

const (
	modeText     mode = iota // as it is, control characters escaped
	modeJSONPart             // inside of a JSON string
	modeJSON                 // as a JSON value of its own: a number, a string or null
)

// segment is a piece of a format: a literal, or an operator.
type segment struct {
	literal string
	op      operator // nil: the literal
	number  bool     // the value is a JSON number
	max     int      // longest value in bytes; 0: any
	mode    mode
}

// Format is a compiled access log format. It is immutable.
type Format struct {
	segments  []segment
	json      bool
	omitEmpty bool
}

// CompileText compiles an Envoy format string. The error names the operator
// that it does not know. With omitEmpty a missing value is nothing at all,
// else it is "-" (Envoy's omit_empty_values).
func CompileText(format string, omitEmpty bool) (*Format, error) {
	segs, err := compileString(nil, format, modeText)
	if err != nil {
		return nil, err
	}
	return &Format{segments: segs, omitEmpty: omitEmpty}, nil
}

// compileString splits a format string at its operators. In JSON modes the
// literals come out escaped.
func compileString(segs []segment, format string, m mode) ([]segment, error) {
	literal := func(s string) {
		if m != modeText {
			s = string(appendJSONEscaped(nil, []byte(s)))
		}
		segs = appendLiteral(segs, s)
	}
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			literal(format)
			break
		}
		literal(format[:i])
		format = format[i+1:]
		if strings.HasPrefix(format, "%") {
			literal("%")
			format = format[1:]
			continue
		}
		seg, rest, err := parseOperator(format)
		if err != nil {
			return nil, err
		}
		seg.mode = m
		segs, format = append(segs, seg), rest
	}
	return segs, nil
}

// appendLiteral joins neighbouring literals.
func appendLiteral(segs []segment, s string) []segment {
	if s == "" {
		return segs
	}
	if n := len(segs); n > 0 && segs[n-1].op == nil {
		segs[n-1].literal += s
		return segs
	}
	return append(segs, segment{literal: s})
}

// parseOperator reads NAME, NAME(argument) or NAME(argument):max up to the
// closing '%', as it stands after the opening one.
func parseOperator(s string) (segment, string, error) {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'A' && s[n] <= 'Z' || s[n] >= '0' && s[n] <= '9') {
		n++
	}
	name, rest := s[:n], s[n:]
	arg, hasArg := "", false
	if strings.HasPrefix(rest, "(") {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return segment{}, "", fmt.Errorf("operator %%%s%%: the parenthesis is not closed", name)
		}
		arg, rest, hasArg = rest[1:end], rest[end+1:], true
	}
	length := 0
	if strings.HasPrefix(rest, ":") {
		end := strings.IndexByte(rest, '%')
		v, err := strconv.Atoi(rest[1:max(end, 1)])
		if err != nil || v <= 0 {
			return segment{}, "", fmt.Errorf("operator %%%s%%: the length after ':' is not a positive number", name)
		}
		length, rest = v, rest[end:]
	}
	if name == "" || !strings.HasPrefix(rest, "%") {
		shown := s
		if len(shown) > 24 {
			shown = shown[:24] + "…"
		}
		return segment{}, "", fmt.Errorf("%q is not a command operator: it must look like %%NAME%% or %%NAME(ARGUMENT):LENGTH%%, and a literal percent sign is %%%%", "%"+shown)
	}
	seg, err := newOperator(name, arg, hasArg)
	if err != nil {
		return segment{}, "", err
	}
	seg.max = length
	return seg, rest[1:], nil
}

// Append appends one line about r.
func (f *Format) append(dst []byte, r *record) []byte {
	start := len(dst)
	for i := range f.segments {
		s := &f.segments[i]
		if s.op == nil {
			dst = append(dst, s.literal...)
			continue
		}
		dst = f.appendValue(dst, s, r)
	}
	if r.shadow {
		dst = f.mark(dst, start, r.a.Outcome)
	}
	return dst
}

func (f *Format) appendValue(dst []byte, s *segment, r *record) []byte {
	at := len(dst)
	if s.mode == modeJSON && !s.number {
		dst = append(dst, '"')
	}
	from := len(dst)
	dst, ok := s.op(dst, r)
	if !ok {
		return f.appendMissing(dst[:at], s.mode)
	}
	if s.max > 0 && len(dst)-from > s.max {
		dst = dst[:from+s.max]
	}
	if s.number {
		return dst
	}
	if s.mode == modeText {
		return escapeControls(dst, from)
	}
	dst = escapeJSON(dst, from)
	if s.mode == modeJSON {
		dst = append(dst, '"')
	}
	return dst
}

func (f *Format) appendMissing(dst []byte, m mode) []byte {
	switch {
	case m == modeJSON:
		return append(dst, "null"...)
	case f.omitEmpty:
		return dst
	}
	return append(dst, '-')
}

// mark makes the line that begins at start the line of a shadow.
func (f *Format) mark(dst []byte, start int, o traffic.Outcome) []byte {
	tail := ""
	if n := len(dst); n > start && dst[n-1] == '\n' {
		dst, tail = dst[:n-1], "\n"
	}
	if !f.json {
		dst = append(dst, " shadow outcome="...)
		dst = append(dst, o.String()...)
		return append(dst, tail...)
	}
	dst = dst[:len(dst)-1] // the object's closing brace
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, `"shadow":true,"outcome":"`...)
	dst = append(dst, o.String()...)
	dst = append(dst, `"}`...)
	return append(dst, tail...)
}

const hexDigits = "0123456789abcdef"

// escapeControls writes control characters after from as \xNN, so that no
// value can begin a line of its own. All else stays as it is, as Envoy has it.
func escapeControls(dst []byte, from int) []byte {
	for i := from; i < len(dst); i++ {
		if dst[i] < 0x20 || dst[i] == 0x7f {
			tail := string(dst[i:])
			dst = dst[:i]
			for j := range len(tail) {
				if c := tail[j]; c < 0x20 || c == 0x7f {
					dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
				} else {
					dst = append(dst, c)
				}
			}
			return dst
		}
	}
	return dst
}

// escapeJSON escapes what stands after from as the inside of a JSON string.
func escapeJSON(dst []byte, from int) []byte {
	for i := from; i < len(dst); i++ {
		if c := dst[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			tail := append([]byte(nil), dst[i:]...)
			return appendJSONEscaped(dst[:i], tail)
		}
	}
	return dst
}

// appendJSONEscaped appends s escaped as the inside of a JSON string (RFC
// 8259, section 7); bytes that are not UTF-8 become U+FFFD.
func appendJSONEscaped(dst, s []byte) []byte {
	for len(s) > 0 {
		c := s[0]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s)
			dst = utf8.AppendRune(dst, r)
			s = s[n:]
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
		s = s[1:]
	}
	return dst
}
