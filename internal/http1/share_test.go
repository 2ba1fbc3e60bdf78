package http1_test

import (
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
)

// TestSharedChecks has one value on each side of each rule.
func TestSharedChecks(t *testing.T) {
	length := func(b []byte) bool { _, ok := http1.ParseLength(b); return ok }
	for _, c := range []struct {
		name      string
		check     func([]byte) bool
		yes, nope []string
	}{
		{"IsFieldName", http1.IsFieldName, []string{"a", "x-y_z", "~1"}, []string{"", "A", "a:", "a b", "\xe9"}},
		{"IsToken", http1.IsToken, []string{"GET", "a"}, []string{"", "G T"}},
		{"IsFieldValue", http1.IsFieldValue, []string{"", "a\tb", "\xe9"}, []string{" a", "a\t", "a\rb", "\x00", "\x7f"}},
		{"IsTarget", http1.IsTarget, []string{"/a?b", "*"}, []string{"/a#b", "/a b", "/\xe9"}},
		{"IsAuthority", http1.IsAuthority, []string{"a", "a:", "[::1]:80"}, []string{"", ":80", "u@a", "a/b"}},
		{"IsHostPort", http1.IsHostPort, []string{"a:1"}, []string{"a", "a:", "a:65536"}},
		{"ParseLength", length, []string{"0", "9223372036854775807"}, []string{"", "-1", "1 ", "9223372036854775808"}},
		{"ForbiddenTrailer", http1.ForbiddenTrailer, []string{"host", "content-length"}, []string{"grpc-status"}},
	} {
		for _, s := range c.yes {
			if !c.check([]byte(s)) {
				t.Errorf("%s(%q) is false", c.name, s)
			}
		}
		for _, s := range c.nope {
			if c.check([]byte(s)) {
				t.Errorf("%s(%q) is true", c.name, s)
			}
		}
	}
}
