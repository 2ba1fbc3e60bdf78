package compare_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/sundog-mesh/sundog/internal/compare"
)

func TestContent(t *testing.T) {
	for _, test := range []struct {
		name    string
		ct, ct2 string // ct2: of the second, if another
		a, b    string
		why     compare.Reason
		want    []string
	}{
		{name: "form", ct: "application/x-www-form-urlencoded", a: "a=1&b=x+y&c=%41&d=1&d=2", b: "c=A&a=2&b=x%20y&d=1&d=3", want: []string{"changed body.a: 1 -> 2", "changed body.d at body.d[1]: 2 -> 3"}},
		{name: "form without a field", ct: "application/x-www-form-urlencoded", a: "a=1&a=2&b", b: "a=2", want: []string{"missing body.a at body.a[0]: 1 -> ", "length body.a: 2 -> 1", "missing body.b:  -> "}},
		{name: "text by lines", ct: "text/plain", a: "one\ntwo  words\n\nthree\n", b: "zero\r\none\ntwo words\nTHREE", want: []string{"added body[] at body[0]:  -> zero", "length body: 3 -> 4", "changed body[] at body[2]: three -> THREE"}},
		{name: "text of another white space", ct: "text/csv", a: "a,b\r\n  c,\td\r\n", b: "a,b\nc, d", want: nil},
		{name: "ndjson", ct: "application/x-ndjson", a: "{\"a\":1}\n{\"a\":2}", b: "{\"a\":1}\n{\"b\":3}\n{\"a\":2}\n", want: []string{`added body[] at body[1]:  -> {"b":3}`, "length body: 2 -> 3"}},
		{name: "json-seq", ct: "application/json-seq", a: "\x1e{\"a\":1}\n\x1e{\"a\":2}\n", b: "\x1e{\"a\":1}\n\x1e{\"a\":3}\n", want: []string{"changed body[].a at body[1].a: 2 -> 3"}},
		{
			name: "html", ct: "text/html; charset=utf-8",
			a: `<!doctype html><HTML><body class="x  y" id=1><!-- one --><p>Total:  5</p><ul><li>a<li>b</ul><br><img src=a></body></html>`,
			b: "<html>\n<body id='1' class='x y'>\n<p>Total: 6<ul><li>new</li><li>a</li><li>b</li></ul><br/><img src=b></body></html>",
			want: []string{
				"changed body.html.body.p.#text: Total: 5 -> Total: 6", "length body.html.body.ul.li: 2 -> 3",
				`added body.html.body.ul.li at body.html.body.ul.li[0]:  -> {"#text":"new"}`, "changed body.html.body.img.@src: a -> b",
			},
		},
		{
			name: "html in another order", ct: "text/html", a: "<p>a</p><h1>b</h1>", b: "<h1>b</h1><p>a</p>",
			want: []string{`reordered body: {"p":{"#text":"a"},"h1":{"#text":"b"}} -> {"h1":{"#text":"b"},"p":{"#text":"a"}}`},
		},
		{name: "xml", ct: "application/soap+xml", a: `<?xml version="1.0"?><a:x b="1" c="2"><y>1</y><y>2</y></a:x>`, b: "<a:x c='2' b='3'>\n <y>1</y>\n <!-- no --><y>4</y></a:x>", want: []string{"changed body.a:x.@b: 1 -> 3", "changed body.a:x.y.#text at body.a:x.y[1].#text: 2 -> 4"}},
		{name: "no content type, json", a: `{"a":1}`, b: `{"a":2}`, want: []string{"changed body.a: 1 -> 2"}},
		{name: "no content type, text", a: "a", b: "b", want: []string{"changed body[] at body[0]: a -> b"}},
		{name: "not json", ct: "application/json", a: `{"a":1}`, b: "oops", why: compare.Malformed, want: []string{`changed body[] at body[0]: {"a":1} -> oops`}},
		{name: "an empty body", ct: "application/json", a: `{"a":1}`, b: "", want: []string{`missing body: {"a":1} -> `}},
		{name: "broken xml", ct: "text/xml", a: `<a><b></a>`, b: "<a></a>", why: compare.Malformed, want: []string{"changed body[] at body[0]: <a><b></a> -> <a></a>"}},
		{name: "text that is none", ct: "text/plain", a: "a\x00", b: "b\x00", why: compare.Malformed, want: []string{"opaque body: 2 bytes, sha256 ffe9aaeaa2a2d504 -> 2 bytes, sha256 3b5d5c3712955042"}},
		{name: "types differ, both json", ct: "application/json", ct2: "text/plain", a: `{"a":1}`, b: `{"a":2}`, why: compare.Mixed, want: []string{"changed body.a: 1 -> 2", "changed header.content-type: application/json -> text/plain"}},
		{name: "too deep", ct: "application/json", a: strings.Repeat("[", 200) + strings.Repeat("]", 200), b: "[]", why: compare.TooComplex},
		{name: "equal though broken", ct: "application/json", a: "{", b: "{"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newComparer(t, compare.Options{})
			if test.ct2 == "" {
				test.ct2 = test.ct
			}
			got := c.Compare(compare.Request{}, message(test.ct, test.a), message(test.ct2, test.b))
			if test.name == "text that is none" {
				if len(got.Differences) != 1 || got.Differences[0].Kind != compare.Opaque || got.Why != test.why {
					t.Errorf("got %v, %q", lines(got), got.Why)
				}
				return
			}
			check(t, got, test.why, test.want)
		})
	}
}

// codings compress with every coding that is understood.
func codings(t testing.TB) map[string]func([]byte) []byte {
	t.Helper()
	with := func(body []byte, make func(*bytes.Buffer) interface {
		Write([]byte) (int, error)
		Close() error
	},
	) []byte {
		var b bytes.Buffer
		w := make(&b)
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	type writer = interface {
		Write([]byte) (int, error)
		Close() error
	}
	return map[string]func([]byte) []byte{
		"gzip":    func(body []byte) []byte { return with(body, func(b *bytes.Buffer) writer { return gzip.NewWriter(b) }) },
		"deflate": func(body []byte) []byte { return with(body, func(b *bytes.Buffer) writer { return zlib.NewWriter(b) }) },
		"Deflate": func(body []byte) []byte { // without the frame of zlib
			return with(body, func(b *bytes.Buffer) writer { w, _ := flate.NewWriter(b, 5); return w })
		},
		"br": func(body []byte) []byte {
			return with(body, func(b *bytes.Buffer) writer { return brotli.NewWriter(b) })
		},
		"zstd": func(body []byte) []byte {
			return with(body, func(b *bytes.Buffer) writer { w, _ := zstd.NewWriter(b); return w })
		},
	}
}

func encoded(coding string, body []byte) *compare.Message {
	return &compare.Message{Status: 200, Body: body, Headers: fieldLines("content-type: application/json", "content-encoding: "+coding)}
}

func TestCompressed(t *testing.T) {
	c := newComparer(t, compare.Options{MaxBody: 1 << 16})
	for coding, compress := range codings(t) {
		for range 2 { // the second time with readers that are used again
			a, b := compress([]byte(`{"a":1}`)), compress([]byte(`{"a":2}`))
			check(t, c.Compare(compare.Request{}, encoded(coding, a), encoded(coding, b)), "", []string{"changed body.a: 1 -> 2"})
			bomb := compress(make([]byte, 1<<20))
			check(t, c.Compare(compare.Request{}, encoded(coding, bomb), encoded(coding, b)), compare.TooLarge, nil)
			check(t, c.Compare(compare.Request{}, encoded(coding, a), encoded(coding, b[:len(b)/2])), compare.BadEncoding, nil)
		}
	}
	gz, zs := codings(t)["gzip"], codings(t)["zstd"]
	twice := encoded("gzip, zstd", zs(gz([]byte(`{"a":1}`))))
	check(t, c.Compare(compare.Request{}, twice, encoded("gzip, zstd", zs(gz([]byte(`{"a":2}`))))), "", []string{"changed body.a: 1 -> 2"})
	r := c.Compare(compare.Request{}, twice, encoded("gzip", gz([]byte(`{ "a":1}`))))
	check(t, r, "", []string{"changed header.content-encoding: gzip, zstd -> gzip"})
	check(t, c.Compare(compare.Request{}, encoded("lzma", []byte("x")), encoded("lzma", []byte("y"))), compare.BadEncoding, nil)
	check(t, c.Compare(compare.Request{}, encoded("gzip,gzip,gzip,gzip", []byte("x")), encoded("gzip,gzip,gzip,gzip", []byte("y"))), compare.BadEncoding, nil)
	check(t, c.Compare(compare.Request{}, encoded("lzma", []byte("x")), encoded("lzma", []byte("x"))), "", nil)
}
