package hpack_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	stock "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2/hpack"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// head is the opposite of lines.
func head(in ...string) *traffic.Head {
	var h traffic.Head
	h.Reset()
	for _, l := range in {
		i := strings.Index(l[1:], ":") + 1
		name, value := l[:i], []byte(strings.TrimPrefix(l[i+1:], " "))
		switch name {
		case ":method":
			h.SetMethod(value)
		case ":scheme":
			h.SetScheme(value)
		case ":authority":
			h.SetAuthority(value)
		case ":path":
			h.SetPath(value)
		case ":status":
			h.Status = int(value[0]-'0')*100 + int(value[1]-'0')*10 + int(value[2]-'0')
		default:
			h.Add(name, value)
		}
	}
	return &h
}

// read decodes a block with the stock decoder; "!" marks what is never indexed.
func read(t interface{ Fatal(args ...any) }, block []byte) (out []string) {
	d := stock.NewDecoder(0, func(f stock.HeaderField) {
		l := f.Name + ": " + f.Value
		if f.Sensitive {
			l = "!" + l
		}
		out = append(out, l)
	})
	if _, err := d.Write(block); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAppendRequest(t *testing.T) {
	const getA = ":method: GET|:scheme: http|:path: /|:authority: a|"
	for _, c := range []struct {
		name, in string
		length   int64
		want     string
	}{
		{"get", getA + "x: y", hpack.NoLength, getA + "x: y"},
		{"post", ":method: POST|:scheme: https|:path: /index.html|:authority: a", 5, ":method: POST|:scheme: https|:path: /index.html|:authority: a|content-length: 5"},
		{"others", ":method: PUT|:scheme: coap|:path: /a?b|:authority: a:1", 0, ":method: PUT|:scheme: coap|:path: /a?b|:authority: a:1|content-length: 0"},
		{"no scheme, no path", ":method: GET|:authority: a", -1, getA},
		{"connect", ":method: CONNECT|:authority: a:1|:scheme: http", -1, ":method: CONNECT|:authority: a:1"},
		{"length in its place", getA + "content-length: 7|a: b|content-length: 7", 8, getA + "content-length: 8|a: b"},
		{"no length", getA + "content-length: 7|a: b", hpack.NoLength, getA + "a: b"},
		{"length kept", getA + "content-length: 7|a: b", hpack.KeepLength, getA + "content-length: 7|a: b"},
		{"no length to keep", getA, hpack.KeepLength, getA},
		{
			"what HTTP/2 does not have", getA + "host: b|connection: close|keep-alive: 1|proxy-connection: a|upgrade: x|transfer-encoding: chunked|te: gzip|te: trailers",
			-1, getA + "te: trailers",
		},
		{
			"secrets", getA + "authorization: a|proxy-authorization: b|cookie: short|cookie: 01234567890123456789|set-cookie: s|x: y",
			-1, getA + "!authorization: a|!proxy-authorization: b|!cookie: short|cookie: 01234567890123456789|!set-cookie: s|x: y",
		},
		{"static pair", getA + "accept-encoding: gzip, deflate|accept-encoding: br|accept: ", -1, getA + "accept-encoding: gzip, deflate|accept-encoding: br|accept: "},
	} {
		got := read(t, hpack.AppendRequest([]byte{}, head(split(c.in)...), c.length))
		if diff := cmp.Diff(split(c.want), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
	small := hpack.AppendRequest([]byte("x"), head(":method: GET", ":scheme: https", ":path: /"), -1)
	if string(small) != "x\x82\x87\x84" {
		t.Errorf("%x", small)
	}
}

func TestAppendResponse(t *testing.T) {
	for _, status := range []string{"200", "204", "206", "304", "400", "404", "500", "100", "201", "503", "999"} {
		want := []string{":status: " + status}
		block := hpack.AppendResponse(nil, head(want...), hpack.NoLength)
		if diff := cmp.Diff(want, read(t, block)); diff != "" {
			t.Error(diff)
		}
	}
	for _, c := range []struct {
		in     string
		length int64
		want   string
	}{
		{":status: 200|host: h|a: b", 3, ":status: 200|host: h|a: b|content-length: 3"},
		{":status: 200|content-length: 9", hpack.KeepLength, ":status: 200|content-length: 9"},
		{":status: 200|content-length: 9|connection: close", hpack.NoLength, ":status: 200"},
		{":status: 204|content-length: 9", 9, ":status: 204"},
		{":status: 103|content-length: 9", hpack.KeepLength, ":status: 103"},
		{":status: 304|content-length: 9", hpack.KeepLength, ":status: 304|content-length: 9"},
	} {
		got := read(t, hpack.AppendResponse(nil, head(split(c.in)...), c.length))
		if diff := cmp.Diff(split(c.want), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.in, diff)
		}
	}
}

func TestAppendTrailers(t *testing.T) {
	in := head("grpc-status: 0", "content-length: 3", "authorization: x", "connection: y", "grpc-message: ")
	want := []string{"grpc-status: 0", "grpc-message: "}
	if diff := cmp.Diff(want, read(t, hpack.AppendTrailers(nil, in))); diff != "" {
		t.Error(diff)
	}
}

func TestStaticTable(t *testing.T) {
	for i := 1; i <= 61; i++ {
		f := hpack.StaticField(i)
		var got stock.HeaderField
		d := stock.NewDecoder(0, func(f stock.HeaderField) { got = f })
		if _, err := d.Write([]byte{0x80 | byte(i)}); err != nil || got.Name != f.Name || got.Value != f.Value {
			t.Errorf("%d: %v, stock: %v, %v", i, f, got, err)
		}
		if n := hpack.StaticName([]byte(f.Name)); f.Name[0] != ':' && int(n) != i {
			t.Errorf("%s found at %d, not %d", f.Name, n, i)
		}
	}
	for _, none := range []string{"", "x", "cookies", "accept-charseT"} {
		if n := hpack.StaticName([]byte(none)); n != 0 {
			t.Errorf("%q found at %d", none, n)
		}
	}
}

// fieldName draws names that are static, new, or near to static ones.
func fieldName(t *rapid.T) string {
	if rapid.Bool().Draw(t, "known") {
		name := hpack.StaticField(rapid.IntRange(15, 61).Draw(t, "index")).Name
		if name != "host" && name != "content-length" && name != "transfer-encoding" && name != "cookie" {
			return name
		}
	}
	return "x" + rapid.StringMatching(`[!#$%&'*+.^_|~0-9a-z-]{0,20}`).Draw(t, "name")
}

// TestRoundTrip: what the encoders write, ours and the stock decoder read.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`([!-~\x{80}-\x{ff}]([ -~\t]{0,150}[!-~])?)?`)
		in := []string{
			":method: " + rapid.SampledFrom([]string{"GET", "POST", "HEAD", "X-Y"}).Draw(t, "method"),
			":scheme: " + rapid.SampledFrom([]string{"http", "https", "a+b"}).Draw(t, "scheme"),
			":authority: " + rapid.StringMatching(`[a-z0-9.]{1,20}(:[0-9]{1,4})?`).Draw(t, "authority"),
			":path: /" + rapid.StringMatching(`["$-~!]{0,200}`).Draw(t, "path"),
		}
		for range rapid.IntRange(0, 20).Draw(t, "fields") {
			in = append(in, fieldName(t)+": "+value.Draw(t, "value"))
		}
		kind, block := hpack.Request, []byte(nil)
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			block = hpack.AppendRequest(nil, head(in...), -1)
		case 1:
			kind = hpack.Response
			in = append([]string{rapid.StringMatching(`:status: [2-9][0-9]{2}`).Draw(t, "status")}, in[4:]...)
			block = hpack.AppendResponse(nil, head(in...), -1)
		case 2:
			kind = hpack.Trailers
			in = lines(head(in[4:]...))
			block = hpack.AppendTrailers(nil, head(in...))
			in = read(t, block) // forbidden ones are told elsewhere
			for i := range in {
				in[i] = strings.TrimPrefix(in[i], "!")
			}
		}
		var d hpack.Decoder
		var h traffic.Head
		d.Init(4096)
		h.Reset()
		bad, err := d.Decode(&h, block, kind, http1.Limits{})
		if bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		if diff := cmp.Diff(in, lines(&h), cmpEmpty); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	})
}

// cmpEmpty takes an empty list for none.
var cmpEmpty = cmp.Transformer("list", func(s []string) string { return strings.Join(s, "\n") })
