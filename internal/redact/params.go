package redact

import "bytes"

// params says how a list of parameters is read.
type params struct {
	// soft are bytes after which a name may begin, too, though a value does not
	// end there: what one server takes for a separator is part of a value for
	// another, so both are heeded.
	soft string
	// end is another byte than & where a value ends; 0: none.
	end byte
}

const softURL = ";?#"

// appendURL appends a URL, or a path, whose parameters begin after a or b.
func (r *Redactor) appendURL(s *Scratch, dst, u []byte, a, b byte) []byte {
	if len(r.query) == 0 {
		return append(dst, u...)
	}
	for i, c := range u {
		if c == a || c == b {
			return r.appendParams(s, append(dst, u[:i+1]...), u[i+1:], params{soft: softURL})
		}
	}
	return append(dst, u...)
}

// appendParams appends "name=value&name=value" with the values of the policy's
// parameters redacted.
func (r *Redactor) appendParams(s *Scratch, dst, q []byte, p params) []byte {
	for {
		end := 0
		for end < len(q) && q[end] != '&' && (p.end == 0 || q[end] != p.end) {
			end++
		}
		dst = r.appendParam(s, dst, q[:end], p.soft)
		if end == len(q) {
			return dst
		}
		dst = append(dst, q[end])
		q = q[end+1:]
	}
}

// appendParam appends what stands between two separators.
func (r *Redactor) appendParam(s *Scratch, dst, q []byte, soft string) []byte {
	for from := 0; from < len(q); {
		end := from
		for end < len(q) && q[end] != '=' && !isOneOf(q[end], soft) {
			end++
		}
		if end < len(q) && q[end] == '=' {
			if s.name = unescape(s.name[:0], q[from:end]); isNamed(r.query, s.name) {
				s.value = unescape(s.value[:0], q[end+1:])
				at := len(dst) + end + 1
				dst = r.token(s, append(dst, q[:end+1]...), s.value)
				s.secrets.add(q[end+1:], dst[at:])
				return dst
			}
			for end < len(q) && !isOneOf(q[end], soft) {
				end++
			}
		}
		from = end + 1
	}
	return append(dst, q...)
}

func isOneOf(c byte, set string) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

func isNamed(names []string, name []byte) bool {
	for _, n := range names {
		if n == string(name) {
			return true
		}
	}
	return false
}

// unescape appends what a form's percent-encoding stands for: + is a space,
// and a percent sign without two digits is itself.
func unescape(dst, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(v):
			high, ok1 := hexDigit(v[i+1])
			low, ok2 := hexDigit(v[i+2])
			if ok1 && ok2 {
				c = high<<4 | low
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// appendCookies appends the value of a Cookie field, "a=1; b=2".
func (r *Redactor) appendCookies(s *Scratch, dst, v []byte) []byte {
	for {
		end := bytes.IndexByte(v, ';')
		if end < 0 {
			return r.appendCookie(s, dst, v)
		}
		dst = append(r.appendCookie(s, dst, v[:end]), ';')
		v = v[end+1:]
	}
}

// appendCookie appends a "name=value"; quotes around the value stay.
func (r *Redactor) appendCookie(s *Scratch, dst, pair []byte) []byte {
	eq := bytes.IndexByte(pair, '=')
	if eq < 0 || !isNamed(r.cookies, bytes.Trim(pair[:eq], " \t")) {
		return append(dst, pair...)
	}
	dst = append(dst, pair[:eq+1]...)
	v := bytes.Trim(pair[eq+1:], " \t")
	if n := len(v); n > 1 && v[0] == '"' && v[n-1] == '"' {
		return append(r.token(s, append(dst, '"'), v[1:n-1]), '"')
	}
	return r.token(s, dst, v)
}
