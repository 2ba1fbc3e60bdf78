package redact_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func key() []byte { return []byte("0123456789abcdef0123456789abcdef") }

func compile(t testing.TB, p policy.Redact) *redact.Redactor {
	t.Helper()
	r, err := redact.New(p, key())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func secret(t testing.TB, v string) string {
	t.Helper()
	return string(compile(t, policy.Redact{Headers: []string{"x"}}).Secret([]byte(v)))
}

// head makes a head of "name: value" lines; "path: ..." is the path.
func head(lines ...string) *traffic.Head {
	h := new(traffic.Head)
	h.Reset()
	h.SetMethod([]byte("GET"))
	h.SetAuthority([]byte("a.example"))
	h.SetPath([]byte("/"))
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		if name == "path" {
			h.SetPath([]byte(value))
			continue
		}
		h.Add(name, []byte(value))
	}
	return h
}

func lines(h *traffic.Head) []string {
	all := []string{"path: " + string(h.Path())}
	for i := range h.Len() {
		name, value := h.Field(i)
		all = append(all, string(name)+": "+string(value))
	}
	return all
}

func TestForm(t *testing.T) {
	if got := secret(t, "alice@example.com"); !regexp.MustCompile(`^sd_[a-z2-7]{20}$`).MatchString(got) {
		t.Errorf("a text became %q", got)
	}
	for _, n := range []string{"0", "-1", "42", "1.5", "4111111111111111", "12345678901234567890"} {
		if got := secret(t, n); !regexp.MustCompile(`^9[0-9]{14}$`).MatchString(got) {
			t.Errorf("the number %s became %q", n, got)
		}
	}
	for _, text := range []string{"007", "-0", "1.0", "1e5", "+1", ".5", "1.", "--1", strings.Repeat("1", 41), "sd_aaaaaaaaaaaaaaaaaaaa", "900000000000000.5x"} {
		if got := secret(t, text); !strings.HasPrefix(got, "sd_") || got == text {
			t.Errorf("the text %s became %q", text, got)
		}
	}
	if got := secret(t, ""); got != "" {
		t.Errorf("nothing became %q", got)
	}
}

// The pseudonym is HMAC-SHA-256 as everybody has it.
func TestHMAC(t *testing.T) {
	for _, key := range [][]byte{key(), bytes.Repeat([]byte("k"), 64), bytes.Repeat([]byte("k"), 65)} {
		r, err := redact.New(policy.Redact{Headers: []string{"x"}}, key)
		if err != nil {
			t.Fatal(err)
		}
		part := func(purpose byte, v string, n int) string {
			m := hmac.New(sha256.New, key)
			m.Write([]byte{purpose})
			m.Write([]byte(v))
			return strings.ToLower(base32.StdEncoding.EncodeToString(m.Sum(nil)))[:n]
		}
		body := part(1, "alice", 12)
		if got, want := string(r.Secret([]byte("alice"))), "sd_"+body+part(2, body, 8); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTokenProperties(t *testing.T) {
	a := compile(t, policy.Redact{Headers: []string{"x"}})
	b, err := redact.New(policy.Redact{Headers: []string{"x"}}, []byte("another key, of enough bytes"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 1, 60), rapid.Map(rapid.Int64(), func(n int64) []byte {
			text, _ := json.Marshal(n)
			return text
		})).Draw(t, "v")
		got := a.Secret(v)
		switch {
		case !bytes.Equal(got, a.Secret(v)):
			t.Fatal("not the same each time")
		case !bytes.Equal(got, a.Secret(got)):
			t.Fatal("a pseudonym does not stay")
		case bytes.Equal(got, b.Secret(v)):
			t.Fatal("another key makes the same pseudonym")
		case bytes.Equal(got, b.Secret(got)):
			t.Fatal("a pseudonym of another key stays")
		case bytes.Equal(got, v):
			t.Fatal("the value stays")
		}
	})
}

func TestHead(t *testing.T) {
	r := compile(t, policy.Redact{
		Headers: []string{"Authorization", "x-user", "proxy-authorization"},
		Cookies: []string{"sid", "csrf"},
		Query:   []string{"token", "user id"},
	})
	sd := func(v string) string { return secret(t, v) }
	h := head(
		"path: /a;token=1?x=1&token=s%65cret&y=%2F&user+id=7&user%20id=a+b&token&token=&Token=q",
		"authorization: Bearer abc.def",
		"authorization: secret",
		"proxy-authorization: Basic  dTpw ",
		"accept: */*",
		"x-user: alice",
		"x-user: ",
		"x-user: alice",
		"cookie: a=1; sid=abc ;csrf=\"q r\"; Sid=x; sid",
		"cookie: sid=abc",
		"set-cookie: sid=abc; Path=/; sid=attribute",
		"set-cookie: other=abc; HttpOnly",
		"referer: https://a/?token=secret#token=secret",
		"location: /cb#x=1&token=secret",
		"link: </a?token=secret&p=2>; rel=\"next\", </b?p=3>",
		"x-envoy-original-path: /a?q=token&b?token=secret;x",
		"x-other: token=secret",
	)
	r.Head(new(redact.Scratch), h)
	want := []string{
		"path: /a;token=1?x=1&token=" + sd("secret") + "&y=%2F&user+id=" + sd("7") + "&user%20id=" + sd("a b") + "&token&token=&Token=q",
		"authorization: Bearer " + sd("abc.def"),
		"authorization: " + sd("secret"),
		"proxy-authorization: Basic " + sd("dTpw"),
		"accept: */*",
		"x-user: " + sd("alice"),
		"x-user: ",
		"x-user: " + sd("alice"),
		"cookie: a=1; sid=" + sd("abc") + ";csrf=\"" + sd("q r") + "\"; Sid=x; sid",
		"cookie: sid=" + sd("abc"),
		"set-cookie: sid=" + sd("abc") + "; Path=/; sid=attribute",
		"set-cookie: other=abc; HttpOnly",
		"referer: https://a/?token=" + sd("secret#token=secret"),
		"location: /cb#x=1&token=" + sd("secret"),
		"link: </a?token=" + sd("secret") + "&p=2>; rel=\"next\", </b?p=3>",
		"x-envoy-original-path: /a?q=token&b?token=" + sd("secret;x"),
		"x-other: token=secret",
	}
	if d := cmp.Diff(want, lines(h)); d != "" {
		t.Error(d)
	}
	if string(h.Method()) != "GET" || string(h.Authority()) != "a.example" || h.Minor != 1 {
		t.Error("the rest of the head is another")
	}
}

func TestAnswerHead(t *testing.T) {
	h := head("set-cookie: sid=abc")
	h.Status, h.HTTP2 = 401, true
	h.SetReason([]byte("No"))
	compile(t, policy.Redact{Cookies: []string{"sid"}}).Head(new(redact.Scratch), h)
	if h.Status != 401 || !h.HTTP2 || string(h.Reason()) != "No" || lines(h)[1] != "set-cookie: sid="+secret(t, "abc") {
		t.Errorf("got %d %v %q %q", h.Status, h.HTTP2, h.Reason(), lines(h))
	}
}

func TestNothing(t *testing.T) {
	r, err := redact.New(policy.Redact{}, nil)
	if r != nil || err != nil {
		t.Fatalf("got %v, %v", r, err)
	}
	h := head("authorization: a")
	r.Head(new(redact.Scratch), h)
	body, err := r.Body(new(redact.Scratch), h, nil, []byte(`{"a":1}`))
	if lines(h)[1] != "authorization: a" || r.NeedsBody(h) || string(body) != `{"a":1}` || err != nil || string(r.Secret([]byte("a"))) != "a" {
		t.Error("no redaction is not none")
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		policy policy.Redact
		key    []byte
		want   string
	}{
		{policy.Redact{Headers: []string{"a"}}, []byte("short"), "5 bytes"},
		{policy.Redact{Headers: []string{"Host"}}, key(), "host cannot be redacted"},
		{policy.Redact{Headers: []string{""}}, key(), "empty"},
		{policy.Redact{Headers: []string{":path"}}, key(), "no name"},
		{policy.Redact{Cookies: []string{""}}, key(), "redact.cookies"},
		{policy.Redact{Query: []string{""}}, key(), "redact.query"},
		{policy.Redact{JSON: []string{"user.email"}}, key(), "begins with $"},
		{policy.Redact{JSON: []string{"$.a..", "$"}}, key(), "name is missing"},
		{policy.Redact{JSON: []string{"$.a["}}, key(), "not closed"},
		{policy.Redact{JSON: []string{"$['a'"}}, key(), "not closed"},
		{policy.Redact{JSON: []string{"$[-1]"}}, key(), "index from 0"},
		{policy.Redact{JSON: []string{"$[?@.a]"}}, key(), "index from 0"},
		{policy.Redact{JSON: []string{"$.a b"}}, key(), "['a b']"},
		{policy.Redact{JSON: []string{"$a"}}, key(), "dot or a bracket"},
	} {
		if _, err := redact.New(test.policy, test.key); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.policy, err, test.want)
		}
	}
}

func TestHeadAllocations(t *testing.T) {
	r := compile(t, policy.Redact{Headers: []string{"authorization", "x-id"}, Cookies: []string{"sid"}, Query: []string{"token"}})
	from := head("path: /a?b=1&token=secret", "authorization: Bearer abc", "x-id: 12345", "cookie: a=b; sid=abcdef", "accept: */*",
		"x-id: sd_aaaaaaaaaaaaaaaaaaaa")
	var h traffic.Head
	var s redact.Scratch
	run := func() {
		h.CopyFrom(from)
		r.Head(&s, &h)
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHead(b *testing.B) {
	r := compile(b, policy.Redact{Headers: []string{"authorization", "x-id"}, Cookies: []string{"sid"}, Query: []string{"token"}})
	from := head("path: /a?b=1&token=secret", "authorization: Bearer abc", "x-id: 12345", "cookie: a=b; sid=abcdef", "accept: */*")
	var h traffic.Head
	var s redact.Scratch
	b.ReportAllocs()
	for b.Loop() {
		h.CopyFrom(from)
		r.Head(&s, &h)
	}
}

// Loops share a Redactor.
func TestShared(t *testing.T) {
	r := compile(t, policy.Redact{Headers: []string{"x-id"}, JSON: []string{"$.a"}})
	want := secret(t, "alice")
	done := make(chan string)
	for range 4 {
		go func() {
			var s redact.Scratch
			for range 100 {
				h := head("x-id: alice")
				r.Head(&s, h)
				body, err := r.Body(&s, h, nil, []byte(`{"a":"alice"}`))
				if lines(h)[1] != "x-id: "+want || string(body) != `{"a":"`+want+`"}` || err != nil {
					done <- string(body)
					return
				}
			}
			done <- ""
		}()
	}
	for range 4 {
		if got := <-done; got != "" {
			t.Errorf("got %s", got)
		}
	}
}
