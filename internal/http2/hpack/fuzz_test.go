package hpack_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"
	stock "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// twins are our decoder, twice, and the stock one, on the same connection.
type twins struct {
	raw, ours hpack.Decoder
	stock     *stock.Decoder
	h         traffic.Head
}

func newTwins(setting uint32) *twins {
	w := &twins{stock: stock.NewDecoder(4096, nil)}
	w.stock.SetAllowedMaxDynamicTableSize(setting)
	w.raw.Init(setting)
	w.ours.Init(setting)
	return w
}

// tb is what a fuzz test and a rapid test have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// block gives the next block to all, and reports whether the connection goes on.
//
// The stock decoder takes a table size update for late only if its table is
// not empty, and a second one at the start of a block too, which RFC 7541,
// section 4.2, allows. Where the two differ so, the comparison ends.
func (w *twins) block(t tb, block []byte, kind hpack.Kind) bool {
	t.Helper()
	got, err := w.raw.Raw(block)
	list, stockErr := w.stock.DecodeFull(block)
	if (err == nil) != (stockErr == nil) {
		late := err != nil && strings.Contains(err.Error(), "size update after a field")
		second := stockErr != nil && strings.Contains(stockErr.Error(), "beginning of a header block")
		if late || second {
			return false
		}
		t.Fatalf("%x: %v, stock: %v", block, err, stockErr)
	}
	w.h.Reset()
	bad, err2 := w.ours.Decode(&w.h, block, kind, http1.Limits{})
	if (err == nil) != (err2 == nil) {
		t.Fatalf("%x: Decode: %v, before: %v", block, err2, err)
	}
	if err != nil {
		return false
	}
	var want []hpack.Field
	for _, f := range list {
		want = append(want, hpack.Field{Name: f.Name, Value: f.Value})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%x (-stock +ours)\n%s", block, diff)
	}
	fields, size := w.raw.Table()
	again, size2 := w.ours.Table()
	if size != size2 || !cmp.Equal(fields, again) {
		t.Fatalf("%x: the table depends on the message", block)
	}
	if bad == nil {
		wellFormed(t, want)
		if diff := cmp.Diff(message(want, kind), lines(&w.h)); diff != "" {
			t.Fatalf("%x (-want +got)\n%s", block, diff)
		}
		w.again(t, kind)
	}
	return true
}

// wellFormed checks a list of fields that Decode has taken, by other means.
func wellFormed(t tb, list []hpack.Field) {
	t.Helper()
	seen := map[string]bool{}
	regular := false
	for _, f := range list {
		name, pseudo := strings.CutPrefix(f.Name, ":")
		if pseudo && (regular || seen[name] || f.Value == "") {
			t.Fatalf("%q: %s was taken where or as it stands", list, f.Name)
		}
		seen[name] = pseudo
		regular = regular || !pseudo
		if !httpguts.ValidHeaderFieldName(name) || name != strings.ToLower(name) ||
			!httpguts.ValidHeaderFieldValue(f.Value) || strings.Trim(f.Value, " \t") != f.Value {
			t.Fatalf("%q: %q was taken", list, f)
		}
	}
}

// message says what a head must hold of a list of fields that is well formed.
func message(list []hpack.Field, kind hpack.Kind) (out []string) {
	control := map[string]string{}
	cookies, lengths := 0, 0
	noBody := false
	for _, f := range list {
		if f.Name[0] == ':' {
			control[f.Name] = f.Value
		}
		noBody = noBody || f.Name == ":method" && f.Value == "CONNECT" ||
			f.Name == ":status" && (f.Value[0] == '1' || f.Value == "204")
	}
	for _, f := range list {
		line := f.Name + ": " + f.Value
		switch {
		case f.Name[0] == ':':
			continue
		case kind == hpack.Request && f.Name == "host":
			control[":authority"] = strings.TrimSpace(control[":authority"])
			if control[":authority"] == "" {
				control[":authority"] = f.Value
			}
			continue
		case kind == hpack.Request && f.Name == "cookie":
			if cookies++; cookies > 1 {
				for i, l := range out {
					if strings.HasPrefix(l, "cookie: ") {
						out[i] = l + "; " + f.Value
					}
				}
				continue
			}
		case kind == hpack.Trailers:
			if strings.Contains(" authorization content-encoding content-length content-range content-type cookie expect host "+
				"max-forwards proxy-authorization set-cookie te trailer ", " "+f.Name+" ") {
				continue
			}
		case f.Name == "content-length":
			if lengths++; lengths > 1 || noBody {
				continue
			}
		}
		out = append(out, line)
	}
	var first []string
	for _, name := range []string{":method", ":scheme", ":authority", ":path", ":status"} {
		if v := control[name]; v != "" {
			if name == ":scheme" {
				v = strings.ToLower(v)
			}
			first = append(first, name+": "+v)
		}
	}
	return append(first, out...)
}

// again encodes the head just read, which must come out as it is.
func (w *twins) again(t tb, kind hpack.Kind) {
	t.Helper()
	var block []byte
	switch kind {
	case hpack.Request:
		block = hpack.AppendRequest(nil, &w.h, w.ours.Length())
	case hpack.Response:
		block = hpack.AppendResponse(nil, &w.h, w.ours.Length())
	case hpack.Trailers:
		block = hpack.AppendTrailers(nil, &w.h)
	}
	var d hpack.Decoder
	var h traffic.Head
	d.Init(0)
	h.Reset()
	bad, err := d.Decode(&h, block, kind, http1.Limits{Bytes: 1 << 20})
	if bad != nil || err != nil {
		t.Fatalf("%x, which the encoder wrote for %q: %v, %v", block, lines(&w.h), bad, err)
	}
	// A zero before a length and the like are lost.
	if got, want := h.Len(), w.h.Len(); got != want {
		t.Fatalf("%d fields went in, %d came out", want, got)
	}
}

// pack writes blocks as FuzzDecode takes them.
func pack(kind byte, setting uint16, blocks ...[]byte) []byte {
	out := binary.BigEndian.AppendUint16([]byte{kind}, setting)
	for _, b := range blocks {
		out = binary.BigEndian.AppendUint16(out, uint16(len(b)))
		out = append(out, b...)
	}
	return out
}

// FuzzDecode compares with the stock decoder over several blocks of one
// connection: same fields, same tables, errors for the same blocks.
func FuzzDecode(f *testing.F) {
	p := newPeer()
	p.SetMaxDynamicTableSize(200)
	f.Add(pack(0, 4096, p.block(typical...), p.block(typical...), p.block(typical[:8]...)))
	p = newPeer()
	f.Add(pack(1, 4096, p.block(typicalAnswer...), p.block(typicalAnswer...)))
	f.Add(pack(2, 0, p.block("grpc-status: 0", "grpc-message: "), p.block("grpc-status: 0")))
	f.Add(pack(0, 4096, encode(split(getHost+"host: a.example:80|cookie: a|cookie: b|content-length: 3")...)))
	f.Add(pack(0, 100, []byte("\x20\x3f\x45\x40\x01a\x01b"), []byte("\xbe\x7e\x01c\xbf"), []byte("\x3f\x03\xbe")))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < 3 {
			return
		}
		kind, setting := hpack.Kind(in[0]%3), uint32(binary.BigEndian.Uint16(in[1:]))
		in = in[3:]
		w := newTwins(setting)
		for len(in) >= 2 {
			n := min(int(binary.BigEndian.Uint16(in)), len(in)-2)
			if !w.block(t, in[2:2+n], kind) {
				return
			}
			in = in[2+n:]
		}
	})
}

// TestTwins gives both decoders long connections of well-formed blocks: small
// tables, so that entries are evicted and the buffer goes round many times.
func TestTwins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		setting := rapid.SampledFrom([]uint32{0, 64, 200, 1000, 4096, 9000}).Draw(t, "setting")
		w := newTwins(setting)
		entries := 0 // at least so many, as a guess for indices
		for range rapid.IntRange(1, 12).Draw(t, "blocks") {
			var b []byte
			if rapid.IntRange(0, 4).Draw(t, "update") == 0 {
				b = hpack.AppendInt(b, 0x20, 5, uint64(rapid.Uint32Range(0, setting).Draw(t, "size")))
				entries = 0
			}
			for range rapid.IntRange(0, 20).Draw(t, "fields") {
				kind := rapid.SampledFrom([]byte{0x80, 0x40, 0x40, 0x40, 0x00, 0x10}).Draw(t, "representation")
				prefix := map[byte]int{0x80: 7, 0x40: 6, 0x00: 4, 0x10: 4}[kind]
				index := rapid.IntRange(0, 61+entries).Draw(t, "index")
				if kind == 0x80 {
					b = hpack.AppendInt(b, kind, prefix, uint64(max(index, 1)))
					continue
				}
				b = hpack.AppendInt(b, kind, prefix, uint64(index))
				if index == 0 {
					b = appendText(t, b, rapid.StringMatching(`[:a-zA-Z_-]{1,30}`))
				}
				b = appendText(t, b, rapid.StringN(0, 60, 200))
				if kind == 0x40 {
					entries = min(entries+1, int(setting)/300)
				}
			}
			if !w.block(t, b, hpack.Response) {
				return
			}
		}
	})
}

func appendText(t *rapid.T, b []byte, g *rapid.Generator[string]) []byte {
	s := g.Draw(t, "text")
	if !rapid.Bool().Draw(t, "huffman") {
		return append(hpack.AppendInt(b, 0, 7, uint64(len(s))), s...)
	}
	b = hpack.AppendInt(b, 0x80, 7, stock.HuffmanEncodeLength(s))
	return stock.AppendHuffmanString(b, s)
}

// TestAgainstStockEncoder has hundreds of blocks of one connection, with
// changing values.
func TestAgainstStockEncoder(t *testing.T) {
	for _, size := range []uint32{0, 100, 300, 1000, 4096} {
		p, w := newPeer(), newTwins(4096)
		p.SetMaxDynamicTableSize(size)
		for i := range 500 {
			in := append(typical[:len(typical):len(typical)], "x-n: "+strings.Repeat("n", i*7919%300), "x-m: "+string(rune('a'+i%26)))
			in[3] = ":path: /" + strings.Repeat("p", i%90)
			block := bytes.Clone(p.block(in...))
			if !w.block(t, block, hpack.Request) {
				t.Fatalf("block %d was refused", i)
			}
			if got := lines(&w.h); !cmp.Equal(sorted(strings.Join(in, "|")), got) {
				t.Fatalf("block %d: %q", i, got)
			}
		}
	}
}
