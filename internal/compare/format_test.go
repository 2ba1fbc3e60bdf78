package compare_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/compare"
)

func str(s string) compare.Value { return compare.Value{Type: compare.String, Text: s} }
func num(s string) compare.Value { return compare.Value{Type: compare.Number, Text: s} }

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		value compare.Value
		want  string
	}{
		{str("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), "uuid v1"},
		{str("0190b7a2-5c1e-7abc-8def-0123456789ab"), "uuid v7"},
		{str("2024-01-02T03:04:05.678Z"), "timestamp rfc3339"},
		{str("2024-01-02T03:04:05+02:00"), "timestamp rfc3339 with offset"},
		{str("Mon, 02 Jan 2006 15:04:05 GMT"), "timestamp http date"},
		{str("2024-01-02"), "timestamp date"},
		{str("2024-01-02 03:04:05"), "timestamp date and time"},
		{num("1735787045"), "timestamp unix s"},
		{num("1735787045.25"), "timestamp unix s"},
		{str("1735787045123"), "timestamp unix ms"},
		{num("1735787045123456"), "timestamp unix us"},
		{num("1735787045123456789"), "timestamp unix ns"},
		{num("42"), "integer"},
		{num("-42"), "integer"},
		{num("4.2"), "float"},
		{num("1e5"), "float"},
		{str("42"), "integer"},
		{str("d41d8cd98f00b204e9800998ecf8427e"), "token hex 32"},
		{str("D41D8CD98F00B204"), "token upper hex 16"},
		{str("aGVsbG8gd29ybGQhIQ=="), "token base64 20"},
		{str("v1_kJ8s-Qw3Zx9Lm2Pq"), "token base64url 19"},
		{str("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"), "token jwt 80"},
		{str("dBjftJeZFWkAcLqT"), "token alphanumeric 16"},
		{str("192.0.2.1"), "ip v4"},
		{str("2001:db8::1"), "ip v6"},
		{str("ann@example.com"), "email"},
		{str("https://example.com/a?b=c"), "url"},
		{str("pending"), "word"},
		{str("out-of-stock"), "word"},
		{str("Hello, world"), "text"},
		{str("true"), "bool"},
		{compare.Value{Type: compare.Bool, Text: "true"}, "bool"},
		{str(""), "empty"},
		{compare.Value{Type: compare.Null}, "unknown"},
		{compare.Value{}, "unknown"},
		{compare.Value{Type: compare.Bytes, Text: "00"}, "bytes"},
	} {
		if got := compare.Classify(test.value); got.String() != test.want {
			t.Errorf("Classify(%q) is %q, want %q", test.value.Text, got, test.want)
		}
	}
}

func TestCompatible(t *testing.T) {
	of := func(s string) compare.Format { return compare.Classify(str(s)) }
	for _, test := range []struct {
		a, b compare.Format
		want bool
	}{
		{of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), of("0b8ec3a5-6dfb-4d0c-9d0a-6a4f6ca3a2c1"), true},
		{of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), of("0b8ec3a5-6dfb-7d0c-9d0a-6a4f6ca3a2c1"), false},
		{of("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), of("none"), false},
		{compare.FormatUUID, of("0b8ec3a5-6dfb-7d0c-9d0a-6a4f6ca3a2c1"), true},
		{of("2024-01-02T03:04:05Z"), of("2024-01-02T03:04:05.5Z"), true},
		{of("2024-01-02T03:04:05Z"), of("2024-01-02T03:04:05+01:00"), false},
		{of("1735787045"), of("1735787045123"), false},
		{of("5"), of("1735787045"), true},
		{of("1735787045"), of("5"), false},
		{of("5.5"), of("5"), true},
		{of("5"), of("5.5"), false},
		{of("d41d8cd98f00b204"), of("9e107d9d372bb682"), true},
		{of("d41d8cd98f00b204"), of("D41D8CD98F00B204"), false},
		{of("d41d8cd98f00b204"), of("d41d8cd98f00b2049e107d9d372bb682"), false},
		{of("a text of words"), of("5"), true},
		{of("word"), compare.FormatUnknown, false},
		{compare.FormatAny, of("word"), true},
		{of("192.0.2.1"), of("2001:db8::1"), false},
	} {
		if got := compare.Compatible(test.a, test.b); got != test.want {
			t.Errorf("Compatible(%v, %v) is %v, want %v", test.a, test.b, got, test.want)
		}
	}
}

// TestRandomTokensAreCompatible: a field of random values never changes its
// format by chance, or else noise would be taken for a difference.
func TestRandomTokensAreCompatible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(6, 40).Draw(t, "bytes")
		write := rapid.SampledFrom([]func([]byte) string{
			hex.EncodeToString,
			base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString,
			func(b []byte) string { return fmt.Sprintf("%x-%x-4%x-%x-%x", b[:4], b[:2], b[:2], b[:2], b[:6])[:36-2] },
		}).Draw(t, "write")
		bytes := rapid.SliceOfN(rapid.Byte(), n, n)
		rule := compare.Rule{Path: "body.t", Type: compare.FormatToken}
		c, err := compare.New(compare.Options{Fields: []compare.Rule{rule}})
		if err != nil {
			t.Fatal(err)
		}
		x, y := write(bytes.Draw(t, "x")), write(bytes.Draw(t, "y"))
		r := c.Compare(compare.Request{}, message("", `{"t":"`+x+`"}`), message("", `{"t":"`+y+`"}`))
		if r.Outcome != compare.Equal {
			t.Errorf("%q (%v) and %q (%v) are no tokens of one form", x, compare.Classify(str(x)), y, compare.Classify(str(y)))
		}
	})
}

func TestFormatText(t *testing.T) {
	for _, v := range []compare.Value{str("d41d8cd98f00b204"), str("x"), num("1735787045"), {}, str("f81d4fae-7dec-41d0-a765-00a0c91e6bf6")} {
		f := compare.Classify(v)
		text, err := f.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back compare.Format
		if err := back.UnmarshalText(text); err != nil || back != f {
			t.Errorf("%q is read back as %v, want %v: %v", text, back, f, err)
		}
	}
	for name, want := range map[string]compare.Format{
		"UUID": compare.FormatUUID, "Timestamp": compare.FormatTimestamp, "Counter": compare.FormatCounter, "Token": compare.FormatToken,
		"Float": compare.FormatFloat, "Any": compare.FormatAny, "": compare.FormatUnknown,
	} {
		if got, err := compare.ParseFormat(name); err != nil || got != want {
			t.Errorf("ParseFormat(%q) is %v, %v; want %v", name, got, err, want)
		}
	}
	if _, err := compare.ParseFormat("Number"); err == nil {
		t.Error("ParseFormat(Number) finds nothing wrong")
	}
	var f compare.Format
	if err := f.UnmarshalText([]byte("token/x")); err == nil {
		t.Error("token/x is taken for a format")
	}
}

func TestNumberAndTimestamp(t *testing.T) {
	for text, want := range map[string]float64{"1.5": 1.5, "-3": -3, "1e3": 1000} {
		if got, ok := num(text).Number(); !ok || got != want {
			t.Errorf("the number of %q is %v, %v", text, got, ok)
		}
	}
	for _, v := range []compare.Value{str("x"), str(""), {Type: compare.Bool, Text: "1"}, {Type: compare.Number, Text: "1", Cut: true}} {
		if got, ok := v.Number(); ok {
			t.Errorf("the number of %+v is %v, want none", v, got)
		}
	}
	at := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2025-01-02T03:04:05Z": at, "2025-01-02T04:04:05+01:00": at, "Thu, 02 Jan 2025 03:04:05 GMT": at, "1735787045": at,
		"1735787045.5": at.Add(time.Second / 2), "1735787045123": at.Add(123 * time.Millisecond), "1735787045000001": at.Add(time.Microsecond),
		"1735787045000000001": at.Add(1), "2025-01-02": at.Truncate(24 * time.Hour),
	} {
		if got, ok := str(text).Timestamp(); !ok || !got.Equal(want) {
			t.Errorf("the time of %q is %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "5", "noon", "2025-13-02", "9735787045"} {
		if got, ok := str(text).Timestamp(); ok {
			t.Errorf("the time of %q is %v, want none", text, got)
		}
	}
}
