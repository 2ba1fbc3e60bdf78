package compare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	nsf "github.com/nsf/jsondiff"
	"github.com/wI2L/jsondiff"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// products is a list of about size bytes as an API might return it, with one
// value in share of them changed by salt.
func products(size, share int, salt string) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString(`{"page":1,"total":1234,"items":[`)
	for i := 0; b.Len() < size-2; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		name := fmt.Sprintf("Product %d", i)
		if share > 0 && i%share == share/2 {
			name += salt
		}
		fmt.Fprintf(&b, `{"id":%d,"name":%q,"price":%d.%02d,"tags":["t%d","sale"],"stock":{"count":%d,"warehouse":"w%d"},"active":%v,"sku":"%016x"}`,
			i, name, random.IntN(1000), random.IntN(100), random.IntN(9), random.IntN(50), random.IntN(4), random.IntN(2) == 0, random.Uint64())
	}
	b.WriteString("]}")
	return []byte(b.String())
}

var sizes = []struct {
	name string
	size int
}{{"1KiB", 1 << 10}, {"10KiB", 10 << 10}, {"100KiB", 100 << 10}}

// BenchmarkCompare compares JSON bodies with equal bytes, with a tenth of
// their elements different, and with the same values in other bytes, beside
// two libraries that do nothing else.
func BenchmarkCompare(b *testing.B) {
	for _, s := range sizes {
		for _, kind := range []string{"equal", "unequal", "reformatted"} {
			x, y := products(s.size, 0, ""), products(s.size, 0, "")
			switch kind {
			case "unequal":
				x, y = products(s.size, 10, "a"), products(s.size, 10, "b")
			case "reformatted":
				y = reformatted(b, x)
			}
			for _, who := range []struct {
				name string
				run  func(x, y []byte) bool
			}{
				{"sundog", ours(b)},
				{"wI2L-jsondiff", func(x, y []byte) bool {
					p, err := jsondiff.CompareJSON(x, y)
					return err == nil && len(p) == 0
				}},
				{"nsf-jsondiff", func(x, y []byte) bool {
					o := nsf.DefaultConsoleOptions()
					d, _ := nsf.Compare(x, y, &o)
					return d == nsf.FullMatch
				}},
			} {
				b.Run(s.name+"/"+kind+"/"+who.name, func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(len(x)))
					for b.Loop() {
						if equal := who.run(x, y); equal == (kind == "unequal") {
							b.Fatalf("equal is %v", equal)
						}
					}
				})
			}
		}
	}
}

// reformatted sorts the names in a body, and leaves numbers as they are: one
// of the libraries compares them as written.
func reformatted(b *testing.B, x []byte) []byte {
	b.Helper()
	d := json.NewDecoder(bytes.NewReader(x))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		b.Fatal(err)
	}
	y, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		b.Fatal(err)
	}
	return y
}

func ours(b *testing.B) func(x, y []byte) bool {
	c := newComparer(b, compare.Options{})
	headers := fieldLines("content-type: application/json", "date: x", "server: envoy", "cache-control: no-store")
	return func(x, y []byte) bool {
		m, n := compare.Message{Status: 200, Headers: headers, Body: x}, compare.Message{Status: 200, Headers: headers, Body: y}
		return c.Compare(compare.Request{}, &m, &n).Outcome == compare.Equal
	}
}

// TestAllocations: equal bytes cost no memory, nor do bodies in which nothing differs.
func TestAllocations(t *testing.T) {
	x := products(10<<10, 0, "")
	a := &compare.Message{Status: 200, Headers: fieldLines("content-type: application/json", "date: x", "x-request-id: 1", "vary: a"), Body: x}
	same := &compare.Message{Status: 200, Headers: fieldLines("content-type: application/json", "date: y", "x-request-id: 2", "vary: a"), Body: append([]byte(nil), x...)}
	moved := &compare.Message{Status: 200, Headers: a.Headers, Body: append([]byte(" "), x...)}
	c := newComparer(t, compare.Options{Ignore: []string{"body.items[].secret"}, Fields: []compare.Rule{{Path: "body.items", Array: compare.ArraySet}}})
	for name, b := range map[string]*compare.Message{"equal bytes": same, "other bytes": moved} {
		if n := testing.AllocsPerRun(100, func() {
			if c.Compare(compare.Request{}, a, b).Outcome != compare.Equal {
				t.Error("a difference was found")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for each comparison, want none", name, n)
		}
	}
}
