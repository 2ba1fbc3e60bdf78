package http1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func TestParseResponse(t *testing.T) {
	for _, tt := range []struct{ name, method, in, want string }{
		{
			"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nHost: x\r\n\r\n",
			"200 \"OK\" 1.1\ncontent-length=\"5\"\nhost=\"x\"\nlength 5\n",
		},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 \"OK\" 1.1\ntransfer-encoding=\"chunked\"\nchunked\n"},
		{"until close", "GET", "HTTP/1.0 200 OK\r\n\r\n", "200 \"OK\" 1.0\nclose\n"},
		{"higher minor version", "GET", "HTTP/1.9 200 OK\r\n\r\n", "200 \"OK\" 1.1\nclose\n"},
		{"empty reason", "GET", "HTTP/1.1 200 \r\n\r\n", "200 \"\" 1.1\nclose\n"},
		{"no reason, no space", "GET", "HTTP/1.1 200\r\n\r\n", "200 \"\" 1.1\nclose\n"},
		{"reason of any text", "GET", "HTTP/1.1 404 n\xf6\t  no \r\n\r\n", "404 \"n\\xf6\\t  no \" 1.1\nclose\n"},
		{"code beyond the classes", "GET", "HTTP/1.1 999 x\r\n\r\n", "999 \"x\" 1.1\nclose\n"},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 \"OK\" 1.1\ncontent-length=\"5\"\nnone\n"},
		{"HEAD, chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 \"OK\" 1.1\ntransfer-encoding=\"chunked\"\nnone\n"},
		{"HEAD, nothing", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200 \"OK\" 1.1\nnone\n"},
		{"head is not HEAD", "head", "HTTP/1.1 200 OK\r\n\r\n", "200 \"OK\" 1.1\nclose\n"},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 \"Not Modified\" 1.1\ncontent-length=\"5\"\nnone\n"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", "204 \"No Content\" 1.1\na=\"b\"\nnone\n"},
		{"204 with length 0", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 \"No Content\" 1.1\nnone\n"},
		{"100", "POST", "HTTP/1.1 100 Continue\r\n\r\n", "100 \"Continue\" 1.1\nnone\n"},
		{
			"101", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			"101 \"Switching Protocols\" 1.1\nconnection=\"upgrade\"\nupgrade=\"websocket\"\nnone\n",
		},
		{"CONNECT", "CONNECT", "HTTP/1.1 200 OK\r\n\r\n", "200 \"OK\" 1.1\nnone\n"},
		{
			"CONNECT, framing fields ignored", "CONNECT",
			"HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: y\r\n\r\n", "200 \"OK\" 1.1\nnone\n",
		},
		{"CONNECT refused", "CONNECT", "HTTP/1.1 400 No\r\nContent-Length: 3\r\n\r\n", "400 \"No\" 1.1\ncontent-length=\"3\"\nlength 3\n"},
		{"white space before the colon", "GET", "HTTP/1.1 200 OK\r\nContent-Length \t: 5\r\n\r\n", "200 \"OK\" 1.1\ncontent-length=\"5\"\nlength 5\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h traffic.Head
			f, err := http1.ParseResponse(&h, []byte(tt.in), []byte(tt.method), http1.Limits{})
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

func TestParseResponseErrors(t *testing.T) {
	for _, tt := range []struct{ method, in, want string }{
		{"GET", "", "400 head ends early"},
		{"GET", "HTTP/1.1 200 OK", "400 head ends early"},
		{"GET", "HTTP/1.1 200 OK\r\n", "400 head ends early"},
		{"GET", "\r\nHTTP/1.1 200 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1 200 OK\n\n", "400 line ends with a bare LF"},
		{"GET", "HTTP/1.1 200 O\rK\r\n\r\n", "400 CR without LF"},
		{"GET", "HTTP/1.1 200 O\x00K\r\n\r\n", "400 control character"},
		{"GET", "HTTP/1.1 20 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1 2000 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1 099 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1 +20 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1 200OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1  200 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1\t200 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.11 200 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/1.1\r\n\r\n", "400 malformed status line"},
		{"GET", "ICY 200 OK..\r\n\r\n", "400 malformed status line"},
		{"GET", "http/1.1 200 OK\r\n\r\n", "400 malformed status line"},
		{"GET", "HTTP/2.0 200 OK\r\n\r\n", "505 HTTP version not supported"},
		{"GET", "HTTP/0.9 200 OK\r\n\r\n", "505 HTTP version not supported"},
		{"GET", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "400 folded field line"},
		{"GET", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "400 invalid character in a field name"},
		{"GET", "HTTP/1.1 200 OK\r\n : c\r\n\r\n", "400 folded field line"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "400 a second Content-Length field"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "400 a second Content-Length field"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "400 invalid Content-Length"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "400 invalid Content-Length"},
		{
			"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			"400 both Content-Length and Transfer-Encoding",
		},
		{"GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding in an HTTP/1.0 message"},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "501 unknown transfer coding"},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501 unknown transfer coding"},
		{"GET", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "400 Content-Length where there is no body"},
		{"GET", "HTTP/1.1 100 Go\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding where there is no body"},
		{"GET", "HTTP/1.1 200 OK\r\nConnection: a,b,c,d,e,f,g,h,i,j\r\n\r\n", "400 Connection field not acceptable"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			var h traffic.Head
			_, err := http1.ParseResponse(&h, []byte(tt.in), []byte(tt.method), http1.Limits{})
			wantError(t, err, tt.want)
		})
	}
	var h traffic.Head
	_, err := http1.ParseResponse(&h, []byte("HTTP/1.1 200 OK\r\n\r\n"), nil, http1.Limits{Bytes: 10})
	wantError(t, err, "431 head too large")
}
