package redact_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/redact"
)

// needle is a secret that no pseudonym holds: they have no capitals.
const needle = "NEEDLE"

// What json.Valid reads, Body reads; what it writes is valid, says the same but
// for what the paths find, and there has no secret. What json.Valid does not
// read, Body refuses.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":"NEEDLE","b":[{"c":"NEEDLE"}]}`, `{"c":{"d":["NEEDLE",1.50e3,true,null]}}`, `["NEEDLE"]`, `{"a":"x\u004eEEDLE\ud83d\ude00\ud800"}`,
		`{"a":1`, `[1,]`, `"\x"`, "{\"\\u0061\":\"NEEDLE\"}", ` -0.0e-0 `, "\xef\xbb\xbf1", `{"a":"sd_aaaaaaaaaaaaaaaaaaaa"}`, `1e999999999999`, `{"a":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(s))
	}
	r := compile(f, policy.Redact{JSON: []string{"$.a", "$..c", "$[0]", "$.b[*].e"}})
	all := compile(f, policy.Redact{JSON: []string{"$"}})
	var s redact.Scratch
	f.Fuzz(func(t *testing.T, in []byte) {
		h := head("content-type: application/json")
		out, err := r.Body(&s, h, nil, in)
		if valid := json.Valid(in); valid != (err == nil) {
			if err == nil && severalTexts(in) || valid && strings.Contains(err.Error(), "levels") {
				return
			}
			t.Fatalf("%q: %v, and json.Valid says %v", in, err, valid)
		} else if !valid {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", in, out)
		}
		var before, after any
		if json.Unmarshal(in, &before) != nil {
			return
		}
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatal(err)
		}
		same(t, before, after, false, true)
		if out, err := all.Body(&s, h, nil, in); err != nil || strings.Contains(strings.Join(texts(nil, decoded(t, out)), "\n"), needle) {
			t.Fatalf("%q became %q, %v", in, out, err)
		}
	})
}

// severalTexts reports whether in is more or less than one JSON text, which
// Body reads and json.Valid does not.
func severalTexts(in []byte) bool {
	in = bytes.TrimPrefix(in, []byte("\xef\xbb\xbf"))
	d := json.NewDecoder(bytes.NewReader(bytes.ReplaceAll(in, []byte("\x1e"), []byte("\n"))))
	for d.More() {
		var v json.RawMessage
		if d.Decode(&v) != nil {
			return false
		}
	}
	return true
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil && !strings.Contains(err.Error(), "cannot unmarshal number") {
		t.Fatal(err)
	}
	return v
}

// texts are all strings of a value but keys.
func texts(all []string, v any) []string {
	switch v := v.(type) {
	case string:
		return append(all, v)
	case []any:
		for _, e := range v {
			all = texts(all, e)
		}
	case map[string]any:
		for _, e := range v {
			all = texts(all, e)
		}
	}
	return all
}

// same checks that b is a but for what the paths of FuzzJSON find.
func same(t *testing.T, a, b any, hit, top bool) {
	t.Helper()
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			t.Fatal("an object is another")
		}
		for k, v := range a {
			same(t, v, b[k], hit || k == "c" || top && k == "a", false)
			if list, ok := v.([]any); ok && top && k == "b" && !hit {
				_ = list // $.b[*].e is checked by the types alone
				return
			}
		}
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			t.Fatal("an array is another")
		}
		for i := range a {
			same(t, a[i], b[i], hit || top && i == 0, false)
		}
	case string:
		switch b := b.(type) {
		case string:
			if hit && strings.Contains(b, needle) || !hit && a != b && !strings.HasPrefix(b, "sd_") {
				t.Fatalf("%q became %q", a, b)
			}
		case float64:
			t.Fatal("a string became a number")
		}
	case float64:
		if c, ok := b.(float64); !ok || hit && c < 9e14 {
			t.Fatalf("%v became %v", a, b)
		}
	}
}

// Forms: what has the name is redacted, the rest stays byte for byte.
func FuzzParameters(f *testing.F) {
	f.Add("a=1&token=NEEDLE&b=%41", "application/x-www-form-urlencoded")
	f.Add("t%6fken=%4eEEDLE;x?token=NEEDLE#token=NEEDLE", "x")
	f.Add("token==NEEDLE&&token&=;token=NEEDLE%zz+", "")
	r := compile(f, policy.Redact{Query: []string{"token"}})
	var s redact.Scratch
	f.Fuzz(func(t *testing.T, query, contentType string) {
		h := head("path: /a?" + query)
		r.Head(&s, h)
		body, err := r.Body(&s, head("content-type: application/x-www-form-urlencoded"), nil, []byte(query))
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{strings.TrimPrefix(string(h.Path()), "/a?"), string(body)} {
			before, after := strings.Split(query, "&"), strings.Split(got, "&")
			if len(before) != len(after) {
				t.Fatalf("%q became %q", query, got)
			}
			for i := range before {
				name, value, _ := strings.Cut(before[i], "=")
				switch {
				case name == "token" && value != "":
					if strings.Contains(after[i], needle) || !strings.HasPrefix(after[i], "token=") {
						t.Fatalf("%q became %q", query, got)
					}
				case !strings.Contains(before[i], "token") && !strings.Contains(before[i], "%") && before[i] != after[i]:
					t.Fatalf("%q became %q", query, got)
				}
			}
		}
		_, _ = r.Body(&s, head("content-type: multipart/form-data; boundary="+contentType), nil, []byte(query))
	})
}

// Heads: whatever a client sends, no named place has the secret, and nothing
// else is another.
func FuzzHead(f *testing.F) {
	f.Add("Bearer NEEDLE", "a=1; sid=NEEDLE", "NEEDLE")
	f.Add("NEEDLE", "sid=\"NEEDLE\";;sid", " ")
	f.Add("a b NEEDLE", "sid = NEEDLE ;sid=a=NEEDLE", "sd_aaaaaaaaaaaaaaaaaaaa")
	r := compile(f, policy.Redact{Headers: []string{"authorization", "x-secret"}, Cookies: []string{"sid"}})
	var s redact.Scratch
	f.Fuzz(func(t *testing.T, authorization, cookie, value string) {
		h := head()
		for _, line := range [][2]string{{"authorization", authorization}, {"cookie", cookie}, {"x-secret", value}, {"x-other", value}} {
			h.Add(line[0], []byte(line[1]))
		}
		r.Head(&s, h)
		got := func(i int) string {
			_, v := h.Field(i)
			return string(v)
		}
		if _, rest, ok := strings.Cut(got(0), " "); ok && strings.Contains(rest, needle) || !ok && strings.Contains(got(0), needle) {
			t.Fatalf("%q became %q", authorization, got(0))
		}
		before, after := strings.Split(cookie, ";"), strings.Split(got(1), ";")
		if len(before) != len(after) {
			t.Fatalf("%q became %q", cookie, got(1))
		}
		for i := range before {
			name, _, ok := strings.Cut(before[i], "=")
			if secret := ok && strings.Trim(name, " \t") == "sid"; secret && strings.Contains(after[i], needle) || !secret && before[i] != after[i] {
				t.Fatalf("%q became %q", cookie, got(1))
			}
		}
		if strings.Contains(got(2), needle) || got(3) != value {
			t.Fatalf("%q became %q and %q", value, got(2), got(3))
		}
	})
}
