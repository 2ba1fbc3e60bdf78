//go:build !race

package hpack_test

import (
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestNoAllocations decodes and encodes a request whose path changes, its
// response and trailers, and a malformed request. The race detector allocates
// by itself, so it is not built with it.
func TestNoAllocations(t *testing.T) {
	p := newPeer()
	type block struct {
		b    []byte
		kind hpack.Kind
	}
	var blocks []block
	in := append(typical[:len(typical):len(typical)], "cookie: another=crumb", "content-length: 10",
		"x-token: "+strings.Repeat("abcdefgh", 600))
	for i := range 100 {
		in[3] = ":path: /things/" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		blocks = append(blocks,
			block{p.block(in...), hpack.Request}, block{p.block(typicalAnswer...), hpack.Response},
			block{p.block("grpc-status: 0", "grpc-message: OK"), hpack.Trailers},
			block{p.block("upgrade: h2c"), hpack.Request})
	}
	var (
		d   hpack.Decoder
		h   traffic.Head
		out []byte
	)
	d.Init(4096)
	all := func() {
		for i, b := range blocks {
			h.Reset()
			bad, err := d.Decode(&h, b.b, b.kind, http1.Limits{})
			if err != nil || (bad != nil) != (i%4 == 3) {
				t.Fatal(i, bad, err)
			}
			switch b.kind {
			case hpack.Request:
				out = hpack.AppendRequest(out[:0], &h, d.Length())
			case hpack.Response:
				out = hpack.AppendResponse(out[:0], &h, d.Length())
			case hpack.Trailers:
				out = hpack.AppendTrailers(out[:0], &h)
			}
		}
	}
	// The blocks may be played again: they name only entries of their own, by
	// their distance from the newest one.
	all()
	if n := testing.AllocsPerRun(20, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
