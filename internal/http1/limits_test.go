package http1_test

import (
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func TestHostValues(t *testing.T) {
	for host, ok := range map[string]bool{
		"":                      true,
		"a":                     true,
		"A.b-c_d~e:80":          true,
		"a:":                    true,
		":80":                   true,
		"[::]":                  true,
		"[::1]:443":             true,
		"[::ffff:1.2.3.4]":      true,
		"1.2.3.4:5":             true,
		"a%2f":                  true,
		"a%2":                   false,
		"a%zz":                  false,
		"a b":                   false,
		"a\tb":                  false,
		"a,b":                   true,
		"a/b":                   false,
		"a\\b":                  false,
		"u@a":                   false,
		"a:b":                   false,
		"a:80:80":               false,
		"::1":                   false,
		"[]":                    false,
		"[:]":                   false,
		"[::1":                  false,
		"[::1]x":                false,
		"[::1%25eth0]":          false,
		"a[::1]":                false,
		"a?b":                   false,
		"a#b":                   false,
		"\xc3\xa9":              false,
		"a\"b":                  false,
		"<a>":                   false,
		"a^b":                   false,
		"http://a":              false,
		"a:+80":                 false,
		strings.Repeat("a", 99): true,
	} {
		in := "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
		var h traffic.Head
		_, err := http1.ParseRequest(&h, []byte(in), http1.Limits{})
		if ok != (err == nil) {
			t.Errorf("Host %q: error %v, want valid = %v", host, err, ok)
		}
		if err != nil {
			wantError(t, err, "400 invalid Host field")
		}
	}
}

func TestRequestLimits(t *testing.T) {
	const start = "GET / HTTP/1.1\r\nHost: a\r\n"
	for _, tt := range []struct {
		name string
		in   string
		lim  http1.Limits
		want string
	}{
		{"default bytes", start + "A: " + strings.Repeat("x", 60<<10) + "\r\n\r\n", http1.Limits{}, "431 head too large"},
		{"as many bytes as allowed", start + "\r\n", http1.Limits{Bytes: len(start) + 2}, ""},
		{"one byte more", start + "\r\n", http1.Limits{Bytes: len(start) + 1}, "431 head too large"},
		{"a hundred fields", start + strings.Repeat("A: b\r\n", 99) + "\r\n", http1.Limits{}, ""},
		{"a field more", start + strings.Repeat("A: b\r\n", 100) + "\r\n", http1.Limits{}, "431 too many fields"},
		{"field limit", start + "A: b\r\n\r\n", http1.Limits{Fields: 1}, "431 too many fields"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h traffic.Head
			var s http1.Scanner
			_, err := http1.ParseRequest(&h, []byte(tt.in), tt.lim)
			n, scanErr := s.End([]byte(tt.in), tt.lim)
			if tt.want == "" {
				if err != nil || scanErr != nil || n != len(tt.in) {
					t.Fatal(err, scanErr, n)
				}
				return
			}
			wantError(t, err, tt.want)
			wantError(t, scanErr, tt.want)
		})
	}
}
