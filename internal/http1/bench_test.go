package http1_test

import (
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// A request and a response of ten fields each, as browsers and services send
// them.
const (
	requestText = "GET /api/v1/products/1234?currency=EUR&lang=en HTTP/1.1\r\n" +
		"Host: productpage.example.com:8000\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\n" +
		"Connection: keep-alive\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
		"X-Request-Id: 6c1f8f4e-6a3e-4a47-9d3f-7f2f0a1d9b10\r\n" +
		"X-Forwarded-For: 203.0.113.7\r\n" +
		"Cache-Control: no-cache\r\n\r\n"

	responseText = "HTTP/1.1 200 OK\r\n" +
		"Server: gunicorn/20.1.0\r\n" +
		"Date: Mon, 27 Jul 2026 12:28:53 GMT\r\n" +
		"Connection: keep-alive\r\n" +
		"Content-Type: application/json; charset=utf-8\r\n" +
		"Content-Length: 512\r\n" +
		"Access-Control-Allow-Origin: *\r\n" +
		"Access-Control-Allow-Credentials: true\r\n" +
		"Cache-Control: private, max-age=0\r\n" +
		"Etag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n" +
		"Vary: Accept-Encoding\r\n\r\n"
)

func BenchmarkScanner(b *testing.B) {
	text := []byte(requestText)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var s http1.Scanner
		if n, err := s.End(text, http1.Limits{}); n != len(text) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	var h traffic.Head
	text := []byte(requestText)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := http1.ParseRequest(&h, text, http1.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseResponse(b *testing.B) {
	var h traffic.Head
	text := []byte(responseText)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := http1.ParseResponse(&h, text, []byte("GET"), http1.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	var h traffic.Head
	f, err := http1.ParseRequest(&h, []byte(requestText), http1.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	http1.RemoveHopByHop(&h)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = http1.AppendRequest(dst[:0], &h, f)
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var h traffic.Head
	f, err := http1.ParseResponse(&h, []byte(responseText), []byte("GET"), http1.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	http1.RemoveHopByHop(&h)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = http1.AppendResponse(dst[:0], &h, f)
	}
}

// BenchmarkHopByHop is what a proxy does to a request between reading and
// writing it, parsing included.
func BenchmarkHopByHop(b *testing.B) {
	var h traffic.Head
	text := []byte(requestText)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := http1.ParseRequest(&h, text, http1.Limits{}); err != nil {
			b.Fatal(err)
		}
		if !http1.KeepAlive(&h) {
			b.Fatal("must persist")
		}
		http1.RemoveHopByHop(&h)
	}
}

// BenchmarkBody decodes a body of sixteen chunks of 1 KiB.
func BenchmarkBody(b *testing.B) {
	var text []byte
	for range 16 {
		text = http1.AppendChunk(text, make([]byte, 1024))
	}
	text = http1.AppendEnd(text, nil)
	var d http1.Body
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(traffic.Framing{Kind: traffic.FramingChunked}, http1.Limits{})
		rest := text
		for done := false; !done; {
			_, used, end, err := d.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest, done = rest[used:], end
		}
	}
}
