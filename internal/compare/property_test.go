package compare_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// jsonValue draws JSON values that are often alike.
func jsonValue(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.IntRange(0, 5), func(n int) any { return json.Number(strconv.Itoa(n)) }),
		rapid.Map(rapid.SampledFrom([]string{"", "a", "b", "é\"\\\n", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"}), func(s string) any { return s }),
	)
	if depth == 0 {
		return leaf
	}
	name := rapid.SampledFrom([]string{"id", "a", "b", "c.d", "name", "7", "12", "*"})
	return rapid.OneOf(
		leaf,
		rapid.Map(rapid.SliceOfN(jsonValue(depth-1), 0, 6), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(name, jsonValue(depth-1), 0, 5), func(m map[string]any) any { return m }),
	)
}

// write writes JSON with other white space, order of names and forms of numbers each time.
func write(t *rapid.T, v any) string {
	space := func() string { return rapid.SampledFrom([]string{"", " ", "\n", "\t "}).Draw(t, "space") }
	switch v := v.(type) {
	case map[string]any:
		var names []string
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		var parts []string
		for _, name := range rapid.Permutation(names).Draw(t, "names") {
			parts = append(parts, space()+strconv.Quote(name)+space()+":"+write(t, v[name]))
		}
		return space() + "{" + strings.Join(parts, ",") + space() + "}" + space()
	case []any:
		var parts []string
		for _, one := range v {
			parts = append(parts, write(t, one))
		}
		return space() + "[" + strings.Join(parts, ",") + space() + "]" + space()
	case json.Number:
		return space() + string(v) + rapid.SampledFrom([]string{"", ".0", "e0", ".00E+0"}).Draw(t, "form") + space()
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return space() + string(b) + space()
}

func comparer(t *rapid.T, o compare.Options) *compare.Comparer {
	c, err := compare.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFormDoesNotCount: however one value is written, it is the same.
func TestFormDoesNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := jsonValue(3).Draw(t, "value")
		a, b := write(t, v), write(t, v)
		r := comparer(t, compare.Options{}).Compare(compare.Request{}, message("application/json", a), message("application/json", b))
		if r.Outcome != compare.Equal || len(r.Differences) > 0 || r.Why != "" {
			t.Fatalf("%s and %s: %v, %q, %v", a, b, r.Outcome, r.Why, lines(r))
		}
	})
}

// TestEqualOnlyIfEqual: a difference is found if and only if there is one.
func TestEqualOnlyIfEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := jsonValue(3).Draw(t, "a"), jsonValue(3).Draw(t, "b")
		r := comparer(t, compare.Options{}).Compare(compare.Request{}, message("application/json", write(t, v)), message("application/json", write(t, w)))
		if same := cmp.Equal(v, w); same != (r.Outcome == compare.Equal) {
			t.Fatalf("equal is %v, but %v: %v", same, r.Outcome, lines(r))
		}
	})
}

// mirror is the kind that one sees from the other side.
func mirror(k compare.Kind) compare.Kind {
	switch k {
	case compare.Missing:
		return compare.Added
	case compare.Added:
		return compare.Missing
	}
	return k
}

// aspects are the differences without their places, from the other side if asked.
func aspects(r compare.Result, mirrored bool) []string {
	var all []string
	for _, d := range r.Differences {
		if mirrored {
			d.Kind, d.A, d.B = mirror(d.Kind), d.B, d.A
		}
		values := ""
		if d.Count == 1 {
			values = d.A.Text + " -> " + d.B.Text
		}
		all = append(all, fmt.Sprintf("%s %v %d %s", d.Field, d.Kind, d.Count, values))
	}
	slices.Sort(all)
	return all
}

// TestMirror: whichever comes first, the differences are the same.
func TestMirror(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := compare.Options{Fields: []compare.Rule{
			{Path: "body.a", Array: compare.ArrayMode(rapid.IntRange(0, 1).Draw(t, "mode")), Type: compare.FormatAny},
			{Path: "body.b", Array: compare.ArrayKey, Key: "id"},
		}}
		c := comparer(t, o)
		a, b := message("application/json", write(t, jsonValue(4).Draw(t, "a"))), message("application/json", write(t, jsonValue(4).Draw(t, "b")))
		there := aspects(c.Compare(compare.Request{}, a, b), false)
		back := aspects(c.Compare(compare.Request{}, b, a), true)
		if d := cmp.Diff(there, back); d != "" {
			t.Fatalf("%s and %s (-there +back):\n%s", a.Body, b.Body, d)
		}
	})
}

// TestSets: under ArraySet the order of elements does not count; with
// ArrayIndex it is one difference.
func TestSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOfN(jsonValue(2), 0, 12).Draw(t, "elements")
		moved := rapid.Permutation(elements).Draw(t, "moved")
		a, b := message("application/json", write(t, elements)), message("application/json", write(t, moved))
		set := comparer(t, compare.Options{Fields: []compare.Rule{{Path: "body", Array: compare.ArraySet}}})
		if r := set.Compare(compare.Request{}, a, b); r.Outcome != compare.Equal {
			t.Fatalf("%s and %s: %v", a.Body, b.Body, lines(r))
		}
		for _, d := range comparer(t, compare.Options{}).Compare(compare.Request{}, a, b).Differences {
			if d.Kind != compare.Reordered || d.Field != "body" {
				t.Fatalf("%s and %s: %v %s", a.Body, b.Body, d.Kind, d.Field)
			}
		}
	})
}

// TestShape: the shape does not hang on values, the length of arrays, or order.
func TestShape(t *testing.T) {
	c := newComparer(t, compare.Options{})
	shape := func(a, b string) uint64 {
		return c.Compare(compare.Request{}, message("application/json", a), message("application/json", b)).Shape
	}
	x := shape(`{"a":[{"n":1},{"n":2}],"b":"x","m":{"1":{"v":1}}}`, `{}`)
	if x == 0 {
		t.Error("the shape of different bodies is not known")
	}
	if y := shape(`{"b":"y","a":[{"n":7}],"m":{"7":{"v":3},"8":{"v":3}}}`, `{}`); x != y {
		t.Error("values, lengths, order or names in maps change the shape")
	}
	for _, other := range []string{`{"a":[{"n":1}],"b":null,"m":{"1":{"v":1}}}`, `{"a":[],"b":"x","m":{"1":{"v":1}}}`, `{"a":[{"n":1},{"k":1}],"b":"x","m":{"1":{"v":1}}}`} {
		if shape(other, `{}`) == x {
			t.Errorf("%s has the shape of another structure", other)
		}
	}
	if y := newComparer(t, compare.Options{}).Compare(compare.Request{}, message("application/json", `{"b":"y","a":[{"n":7}],"m":{"7":{"v":3}}}`),
		message("application/json", `{"b":"y","a":[{"n":7}],"m":{"7":{"v":3}}}`)).Shape; y != x {
		t.Error("the first equal body has another shape than a different one")
	}
}
