package http1

import (
	"encoding/binary"
	"math/bits"
)

// lower maps the characters of a token (RFC 9110, section 5.6.2) to lower
// case and all others to 0.
var lower = lowerTable()

func lowerTable() (t [256]byte) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c | 0x20
	}
	return t
}

// hostChar has the characters of a registered name or IPv4 address (RFC 3986,
// section 3.2.2), '%' left out.
var hostChar = hostTable()

func hostTable() (t [256]bool) {
	for _, c := range []byte("-._~!$&'()*+,;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}

// unhex maps a hexadecimal digit to its value and all others to 0xff.
var unhex = hexTable()

func hexTable() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range byte(16) {
		t["0123456789abcdef"[i]] = i
		t["0123456789ABCDEF"[i]] = i
	}
	return t
}

var (
	comma     = []byte(",")
	semicolon = []byte(";")
)

// isToken reports whether b is a token (RFC 9110, section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if lower[c] == 0 {
			return false
		}
	}
	return len(b) > 0
}

// trim cuts optional white space (RFC 9110, section 5.6.3) from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Eight bytes are looked at at once. A mask's lowest set bit is exact; those
// above it may not be.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// textEnd returns the offset of the first control character in b[i:] other
// than HTAB: where a field value or a reason phrase ends, rightly or not.
func textEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		m := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && (b[i] >= 0x20 && b[i] != 0x7f || b[i] == '\t') {
		i++
	}
	return i
}

// graphEnd returns the offset of the first byte in b[i:] that is no visible
// ASCII character.
func graphEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		m := ((x-0x21*ones)&^x | (del-ones)&^del | x) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] > 0x20 && b[i] < 0x7f {
		i++
	}
	return i
}

// equalFold compares name, in lower case, with b.
func equalFold(b, name []byte) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if lower[c] != name[i] {
			return false
		}
	}
	return true
}
