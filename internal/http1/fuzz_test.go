package http1_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// parses reports whether b is a valid head of a request or a response.
func parses(b []byte, lim http1.Limits) bool {
	var h traffic.Head
	if _, err := http1.ParseRequest(&h, b, lim); err == nil {
		return true
	}
	_, err := http1.ParseResponse(&h, b, []byte("GET"), lim)
	return err == nil
}

// seeds are heads that the fuzzers start from.
var seeds = []string{
	requestText,
	responseText,
	"GET http://u@[::1]:80/?a#b HTTP/1.0\r\nhost: %41\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\nConnection: te, x\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost:a\r\nContent-Length: 5, 5\r\nX: \t\x80\r\n\r\nhello",
	"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n b\r\nC : d\r\n\r\n",
	"HTTP/1.0 304\r\nContent-Length : 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 204 x\r\nContent-Length: 0\r\nTrailer: a\r\n\r\n",
	"\r\nPOST /%zz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nA: b\r\nHost: c\r\n\r\n",
	"POST http://a/b?c HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"PUT /\xc3\xa9 HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\nabc\n0\n\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n03 \r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
	"HTTP/1.1 100 Continue\r\nConnection: x-forwarded-for, a\r\n\r\nHTTP/1.1 200\r\n\r\nbody",
	"HTTP/1.1 101 x\r\nUpgrade: a\nConnection: close\r\n\r\n",
}

func FuzzRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = in[:headLen(in)]
		var h, h2 traffic.Head
		before := bytes.Clone(in)
		fr, err := http1.ParseRequest(&h, in, http1.Limits{})
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			wantFixedError(t, err)
			return
		}
		checkHead(t, &h)
		wire := http1.AppendRequest(nil, &h, fr)
		fr2, err := http1.ParseRequest(&h2, wire, http1.Limits{Bytes: 1 << 20, Fields: 200})
		if err != nil {
			t.Fatalf("%q is %q when written, which is refused: %v", in, wire, err)
		}
		h.Minor = 1
		h.SetScheme(nil) // a request goes out in origin form
		if diff := cmp.Diff(canonical(&h, fr), canonical(&h2, fr2)); diff != "" {
			t.Fatalf("(-in +again)\n%s", diff)
		}
		http1.RemoveHopByHop(&h)
		if h.Has("connection") || h.Has("transfer-encoding") || !http1.KeepAlive(&h) {
			t.Fatalf("hop-by-hop fields left: %s", fields(&h))
		}
	})
}

func FuzzResponse(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []string{"GET", "HEAD", "CONNECT"}[i%3])
	}
	f.Fuzz(func(t *testing.T, in []byte, method string) {
		in = in[:headLen(in)]
		var h, h2 traffic.Head
		before := bytes.Clone(in)
		fr, err := http1.ParseResponse(&h, in, []byte(method), http1.Limits{})
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			wantFixedError(t, err)
			return
		}
		checkHead(t, &h)
		wire := http1.AppendResponse(nil, &h, fr)
		fr2, err := http1.ParseResponse(&h2, wire, []byte(method), http1.Limits{Bytes: 1 << 20, Fields: 200})
		if err != nil {
			t.Fatalf("%q is %q when written, which is refused: %v", in, wire, err)
		}
		if len(h.Reason()) == 0 {
			h.SetReason(h2.Reason())
		}
		h.Minor = 1
		if diff := cmp.Diff(canonical(&h, fr), canonical(&h2, fr2)); diff != "" {
			t.Fatalf("(-in +again)\n%s", diff)
		}
	})
}

// headLen is the length of the head at the start of in, or all of it.
func headLen(in []byte) int {
	n, err := scan(in, len(in)+1, http1.Limits{})
	if err != nil || n == 0 {
		return len(in)
	}
	return n
}

// canonical describes a head without the spelling of its framing fields.
func canonical(h *traffic.Head, f traffic.Framing) string {
	var c traffic.Head
	c.CopyFrom(h)
	c.Del("transfer-encoding")
	if f.Kind == traffic.FramingLength {
		c.Del("content-length")
	}
	return describe(&c, f)
}

// checkHead fails if h holds something that must never get past the parser.
func checkHead(t *testing.T, h *traffic.Head) {
	t.Helper()
	control := func(b []byte) bool {
		return bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
	}
	for _, part := range [][]byte{h.Method(), h.Scheme(), h.Authority(), h.Path()} {
		if control(part) || bytes.ContainsAny(part, " \t#") && !bytes.Equal(part, h.Method()) {
			t.Fatalf("control data %q", part)
		}
	}
	for i := range h.Len() {
		name, value := h.Field(i)
		if len(name) == 0 || control(name) || bytes.ContainsAny(name, " \t:") || string(bytes.ToLower(name)) != string(name) {
			t.Fatalf("field name %q", name)
		}
		if control(value) || strings.Trim(string(value), " \t") != string(value) {
			t.Fatalf("field value %q", value)
		}
	}
}

func wantFixedError(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*http1.Error) //nolint:errorlint // it must be one, not wrap one
	if !ok || e.Reason == "" || e.Details == "" {
		t.Fatalf("error %#v", err)
	}
	switch e.Status {
	case 400, 431, 501, 505:
	default:
		t.Fatalf("status %d of %q", e.Status, e.Reason)
	}
}

// TestSeedCorpus wants every fuzz target to have findings of earlier runs to
// start from.
func TestSeedCorpus(t *testing.T) {
	for _, target := range []string{"FuzzRequest", "FuzzResponse", "FuzzBody", "FuzzScanner", "FuzzNetHTTPRequest", "FuzzNetHTTPResponse"} {
		entries, err := os.ReadDir("testdata/fuzz/" + target)
		if err != nil || len(entries) == 0 {
			t.Errorf("no corpus for %s: %v", target, err)
		}
	}
}
