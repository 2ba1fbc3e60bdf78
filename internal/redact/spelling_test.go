package redact_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// quoted is what a JSON string has between its quotes.
func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text[1 : len(text)-1])
}

// all writes every character as an escape.
func all(format string, each func(s string) []int) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for _, c := range each(s) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
}

func bytesOf(s string) (all []int) {
	for i := range len(s) {
		all = append(all, int(s[i]))
	}
	return all
}

func runesOf(s string) (all []int) {
	for _, c := range s {
		all = append(all, int(c))
	}
	return all
}

// A secret that an answer repeats is found however it is written.
func TestSpellings(t *testing.T) {
	r := compile(t, policy.Redact{Headers: []string{"x-key"}})
	named := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;", "é", "&eacute;").Replace
	double := func(outer, inner func(string) string) func(string) string {
		return func(s string) string { return outer(inner(s)) }
	}
	forms := map[string]func(string) string{
		"as it is": func(s string) string { return s }, "query": url.QueryEscape, "path": url.PathEscape, "HTML": html.EscapeString, "JSON": quoted,
		"names": named, "all percent": all("%%%02x", bytesOf), "all decimal": all("&#%d;", runesOf), "all hexadecimal": all("&#X%X;", runesOf),
		"JSON in JSON": double(quoted, quoted), "JSON in HTML": double(html.EscapeString, quoted), "HTML in JSON": double(quoted, named),
		"URL in URL": double(url.QueryEscape, url.PathEscape), "URL in HTML": double(all("&#%d;", runesOf), url.QueryEscape),
		"JSON in a URL": double(url.QueryEscape, quoted), "URL in JSON": double(all(`\u%04x`, bytesOf), url.PathEscape),
	}
	letters := rapid.SliceOfN(rapid.SampledFrom([]rune(`ab1 %&\"'<>+=;#/\né𝄞u0`)), 4, 20)
	rapid.Check(t, func(t *rapid.T) {
		secret := "k" + string(letters.Draw(t, "secret")) + "k"
		var s redact.Scratch
		s.Remember()
		h := head("x-key: " + strings.ReplaceAll(secret, "\n", " "))
		r.Head(&s, h)
		token, _ := h.Get("x-key")
		s.Seal(redact.AtLeisure)
		for name, form := range forms {
			text := "<p>" + form(strings.ReplaceAll(secret, "\n", " ")) + ", &c."
			out, err := r.Body(&s, head("content-type: text/html"), nil, []byte(text))
			if want := "<p>" + string(token) + ", &c."; err != nil || string(out) != want {
				t.Fatalf("%s: %q becomes %q, %v; want %q", name, text, out, err, want)
			}
		}
	})
}

// BenchmarkScrub looks for the secrets of a request in 10 KiB of an answer.
func BenchmarkScrub(b *testing.B) {
	r := compile(b, policy.Redact{Headers: []string{"authorization"}, Cookies: []string{"sid"}, Query: []string{"token"}})
	page := func(line string) []byte { return bytes.Repeat([]byte(line), 10<<10/len(line)) }
	for name, body := range map[string][]byte{
		"prose":   page("The quick brown fox jumps over the lazy dog.\n"),
		"escapes": page(`{\"a\":\"\u00e9\u003c\",\"b\":\"%20&amp;&#60;\"},`),
	} {
		b.Run(name, func(b *testing.B) {
			request := head("path: /a?token=Tr0ub4dor", "authorization: Bearer abcdefghijklmnop", "cookie: a=b; sid=0123456789abcdef")
			answer := head("content-type: text/html")
			var s redact.Scratch
			var h traffic.Head
			var out []byte
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				s.Remember()
				h.CopyFrom(request)
				r.Head(&s, &h)
				s.Seal(redact.AtLeisure)
				out, _ = r.Body(&s, answer, out[:0], body)
				s.Forget()
			}
		})
	}
}

// What would take too long to look for is not shown at all.
func TestSpent(t *testing.T) {
	r := compile(t, policy.Redact{Query: []string{"q"}})
	var s redact.Scratch
	s.Remember()
	var path strings.Builder
	path.WriteString("path: /?")
	for i := range 5000 {
		fmt.Fprintf(&path, "q=aaaa%d&", i)
	}
	r.Head(&s, head(path.String()))
	s.Seal(redact.InPassing)
	h := head("location: /"+strings.Repeat("a", 10_000)+"secret", "server: x")
	r.Head(&s, h)
	if got := strings.Join(lines(h), "\n"); !s.Spent() || strings.Contains(got, "secret") {
		t.Errorf("spent: %v, still there: %.200s", s.Spent(), got)
	}
	if out, err := r.Body(&s, head("content-type: text/html"), nil, []byte("secret")); err == nil {
		t.Errorf("the body became %q", out)
	}
}
