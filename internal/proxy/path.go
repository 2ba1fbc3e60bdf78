package proxy

import "bytes"

// needsNormalizing tells the paths, nearly all, that are normal already.
func needsNormalizing(path []byte, merge bool) bool {
	for i, c := range path {
		switch c {
		case '?':
			return false
		case '\\':
			return true
		case '/':
			if i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '%' || merge && path[i+1] == '/') {
				return true
			}
		}
	}
	return false
}

// appendNormalized appends the path with its dot segments resolved (RFC 3986,
// section 5.2.4), "%2e" read as ".", and "\" as "/", as Envoy's normalize_path
// does; the query stays. With merge, slashes that follow one another become
// one. It reports false for what is no absolute path.
func appendNormalized(dst, path []byte, merge bool) ([]byte, bool) {
	if len(path) == 0 || path[0] != '/' {
		return append(dst, path...), string(path) == "*"
	}
	query := []byte(nil)
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	start := len(dst)
	for i := 0; i < len(path); {
		i++ // the slash
		end := i
		for end < len(path) && path[end] != '/' && path[end] != '\\' {
			end++
		}
		last := end == len(path)
		switch segment := path[i:end]; {
		case dots(segment) == 1:
			if last {
				dst = append(dst, '/')
			}
		case dots(segment) == 2:
			cut := bytes.LastIndexByte(dst[start:], '/')
			dst = dst[:start+max(cut, 0)]
			if last {
				dst = append(dst, '/')
			}
		case len(segment) == 0 && merge && !last:
		default:
			dst = append(dst, '/')
			dst = append(dst, segment...)
		}
		i = end
	}
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return append(dst, query...), true
}

// dots is 1 for ".", 2 for "..", and 0 for any other segment.
func dots(s []byte) int {
	n := 0
	for len(s) > 0 {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && s[2]|0x20 == 'e':
			s = s[3:]
		default:
			return 0
		}
		if n++; n > 2 {
			return 0
		}
	}
	return n
}

// hasEscapedSlash looks for "%2f" and "%5c" before the query.
func hasEscapedSlash(path []byte) bool {
	for i, c := range path {
		switch {
		case c == '?':
			return false
		case c == '%' && escapedSlash(path[i:]) != 0:
			return true
		}
	}
	return false
}

// appendUnescapedSlashes appends the path with "%2f" and "%5c" unescaped; the
// query stays.
func appendUnescapedSlashes(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '?' {
			return append(dst, path[i:]...)
		}
		if c == '%' {
			if slash := escapedSlash(path[i:]); slash != 0 {
				dst = append(dst, slash)
				i += 2
				continue
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// escapedSlash is the slash or backslash that b begins with, escaped; 0 for
// anything else.
func escapedSlash(b []byte) byte {
	if len(b) < 3 {
		return 0
	}
	switch {
	case b[1] == '2' && b[2]|0x20 == 'f':
		return '/'
	case b[1] == '5' && b[2]|0x20 == 'c':
		return '\\'
	}
	return 0
}
