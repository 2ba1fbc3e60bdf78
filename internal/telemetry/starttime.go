package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeLayout is a compiled strftime format, as %START_TIME(…)% takes it.
type timeLayout []timePart

// timePart is a literal, or one conversion.
type timePart struct {
	layout   string // of package time, or a literal
	literal  bool
	unix     bool
	fraction int // digits of the second's fraction; 0: none
}

func (l timeLayout) append(dst []byte, t time.Time) []byte {
	t = t.UTC()
	for _, p := range l {
		switch {
		case p.literal:
			dst = append(dst, p.layout...)
		case p.unix:
			dst = strconv.AppendInt(dst, t.Unix(), 10)
		case p.fraction > 0:
			n := t.Nanosecond()
			for div, i := 100_000_000, 0; i < p.fraction; div, i = div/10, i+1 {
				dst = append(dst, byte('0'+n/div%10))
			}
		default:
			dst = t.AppendFormat(dst, p.layout)
		}
	}
	return dst
}

// compileTime compiles Envoy's time formats: strftime's, %f and %1f to %9f for
// the fraction of the second, %E3S, and %s. The empty format is ISO 8601 with
// milliseconds, in UTC.
func compileTime(format string) (timeLayout, error) {
	if format == "" {
		return timeLayout{{layout: "2006-01-02T15:04:05.000Z"}}, nil
	}
	var l timeLayout
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i != 0 {
			if i < 0 {
				i = len(format)
			}
			l = append(l, timePart{layout: format[:i], literal: true})
			format = format[i:]
			continue
		}
		parts, n := timeConversion(format[1:])
		if n == 0 {
			return nil, fmt.Errorf("%q begins with a time conversion that is not known", format)
		}
		l, format = append(l, parts...), format[1+n:]
	}
	return l, nil
}

// timeConversion reads one conversion after its '%' and returns its length; 0
// means that it is not known.
func timeConversion(s string) ([]timePart, int) {
	if s == "" {
		return nil, 0
	}
	if len(s) >= 2 && s[0] >= '1' && s[0] <= '9' && s[1] == 'f' {
		return []timePart{{fraction: int(s[0] - '0')}}, 2
	}
	if len(s) >= 3 && s[0] == 'E' && s[1] >= '1' && s[1] <= '9' && s[2] == 'S' {
		return []timePart{{layout: "05."}, {fraction: int(s[1] - '0')}}, 3
	}
	switch s[0] {
	case 's':
		return []timePart{{unix: true}}, 1
	case 'f':
		return []timePart{{fraction: 9}}, 1
	case '%':
		return []timePart{{layout: "%", literal: true}}, 1
	case 'n', 't':
		return []timePart{{layout: " ", literal: true}}, 1
	}
	if layout, ok := strftime(s[0]); ok {
		return []timePart{{layout: layout}}, 1
	}
	return nil, 0
}

func strftime(c byte) (string, bool) {
	layouts := [...]struct {
		conversion byte
		layout     string
	}{
		{'Y', "2006"},
		{'y', "06"},
		{'m', "01"},
		{'B', "January"},
		{'b', "Jan"},
		{'h', "Jan"},
		{'d', "02"},
		{'e', "_2"},
		{'j', "002"},
		{'A', "Monday"},
		{'a', "Mon"},
		{'H', "15"},
		{'I', "03"},
		{'M', "04"},
		{'S', "05"},
		{'p', "PM"},
		{'z', "-0700"},
		{'Z', "MST"},
		{'T', "15:04:05"},
		{'R', "15:04"},
		{'F', "2006-01-02"},
		{'D', "01/02/06"},
		{'c', "Mon Jan _2 15:04:05 2006"},
		{'x', "01/02/06"},
		{'X', "15:04:05"},
		{'r', "03:04:05 PM"},
	}
	for _, l := range layouts {
		if l.conversion == c {
			return l.layout, true
		}
	}
	return "", false
}
