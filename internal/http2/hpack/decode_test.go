package hpack_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// decode takes one block of a new connection.
func decode(t *testing.T, block []byte, kind hpack.Kind, lim http1.Limits) (*traffic.Head, int64, *hpack.Malformed) {
	t.Helper()
	var d hpack.Decoder
	var h traffic.Head
	d.Init(4096)
	h.Reset()
	bad, err := d.Decode(&h, block, kind, lim)
	if err != nil {
		t.Fatal(err)
	}
	return &h, d.Length(), bad
}

const (
	get     = ":method: GET|:scheme: https|:path: /|"
	host    = ":authority: a.example:80|"
	getHost = get + host
)

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   hpack.Kind
		in     string // lines between bars
		want   string // the same if it begins with "bad: "
		length int64
	}{
		{"request", hpack.Request, getHost + "a: b", getHost + "a: b", -1},
		{"any order of pseudo fields", hpack.Request, host + ":path: /|:scheme: https|:method: GET", getHost, -1},
		{"any method", hpack.Request, ":method: m-S|:scheme: https|:path: /|" + host, ":method: m-S|:scheme: https|" + host + ":path: /", -1},
		{"scheme in upper case", hpack.Request, ":method: GET|:scheme: HTTPS|:path: /|" + host, getHost, -1},
		{"other scheme", hpack.Request, ":method: GET|:scheme: coap+tcp|:path: /|" + host, ":method: GET|:scheme: coap+tcp|:path: /|" + host, -1},
		{"Host only", hpack.Request, get + "a: b|host: a.example:80|c: d", getHost + "a: b|c: d", -1},
		{"both hosts", hpack.Request, getHost + "host: A.example:80", getHost, -1},
		{"OPTIONS *", hpack.Request, ":method: OPTIONS|:scheme: http|:path: *|" + host, ":method: OPTIONS|:scheme: http|:path: *|" + host, -1},
		{"CONNECT", hpack.Request, ":method: CONNECT|" + host, ":method: CONNECT|" + host, -1},
		{"CONNECT without content", hpack.Request, ":method: CONNECT|" + host + "content-length: 0", ":method: CONNECT|" + host, -1},
		{"length", hpack.Request, getHost + "content-length: 42", getHost + "content-length: 42", 42},
		{"length twice", hpack.Request, getHost + "content-length: 42|a: b|content-length: 42", getHost + "content-length: 42|a: b", 42},
		{"length with a zero", hpack.Request, getHost + "content-length: 7|content-length: 07", getHost + "content-length: 7", 7},
		{"te", hpack.Request, getHost + "te: trailers", getHost + "te: trailers", -1},
		{"cookie", hpack.Request, getHost + "cookie: a=b", getHost + "cookie: a=b", -1},
		{"crumbs", hpack.Request, getHost + "cookie: a=b|x: y|cookie: c=d|cookie: e=f", getHost + "cookie: a=b; c=d; e=f|x: y", -1},
		{"empty value", hpack.Request, getHost + "a: ", getHost + "a: ", -1},
		{"tab and obs-text", hpack.Request, getHost + "a: b\tc\xff", getHost + "a: b\tc\xff", -1},
		{"response", hpack.Response, ":status: 200|content-length: 3|server: a", ":status: 200|content-length: 3|server: a", 3},
		{"host in a response", hpack.Response, ":status: 999|host: !", ":status: 999|host: !", -1},
		{"cookies in a response", hpack.Response, ":status: 200|cookie: a|cookie: b", ":status: 200|cookie: a|cookie: b", -1},
		{"early hints", hpack.Response, ":status: 103|link: </a>", ":status: 103|link: </a>", -1},
		{"204 with 0", hpack.Response, ":status: 204|content-length: 0|a: b", ":status: 204|a: b", -1},
		{"304 with a length", hpack.Response, ":status: 304|content-length: 9", ":status: 304|content-length: 9", 9},
		{"trailers", hpack.Trailers, "grpc-status: 0|grpc-message: ", "grpc-status: 0|grpc-message: ", -1},
		{"forbidden trailers", hpack.Trailers, "content-length: x|a: b|host: h|cookie: c|te: trailers", "a: b", -1},
		{"no trailers", hpack.Trailers, "", "", -1},

		{"no fields", hpack.Request, "", "bad: no :method", -1},
		{"no method", hpack.Request, ":scheme: http|:path: /|" + host, "bad: no :method", -1},
		{"no scheme", hpack.Request, ":method: GET|:path: /|" + host, "bad: no :scheme", -1},
		{"no path", hpack.Request, ":method: GET|:scheme: http|" + host, "bad: no :path", -1},
		{"no authority", hpack.Request, get, "bad: neither :authority nor Host", -1},
		{"empty method", hpack.Request, ":method: ", "bad: invalid :method", -1},
		{"method with a space", hpack.Request, ":method: GET /", "bad: invalid :method", -1},
		{"empty scheme", hpack.Request, ":scheme: ", "bad: invalid :scheme", -1},
		{"scheme with an authority", hpack.Request, ":scheme: http://evil/", "bad: invalid :scheme", -1},
		{"scheme that begins with a digit", hpack.Request, ":scheme: 4http", "bad: invalid :scheme", -1},
		{"long scheme", hpack.Request, ":scheme: " + strings.Repeat("a", 33), "bad: invalid :scheme", -1},
		{"empty path", hpack.Request, ":path: ", "bad: invalid :path", -1},
		{"relative path", hpack.Request, ":path: a", "bad: invalid :path", -1},
		{"absolute path", hpack.Request, ":path: http://a/", "bad: invalid :path", -1},
		{"path with a space", hpack.Request, ":path: /a b", "bad: invalid :path", -1},
		{"path with a line", hpack.Request, ":path: /a\r\nb", "bad: invalid :path", -1},
		{"path with a fragment", hpack.Request, ":path: /a#b", "bad: invalid :path", -1},
		{"GET *", hpack.Request, ":method: GET|:scheme: http|:path: *|" + host, "bad: invalid :path", -1},
		{"OPTIONS **", hpack.Request, ":path: **", "bad: invalid :path", -1},
		{"empty authority", hpack.Request, ":authority: ", "bad: invalid :authority", -1},
		{"no host in the authority", hpack.Request, ":authority: :80", "bad: invalid :authority", -1},
		{"user information", hpack.Request, ":authority: u@a", "bad: invalid :authority", -1},
		{"authority with a path", hpack.Request, ":authority: a/b", "bad: invalid :authority", -1},
		{"bad Host", hpack.Request, get + "host: u@a", "bad: invalid Host field", -1},
		{"empty Host", hpack.Request, getHost + "host: ", "bad: invalid Host field", -1},
		{"two hosts", hpack.Request, get + "host: a|host: a", "bad: a second Host field", -1},
		{"hosts differ", hpack.Request, getHost + "host: a.example", "bad: Host and :authority differ", -1},
		{"CONNECT with a path", hpack.Request, ":method: CONNECT|:path: /|" + host, "bad: CONNECT with :scheme or :path", -1},
		{"CONNECT with a scheme", hpack.Request, ":method: CONNECT|:scheme: http|" + host, "bad: CONNECT with :scheme or :path", -1},
		{"CONNECT with Host", hpack.Request, ":method: CONNECT|host: a:80", "bad: neither :authority nor Host", -1},
		{"CONNECT without a port", hpack.Request, ":method: CONNECT|:authority: a", "bad: invalid :authority", -1},
		{"CONNECT with content", hpack.Request, ":method: CONNECT|" + host + "content-length: 1", "bad: Content-Length where there is no body", -1},
		{"extended CONNECT", hpack.Request, ":method: CONNECT|:protocol: websocket", "bad: extended CONNECT, which is not offered", -1},
		{"status in a request", hpack.Request, ":status: 200", "bad: pseudo field where it does not belong", -1},
		{"unknown pseudo field", hpack.Request, ":x: y", "bad: unknown pseudo field", -1},
		{"pseudo field in upper case", hpack.Request, ":Method: GET", "bad: unknown pseudo field", -1},
		{"pseudo field late", hpack.Request, ":method: GET|a: b|:path: /", "bad: pseudo field after a regular one", -1},
		{"pseudo field twice", hpack.Request, ":method: GET|:method: GET", "bad: pseudo field twice", -1},
		{"upper case", hpack.Request, getHost + "aB: c", "bad: invalid character in a field name", -1},
		{"space in a name", hpack.Request, getHost + "a b: c", "bad: invalid character in a field name", -1},
		{"NUL in a name", hpack.Request, getHost + "a\x00: c", "bad: invalid character in a field name", -1},
		{"NUL in a value", hpack.Request, getHost + "a: b\x00c", "bad: control character or surrounding white space in a field value", -1},
		{"CR in a value", hpack.Request, getHost + "a: b\rc", "bad: control character or surrounding white space in a field value", -1},
		{"LF in a value", hpack.Request, getHost + "a: b\nc", "bad: control character or surrounding white space in a field value", -1},
		{"DEL in a value", hpack.Request, getHost + "a: b\x7fc", "bad: control character or surrounding white space in a field value", -1},
		{"space first", hpack.Request, getHost + "a:  b", "bad: control character or surrounding white space in a field value", -1},
		{"tab last", hpack.Request, getHost + "a: b\t", "bad: control character or surrounding white space in a field value", -1},
		{"connection", hpack.Request, getHost + "connection: close", "bad: connection-specific field", -1},
		{"proxy-connection", hpack.Request, getHost + "proxy-connection: close", "bad: connection-specific field", -1},
		{"keep-alive", hpack.Request, getHost + "keep-alive: 1", "bad: connection-specific field", -1},
		{"upgrade", hpack.Request, getHost + "upgrade: h2c", "bad: connection-specific field", -1},
		{"transfer-encoding", hpack.Response, ":status: 200|transfer-encoding: chunked", "bad: connection-specific field", -1},
		{"transfer-encoding as a trailer", hpack.Trailers, "transfer-encoding: chunked", "bad: connection-specific field", -1},
		{"te with gzip", hpack.Request, getHost + "te: trailers, gzip", "bad: TE with more than trailers", -1},
		{"length with a sign", hpack.Request, getHost + "content-length: +1", "bad: invalid Content-Length", -1},
		{"list of lengths", hpack.Request, getHost + "content-length: 1, 1", "bad: invalid Content-Length", -1},
		{"empty length", hpack.Request, getHost + "content-length: ", "bad: invalid Content-Length", -1},
		{"length too large", hpack.Request, getHost + "content-length: 9223372036854775808", "bad: invalid Content-Length", -1},
		{"lengths differ", hpack.Request, getHost + "content-length: 1|content-length: 2", "bad: Content-Length fields that differ", -1},
		{"no status", hpack.Response, "a: b", "bad: no :status", -1},
		{"status of two digits", hpack.Response, ":status: 20", "bad: invalid :status", -1},
		{"status of four digits", hpack.Response, ":status: 2000", "bad: invalid :status", -1},
		{"status 0xx", hpack.Response, ":status: 020", "bad: invalid :status", -1},
		{"status with a letter", hpack.Response, ":status: 20x", "bad: invalid :status", -1},
		{"status 101", hpack.Response, ":status: 101", "bad: status 101, which HTTP/2 does not have", -1},
		{"204 with a length", hpack.Response, ":status: 204|content-length: 1", "bad: Content-Length where there is no body", -1},
		{"103 with a length", hpack.Response, ":status: 103|content-length: 1", "bad: Content-Length where there is no body", -1},
		{"method in a response", hpack.Response, ":method: GET", "bad: pseudo field where it does not belong", -1},
		{"pseudo field in trailers", hpack.Trailers, ":status: 200", "bad: pseudo field where it does not belong", -1},
		{"upper case in trailers", hpack.Trailers, "A: b", "bad: invalid character in a field name", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, length, bad := decode(t, encode(split(c.in)...), c.kind, http1.Limits{})
			if bad != nil {
				if "bad: "+bad.Reason != c.want || bad.TooLarge || bad.Details == "" || length != -1 {
					t.Fatalf("%+v, length %d; want %q", bad, length, c.want)
				}
				return
			}
			if diff := cmp.Diff(sorted(c.want), lines(h)); diff != "" || length != c.length {
				t.Errorf("length %d, want %d (-want +got)\n%s", length, c.length, diff)
			}
			if h.Minor != 1 || !h.HTTP2 {
				t.Errorf("minor %d, HTTP/2 %v", h.Minor, h.HTTP2)
			}
		})
	}
}

func split(s string) []string {
	if s = strings.TrimSuffix(s, "|"); s == "" {
		return nil
	}
	return strings.Split(s, "|")
}

// sorted puts control data into the order of lines.
func sorted(s string) (out []string) {
	all := split(s)
	for _, name := range []string{":method:", ":scheme:", ":authority:", ":path:", ":status:"} {
		for _, l := range all {
			if strings.HasPrefix(l, name) {
				out = append(out, l)
			}
		}
	}
	for _, l := range all {
		if l[0] != ':' {
			out = append(out, l)
		}
	}
	return out
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, wire, want string }{
		{"index 0", "80", "index of no table entry"},
		{"index behind the static table", "be", "index of no table entry"},
		{"index of a name behind the static table", "7e0161", "index of no table entry"},
		{"huge index", "ffffffffffffffff7f", "integer too large"},
		{"half an index", "ff80", "ends early"},
		{"no name", "40", "ends early"},
		{"no value", "400161", "ends early"},
		{"half a value", "4001610261", "ends early"},
		{"half a length", "4001617f", "ends early"},
		{"huge length", "4001617f" + "ffffff07", "ends early"},
		{"length that overflows", "0001617fffffffffffffffffffff01", "integer too large"},
		{"Huffman with EOS", "00016184fffffffc", "invalid Huffman code or padding"},
		{"Huffman padding of eight bits", "000161821fff", "invalid Huffman code or padding"},
		{"Huffman padding with zeroes", "0001618118", "invalid Huffman code or padding"},
		{"update above the setting", "3fe21f", "table size update above the setting"},
		{"update after a field", "8220", "table size update after a field"},
	} {
		var d hpack.Decoder
		var h traffic.Head
		d.Init(4096)
		if bad, err := d.Decode(&h, encode(":status: 200", "content-length: 3"), hpack.Response, http1.Limits{}); bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		_, err := d.Decode(&h, unhex(t, c.wire), hpack.Request, http1.Limits{})
		if d.Length() != -1 {
			t.Errorf("%s: the length is that of the block before", c.name)
		}
		var e *hpack.Error
		if !errors.As(err, &e) || e.Reason != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestTableSize follows the peer's table through settings and updates.
func TestTableSize(t *testing.T) {
	var d hpack.Decoder
	d.Init(100)
	step := func(wire string, want ...string) {
		t.Helper()
		if _, err := d.Raw(unhex(t, wire)); err != nil {
			t.Fatal(err)
		}
		if got, _ := d.Table(); !cmp.Equal(fields(want...), got) {
			t.Fatalf("after %s: %q", wire, got)
		}
	}
	step("400161 0162", "a", "b")
	step("400163 0164", "c", "d", "a", "b")
	step("400165 0166", "e", "f", "c", "d", "a", "b") // 102: more than the setting, which the peer has not seen
	step("3f45", "e", "f", "c", "d")                  // 100
	step("20 3f45")                                   // 0, then 100
	step("400161 0162", "a", "b")
	step("7e 0163", "a", "c", "a", "b") // a name from the table
	step("7f00 0164", "a", "d", "a", "c")
	step("3f03", "a", "d")             // 34
	step("7e 0165", "a", "e")          // a name that is evicted by its own entry
	step("4001 61 03 626364")          // too large: empties the table
	step("20 400161 0162")             // 0: none
	step("21 3f45 400161 00", "a", "") // two updates
	if _, err := d.Raw(unhex(t, "3f46")); err == nil {
		t.Error("101 was taken")
	}
}

// TestLimits has blocks at a limit and one beyond it, and looks at the table
// after them.
func TestLimits(t *testing.T) {
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = fmt.Sprintf("x-%d: %s", i, strings.Repeat("v", 60-i))
	}
	size := 0
	for _, l := range ten {
		size += len(l) - 2 + 32
	}
	crumbs := strings.Split(strings.Repeat("cookie: a=b|", 20), "|")[:20]
	for _, c := range []struct {
		name string
		in   []string
		lim  http1.Limits
		ok   bool
	}{
		{"bytes", ten, http1.Limits{Bytes: size}, true},
		{"one byte more", ten, http1.Limits{Bytes: size - 1}, false},
		{"fields", ten, http1.Limits{Fields: 10}, true},
		{"one field more", ten, http1.Limits{Fields: 9}, false},
		{"crumbs", crumbs, http1.Limits{Fields: 1}, true},
		{"crumbs count as bytes", crumbs, http1.Limits{Bytes: 20*(6+3+32) - 1}, false},
		{"default of fields", strings.Split(strings.Repeat("a: b|", 100), "|")[:100], http1.Limits{}, true},
		{"default of fields, one more", strings.Split(strings.Repeat("a: b|", 101), "|")[:101], http1.Limits{}, false},
		{"default of bytes", []string{"a: " + strings.Repeat("b", 60<<10-33)}, http1.Limits{}, true},
		{"default of bytes, one more", []string{"a: " + strings.Repeat("b", 60<<10-32)}, http1.Limits{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := newPeer().block(c.in...)
			kind := hpack.Response // joins no crumbs
			if c.in[0] == crumbs[0] {
				kind = hpack.Request
			}
			var d, whole hpack.Decoder
			var h traffic.Head
			d.Init(4096)
			whole.Init(4096)
			bad, err := d.Decode(&h, block, kind, c.lim)
			if err != nil || bad == nil || bad.TooLarge == c.ok {
				t.Fatal(bad, err)
			}
			if _, err := whole.Raw(block); err != nil {
				t.Fatal(err)
			}
			want, _ := whole.Table()
			if got, _ := d.Table(); !cmp.Equal(want, got) {
				t.Errorf("table: %q, want %q", got, want)
			}
		})
	}
}

// TestBombs has small blocks that stand for much, which must not be stored.
func TestBombs(t *testing.T) {
	p := newPeer()
	entry := p.block(":method: GET", "x: "+strings.Repeat("a", 3900))
	again := p.block("x: " + strings.Repeat("a", 3900))
	if len(again) != 1 {
		t.Fatalf("%x", again)
	}
	block := entry
	for range 60000 {
		block = append(block, again...)
	}
	// A value of a million symbols of five bits.
	long := hpack.AppendInt([]byte{0, 1, 'y'}, 0x80, 7, 5<<17)
	for range 1 << 17 {
		long = append(long, 0, 0, 0, 0, 0)
	}
	var d hpack.Decoder
	var h traffic.Head
	d.Init(4096)
	for _, b := range [][]byte{block, long, append(again, long...)} {
		h.Reset()
		bad, err := d.Decode(&h, b, hpack.Request, http1.Limits{})
		if err != nil || bad == nil || !bad.TooLarge {
			t.Fatal(bad, err)
		}
		if h.Size() > 61<<10 {
			t.Errorf("the head holds %d bytes", h.Size())
		}
		if n := d.Memory(); n > 22<<10 {
			t.Errorf("the decoder holds %d bytes", n)
		}
	}
	if h.Len() != 1 {
		t.Errorf("what came before the limit is lost: %q", lines(&h))
	}
}

// TestTableMemory fills tables with entries of many lengths: the memory is
// that of the largest table, and no more.
func TestTableMemory(t *testing.T) {
	for _, longest := range []int{1, 30, 300, 1500, 4000} {
		var d hpack.Decoder
		d.Init(4096)
		for i := range 1000 {
			n := 1 + i*7919%longest
			b := hpack.AppendInt([]byte{0x40, 1, 'x'}, 0, 7, uint64(n))
			if _, err := d.Raw(append(b, strings.Repeat("v", n)...)); err != nil {
				t.Fatal(err)
			}
		}
		if n := d.Memory(); n > 4096+128*16 {
			t.Errorf("values of up to %d bytes: %d bytes of memory", longest, n)
		}
	}
}
