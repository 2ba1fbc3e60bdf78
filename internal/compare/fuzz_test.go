package compare_test

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// patience is far more than one comparison of a fuzzed body may take.
const patience = 5 * time.Second

// try compares two bodies both ways, and each with itself written differently,
// and checks what holds for whatever they are.
func try(t *testing.T, c *compare.Comparer, r compare.Request, a, b *compare.Message) {
	t.Helper()
	begin := time.Now()
	there, back := c.Compare(r, a, b), c.Compare(r, b, a)
	if took := time.Since(begin); took > patience {
		t.Fatalf("took %v", took)
	}
	if there.Outcome != back.Outcome || len(there.Differences) != len(back.Differences) {
		t.Fatalf("there %v %v, back %v %v", there.Outcome, lines(there), back.Outcome, lines(back))
	}
	for _, d := range there.Differences {
		for _, v := range []compare.Value{d.A, d.B} {
			if len(v.Text) > 256 || !utf8.ValidString(v.Text) {
				t.Fatalf("%s: a value of %d bytes: %q", d.Field, len(v.Text), v.Text)
			}
			compare.Classify(v)
			v.Timestamp()
			v.Number()
		}
		if d.Count < 1 || d.Field == "" {
			t.Fatalf("a difference without a place: %+v", d)
		}
	}
	if itself := c.Compare(r, a, a); itself.Outcome != compare.Equal {
		t.Fatalf("a message is not itself: %v", lines(itself))
	}
}

// tight has small limits, so that fuzzing meets them.
func tight(f *testing.F, types compare.TypeResolver) *compare.Comparer {
	return newComparer(f, compare.Options{MaxBody: 1 << 16, MaxNodes: 2000, MaxDepth: 20, MaxDifferences: 10, Types: types, Fields: []compare.Rule{
		{Path: "**.set", Array: compare.ArraySet},
		{Path: "**.key", Array: compare.ArrayKey, Key: "id"},
		{Path: "**.t", Type: compare.FormatToken},
	}})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5e3,"x\u00e9\n"],"b":null}`, `[{"id":1},{"id":2,"set":[1,2]}]`, `{"key":[{"id":1},{"id":2}],"t":"abc"}`, `{}{}`, "", "[[[[", `"\ud83d\ude00"`,
		`{"1":{"a":1},"2":{"a":2}}`,
	} {
		f.Add([]byte(s), []byte(`{"a":[1,3],"b":{}}`))
	}
	c := tight(f, nil)
	f.Fuzz(func(t *testing.T, x, y []byte) {
		a, b := message("application/json", string(x)), message("application/json", string(y))
		try(t, c, compare.Request{}, a, b)
		r := c.Compare(compare.Request{}, a, message("application/json", " "+string(x)))
		if json.Valid(x) && r.Outcome == compare.Different {
			t.Fatalf("white space is a difference: %v", lines(r))
		}
		if json.Valid(x) && r.Why == compare.Malformed {
			t.Fatalf("%q is JSON", x)
		}
	})
}

func FuzzProtobuf(f *testing.F) {
	types, _ := shop(f)
	for _, s := range []string{`items { id: 1 name: "a" } codes: [1,2]`, `by_name { key: "x" value { id: 7 } } made { seconds: 5 }`, `extra { [type.googleapis.com/shop.Item] { name: "in" } }`} {
		f.Add(list(f, types, s), list(f, types, `codes: [2]`))
	}
	typed, untyped := tight(f, types), tight(f, nil)
	f.Fuzz(func(t *testing.T, x, y []byte) {
		r := compare.Request{Path: "/shop.Shop/Get"}
		for _, c := range []*compare.Comparer{typed, untyped} {
			try(t, c, r, grpc(frame(0, x)), grpc(frame(0, y), frame(0, x)))
			try(t, c, r, grpc(x), grpc(y))
			try(t, c, r, message("application/x-protobuf", string(x)), message("application/x-protobuf", string(y)))
		}
	})
}

func FuzzMarkup(f *testing.F) {
	f.Add([]byte(`<p class=a>x<br><ul><li>1<li>2</ul>`), []byte(`<div><p>y</div><script>if (a<b) {}</script>`))
	f.Add([]byte(`<a:b c="d">x<e/></a:b>`), []byte("<a/><!--"))
	f.Add([]byte("one\ntwo"), []byte("a=1&b=%41+c"))
	c := tight(f, nil)
	f.Fuzz(func(t *testing.T, x, y []byte) {
		for _, ct := range []string{"text/html", "text/xml", "text/plain", "application/x-www-form-urlencoded", ""} {
			try(t, c, compare.Request{}, message(ct, string(x)), message(ct, string(y)))
		}
	})
}

func FuzzDecompress(f *testing.F) {
	for _, compress := range codings(f) {
		f.Add(compress([]byte(`{"a":1}`)), compress([]byte(`{"a":[2,3]}`)))
		f.Add(compress(make([]byte, 1<<18)), []byte("x"))
	}
	c := tight(f, nil)
	f.Fuzz(func(t *testing.T, x, y []byte) {
		for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, br", "zstd, identity"} {
			try(t, c, compare.Request{}, encoded(coding, x), encoded(coding, y))
		}
	})
}

// FuzzHeaders fuzzes what is read within headers, and paths of rules.
func FuzzHeaders(f *testing.F) {
	f.Add("a=1; path=/", "b", "body.a[].*", "aGk")
	f.Add("", "a=1;;=", `**["x"]`, "CAUSA29uZQ")
	f.Fuzz(func(t *testing.T, x, y, path, details string) {
		c, err := compare.New(compare.Options{Ignore: []string{path}})
		if err != nil {
			c = newComparer(t, compare.Options{})
		}
		header := func(v string) *compare.Message {
			return &compare.Message{
				Headers: fieldLines("set-cookie: "+v, "vary: "+v, "etag: "+v, "connection: "+v), Body: []byte(v),
				Trailers: fieldLines("grpc-status-details-bin: " + v),
			}
		}
		try(t, c, compare.Request{}, header(x), header(y))
		try(t, c, compare.Request{}, header(details), header(x))
	})
}
