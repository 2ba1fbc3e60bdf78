package hpack_test

import (
	"testing"

	stock "golang.org/x/net/http2/hpack"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// block is what a connection has seen first, and what it sees ever again.
type block struct {
	name        string
	first, then []byte
	kind        hpack.Kind
}

func benchBlocks() []block {
	p, q := newPeer(), newPeer()
	changing := append([]string{}, typical...)
	changing[3] = ":path: /api/v1/things?limit=20&after=b0f1cc&more=yes"
	plain := encode(typical...)
	return []block{
		{"request, indexed", p.block(typical...), p.block(typical...), hpack.Request},
		{"request, literals", plain, plain, hpack.Request},
		{"request, Huffman", nil, newPeer().block(changing...), hpack.Request},
		{"response, indexed", q.block(typicalAnswer...), q.block(typicalAnswer...), hpack.Response},
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range benchBlocks() {
		b.Run(c.name, func(b *testing.B) {
			var d hpack.Decoder
			var h traffic.Head
			d.Init(4096)
			decode := func(block []byte) {
				h.Reset()
				if bad, err := d.Decode(&h, block, c.kind, http1.Limits{}); err != nil || bad != nil && block != nil {
					b.Fatal(bad, err)
				}
			}
			decode(c.first)
			b.ReportAllocs()
			for b.Loop() {
				decode(c.then)
			}
		})
		b.Run("stock "+c.name, func(b *testing.B) {
			d := stock.NewDecoder(4096, func(stock.HeaderField) {})
			decode := func(block []byte) {
				if _, err := d.Write(block); err != nil {
					b.Fatal(err)
				}
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
			}
			decode(c.first)
			b.ReportAllocs()
			for b.Loop() {
				decode(c.then)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	request, response := head(typical...), head(typicalAnswer...)
	var out []byte
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out = hpack.AppendRequest(out[:0], request, hpack.NoLength)
		}
	})
	b.Run("response", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out = hpack.AppendResponse(out[:0], response, 1290)
		}
	})
}
