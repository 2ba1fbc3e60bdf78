//go:build !race

package http1_test

import (
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestNoAllocations takes a request and a response through all that a proxy
// does with them, errors and trailers too. The race detector allocates by
// itself, so it is not built with it.
func TestNoAllocations(t *testing.T) {
	var (
		s         http1.Scanner
		req, resp traffic.Head
		body      http1.Body
		out       []byte
		request   = []byte(requestText)
		response  = []byte(responseText)
		absolute  = []byte("GET http://a?b HTTP/1.1\r\nHost: b\r\nConnection: x\r\nX: y\r\nTE: trailers, gzip\r\n\r\n")
		wrong     = []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip;a, b\r\n\r\n")
		method    = []byte("GET")
		chunks    = []byte("5;a=b\r\nhello\r\n0\r\nA: b\r\nHost: c\r\n\r\n")
	)
	exchange := func() {
		for _, in := range [][]byte{request, absolute} {
			s.Reset()
			n, err := s.End(in, http1.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			f, err := http1.ParseRequest(&req, in[:n], http1.Limits{})
			if err != nil || !http1.KeepAlive(&req) {
				t.Fatal(err)
			}
			http1.RemoveHopByHop(&req)
			out = http1.AppendRequest(out[:0], &req, f)
		}
		f, err := http1.ParseResponse(&resp, response, method, http1.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		http1.RemoveHopByHop(&resp)
		out = http1.AppendResponse(out[:0], &resp, f)

		body.Reset(traffic.Framing{Kind: traffic.FramingChunked}, http1.Limits{})
		data, used, done, err := body.Next(chunks)
		if !done || used != len(chunks) || err != nil {
			t.Fatal(used, done, err)
		}
		out = http1.AppendEnd(http1.AppendChunk(out[:0], data), body.Trailers())

		if _, err := http1.ParseRequest(&req, wrong, http1.Limits{}); err == nil {
			t.Fatal("a wrong request was taken")
		}
	}
	if n := testing.AllocsPerRun(100, exchange); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
