package mirror

import "bytes"

const suffix = "-shadow"

// AppendAuthority appends the authority with "-shadow" before its port, as
// Envoy's shadow writer does: httpbin:8000 becomes httpbin-shadow:8000, and
// [::1]:80 becomes [::1]-shadow:80.
func AppendAuthority(dst, authority []byte) []byte {
	port := len(authority)
	if i := bytes.LastIndexByte(authority, ':'); i >= 0 && bytes.IndexByte(authority[i:], ']') < 0 {
		port = i
	}
	dst = append(dst, authority[:port]...)
	dst = append(dst, suffix...)
	return append(dst, authority[port:]...)
}
