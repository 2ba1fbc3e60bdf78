package http1

import "bytes"

// What HTTP/2 checks by the same rules.

// IsFieldName reports whether b is a token without upper case: a field name
// of HTTP/2 (RFC 9113, section 8.2.1), and of a traffic.Head.
func IsFieldName(b []byte) bool {
	for _, c := range b {
		if l := lower[c]; l != c || l == 0 {
			return false
		}
	}
	return len(b) > 0
}

// IsToken reports whether b is a token (RFC 9110, section 5.6.2), as methods are.
func IsToken(b []byte) bool { return isToken(b) }

// IsFieldValue reports whether b holds no control character but HTAB, and no
// white space at its ends (RFC 9110, section 5.5).
func IsFieldValue(b []byte) bool {
	return textEnd(b, 0) == len(b) && len(trim(b)) == len(b)
}

// IsTarget reports whether b is visible ASCII without a fragment.
func IsTarget(b []byte) bool {
	return graphEnd(b, 0) == len(b) && bytes.IndexByte(b, '#') < 0
}

// IsAuthority reports whether b is a host that is not empty, with or without
// a port (RFC 3986, section 3.2); user information is refused.
func IsAuthority(b []byte) bool {
	host, _, ok := splitAuthority(b)
	return ok && len(host) > 0
}

// IsHostPort reports whether b is the target of a CONNECT: a host and a port
// between 1 and 65535 (RFC 9110, section 9.3.6).
func IsHostPort(b []byte) bool { return validHostPort(b) }

// ParseLength reads a Content-Length: digits and nothing else.
func ParseLength(b []byte) (n int64, ok bool) { return parseLength(b) }

// ForbiddenTrailer reports whether a trailer called name (lower case) is
// dropped: framing, routing, authentication or the meaning of the content were
// decided without it (RFC 9110, section 6.5.1).
func ForbiddenTrailer(name []byte) bool { return forbiddenTrailer(name) }
