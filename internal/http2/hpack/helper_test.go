package hpack_test

import (
	"strings"

	stock "golang.org/x/net/http2/hpack"

	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// encode writes "name: value" lines as literals that leave the table alone.
func encode(lines ...string) (b []byte) {
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1
		name, value := l[:i], strings.TrimPrefix(l[i+1:], " ")
		b = append(b, 0)
		b = hpack.AppendInt(b, 0, 7, uint64(len(name)))
		b = append(b, name...)
		b = hpack.AppendInt(b, 0, 7, uint64(len(value)))
		b = append(b, value...)
	}
	return b
}

// lines shows a head as encode takes it, control data first.
func lines(h *traffic.Head) (out []string) {
	add := func(name string, value []byte) {
		if len(value) > 0 {
			out = append(out, name+": "+string(value))
		}
	}
	add(":method", h.Method())
	add(":scheme", h.Scheme())
	add(":authority", h.Authority())
	add(":path", h.Path())
	if h.Status != 0 {
		out = append(out, ":status: "+string([]byte{
			byte('0' + h.Status/100), byte('0' + h.Status/10%10), byte('0' + h.Status%10),
		}))
	}
	for i := range h.Len() {
		name, value := h.Field(i)
		out = append(out, string(name)+": "+string(value))
	}
	return out
}

// peer is the stock codec, which sends what ours must read.
type peer struct {
	*stock.Encoder
	buf strings.Builder
}

func newPeer() *peer {
	p := &peer{}
	p.Encoder = stock.NewEncoder(&p.buf)
	return p
}

// block encodes "name: value" lines with the dynamic table.
func (p *peer) block(lines ...string) []byte {
	p.buf.Reset()
	for _, l := range lines {
		i := strings.Index(l[1:], ":") + 1
		f := stock.HeaderField{Name: l[:i], Value: strings.TrimPrefix(l[i+1:], " ")}
		if err := p.WriteField(f); err != nil {
			panic(err)
		}
	}
	return []byte(p.buf.String())
}

var typical = []string{
	":method: GET",
	":scheme: https",
	":authority: www.example.com:8443",
	":path: /api/v1/things?limit=20&after=af93b0",
	"user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"accept-language: en-US,en;q=0.5",
	"accept-encoding: gzip, deflate, br, zstd",
	"te: trailers",
	"authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.aQ",
	"x-request-id: 5d7fe0b9-2a10-4d4c-b3b7-3a52a6a5a4a1",
	"cookie: session=a3fWa; theme=dark",
}

var typicalAnswer = []string{
	":status: 200",
	"content-type: application/json",
	"content-length: 1290",
	"date: Mon, 21 Oct 2013 20:13:21 GMT",
	"server: sundog",
	"cache-control: private, max-age=0",
	"x-envoy-upstream-service-time: 3",
	"set-cookie: session=a3fWa; Path=/; HttpOnly",
}
