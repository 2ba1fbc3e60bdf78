package http1_test

import (
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestEveryByte puts every byte at each of many places of a value, a name, a
// target, a method and a reason phrase, long enough for eight at a time.
func TestEveryByte(t *testing.T) {
	const length = 19
	var h traffic.Head
	check := func(what, in string, want, response bool) {
		t.Helper()
		var err error
		if response {
			_, err = http1.ParseResponse(&h, []byte(in), []byte("GET"), http1.Limits{})
		} else {
			_, err = http1.ParseRequest(&h, []byte(in), http1.Limits{})
		}
		if want != (err == nil) {
			t.Errorf("%s, %q: error %v, want valid = %v", what, in, err, want)
		}
	}
	for c := range 256 {
		for at := range length {
			word := []byte("aaaaaaaaaaaaaaaaaaa")[:length]
			word[at] = byte(c)
			s := string(word)
			text := httpguts.ValidHeaderFieldValue(s)
			check("value", "GET / HTTP/1.1\r\nHost: a\r\nA: "+s+"\r\n\r\n", text, false)
			check("reason", "HTTP/1.1 200 "+s+"\r\n\r\n", text, true)
			check("method", s+" / HTTP/1.1\r\nHost: a\r\n\r\n", httpguts.ValidHeaderFieldName(s), false)
			check("target", "GET /"+s+" HTTP/1.1\r\nHost: a\r\n\r\n", c > ' ' && c < 0x7f && c != '#', false)
			if at > 0 && c != ':' {
				check("name", "GET / HTTP/1.1\r\nHost: a\r\n"+s+": b\r\n\r\n", httpguts.ValidHeaderFieldName(s), false)
			}
		}
	}
}
