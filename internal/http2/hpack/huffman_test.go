package hpack_test

import (
	"bytes"
	"testing"

	stock "golang.org/x/net/http2/hpack"

	"github.com/sundog-mesh/sundog/internal/http2/hpack"
)

func TestHuffmanSymbols(t *testing.T) {
	dst := make([]byte, 16)
	for c := range 256 {
		for _, s := range []string{string([]byte{byte(c)}), string([]byte{byte(c), 'a', byte(c), byte(255 - c)})} {
			n, ok := hpack.DecodeHuffman(dst, stock.AppendHuffmanString(nil, s))
			if !ok || string(dst[:n]) != s {
				t.Errorf("%q came out as %q, %v", s, dst[:n], ok)
			}
		}
	}
}

func TestHuffmanErrors(t *testing.T) {
	for _, c := range []struct {
		wire string
		ok   bool
		why  string
	}{
		{"", true, "nothing"},
		{"1f", true, "a, three bits of EOS"},
		{"1fff", false, "eleven bits of padding"},
		{"ff", false, "eight bits of padding"},
		{"18", false, "padding with zeroes"},
		{"1e", false, "padding with a zero"},
		{"fffffffc", false, "EOS"},
		{"ffffffff", false, "EOS and its beginning"},
		{"1fffffffff", false, "a, EOS"},
		{"fffffff3", true, "LF, two bits of EOS"},
		{"ffa0", false, "NUL, cut short"},
	} {
		n, ok := hpack.DecodeHuffman(make([]byte, 16), unhex(t, c.wire))
		if ok != c.ok {
			t.Errorf("%s (%s): %d, %v", c.wire, c.why, n, ok)
		}
	}
}

// TestHuffmanRoom has strings that are longer than may be kept.
func TestHuffmanRoom(t *testing.T) {
	long := stock.AppendHuffmanString(nil, "0123456789")
	dst := []byte("xxxxxxxx")
	if n, ok := hpack.DecodeHuffman(dst[:4], long); n != 10 || !ok || string(dst) != "0123xxxx" {
		t.Errorf("%d, %v, %q", n, ok, dst)
	}
}

// FuzzHuffman compares with the stock decoder.
func FuzzHuffman(f *testing.F) {
	for _, s := range []string{"", "www.example.com", "\x00\xff\n", "no-cache", "\\\\{}~~^"} {
		f.Add(stock.AppendHuffmanString(nil, s))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xfc})
	f.Fuzz(func(t *testing.T, in []byte) {
		var want bytes.Buffer
		_, err := stock.HuffmanDecode(&want, in)
		dst := make([]byte, 2*len(in))
		n, ok := hpack.DecodeHuffman(dst, in)
		if ok != (err == nil) {
			t.Fatalf("%x: %v, stock: %v", in, ok, err)
		}
		if ok && string(dst[:n]) != want.String() {
			t.Fatalf("%x: %q, stock: %q", in, dst[:n], want.String())
		}
		if ok && n > len(in)*8/5 {
			t.Fatalf("%x: %d bytes, more than are made room for", in, n)
		}
	})
}
