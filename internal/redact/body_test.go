package redact_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/redact"
)

// fill puts the pseudonym of x in the place of each <x>.
func fill(t testing.TB, s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		value, rest, _ := strings.Cut(after, ">")
		b.WriteString(secret(t, value))
		s = rest
	}
}

func body(t testing.TB, r *redact.Redactor, contentType, in string) (string, error) {
	t.Helper()
	h := head()
	if contentType != "" {
		h = head("content-type: " + contentType)
	}
	out, err := r.Body(new(redact.Scratch), h, []byte("before:"), []byte(in))
	got, ok := strings.CutPrefix(string(out), "before:")
	if !ok {
		t.Fatalf("what was there before is not: %q", out)
	}
	if err != nil && got != "" {
		t.Fatalf("%q beside the error %v", got, err)
	}
	return got, err
}

func TestJSON(t *testing.T) {
	for _, test := range []struct{ paths, in, want string }{
		{"$.user.email", `{"user": {"email": "a@b.c", "name":"a"}, "email":"a@b.c"}`, `{"user": {"email": "<a@b.c>", "name":"a"}, "email":"a@b.c"}`},
		{
			"$.items[*].card", `{"items":[{"card":"4111 1111"},{"card":4111111111111111},{"x":[{"card":1}]}], "card":2}`,
			`{"items":[{"card":"<4111 1111>"},{"card":<4111111111111111>},{"x":[{"card":1}]}], "card":2}`,
		},
		{"$..ssn", `{"ssn":"1-2","a":[{"ssn":"1-2"},[[{"b":{"ssn":"x"}}]]],"SSN":"1-2"}`, `{"ssn":"<1-2>","a":[{"ssn":"<1-2>"},[[{"b":{"ssn":"<x>"}}]]],"SSN":"1-2"}`},
		{"$..a.b", `{"a":{"a":{"b":"x","a":{"b":"y"}}},"b":"z"}`, `{"a":{"a":{"b":"<x>","a":{"b":"<y>"}}},"b":"z"}`},
		{"$[1]", ` [ "a" , "b" , "c" ] `, ` [ "a" , "<b>" , "c" ] `},
		{"$[*][0]", `[["a","b"],["c"]]`, `[["<a>","b"],["<c>"]]`},
		{"$['a.b'].c $[\"d\"]", `{"a.b":{"c":"x"},"d":"y","a":{"b":{"c":"z"}}}`, `{"a.b":{"c":"<x>"},"d":"<y>","a":{"b":{"c":"z"}}}`},
		{"$.*.x", `{"a":{"x":"1a"},"b":{"x":"2b","y":"c"}}`, `{"a":{"x":"<1a>"},"b":{"x":"<2b>","y":"c"}}`},
		{"$..[*]", `{"a":["b"]}`, `{"a":["<b>"]}`},
		{"$", `{"a":["b",1,true,null,""]}`, `{"a":["<b>",<1>,"<true>",null,""]}`},
		{"$", `"a"`, `"<a>"`},
		{"$.a", `{"a":{"b":["x",{"c":"y"}]}}`, `{"a":{"b":["<x>",{"c":"<y>"}]}}`},
		{"$.a", `{"a":"x","a":"y"}`, `{"a":"<x>","a":"<y>"}`},
		{"$.a", `{"a":"\u0061\/\"é\ud83d\ude00\n"}`, `{"a":"<a/"é😀` + "\n" + `>"}`},
		{"$.a", `{"\u0061":"x"}`, `{"\u0061":"<x>"}`},
		{"$.a", `{"a":42.0,"b":42.0}`, `{"a":<42>,"b":42.0}`},
		{"$..n", `[{"n":-1.50e2},{"n":1e3},{"n":0.00},{"n":12e-1},{"n":5e-3},{"n":-0}]`, `[{"n":<-150>},{"n":<1000>},{"n":<0>},{"n":<1.2>},{"n":<0.005>},{"n":<0>}]`},
		{"$.a", "{\"a\":\"x\"}\n{\"a\":\"y\"}\n", "{\"a\":\"<x>\"}\n{\"a\":\"<y>\"}\n"},
		{"$.a", "\x1e{\"a\":\"x\"}\n", "\x1e{\"a\":\"<x>\"}\n"},
		{"$.a", "\xef\xbb\xbf{\"a\":\"x\"}", "\xef\xbb\xbf{\"a\":\"<x>\"}"},
		{"$.a", `{"b":1}`, `{"b":1}`},
		{"$.a.b", `{"a":"x"}`, `{"a":"x"}`},
		{"$.a $..b", `{"c":{"b":"x","a":"y"}}`, `{"c":{"b":"<x>","a":"y"}}`},
		{"$..*..*..*..x", strings.Repeat(`{"x":`, 200) + `"s"` + strings.Repeat(`}`, 200), strings.Repeat(`{"x":`, 200) + `"<s>"` + strings.Repeat(`}`, 200)},
	} {
		got, err := body(t, compile(t, policy.Redact{JSON: strings.Fields(test.paths)}), "application/json; charset=utf-8", test.in)
		if d := cmp.Diff(fill(t, test.want), got); d != "" || err != nil {
			t.Errorf("%s of %.100s: %v %s", test.paths, test.in, err, d)
		}
	}
}

func TestUnreadable(t *testing.T) {
	r := compile(t, policy.Redact{JSON: []string{"$.a"}, Query: []string{"a"}})
	for _, in := range []string{
		`{"a":"secret"`, `{"a":"secret`, `{"a":"secret",}`, `{"a":secret}`, `{a:"secret"}`, `{"a":"sec` + "\n" + `ret"}`, `["secret" "x"]`, `{"a":01}`, `{"a":1.}`,
		`{"a":"\x"}`, `{"a":"\u12"}`, `nul`, `{"a":"secret"}}`, `{"a" "secret"}`, strings.Repeat("[", 600) + strings.Repeat("]", 600), `-`, `1e`, `{"a":tru}`,
	} {
		for _, contentType := range []string{"application/json", "text/plain", "", "application/vnd.api+json", "application/x-www-form-urlencoded"} {
			if sniffed := contentType != "application/json" && contentType != "application/vnd.api+json"; sniffed && in[0] != '{' && in[0] != '[' {
				continue
			}
			if _, err := body(t, r, contentType, in); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s %.40s: %v", contentType, in, err)
			}
		}
	}
	for _, in := range []string{"no boundary here", "--x\r\n\r\nsecret", "--x\r\nsecret\r\n--x--", "--x\r\nContent-Disposition: form-data; name\r\n\r\nsecret\r\n--x--"} {
		if _, err := body(t, r, "multipart/form-data; boundary=x", in); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := body(t, r, "multipart/form-data", "--x--"); err == nil {
		t.Error("no boundary is no error")
	}
}

func TestTypes(t *testing.T) {
	r := compile(t, policy.Redact{JSON: []string{"$.a"}, Query: []string{"a"}})
	for _, test := range []struct {
		contentType, in, want string
		needs                 bool
	}{
		{"application/json", `{"a":"x"}`, `{"a":"<x>"}`, true},
		{"Application/Problem+JSON", `{"a":"x"}`, `{"a":"<x>"}`, true},
		{"application/x-ndjson", `{"a":"x"}`, `{"a":"<x>"}`, true},
		{"", `{"a":"x"}`, `{"a":"<x>"}`, true},
		{"", `a=x`, `a=x`, true},
		{"text/plain;charset=utf-8", ` {"a":"x"}`, ` {"a":"<x>"}`, true},
		{"text/plain", `{}`, `{}`, true},
		{"text/plain", `hello`, `hello`, true},
		{"text/html", `{"a":"x"}`, `{"a":"x"}`, false},
		{"application/octet-stream", `{"a":"x"}`, `{"a":"x"}`, false},
		{"application/x-www-form-urlencoded", `b=1&a=x+y%21&c=?a=2;a=3&a`, `b=1&a=<x y!>&c=?a=2;a=3&a`, true},
		{"application/x-www-form-urlencoded", `{"a":"x"}`, `{"a":"<x>"}`, true},
		{"application/json", ``, ``, true},
		{
			`multipart/form-data; boundary="x y"`,
			"preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nsecret\r\n--x y\r\ncontent-disposition: form-data; name=b\r\n\r\na\r\n" +
				"--x y\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename=\"f\"; name=\"a\"\r\n\r\nfile\r\n--\r\n--x y--\r\n",
			"preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n<secret>\r\n--x y\r\ncontent-disposition: form-data; name=b\r\n\r\na\r\n" +
				"--x y\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename=\"f\"; name=\"a\"\r\n\r\n<file\r\n-->\r\n--x y--\r\n",
			true,
		},
	} {
		got, err := body(t, r, test.contentType, test.in)
		if d := cmp.Diff(fill(t, test.want), got); d != "" || err != nil {
			t.Errorf("%s %s: %v %s", test.contentType, test.in, err, d)
		}
		if needs := r.NeedsBody(head("content-type: " + test.contentType)); needs != test.needs {
			t.Errorf("%s: NeedsBody is %v", test.contentType, needs)
		}
	}
	if compile(t, policy.Redact{Headers: []string{"a"}, Cookies: []string{"b"}}).NeedsBody(head("content-type: application/json")) {
		t.Error("headers alone need a body")
	}
}

// What a value is in one place, it is in all.
func TestJoins(t *testing.T) {
	r := compile(t, policy.Redact{Headers: []string{"x-id"}, Cookies: []string{"id"}, Query: []string{"id"}, JSON: []string{"$.id"}})
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`[a-zA-Z0-9.@ ]{0,10}[a-z0-9]`).Draw(t, "value")
		want := string(r.Secret([]byte(v)))
		escaped := strings.NewReplacer(" ", "%20", "a", "%61").Replace(v)
		h := head("path: /?id="+escaped, "x-id: "+v, "cookie: id=\""+v+"\"", "content-type: application/json")
		r.Head(new(redact.Scratch), h)
		if d := cmp.Diff([]string{"path: /?id=" + want, "x-id: " + want, "cookie: id=\"" + want + "\"", "content-type: application/json"}, lines(h)); d != "" {
			t.Fatal(d)
		}
		quoted, _ := json.Marshal(map[string]string{"id": v})
		got, err := r.Body(new(redact.Scratch), h, nil, quoted)
		if string(got) != `{"id":"`+want+`"}` || err != nil {
			t.Fatalf("%s: %s, want %s, %v", quoted, got, want, err)
		}
	})
}

type coder struct {
	name   string
	pack   func(io.Writer) io.WriteCloser
	unpack func(io.Reader) io.Reader
}

func coders(t testing.TB) []coder {
	must := func(r io.Reader, err error) io.Reader {
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	return []coder{
		{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, func(r io.Reader) io.Reader { return must(gzip.NewReader(r)) }},
		{"X-GZIP", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, func(r io.Reader) io.Reader { return must(gzip.NewReader(r)) }},
		{"deflate", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, func(r io.Reader) io.Reader { return must(zlib.NewReader(r)) }},
		{"identity, deflate", func(w io.Writer) io.WriteCloser {
			f, err := flate.NewWriter(w, 5)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}, func(r io.Reader) io.Reader { return flate.NewReader(r) }},
		{"br", func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }, func(r io.Reader) io.Reader { return brotli.NewReader(r) }},
		{"zstd", func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				t.Fatal(err)
			}
			return z
		}, func(r io.Reader) io.Reader {
			z, err := zstd.NewReader(r)
			return must(z, err)
		}},
	}
}

func packed(t testing.TB, c coder, plain string) []byte {
	var b bytes.Buffer
	w := c.pack(&b)
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCodings(t *testing.T) {
	r := compile(t, policy.Redact{JSON: []string{"$.a"}})
	var s redact.Scratch
	for range 2 { // the second time with what the scratch kept
		for _, c := range coders(t) {
			in := packed(t, c, `{"a":"secret","b":1}`)
			h := head("content-type: application/json", "content-encoding: "+c.name, fmt.Sprint("content-length: ", len(in)), "content-md5: x")
			out, err := r.Body(&s, h, nil, in)
			if err != nil {
				t.Fatal(c.name, err)
			}
			plain, err := io.ReadAll(c.unpack(bytes.NewReader(out)))
			if want := fill(t, `{"a":"<secret>","b":1}`); string(plain) != want || err != nil {
				t.Errorf("%s: %s, want %s, %v", c.name, plain, want, err)
			}
			if n, _ := h.Get("content-length"); string(n) != fmt.Sprint(len(out)) || h.Has("content-md5") {
				t.Errorf("%s: the head is not that of the body: %q", c.name, lines(h))
			}

			same := packed(t, c, `{"b":1}`)
			h = head("content-type: application/json", "content-encoding: "+c.name, "content-md5: x")
			if out, err := r.Body(&s, h, nil, same); !bytes.Equal(out, same) || err != nil || !h.Has("content-md5") {
				t.Errorf("%s: a body without a secret is another, %v", c.name, err)
			}
			if _, err := r.Body(&s, h, nil, in[:len(in)-3]); err == nil {
				t.Errorf("%s: a body that was cut off passes", c.name)
			}
			bomb := packed(t, c, `{"a":"`+strings.Repeat("x", 9<<20)+`"}`)
			if _, err := r.Body(&s, h, nil, bomb); err == nil || !strings.Contains(err.Error(), "8 MiB") {
				t.Errorf("%s: a bomb: %v", c.name, err)
			}
		}
	}
	for _, coding := range []string{"compress", "gzip, gzip", "gzip, br"} {
		h := head("content-type: application/json", "content-encoding: "+coding)
		if _, err := r.Body(&s, h, nil, []byte(`{"a":"x"}`)); err == nil || !strings.Contains(err.Error(), "content coding") {
			t.Errorf("%s: %v", coding, err)
		}
	}
	h := head("content-type: text/html", "content-encoding: compress")
	if out, err := r.Body(&s, h, nil, []byte("x")); string(out) != "x" || err != nil {
		t.Errorf("a body that needs nothing: %q, %v", out, err)
	}
}

// An answer that repeats its request has no secret of it, and is what the
// answer to the redacted request is.
func TestMemory(t *testing.T) {
	r := compile(t, policy.Redact{Headers: []string{"authorization", "x-pin"}, Query: []string{"q"}, JSON: []string{"$.card", "$.id"}})
	request := func() []string {
		return []string{"path: /u/alice@a.b?q=a%20b&x=1", "authorization: Basic YWxpY2VAYS5iOnBhc3N3b3Jk", "x-pin: 123", "x-copy: alice@a.b", "content-type: application/json"}
	}
	sent := []byte(`{"card":"4111 \"1\"","id":123456}`)
	var s redact.Scratch
	s.Remember()
	h := head(request()...)
	r.Head(&s, h)
	redacted, err := r.Body(&s, h, nil, sent)
	if err != nil {
		t.Fatal(err)
	}
	s.Seal(redact.AtLeisure)
	r.Head(&s, h)
	if got := lines(h); strings.Contains(strings.Join(got, "\n"), "alice") {
		t.Error(got)
	}
	echo := func(path, authorization, body string) (string, string) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		fields["url"] = "http://a/" + path
		fields["seen by"] = map[string]any{authorization: "auth: " + authorization, "user": "?", "n": 12}
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), "<p>" + path + authorization + body + "<a href='/" + url.PathEscape(fields["card"].(string)) + "?" +
			url.QueryEscape(fields["card"].(string)) + "'>" + html.EscapeString(fields["card"].(string))
	}
	answer := func(text, contentType string) string {
		h := head("content-type: "+contentType, "x-echo: "+text)
		r.Head(&s, h)
		out, err := r.Body(&s, h, nil, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return lines(h)[2] + "\n" + string(out)
	}
	raw := head(request()...)
	auth, _ := raw.Get("authorization")
	newAuth, _ := h.Get("authorization")
	wantJSON, wantText := echo(string(h.Path()), string(newAuth), string(redacted))
	gotJSON, gotText := echo(string(raw.Path()), string(auth), string(sent))
	for _, test := range [][3]string{{gotJSON, wantJSON, "application/json"}, {gotText, wantText, "text/html"}} {
		got, want := answer(test[0], test[2]), answer(test[1], test[2])
		for _, secret := range []string{"YWxpY2VAYS5iOnBhc3N3b3Jk", "alice", "a%20b", "4111", "123456"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s is in %s", secret, got)
			}
		}
		if test[2] == "application/json" {
			var a, b any
			_, got, _ = strings.Cut(got, "\n")
			_, want, _ = strings.Cut(want, "\n")
			if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal([]byte(want), &b)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(b, a); d != "" {
				t.Error(d)
			}
		} else if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	s.Forget()
	if got := answer("4111 alice@a.b", "text/plain"); !strings.HasSuffix(got, "4111 alice@a.b") {
		t.Errorf("what is forgotten is still replaced: %s", got)
	}
}

func TestBodyAllocations(t *testing.T) {
	r := compile(t, policy.Redact{JSON: []string{"$.user.email", "$.items[*].card"}, Query: []string{"token"}})
	for contentType, in := range map[string]string{
		"application/json":                  `{"user":{"email":"a@\u0062.c"},"items":[{"card":4111111111111111},{"card":"x"}]}`,
		"application/x-www-form-urlencoded": "a=1&token=s%65cret",
	} {
		h := head("content-type: "+contentType, "content-length: 1")
		var s redact.Scratch
		var dst []byte
		run := func() {
			var err error
			if dst, err = r.Body(&s, h, dst[:0], []byte(in)); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > 1 { // the copy of the text
			t.Errorf("%s: %v allocations", contentType, n)
		}
	}
}
