package compare

import (
	"bytes"
	"math"
	"strconv"
)

// decimal is a number in the one form that equal numbers share: its digits
// without zeros at either end, times ten to the power of exp.
type decimal struct {
	text     []byte // of the digits, with a dot maybe
	exp      int64
	negative bool
}

// parseDecimal reads a number as JSON writes it; false: it is no such number,
// or its exponent is beyond all bounds.
func parseDecimal(b []byte) (decimal, bool) {
	var d decimal
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		d.negative, b = b[0] == '-', b[1:]
	}
	if e := bytes.IndexAny(b, "eE"); e >= 0 {
		exp, err := strconv.ParseInt(string(b[e+1:]), 10, 32)
		if err != nil {
			return d, false
		}
		d.exp, b = exp, b[:e]
	}
	first, last, dot := -1, -1, len(b)
	for i, c := range b {
		switch {
		case c == '.' && dot == len(b):
			dot = i
		case c < '0' || c > '9':
			return d, false
		case c != '0':
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if len(b) == 0 || first < 0 {
		return decimal{}, len(b) > 0 // zero has no sign and no exponent
	}
	d.text = b[first : last+1]
	if last < dot {
		d.exp += int64(dot - last - 1)
	} else {
		d.exp -= int64(last - dot)
	}
	return d, true
}

func (d decimal) equal(o decimal) bool {
	if d.negative != o.negative || d.exp != o.exp {
		return false
	}
	a, b := d.text, o.text
	for {
		if len(a) > 0 && a[0] == '.' {
			a = a[1:]
		}
		if len(b) > 0 && b[0] == '.' {
			b = b[1:]
		}
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		if a[0] != b[0] {
			return false
		}
		a, b = a[1:], b[1:]
	}
}

// equalNumbers compares exactly: 1.0 equals 1, and no digit is lost.
func equalNumbers(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, ok := parseDecimal(a)
	if !ok {
		return false
	}
	y, ok := parseDecimal(b)
	return ok && x.equal(y)
}

// near reports whether two numbers are within the tolerances of a rule.
func (m *merged) near(a, b []byte) bool {
	if m.absolute == 0 && m.relative == 0 {
		return false
	}
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX != nil || errY != nil {
		return false
	}
	d := math.Abs(x - y)
	return d <= m.absolute || d <= m.relative*max(math.Abs(x), math.Abs(y))
}
