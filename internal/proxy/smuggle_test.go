package proxy_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// smuggled is what a reader who reads a message otherwise would take for the
// next request.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// TestAmbiguousRequests sends messages that can be read in two ways. Each is
// refused and ends its connection; no primary ever sees what hides in it.
func TestAmbiguousRequests(t *testing.T) {
	var hidden atomic.Int32
	primary := peer(t, func(w *wire) {
		for r, _ := w.request(); r != nil; r, _ = w.request() {
			if r.URL.Path != "/" {
				hidden.Add(1)
			}
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	sink := &recorder{}
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
	const post = "POST / HTTP/1.1\r\nHost: x\r\n"
	large := "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 70<<10) + "\r\n\r\n"
	many := "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 200) + "\r\n"
	for i, tt := range []struct {
		name, in string
		status   int
	}{
		{"length and chunked", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n", 400},
		{"two lengths", post + "Content-Length: 0\r\nContent-Length: 35\r\n\r\n", 400},
		{"the same length twice", post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400},
		{"list of lengths", post + "Content-Length: 0, 0\r\n\r\n", 400},
		{"length with a plus", post + "Content-Length: +0\r\n\r\n", 400},
		{"negative length", post + "Content-Length: -1\r\n\r\n", 400},
		{"hexadecimal length", post + "Content-Length: 0x0\r\n\r\n", 400},
		{"length too long", post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
		{"empty length", post + "Content-Length: \r\n\r\n", 400},
		{"two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400},
		{"chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
		{"chunked is not last", post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400},
		{"unknown coding", post + "Transfer-Encoding: gzip\r\n\r\n", 501},
		{"disguised coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
		{"vertical tab before the coding", post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400},
		{"quoted coding", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"space before the colon", post + "Content-Length : 35\r\n\r\n", 400},
		{"tab before the colon", post + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400},
		{"folded line", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\n", 400},
		{"bare LF before a field", "GET / HTTP/1.1\r\nHost: x\nContent-Length: 35\r\n\r\n", 400},
		{"bare CR", "GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 35\r\n\r\n", 400},
		{"NUL", "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		{"bad Host", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400},
		{"user in the target", "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"space in the target", "GET / / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"bad method", "GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"forwarded address as an option", "GET / HTTP/1.1\r\nHost: x\r\nConnection: x-forwarded-for\r\n\r\n", 400},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
		{"HTTP/0.9", "GET /\r\n", 505},
		{"head too large", large, 431},
		{"too many fields", many, 431},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, addr)
			go c.send("%s", tt.in+smuggled)
			resp, _ := c.response("POST")
			if resp.StatusCode != tt.status || !resp.Close {
				t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
			}
			c.wantEnd("after the refusal")
			if got := sink.wait(t, traffic.Answered, i).primary; got.Status != tt.status || got.Flags != "DPE" || got.Upstream != "" {
				t.Errorf("recorded %+v", got)
			}
		})
	}
	for _, tt := range []struct{ name, in string }{
		{"bad chunk size", "z\r\n"},
		{"chunk size with a sign", "+1\r\na\r\n0\r\n\r\n"},
		{"chunk size with a space", "1 \r\na\r\n0\r\n\r\n"},
		{"chunk size with 0x", "0x1\r\na\r\n0\r\n\r\n"},
		{"chunk size too large", "10000000000000000\r\n"},
		{"chunk size ends in LF", "1\na\r\n0\r\n\r\n"},
		{"no CRLF after a chunk", "1\r\nab\r\n0\r\n\r\n"},
		{"LF after a chunk", "1\r\na\n0\r\n\r\n"},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, addr)
			go c.send("%s", post+"Transfer-Encoding: chunked\r\n\r\n"+tt.in+smuggled)
			if resp, _ := c.response("POST"); resp.StatusCode != 400 || !resp.Close {
				t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
			}
			c.wantEnd("after the refusal")
		})
	}
	if n := hidden.Load(); n > 0 {
		t.Errorf("%d smuggled requests reached the primary", n)
	}
}

// TestAmbiguousAnswers wants a primary's doubtful answer not to be passed on.
func TestAmbiguousAnswers(t *testing.T) {
	for _, tt := range []struct{ name, out string }{
		{"garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
		{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"},
		{"101 unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"},
		{"head too large", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 70<<10) + "\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			primary := peer(t, func(w *wire) {
				if r, _ := w.request(); r != nil {
					w.send("%s", tt.out)
					_, _ = w.rest()
				}
			})
			sink := &recorder{}
			_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, body := c.response("GET")
			if want := "upstream connect error or disconnect/reset before headers. reset reason: protocol error"; resp.StatusCode != 502 || body != want {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
			got := sink.wait(t, traffic.Answered, 0).primary
			if got.Flags != "UPE" || got.Details != "upstream_reset_before_response_started{protocol_error}" || got.Status != 502 {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}
