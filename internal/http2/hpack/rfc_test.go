package hpack_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http2/hpack"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func fields(pairs ...string) (f []hpack.Field) {
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, hpack.Field{Name: pairs[i], Value: pairs[i+1]})
	}
	return f
}

// TestRFC7541 decodes the examples of RFC 7541, appendices C.2 to C.6.
func TestRFC7541(t *testing.T) {
	const limit256 = "3fe101" // a table size update, which the examples take for granted
	first := []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"}
	second := append(first[:8:8], "cache-control", "no-cache")
	third := []string{
		":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com",
		"custom-key", "custom-value",
	}
	requestTables := [][]string{
		{":authority", "www.example.com"},
		{"cache-control", "no-cache", ":authority", "www.example.com"},
		{"custom-key", "custom-value", "cache-control", "no-cache", ":authority", "www.example.com"},
	}
	const (
		date1, date2 = "Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT"
		where        = "https://www.example.com"
		cookie       = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
	)
	responses := [][]string{
		{":status", "302", "cache-control", "private", "date", date1, "location", where},
		{":status", "307", "cache-control", "private", "date", date1, "location", where},
		{
			":status", "200", "cache-control", "private", "date", date2, "location", where,
			"content-encoding", "gzip", "set-cookie", cookie,
		},
	}
	responseTables := [][]string{
		{"location", where, "date", date1, "cache-control", "private", ":status", "302"},
		{":status", "307", "location", where, "date", date1, "cache-control", "private"},
		{"set-cookie", cookie, "content-encoding", "gzip", "date", date2},
	}
	requests := [][]string{first, second, third}
	for _, c := range []struct {
		name   string
		blocks []string
		fields [][]string
		tables [][]string
		sizes  []int
	}{
		{
			"C.2.1",
			[]string{"400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"},
			[][]string{{"custom-key", "custom-header"}},
			[][]string{{"custom-key", "custom-header"}},
			[]int{55},
		},
		{
			"C.2.2",
			[]string{"040c 2f73 616d 706c 652f 7061 7468"},
			[][]string{{":path", "/sample/path"}},
			[][]string{nil},
			[]int{0},
		},
		{
			"C.2.3",
			[]string{"1008 7061 7373 776f 7264 0673 6563 7265 74"},
			[][]string{{"password", "secret"}},
			[][]string{nil},
			[]int{0},
		},
		{"C.2.4", []string{"82"}, [][]string{{":method", "GET"}}, [][]string{nil}, []int{0}},
		{"C.3", []string{
			"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			"8286 84be 5808 6e6f 2d63 6163 6865",
			"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
		}, requests, requestTables, []int{57, 110, 164}},
		{"C.4", []string{
			"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
			"8286 84be 5886 a8eb 1064 9cbf",
			"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
		}, requests, requestTables, []int{57, 110, 164}},
		{"C.5", []string{
			limit256 + "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133" +
				"2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			"4803 3330 37c1 c0bf",
			"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a" +
				"6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d" +
				"6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
		}, responses, responseTables, []int{222, 222, 215}},
		{"C.6", []string{
			limit256 + "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6" +
				"2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
			"4883 640e ffc1 c0bf",
			"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d" +
				"d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106" +
				"3d50 07",
		}, responses, responseTables, []int{222, 222, 215}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d hpack.Decoder
			d.Init(4096)
			for i, block := range c.blocks {
				got, err := d.Raw(unhex(t, block))
				if diff := cmp.Diff(fields(c.fields[i]...), got); diff != "" || err != nil {
					t.Fatalf("block %d: %v (-want +got)\n%s", i, err, diff)
				}
				table, size := d.Table()
				if diff := cmp.Diff(fields(c.tables[i]...), table); diff != "" || size != c.sizes[i] {
					t.Fatalf("table after block %d: size %d, want %d (-want +got)\n%s", i, size, c.sizes[i], diff)
				}
			}
		})
	}
}

// TestIntegers has RFC 7541, appendix C.1, and the bounds.
func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		prefix int
		n      uint64
		wire   string
	}{
		{5, 10, "0a"},
		{5, 1337, "1f9a0a"},
		{7, 0, "00"},
		{7, 126, "7e"},
		{7, 127, "7f00"},
		{7, 254, "7f7f"},
		{7, 255, "7f8001"},
		{4, 1<<32 - 1, "0ff0ffffff0f"},
	} {
		wire := unhex(t, c.wire)
		if got := hpack.AppendInt(nil, 0, c.prefix, c.n); string(got) != string(wire) {
			t.Errorf("%d with prefix %d: wrote %x, want %s", c.n, c.prefix, got, c.wire)
		}
		n, rest, err := hpack.ReadInt(append(wire, 0xaa), c.prefix)
		if n != c.n || len(rest) != 1 || err != nil {
			t.Errorf("%s: read %d, %x, %v; want %d", c.wire, n, rest, err, c.n)
		}
		if len(wire) == 1 {
			continue
		}
		if _, _, err := hpack.ReadInt(wire[:len(wire)-1], c.prefix); err == nil {
			t.Errorf("%s without its last byte was taken", c.wire)
		}
	}
	for _, long := range []string{"7f80808080808080808001", "7fffffffffffffffff7f", "7fffffffffffffffffffffffffff01"} {
		if n, _, err := hpack.ReadInt(unhex(t, long), 7); err == nil && n < 1<<32 {
			t.Errorf("%s: read %d", long, n)
		}
	}
	for _, padded := range []string{"7f80808000", "7f808080808080808000"} {
		if n, _, err := hpack.ReadInt(unhex(t, padded), 7); n != 127 || err != nil {
			t.Errorf("%s: %d, %v", padded, n, err)
		}
	}
}
