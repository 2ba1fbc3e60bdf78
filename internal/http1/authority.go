package http1

import "bytes"

// splitAuthority splits "host", "host:port" or "[v6]:port" and checks it by
// RFC 3986, section 3.2, without user information. Host and port may be
// empty, as the grammar has it.
func splitAuthority(b []byte) (host, port []byte, ok bool) {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 3 {
			return nil, nil, false
		}
		for _, c := range b[1:end] {
			if unhex[c] == 0xff && c != ':' && c != '.' {
				return nil, nil, false
			}
		}
		host, port = b[:end+1], b[end+1:]
	} else {
		n := 0
		for n < len(b) && (hostChar[b[n]] || b[n] == '%') {
			if b[n] == '%' && (n+2 >= len(b) || unhex[b[n+1]] == 0xff || unhex[b[n+2]] == 0xff) {
				return nil, nil, false
			}
			n++
		}
		host, port = b[:n], b[n:]
	}
	if len(port) == 0 {
		return host, nil, true
	}
	if port[0] != ':' {
		return nil, nil, false
	}
	port = port[1:]
	for _, c := range port {
		if !isDigit(c) {
			return nil, nil, false
		}
	}
	return host, port, true
}

// validHostPort reports whether b is the target of a CONNECT: a host and a
// port between 1 and 65535 (RFC 9110, section 9.3.6).
func validHostPort(b []byte) bool {
	host, port, ok := splitAuthority(b)
	if !ok || len(host) == 0 || len(port) == 0 || len(port) > 5 {
		return false
	}
	n := 0
	for _, c := range port {
		n = n*10 + int(c-'0')
	}
	return 1 <= n && n <= 65535
}
