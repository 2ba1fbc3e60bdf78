package compare_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// fieldLines makes header lines of "name: value".
func fieldLines(all ...string) []compare.Field {
	var fields []compare.Field
	for _, one := range all {
		name, value, _ := strings.Cut(one, ": ")
		fields = append(fields, compare.Field{Name: name, Value: value})
	}
	return fields
}

func TestHeaders(t *testing.T) {
	for _, test := range []struct {
		name    string
		method  string
		ignore  []string
		rules   []compare.Rule
		a, b    []compare.Field
		want    []string
		outcome compare.Outcome
	}{
		{
			name: "what always varies",
			a: fieldLines("date: Mon, 02 Jan 2006 15:04:05 GMT", "x-request-id: 1", "x-envoy-upstream-service-time: 4", "age: 1", "traceparent: 0",
				"server-timing: a", "content-length: 5", "connection: close, x-hop", "x-hop: 1", "transfer-encoding: chunked", "x: 1"),
			b: fieldLines("x: 1", "date: Mon, 02 Jan 2006 15:04:06 GMT", "x-request-id: 2", "content-length: 7", "connection: keep-alive"),
		},
		{
			name: "values, missing and added", outcome: compare.Different,
			a: fieldLines("a: 1", "b: 2", "server: x"), b: fieldLines("server: x", "a: 2", "c: 3"),
			want: []string{"changed header.a: 1 -> 2", "missing header.b: 2 -> ", "added header.c:  -> 3"},
		},
		{
			name: "validators are minor",
			a:    fieldLines(`etag: "a"`, "last-modified: Mon, 02 Jan 2006 15:04:05 GMT"), b: fieldLines(`etag: "b"`, "last-modified: Mon, 02 Jan 2006 15:04:06 GMT"),
			want: []string{`changed header.etag: "a" -> "b" minor`, "changed header.last-modified: Mon, 02 Jan 2006 15:04:05 GMT -> Mon, 02 Jan 2006 15:04:06 GMT minor"},
		},
		{
			name: "validators keep their form", outcome: compare.Different,
			a: fieldLines(`etag: "a"`, "last-modified: Mon, 02 Jan 2006 15:04:05 GMT"), b: fieldLines(`etag: W/"a"`, "last-modified: never"),
			want: []string{`changed header.etag: "a" -> W/"a"`, "changed header.last-modified: Mon, 02 Jan 2006 15:04:05 GMT -> never"},
		},
		{name: "lists have no order", a: fieldLines("vary: Accept, Origin", "vary: cookie"), b: fieldLines("vary: cookie,origin,accept")},
		{
			name: "several lines are one", outcome: compare.Different,
			a: fieldLines("x: 1", "x: 2"), b: fieldLines("x: 1, 3"), want: []string{"changed header.x: 1, 2 -> 1, 3"},
		},
		{name: "several lines and one with the same", a: fieldLines("x: 1", "x: 2"), b: fieldLines("x: 1, 2")},
		{name: "ignored", ignore: []string{"header.Server"}, a: fieldLines("server: a"), b: fieldLines("server: b")},
		{name: "typed", rules: []compare.Rule{{Path: "header.x-n", Type: compare.FormatCounter}}, a: fieldLines("x-n: 5"), b: fieldLines("x-n: 6")},
		{
			name: "typed and broken", outcome: compare.Different, rules: []compare.Rule{{Path: "header.x-n", Type: compare.FormatCounter}},
			a: fieldLines("x-n: 5"), b: fieldLines("x-n: x"), want: []string{"type changed header.x-n: 5 -> x"},
		},
		{name: "the length of HEAD", method: "HEAD", outcome: compare.Different, a: fieldLines("content-length: 5"), b: fieldLines("content-length: 7"), want: []string{"changed header.content-length: 5 -> 7"}},
		{
			name: "cookies", outcome: compare.Different,
			a: fieldLines("set-cookie: a=1; Path=/; Secure", "set-cookie: b=2; Expires=Mon, 02 Jan 2006 15:04:05 GMT"),
			b: fieldLines("set-cookie: b=2; expires=Mon, 02 Jan 2006 15:04:09 GMT; HttpOnly", "set-cookie: c=3", "set-cookie: a=9; Secure; Path=/x"),
			want: []string{
				"changed header.set-cookie.a: 1 -> 9", "changed header.set-cookie.a.path: / -> /x", "added header.set-cookie.b.httponly:  -> ",
				"changed header.set-cookie.b.expires: Mon, 02 Jan 2006 15:04:05 GMT -> Mon, 02 Jan 2006 15:04:09 GMT minor", "added header.set-cookie.c:  -> 3",
			},
		},
		{name: "a cookie is ignored", ignore: []string{"header.set-cookie.sid"}, a: fieldLines("set-cookie: sid=1; Path=/"), b: fieldLines("set-cookie: sid=2; Path=/x")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newComparer(t, compare.Options{Ignore: test.ignore, Fields: test.rules})
			r := c.Compare(compare.Request{Method: test.method}, &compare.Message{Status: 200, Headers: test.a}, &compare.Message{Status: 200, Headers: test.b})
			check(t, r, "", test.want)
			if r.Outcome != test.outcome {
				t.Errorf("outcome is %v, want %v", r.Outcome, test.outcome)
			}
		})
	}
}

func TestStatusAndTrailers(t *testing.T) {
	details := func(message string) string {
		b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 5)
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), message)
		return base64.RawStdEncoding.EncodeToString(b)
	}
	a := &compare.Message{Status: 200, Trailers: fieldLines("grpc-status: 0", "grpc-message: x", "grpc-status-details-bin: "+details("one"))}
	b := &compare.Message{Status: 503, Headers: fieldLines("grpc-status: 5", "grpc-message: x", "grpc-status-details-bin: "+details("two"))}
	c := newComparer(t, compare.Options{})
	check(t, c.Compare(compare.Request{}, a, b), "", []string{
		"changed status: 200 -> 503", "changed trailer.grpc-status: 0 -> 5", "changed trailer.grpc-status-details-bin.2: one -> two",
	})
	c = newComparer(t, compare.Options{Ignore: []string{"status", "trailer"}})
	check(t, c.Compare(compare.Request{}, a, b), "", nil)
}

// TestLimitOfDifferences also checks their order.
func TestLimitOfDifferences(t *testing.T) {
	a := message("application/json", `{"d":1,"c":1,"b":1,"a":[1,1]}`)
	b := message("application/json", `{"d":2,"c":2,"b":2,"a":[2,2]}`)
	c := newComparer(t, compare.Options{MaxDifferences: 3})
	r := c.Compare(compare.Request{}, a, b)
	if r.More != 1 || len(r.Differences) != 3 || r.Outcome != compare.Different {
		t.Errorf("%d differences and %d more, want 3 and 1", len(r.Differences), r.More)
	}
	if !slices.IsSortedFunc(r.Differences, func(x, y compare.Difference) int { return strings.Compare(x.Field, y.Field) }) {
		t.Errorf("differences are not sorted: %v", lines(r))
	}
}

func TestCutBodies(t *testing.T) {
	cut := func(body string, size int64) *compare.Message {
		m := message("text/plain", body)
		m.Cut, m.Size = true, size
		return m
	}
	c := newComparer(t, compare.Options{})
	check(t, c.Compare(compare.Request{}, cut("abc", 9), cut("abc", 9)), compare.Cut, nil)
	check(t, c.Compare(compare.Request{}, cut("abc", 9), cut("abcd", 0)), compare.Cut, nil)
	check(t, c.Compare(compare.Request{}, cut("abc", 9), cut("abc", 8)), compare.Cut, []string{"length body: 9 -> 8"})
	check(t, c.Compare(compare.Request{}, cut("abc", 9), message("text/plain", "abcdefghi")), compare.Cut, nil)
	r := c.Compare(compare.Request{}, cut("abc", 9), cut("abd", 9))
	if r.Why != compare.Cut || r.Outcome != compare.Different || len(r.Differences) != 1 || r.Differences[0].Kind != compare.Opaque {
		t.Errorf("prefixes that differ: %+v", r)
	}
	r = c.Compare(compare.Request{}, cut("abc", 9), message("text/plain", "ab"))
	if r.Outcome != compare.Different {
		t.Errorf("a whole body that ends sooner: %+v", r)
	}
	b := cut("abc", 9)
	b.Status = 500
	check(t, c.Compare(compare.Request{}, cut("abc", 9), b), compare.Cut, []string{"changed status: 200 -> 500"})
}
