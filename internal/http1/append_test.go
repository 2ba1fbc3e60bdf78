package http1_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// newHead makes a request head, or with a status a response head, of fields
// "name: value".
func newHead(status int, method, authority, path string, fields ...string) *traffic.Head {
	h := new(traffic.Head)
	h.Reset()
	h.Status = status
	if status == 0 {
		h.SetMethod([]byte(method))
		h.SetAuthority([]byte(authority))
		h.SetPath([]byte(path))
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, []byte(value))
	}
	return h
}

func TestAppendRequest(t *testing.T) {
	length := traffic.Framing{Kind: traffic.FramingLength, Length: 5}
	for _, tt := range []struct {
		name string
		h    *traffic.Head
		f    traffic.Framing
		want string
	}{
		{"plain", newHead(0, "GET", "a:1", "/x?y", "b: c", "d: "), traffic.Framing{}, "GET /x?y HTTP/1.1\r\nhost: a:1\r\nb: c\r\nd: \r\n\r\n"},
		{"no path, no authority", newHead(0, "GET", "", ""), traffic.Framing{}, "GET / HTTP/1.1\r\nhost: \r\n\r\n"},
		{"asterisk", newHead(0, "OPTIONS", "a", "*"), traffic.Framing{}, "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"},
		{"CONNECT", newHead(0, "CONNECT", "a:1", ""), traffic.Framing{}, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n"},
		{"length", newHead(0, "PUT", "a", "/"), length, "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n"},
		{
			"length in its place, once", newHead(0, "PUT", "a", "/", "content-length: 7", "b: c", "content-length: 7"), length,
			"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nb: c\r\n\r\n",
		},
		{
			"length instead of chunks", newHead(0, "PUT", "a", "/", "transfer-encoding: chunked"), length,
			"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n",
		},
		{
			"chunks instead of a length", newHead(0, "PUT", "a", "/", "content-length: 7", "transfer-encoding: gzip"), chunked,
			"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
		},
		{
			"a length of no body is 0", newHead(0, "PUT", "a", "/", "content-length: 7", "b: c"),
			traffic.Framing{},
			"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nb: c\r\n\r\n",
		},
		{"one Host only", newHead(0, "GET", "a", "/", "host: b"), traffic.Framing{}, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := http1.AppendRequest([]byte("+"), tt.h, tt.f)
			if diff := cmp.Diff("+"+tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAppendResponse(t *testing.T) {
	length := traffic.Framing{Kind: traffic.FramingLength, Length: 5}
	closing := traffic.Framing{Kind: traffic.FramingClose}
	for _, tt := range []struct {
		name string
		h    *traffic.Head
		f    traffic.Framing
		want string
	}{
		{"length", newHead(200, "", "", "", "a: b"), length, "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\n"},
		{"length 0", newHead(200, "", "", ""), traffic.Framing{Kind: traffic.FramingLength}, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
		{
			"chunked", newHead(404, "", "", "", "content-length: 5", "transfer-encoding: chunked"), chunked,
			"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n",
		},
		{
			"until close", newHead(200, "", "", "", "content-length: 5", "connection: close"), closing,
			"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
		},
		{
			"HEAD or 304 keep the length", newHead(304, "", "", "", "content-length: 77", "transfer-encoding: chunked"),
			traffic.Framing{},
			"HTTP/1.1 304 Not Modified\r\ncontent-length: 77\r\n\r\n",
		},
		{"HEAD without a length", newHead(200, "", "", ""), traffic.Framing{}, "HTTP/1.1 200 OK\r\n\r\n"},
		{"204 has none", newHead(204, "", "", "", "content-length: 5"), traffic.Framing{}, "HTTP/1.1 204 No Content\r\n\r\n"},
		{
			"101", newHead(101, "", "", "", "content-length: 5", "upgrade: websocket"),
			traffic.Framing{},
			"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
		},
		{"unknown status", newHead(799, "", "", ""), traffic.Framing{}, "HTTP/1.1 799 \r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := http1.AppendResponse([]byte("+"), tt.h, tt.f)
			if diff := cmp.Diff("+"+tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	h := newHead(200, "", "", "")
	h.SetReason([]byte("Fine"))
	if got := string(http1.AppendResponse(nil, h, traffic.Framing{})); got != "HTTP/1.1 200 Fine\r\n\r\n" {
		t.Errorf("own reason: %q", got)
	}
}

func TestAppendChunks(t *testing.T) {
	got := http1.AppendChunk([]byte("+"), []byte("abc"))
	got = http1.AppendChunk(got, nil)
	got = http1.AppendChunkHead(got, 0xFF0)
	got = http1.AppendChunkHead(got, 0)
	got = http1.AppendEnd(got, newHead(200, "", "", "", "a: b", "host: c", "content-length: 1"))
	got = http1.AppendEnd(got, nil)
	if diff := cmp.Diff("+3\r\nabc\r\nff0\r\n0\r\na: b\r\n\r\n0\r\n\r\n", string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRoundTrip writes any valid head and reads it again.
func TestRoundTrip(t *testing.T) {
	token := rapid.StringMatching("[a-z0-9!#$%&'*+.^_`|~-]{1,20}").Filter(func(s string) bool {
		return s != "host" && s != "connection" && s != "content-length" && s != "transfer-encoding"
	})
	value := rapid.StringMatching(`([!-~\x{80}-\x{ff}]([!-~ \t]{0,30}[!-~])?)?`)
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for range rapid.IntRange(0, 12).Draw(t, "fields") {
			lines = append(lines, token.Draw(t, "name")+": "+value.Draw(t, "value"))
		}
		f := traffic.Framing{Kind: traffic.FramingKind(rapid.IntRange(0, 2).Draw(t, "framing"))}
		if f.Kind == traffic.FramingLength {
			f.Length = rapid.Int64Min(0).Draw(t, "length")
			lines = append(lines, fmt.Sprintf("content-length: %d", f.Length))
		} else if f.Kind == traffic.FramingChunked {
			lines = append(lines, "transfer-encoding: chunked")
		}
		method := rapid.StringMatching("[A-Z]{1,10}").Filter(func(s string) bool { return s != "CONNECT" }).Draw(t, "method")
		path := "/" + rapid.StringMatching(`[!"$-~]{0,40}`).Draw(t, "path")
		want := newHead(0, method, rapid.StringMatching(`[a-z0-9.-]{0,20}(:[0-9]{1,5})?`).Draw(t, "authority"), path, lines...)
		var got traffic.Head
		f2, err := http1.ParseRequest(&got, http1.AppendRequest(nil, want, f), http1.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(describe(want, f), describe(&got, f2)); diff != "" {
			t.Fatalf("request (-want +got)\n%s", diff)
		}

		want = newHead(rapid.SampledFrom([]int{200, 201, 404, 503, 799}).Draw(t, "status"), "", "", "", lines...)
		want.SetReason([]byte(value.Filter(func(s string) bool { return s != "" }).Draw(t, "reason")))
		if f.Kind == traffic.FramingNone {
			f.Kind = traffic.FramingClose
		}
		f2, err = http1.ParseResponse(&got, http1.AppendResponse(nil, want, f), []byte("GET"), http1.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(describe(want, f), describe(&got, f2)); diff != "" {
			t.Fatalf("response (-want +got)\n%s", diff)
		}
	})
}
