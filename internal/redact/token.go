package redact

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// The form of a text's pseudonym: the prefix, characters that stand for the
// value, and characters that prove the first ones.
const (
	prefix   = "sd_"
	bodyLen  = 12 // 60 bits
	checkLen = 8  // 40 bits
	textLen  = len(prefix) + bodyLen + checkLen
	alphabet = "abcdefghijklmnopqrstuvwxyz234567"
)

// The form of a number's pseudonym: a number between least and least+1<<46.
const (
	least       = 900_000_000_000_000
	numberBits  = 26
	numberCheck = 20
)

// What a MAC is for; each of these is a function of its own.
const (
	forValue byte = iota + 1
	forTextCheck
	forNumberCheck
)

// pads makes the two blocks of HMAC (RFC 2104, section 2).
func (r *Redactor) pads(key []byte) {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	copy(r.inner[:], key)
	copy(r.outer[:], key)
	for i := range r.inner {
		r.inner[i] ^= 0x36
		r.outer[i] ^= 0x5c
	}
}

// mac is HMAC-SHA-256 of the purpose and v, in the scratch memory. crypto/hmac
// keeps a key in its state; this serves many Redactors without an allocation.
func (r *Redactor) mac(s *macScratch, purpose byte, v []byte) []byte {
	if s.hash == nil {
		s.hash = sha256.New()
	}
	h := s.hash
	h.Reset()
	h.Write(r.inner[:])
	s.tag[0] = purpose
	h.Write(s.tag[:])
	h.Write(v)
	sum := h.Sum(s.sum[:0])
	h.Reset()
	h.Write(r.outer[:])
	h.Write(sum)
	return h.Sum(s.sum[:0])
}

// token appends the pseudonym of a value that stands where a text may.
func (r *Redactor) token(s *Scratch, dst, v []byte) []byte {
	if len(v) == 0 {
		return dst
	}
	if plainNumber(v) {
		return r.numberToken(s, dst, v)
	}
	if r.isText(&s.mac, v) {
		return append(dst, v...)
	}
	from := len(dst)
	sum := r.mac(&s.mac, forValue, v)
	dst = append(dst, prefix...)
	dst = appendBase32(dst, binary.BigEndian.Uint64(sum), bodyLen)
	// The MAC is an interface's call: what it gets must not be the caller's stack.
	body := append(s.mac.text[:0], dst[from+len(prefix):]...)
	sum = r.mac(&s.mac, forTextCheck, body)
	dst = appendBase32(dst, binary.BigEndian.Uint64(sum), checkLen)
	s.secrets.add(v, dst[from:])
	return dst
}

// isText reports whether v is a pseudonym that was made with this key.
func (r *Redactor) isText(s *macScratch, v []byte) bool {
	if len(v) != textLen || string(v[:len(prefix)]) != prefix {
		return false
	}
	body := append(s.text[:0], v[len(prefix):len(prefix)+bodyLen]...)
	var check [checkLen]byte
	appendBase32(check[:0], binary.BigEndian.Uint64(r.mac(s, forTextCheck, body)), checkLen)
	return bytes.Equal(check[:], v[len(prefix)+bodyLen:])
}

// numberToken appends the pseudonym of a number, which is in its shortest form.
func (r *Redactor) numberToken(s *Scratch, dst, v []byte) []byte {
	if r.isNumber(&s.mac, v) {
		return append(dst, v...)
	}
	from := len(dst)
	n := binary.BigEndian.Uint64(r.mac(&s.mac, forValue, v)) >> (64 - numberBits)
	dst = strconv.AppendUint(dst, least+n<<numberCheck+r.numberCheck(&s.mac, n), 10)
	s.secrets.add(v, dst[from:])
	return dst
}

func (r *Redactor) numberCheck(s *macScratch, n uint64) uint64 {
	b := binary.BigEndian.AppendUint64(s.text[:0], n)
	return binary.BigEndian.Uint64(r.mac(s, forNumberCheck, b)) >> (64 - numberCheck)
}

func (r *Redactor) isNumber(s *macScratch, v []byte) bool {
	if len(v) != 15 || v[0] != '9' {
		return false
	}
	var n uint64
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + uint64(c-'0')
	}
	n -= least
	return n < 1<<(numberBits+numberCheck) && n&(1<<numberCheck-1) == r.numberCheck(s, n>>numberCheck)
}

// appendBase32 appends n characters for the highest bits of v.
func appendBase32(dst []byte, v uint64, n int) []byte {
	for range n {
		dst = append(dst, alphabet[v>>59])
		v <<= 5
	}
	return dst
}

// maxPlain is how long a text may be and still be a number. Longer runs of
// digits are texts.
const maxPlain = 40

// plainNumber reports whether v is a number in the form that shortest writes.
func plainNumber(v []byte) bool {
	if len(v) > maxPlain {
		return false
	}
	if len(v) > 1 && v[0] == '-' && string(v) != "-0" {
		v = v[1:]
	}
	i := digits(v)
	if i == 0 || v[0] == '0' && i > 1 {
		return false
	}
	if i == len(v) {
		return true
	}
	fraction := v[i+1:]
	return v[i] == '.' && len(fraction) > 0 && digits(fraction) == len(fraction) && v[len(v)-1] != '0'
}

func digits(v []byte) int {
	for i, c := range v {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(v)
}

// shortest appends the number, which is valid JSON, so that equal numbers have
// one form: 1, 1.0 and 10e-1 are "1".
func shortest(dst, v []byte) []byte {
	negative := v[0] == '-'
	if negative {
		v = v[1:]
	}
	whole := digits(v)
	point := 0 // digits after the point
	from := len(dst)
	sign := len(dst)
	if negative {
		dst = append(dst, '-')
		from++
	}
	dst = append(dst, v[:whole]...)
	v = v[whole:]
	if len(v) > 0 && v[0] == '.' {
		point = digits(v[1:])
		dst = append(dst, v[1:1+point]...)
		v = v[1+point:]
	}
	exp := exponent(v) - point
	for len(dst) > from && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
		exp++
	}
	lead := 0
	for from+lead < len(dst) && dst[from+lead] == '0' {
		lead++
	}
	dst = append(dst[:from], dst[from+lead:]...)
	n := len(dst) - from
	switch {
	case n == 0:
		return append(dst[:sign], '0')
	case exp >= 0 && n+exp < maxPlain-1:
		for range exp {
			dst = append(dst, '0')
		}
	case exp < 0 && n-exp < maxPlain-3:
		dst = insertPoint(dst, from, -exp)
	default:
		dst = append(dst, 'e')
		dst = strconv.AppendInt(dst, int64(exp), 10)
	}
	return dst
}

// exponent reads "e-12"; one beyond any sense counts as a thousand million.
func exponent(v []byte) int {
	if len(v) == 0 {
		return 0
	}
	v = v[1:]
	sign := 1
	if v[0] == '-' || v[0] == '+' {
		if v[0] == '-' {
			sign = -1
		}
		v = v[1:]
	}
	n := 0
	for _, c := range v {
		n = min(n*10+int(c-'0'), 1_000_000_000)
	}
	return sign * n
}

// insertPoint puts a point before the last n digits of dst[from:].
func insertPoint(dst []byte, from, n int) []byte {
	have := len(dst) - from
	missing := max(n+1-have, 0) // zeros before the digits
	for range missing + 1 {
		dst = append(dst, '0')
	}
	copy(dst[from+missing:], dst[from:from+have])
	for i := range missing {
		dst[from+i] = '0'
	}
	at := len(dst) - 1 - n
	copy(dst[at+1:], dst[at:len(dst)-1])
	dst[at] = '.'
	return dst
}
