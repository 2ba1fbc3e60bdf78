package http1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
)

// scan feeds in to a new scanner, step more bytes with each call, until it
// knows.
func scan(in []byte, step int, lim http1.Limits) (int, error) {
	var s http1.Scanner
	for have := 0; ; have = min(have+step, len(in)) {
		n, err := s.End(in[:have:have], lim)
		if n > 0 || err != nil || have == len(in) {
			return n, err
		}
	}
}

func TestScanner(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		lim      http1.Limits
		n        int
		err      string
	}{
		{name: "nothing"},
		{name: "part of a request", in: "GET / HTTP/1.1\r\nHost: a\r\n"},
		{name: "part of an empty line", in: "GET / HTTP/1.1\r\nHost: a\r\n\r"},
		{name: "request", in: "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\n", n: 27},
		{name: "response", in: "HTTP/1.1 200 OK\r\n\r\n\n\n", n: 19},
		{name: "empty lines before", in: "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", n: 26},
		{name: "an empty line too many", in: "\r\n\r\n\r\n\r\n\r\n", err: "400 too many empty lines before the request"},
		{name: "CR that may be an empty line", in: "\r"},
		{name: "CR that is none", in: "\rG", err: "400 CR without LF"},
		{name: "bare LF before", in: "\n", err: "400 line ends with a bare LF"},
		{name: "bare LF in the method", in: "GET\n", err: "400 line ends with a bare LF"},
		{name: "bare LF in the start line", in: "GET / HTTP/1.1\n", err: "400 line ends with a bare LF"},
		{name: "bare LF in a field", in: "GET / HTTP/1.1\r\nA: b\n", err: "400 line ends with a bare LF"},
		{name: "bare LF at the end", in: "GET / HTTP/1.1\r\nA: b\r\n\n", err: "400 line ends with a bare LF"},
		{name: "TLS", in: "\x16\x03\x01", err: "400 invalid method"},
		{name: "SSH", in: "SSH-2.0-OpenSSH\r\n", err: "400 invalid method"},
		{name: "SSH, so far", in: "SSH-2.0-OpenSSH"},
		{name: "space first", in: " GET", err: "400 invalid method"},
		{name: "slash after another word", in: "GET/", err: "400 invalid method"},
		{name: "HTTP/2", in: "PRI * HTTP/2.0\r\n", err: "505 HTTP version not supported"},
		{name: "HTTP/0.9", in: "GET /\r\n", err: "505 HTTP version not supported"},
		{name: "no version", in: "GET / x\r\n", err: "400 malformed HTTP version"},
		{name: "at the limit", in: "GET / HTTP/1.1\r\n\r\n", lim: http1.Limits{Bytes: 18}, n: 18},
		{name: "beyond the limit", in: "GET / HTTP/1.1\r\n\r\n", lim: http1.Limits{Bytes: 17}, err: "431 head too large"},
		{name: "long method", in: strings.Repeat("x", 20), lim: http1.Limits{Bytes: 20}, err: "431 head too large"},
		{name: "fields", in: "GET / HTTP/1.1\r\nA: b\r\nA: b\r\n", lim: http1.Limits{Fields: 1}, err: "431 too many fields"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				n, err := scan([]byte(tt.in), step, tt.lim)
				if tt.err != "" {
					wantError(t, err, tt.err)
				} else if err != nil || n != tt.n {
					t.Errorf("step %d: %d, %v, want %d", step, n, err, tt.n)
				}
			}
		})
	}
}

func TestScannerReset(t *testing.T) {
	var s http1.Scanner
	in := []byte(requestText + responseText)
	for _, want := range []int{len(requestText), len(responseText)} {
		n, err := s.End(in, http1.Limits{})
		if n != want || err != nil {
			t.Fatalf("%d, %v, want %d", n, err, want)
		}
		s.Reset()
		in = in[n:]
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte(requestText), uint8(3), uint16(0), uint8(0))
	f.Add([]byte(responseText), uint8(1), uint16(0), uint8(5))
	f.Add([]byte("\r\n\r\nGET / HTTP/1.0\r\n\r\nGET /"), uint8(1), uint16(0), uint8(0))
	f.Add([]byte("\r"), uint8(1), uint16(1), uint8(0))
	f.Add([]byte("GET / HTTP/1.1\nA: b\n\n"), uint8(2), uint16(9), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, step uint8, limit uint16, fields uint8) {
		lim := http1.Limits{Bytes: int(limit), Fields: int(fields)}
		n, err := scan(in, len(in)+1, lim)
		m, err2 := scan(in, int(step)+1, lim)
		if n != m || !errors.Is(err2, err) {
			t.Fatalf("whole: %d, %v; by %d: %d, %v", n, err, int(step)+1, m, err2)
		}
		if n > len(in) || n > 0 && !strings.HasSuffix(string(in[:n]), "\r\n\r\n") {
			t.Fatalf("head of %d bytes", n)
		}
		checkScannerFits(t, in, n, err, lim)
	})
}

// checkScannerFits fails if the scanner refused what the parsers take, or
// measured it wrongly.
func checkScannerFits(t *testing.T, in []byte, n int, err error, lim http1.Limits) {
	t.Helper()
	end := strings.Index(string(in), "\r\n\r\n") + 4
	for end < len(in) && strings.Trim(string(in[:end]), "\r\n") == "" {
		next := strings.Index(string(in[end-2:]), "\r\n\r\n")
		if next < 0 {
			return
		}
		end += next + 2
	}
	if end < 4 || n == end {
		return
	}
	if parses(in[:end], lim) {
		t.Fatalf("scanner says %d, %v of %q, which is a valid head", n, err, in[:end])
	}
}
