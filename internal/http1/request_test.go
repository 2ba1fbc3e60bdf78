package http1_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// describe writes all that a head and its framing say, one item a line.
func describe(h *traffic.Head, f traffic.Framing) string {
	var b strings.Builder
	if h.Status == 0 {
		fmt.Fprintf(&b, "%q scheme=%q authority=%q path=%q 1.%d\n", h.Method(), h.Scheme(), h.Authority(), h.Path(), h.Minor)
	} else {
		fmt.Fprintf(&b, "%d %q 1.%d\n", h.Status, h.Reason(), h.Minor)
	}
	for i := range h.Len() {
		name, value := h.Field(i)
		fmt.Fprintf(&b, "%s=%q\n", name, value)
	}
	switch f.Kind {
	case traffic.FramingNone:
		b.WriteString("none\n")
	case traffic.FramingLength:
		fmt.Fprintf(&b, "length %d\n", f.Length)
	case traffic.FramingChunked:
		b.WriteString("chunked\n")
	case traffic.FramingClose:
		b.WriteString("close\n")
	}
	return b.String()
}

// wantError fails unless err is an *http1.Error whose status and reason are
// "STATUS reason".
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	var e *http1.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want %s", err, want)
	}
	if got := fmt.Sprintf("%d %s", e.Status, e.Reason); got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
	if e.Details == "" {
		t.Errorf("%q has no details", want)
	}
}

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{
			"plain", "GET /a?b=c HTTP/1.1\r\nHost: httpbin:8000\r\nAccept: */*\r\n\r\n",
			`"GET" scheme="" authority="httpbin:8000" path="/a?b=c" 1.1
accept="*/*"
none
`,
		},
		{
			"empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
			`"GET" scheme="" authority="a" path="/" 1.1
none
`,
		},
		{
			"white space, empty values, bytes beyond ASCII",
			"GET / HTTP/1.1\r\nHOST:a\r\nX-A:  \t b c\t \r\nX-B:\r\nX-C: \t \r\nX-D: \xe9\tx\r\n\r\n",
			`"GET" scheme="" authority="a" path="/" 1.1
x-a="b c"
x-b=""
x-c=""
x-d="\xe9\tx"
none
`,
		},
		{
			"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0042\r\n\r\n",
			`"POST" scheme="" authority="a" path="/" 1.1
content-length="0042"
length 42
`,
		},
		{
			"the largest length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
			`"POST" scheme="" authority="a" path="/" 1.1
content-length="9223372036854775807"
length 9223372036854775807
`,
		},
		{
			"chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked \r\n\r\n",
			`"POST" scheme="" authority="a" path="/" 1.1
transfer-encoding="Chunked"
chunked
`,
		},
		{
			"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n",
			`"GET" scheme="" authority="" path="/" 1.0
none
`,
		},
		{
			"higher minor version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
			`"GET" scheme="" authority="a" path="/" 1.1
none
`,
		},
		{
			"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
			`"GET" scheme="" authority="" path="/" 1.1
none
`,
		},
		{
			"Host of IPv6", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n",
			`"GET" scheme="" authority="[2001:db8::1]:8080" path="/" 1.1
none
`,
		},
		{
			"Host with escapes", "GET / HTTP/1.1\r\nHost: a_b%2Dc!\r\n\r\n",
			`"GET" scheme="" authority="a_b%2Dc!" path="/" 1.1
none
`,
		},
		{
			"absolute form wins over Host", "GET HTTP://Example.com:80/x?y HTTP/1.1\r\nHost: other\r\n\r\n",
			`"GET" scheme="http" authority="Example.com:80" path="/x?y" 1.1
none
`,
		},
		{
			"absolute form, https, no path", "GET https://e HTTP/1.1\r\nHost: e\r\n\r\n",
			`"GET" scheme="https" authority="e" path="/" 1.1
none
`,
		},
		{
			"absolute form, query only", "GET http://e?q=1/2 HTTP/1.1\r\nHost: e\r\nX: y\r\n\r\n",
			`"GET" scheme="http" authority="e" path="/?q=1/2" 1.1
x="y"
none
`,
		},
		{
			"OPTIONS for a whole server", "OPTIONS * HTTP/1.1\r\nHost: e\r\n\r\n",
			`"OPTIONS" scheme="" authority="e" path="*" 1.1
none
`,
		},
		{
			"OPTIONS for a whole server through a proxy", "OPTIONS http://e HTTP/1.1\r\nHost: e\r\n\r\n",
			`"OPTIONS" scheme="http" authority="e" path="*" 1.1
none
`,
		},
		{
			"OPTIONS with a query", "OPTIONS http://e?x HTTP/1.1\r\nHost: e\r\n\r\n",
			`"OPTIONS" scheme="http" authority="e" path="/?x" 1.1
none
`,
		},
		{
			"CONNECT", "CONNECT e:443 HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\n\r\n",
			`"CONNECT" scheme="" authority="e:443" path="" 1.1
none
`,
		},
		{
			"any token is a method", "m!#$%&'*+-.^_`|~9 //x//{}|\"<> HTTP/1.1\r\nHost: e\r\n\r\n",
			"\"m!#$%&'*+-.^_`|~9\" scheme=\"\" authority=\"e\" path=\"//x//{}|\\\"<>\" 1.1\nnone\n",
		},
		{
			"upgrade", "GET / HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			`"GET" scheme="" authority="e" path="/" 1.1
connection="Upgrade"
upgrade="websocket"
none
`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h traffic.Head
			f, err := http1.ParseRequest(&h, []byte(tt.in), http1.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, describe(&h, f)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var s http1.Scanner
			if n, err := s.End([]byte(tt.in), http1.Limits{}); n != len(tt.in) || err != nil {
				t.Errorf("scanner: %d, %v, want %d", n, err, len(tt.in))
			}
		})
	}
}

// TestParseRequestLine has what is wrong with first lines. HTTP/1.1 and a Host
// field follow where a target stands alone.
func TestParseRequestLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "400 head ends early"},
		{"GET", "400 head ends early"},
		{"GET / HTTP/1.1", "400 head ends early"},
		{"GET / HTTP/1.1\r", "400 head ends early"},
		{"GET / HTTP/1.1\r\n", "400 head ends early"},
		{"GET / HTTP/1.1\n\n", "400 line ends with a bare LF"},
		{"GET / HTTP/1.1\rX\r\n\r\n", "400 CR without LF"},
		{"GET / HTTP/1.1\r\rX\n\r\n", "400 CR without LF"},
		{"GET /\r\n\r\n", "505 HTTP version not supported"},
		{"GET /a/b\r\n\r\n", "505 HTTP version not supported"},
		{"GET / HTTP/0.9\r\n\r\n", "505 HTTP version not supported"},
		{"GET / HTTP/2.0\r\n\r\n", "505 HTTP version not supported"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP version not supported"},
		{"GET / HTTP/9.9\r\n\r\n", "505 HTTP version not supported"},
		{"GET / HTTP/2\r\n\r\n", "400 malformed HTTP version"},
		{"GET / HTTP/1.10\r\n\r\n", "400 malformed HTTP version"},
		{"GET / HTTP/1.\r\n\r\n", "400 malformed HTTP version"},
		{"GET / HTTP/1.x\r\n\r\n", "400 malformed HTTP version"},
		{"GET / http/1.1\r\n\r\n", "400 malformed HTTP version"},
		{"GET / ICY/1.1\r\n\r\n", "400 malformed HTTP version"},
		{"GET / HTTP/1.1 \r\n\r\n", "400 malformed HTTP version"},
		{"GET / \r\n\r\n", "400 malformed HTTP version"},
		{"GET  / HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET /  HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET\t/ HTTP/1.1\r\n\r\n", "400 invalid method"},
		{"GET /\tHTTP/1.1\r\n\r\n", "400 malformed HTTP version"},
		{" GET / HTTP/1.1\r\n\r\n", "400 invalid method"},
		{"G(T / HTTP/1.1\r\n\r\n", "400 invalid method"},
		{"G\x00T / HTTP/1.1\r\n\r\n", "400 invalid method"},
		{"GET\r\n\r\n", "400 invalid method"},
		{"\nGET / HTTP/1.1\r\n\r\n", "400 line ends with a bare LF"},
		{"\rGET / HTTP/1.1\r\n\r\n", "400 CR without LF"},
		{"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", "400 too many empty lines before the request"},
		{"HTTP/1.1 200 OK\r\n\r\n", "400 invalid method"},
		{"\x16\x03\x01\x02\x00\x01", "400 invalid method"},

		{"GET /a b HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET /\x00 HTTP/1.1\r\n\r\n", "400 control character"},
		{"GET /\x7f HTTP/1.1\r\n\r\n", "400 control character"},
		{"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET /\xc3\xa9012345678 HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET /#f HTTP/1.1\r\n\r\n", "400 request target with a fragment"},
		{"GET a HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET ?a HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET * HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"OPTIONS *a HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET e:80 HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET ftp://e/ HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET http:/e HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET httpx://e HTTP/1.1\r\n\r\n", "400 invalid request target"},
		{"GET http:// HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"GET http:///a HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"GET http://:80/a HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"GET http://u@e/a HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"GET http://e:x/a HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT / HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT e HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT e: HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT e:0 HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT e:65536 HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT :80 HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
		{"CONNECT http://e:80 HTTP/1.1\r\n\r\n", "400 invalid authority in the request target"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			var h traffic.Head
			_, err := http1.ParseRequest(&h, []byte(tt.in), http1.Limits{})
			wantError(t, err, tt.want)
		})
	}
}

// TestParseRequestFields has what is wrong behind a valid request line and one
// valid Host field.
func TestParseRequestFields(t *testing.T) {
	const long = "99999999999999999999"
	for _, tt := range []struct{ in, want string }{
		{"A: b\n\r\n", "400 line ends with a bare LF"},
		{"A: b\r\n\n", "400 line ends with a bare LF"},
		{"A: b\nC: d\r\n\r\n", "400 line ends with a bare LF"},
		{"A: b\rC: d\r\n\r\n", "400 CR without LF"},
		{"A: b\r\r\n\r\n", "400 CR without LF"},
		{"\rA: b\r\n\r\n", "400 CR without LF"},
		{"A\n: b\r\n\r\n", "400 line ends with a bare LF"},
		{"A: b\r\n c\r\n\r\n", "400 folded field line"},
		{"A: b\r\n\tc\r\n\r\n", "400 folded field line"},
		{" A: b\r\n\r\n", "400 folded field line"},
		{"A : b\r\n\r\n", "400 white space before a field's colon"},
		{"A\t: b\r\n\r\n", "400 white space before a field's colon"},
		{"A b\r\n\r\n", "400 white space before a field's colon"},
		{"A\r\n\r\n", "400 field line without a colon"},
		{": b\r\n\r\n", "400 field without a name"},
		{"A\x00: b\r\n\r\n", "400 invalid character in a field name"},
		{"A\xe9: b\r\n\r\n", "400 invalid character in a field name"},
		{"A(: b\r\n\r\n", "400 invalid character in a field name"},
		{"A: \x00\r\n\r\n", "400 control character"},
		{"A: b\x01c\r\n\r\n", "400 control character"},
		{"A: 0123456789\x7f\r\n\r\n", "400 control character"},
		{"A: b\r\n", "400 head ends early"},
		{"A: b\r\n\r", "400 head ends early"},
		{"A: b", "400 head ends early"},
		{"A", "400 head ends early"},
		{"A: b\r\n\r\nX", "400 bytes after the head"},

		{"Host: e\r\n\r\n", "400 a second Host field"},
		{"host: f\r\n\r\n", "400 a second Host field"},

		{"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "400 a second Content-Length field"},
		{"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "400 a second Content-Length field"},
		{"Content-Length: 5, 5\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: 5 5\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length:\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: +5\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: -5\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: 0x5\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: 5.0\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: 9223372036854775808\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: " + long + "\r\n\r\n", "400 invalid Content-Length"},
		{"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400 both Content-Length and Transfer-Encoding"},
		{"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", "400 both Content-Length and Transfer-Encoding"},

		{"Transfer-Encoding: gzip\r\n\r\n", "501 unknown transfer coding"},
		{"Transfer-Encoding: identity\r\n\r\n", "501 unknown transfer coding"},
		{"Transfer-Encoding: xchunked\r\n\r\n", "501 unknown transfer coding"},
		{"Transfer-Encoding: gzip, chunked\r\n\r\n", "501 unknown transfer coding"},
		{"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", "501 unknown transfer coding"},
		{"Transfer-Encoding: gzip;level=1, chunked\r\n\r\n", "501 unknown transfer coding"},
		{"Transfer-Encoding:\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: ,chunked\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: chunked,\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: \"chunked\"\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: chunked;q=1\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: chunked, gzip\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: chunked, chunked\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400 malformed Transfer-Encoding"},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", "400 malformed Transfer-Encoding"},

		{"Connection: x-forwarded-for\r\n\r\n", "400 Connection field not acceptable"},
		{"Connection: close, X-Forwarded-Proto\r\n\r\n", "400 Connection field not acceptable"},
		{"Connection: a b\r\n\r\n", "400 Connection field not acceptable"},
		{"Connection: :path\r\n\r\n", "400 Connection field not acceptable"},
		{"Connection: a,b,c,d,e\r\nConnection: f,g,h,i,j\r\n\r\n", "400 Connection field not acceptable"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			var h traffic.Head
			_, err := http1.ParseRequest(&h, []byte("POST / HTTP/1.1\r\nHost: e\r\n"+tt.in), http1.Limits{})
			wantError(t, err, tt.want)
		})
	}
}

// TestParseRequestMessage has what is wrong with a message as a whole.
func TestParseRequestMessage(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"GET / HTTP/1.1\r\n\r\n", "400 no Host field"},
		{"GET http://e/ HTTP/1.1\r\n\r\n", "400 no Host field"},
		{"CONNECT e:1 HTTP/1.1\r\n\r\n", "400 no Host field"},
		{"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 a second Host field"},
		{"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding in an HTTP/1.0 message"},
		{"CONNECT e:1 HTTP/1.1\r\nHost: e\r\nContent-Length: 1\r\n\r\n", "400 Content-Length where there is no body"},
		{
			"CONNECT e:1 HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n",
			"400 Transfer-Encoding where there is no body",
		},
	} {
		t.Run(tt.in, func(t *testing.T) {
			var h traffic.Head
			_, err := http1.ParseRequest(&h, []byte(tt.in), http1.Limits{})
			wantError(t, err, tt.want)
		})
	}
}
