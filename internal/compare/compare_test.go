package compare_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// newComparer fails the test where the options are wrong.
func newComparer(t testing.TB, o compare.Options) *compare.Comparer {
	t.Helper()
	c, err := compare.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// message is an answer of a content type.
func message(contentType, body string) *compare.Message {
	m := &compare.Message{Status: 200, Body: []byte(body)}
	if contentType != "" {
		m.Headers = []compare.Field{{Name: "content-type", Value: contentType}}
	}
	return m
}

// lines writes a result for tables: one line for each difference.
func lines(r compare.Result) []string {
	var all []string
	for _, d := range r.Differences {
		line := fmt.Sprintf("%v %s", d.Kind, d.Field)
		if d.At != d.Field {
			line += " at " + d.At
		}
		line += ": " + d.A.Text + " -> " + d.B.Text
		if d.Count > 1 {
			line += fmt.Sprintf(" x%d", d.Count)
		}
		if d.Minor {
			line += " minor"
		}
		all = append(all, line)
	}
	return all
}

// sorted leaves the order to TestOrder.
var sorted = cmpopts.SortSlices(strings.Compare)

func check(t *testing.T, r compare.Result, why compare.Reason, want []string) {
	t.Helper()
	if r.Why != why {
		t.Errorf("why is %q, want %q", r.Why, why)
	}
	if d := cmp.Diff(want, lines(r), sorted); d != "" {
		t.Errorf("differences (-want +got):\n%s", d)
	}
	outcome := compare.Equal
	for _, d := range r.Differences {
		if !d.Minor {
			outcome = compare.Different
		}
	}
	switch why {
	case compare.Cut, compare.TooLarge, compare.BadEncoding, compare.TooComplex:
		if outcome == compare.Equal {
			outcome = compare.NotComparable
		}
	}
	if r.Outcome != outcome {
		t.Errorf("outcome is %v, want %v", r.Outcome, outcome)
	}
}

func TestJSON(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b string
		want []string
	}{
		{"equal but for white space and order", `{"a":1,"b":[true,null]}`, ` { "b" : [ true , null ],"a":1 }`, nil},
		{"numbers are compared by value", `[1.0,1e2,-0,0.10,12300]`, `[1,100,0,0.1,1.23E+4]`, nil},
		{"big integers are exact", `{"n":9007199254740993}`, `{"n":9007199254740992}`, []string{"changed body.n: 9007199254740993 -> 9007199254740992"}},
		{"huge exponents are numbers", `[1e99999999999]`, `[1e99999999998]`, []string{"changed body[] at body[0]: 1e99999999999 -> 1e99999999998"}},
		{"escapes", `{"\u0061":"\u00e9\ud83d\ude00\/"}`, `{"a":"é😀/"}`, nil},
		{"lone surrogates stay different", `["\ud800"]`, `["\ud801"]`, []string{"changed body[] at body[0]: \\xed\\xa0\\x80 -> \\xed\\xa0\\x81"}},
		{"a value", `{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, []string{"changed body.a.b: x -> y"}},
		{"a type", `{"a":1}`, `{"a":"1"}`, []string{"type changed body.a: 1 -> 1"}},
		{"null is not absent", `{"a":null}`, `{}`, []string{"missing body.a: null -> "}},
		{"null is not a number", `{"a":null}`, `{"a":0}`, []string{"type changed body.a: null -> 0"}},
		{"missing and added", `{"a":1,"b":{"x":1}}`, `{"b":{"x":1},"c":[2]}`, []string{"missing body.a: 1 -> ", "added body.c:  -> [2]"}},
		{"object for array", `{"a":{}}`, `{"a":[]}`, []string{"type changed body.a: {} -> []"}},
		{"the root", `1`, `2`, []string{"changed body: 1 -> 2"}},
		{"counted once", `[{"p":1},{"p":2},{"p":3}]`, `[{"p":7},{"p":8},{"p":3}]`, []string{"changed body[].p at body[0].p: 1 -> 7 x2"}},
		{"duplicate names", `{"a":1,"a":2}`, `{"a":1,"a":3}`, []string{"changed body.a: 2 -> 3"}},
		{"fewer duplicate names", `{"a":1,"a":2}`, `{"a":1}`, []string{"missing body.a at body.a[1]: 2 -> ", "length body.a: 2 -> 1"}},
		{"names that need quotes", `{"a.b":{"":1,"*":2}}`, `{"a.b":{"":2,"*":3}}`, []string{`changed body["a.b"][""]: 1 -> 2`, `changed body["a.b"]["*"]: 2 -> 3`}},
		{"several documents", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n", []string{"changed body[].a at body[1].a: 2 -> 3"}},
		{
			"long strings show where they differ", `["` + strings.Repeat("a", 300) + `b"]`, `["` + strings.Repeat("a", 300) + `c"]`,
			[]string{"changed body[] at body[0]: …" + strings.Repeat("a", 32) + "b -> …" + strings.Repeat("a", 32) + "c"},
		},
		{"a mark of the byte order", "\xef\xbb\xbf{\"a\":1}", `{"a":1}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newComparer(t, compare.Options{})
			check(t, c.Compare(compare.Request{}, message("application/json", test.a), message("application/json", test.b)), "", test.want)
		})
	}
}

func TestArrays(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b string
		rule *compare.Rule
		want []string
	}{
		{"inserted in front", `[1,2,3,4]`, `[0,1,2,3,4]`, nil, []string{"added body[] at body[0]:  -> 0", "length body: 4 -> 5"}},
		{"removed within", `["a","b","c"]`, `["a","c"]`, nil, []string{"length body: 3 -> 2", "missing body[] at body[1]: b -> "}},
		{"shifted", `["a","b","c","d"]`, `["b","c","d","e"]`, nil, []string{"missing body[] at body[0]: a -> ", "added body[] at body[3]:  -> e"}},
		{
			"inserted beside a change", `[{"n":"a","v":1,"w":1},{"n":"b","v":2,"w":1}]`, `[{"n":"x","v":9,"w":8},{"n":"a","v":1,"w":1},{"n":"b","v":3,"w":1}]`, nil,
			[]string{`added body[] at body[0]:  -> {"n":"x","v":9,"w":8}`, "changed body[].v at body[1].v: 2 -> 3", "length body: 2 -> 3"},
		},
		{"in another order", `[{"a":1},{"a":2}]`, `[{"a":2.0},{"a":1}]`, nil, []string{`reordered body: [{"a":1},{"a":2}] -> [{"a":2.0},{"a":1}]`}},
		{
			"in another order, by id", `[{"id":1,"t":5},{"id":2,"t":6},{"id":3,"t":7}]`, `[{"id":3,"t":7},{"id":1,"t":8},{"id":2,"t":6}]`, nil,
			[]string{"changed body[].t at body[0].t: 5 -> 8", `reordered body: [{"id":1,"t":5},{"id":2,"t":6},{"id":3,"t":7}] -> [{"id":3,"t":7},{"id":1,"t":8},{"id":2,"t":6}]`},
		},
		{"as a set", `[3,1,2,1]`, `[1,1,2.0,3]`, &compare.Rule{Path: "body", Array: compare.ArraySet}, nil},
		{"as a multiset", `[1,1]`, `[1]`, &compare.Rule{Path: "body[]", Array: compare.ArraySet}, []string{"length body: 2 -> 1", "missing body[] at body[1]: 1 -> "}},
		{
			"a changed element of a set", `[{"a":1,"b":1,"c":1},{"a":2,"b":2,"c":2}]`, `[{"a":2,"b":2,"c":3},{"a":1,"b":1,"c":1}]`,
			&compare.Rule{Path: "body", Array: compare.ArraySet},
			[]string{"changed body[].c at body[1].c: 2 -> 3"},
		},
		{"of a set another", `["a","b"]`, `["c","a"]`, &compare.Rule{Path: "body", Array: compare.ArraySet}, []string{"missing body[] at body[1]: b -> ", "added body[] at body[0]:  -> c"}},
		{
			"by key", `[{"m":{"k":"x"},"v":1},{"m":{"k":"y"},"v":2}]`, `[{"m":{"k":"y"},"v":3},{"m":{"k":"z"},"v":1}]`,
			&compare.Rule{Path: "body", Array: compare.ArrayKey, Key: "m.k"},
			[]string{`missing body[] at body[0]: {"m":{"k":"x"},"v":1} -> `, `added body[] at body[1]:  -> {"m":{"k":"z"},"v":1}`, "changed body[].v at body[1].v: 2 -> 3"},
		},
		{"nested sets", `[{"t":["a","b"],"x":1},{"t":["c"],"x":2}]`, `[{"t":["b","a"],"x":1},{"t":["c"],"x":3}]`, &compare.Rule{Path: "body[].t", Array: compare.ArraySet}, []string{"changed body[].x at body[1].x: 2 -> 3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o compare.Options
			if test.rule != nil {
				o.Fields = []compare.Rule{*test.rule}
			}
			c := newComparer(t, o)
			got := lines(c.Compare(compare.Request{}, message("application/json", test.a), message("application/json", test.b)))
			if d := cmp.Diff(test.want, got, sorted); d != "" {
				t.Errorf("differences (-want +got):\n%s", d)
			}
		})
	}
}

// TestLongArrays: a long array is not weighed element by element, and one
// insertion still is one difference.
func TestLongArrays(t *testing.T) {
	var a, b []string
	for i := range 3000 {
		a = append(a, fmt.Sprintf(`{"name":"n%d","v":%d}`, i/2, i))
		b = append(b, fmt.Sprintf(`{"v":%d.0, "name":"n%d"}`, i, i/2))
	}
	b = append([]string{`{"name":"new"}`}, b...)
	b[2000] = `{"name":"other","v":5}`
	c := newComparer(t, compare.Options{})
	r := c.Compare(compare.Request{}, message("application/json", "["+strings.Join(a, ",")+"]"), message("application/json", "["+strings.Join(b, ",")+"]"))
	check(t, r, "", []string{
		`added body[] at body[0]:  -> {"name":"new"}`,
		"length body: 3000 -> 3001",
		"changed body[].name at body[1999].name: n999 -> other",
		"changed body[].v at body[1999].v: 1999 -> 5",
	})
}

func TestMaps(t *testing.T) {
	wide := func(prefix string, v int) string {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprintf(`"%s%c":{"name":"n","v":%d}`, prefix, 'a'+i, v))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	for _, test := range []struct {
		name string
		a, b string
		want []string
	}{
		{
			"ids", `{"7":{"n":1},"12":{"n":2}}`, `{"7":{"n":1},"12":{"n":3}}`,
			[]string{"changed body.*.n at body.12.n: 2 -> 3"},
		},
		{
			"uuids", `{"f81d4fae-7dec-11d0-a765-00a0c91e6bf6":1}`, `{"f81d4fae-7dec-11d0-a765-00a0c91e6bf7":1}`,
			[]string{
				"missing body.* at body.f81d4fae-7dec-11d0-a765-00a0c91e6bf6: 1 -> ",
				"added body.* at body.f81d4fae-7dec-11d0-a765-00a0c91e6bf7:  -> 1",
			},
		},
		{"many of one shape", wide("x", 1), wide("x", 2), []string{"changed body.*.v at body.xa.v: 1 -> 2 x20"}},
		{
			"names that come and go", `{"ann":{"n":1},"bob":{"n":2},"cyd":{"n":3}}`, `{"ann":{"n":1},"dan":{"n":2},"eve":{"n":3}}`,
			[]string{"missing body.* at body.bob: {\"n\":2} ->  x2", "added body.* at body.dan:  -> {\"n\":2} x2"},
		},
		{"fields are no map", `{"name":"a","city":"b"}`, `{"name":"x","city":"b"}`, []string{"changed body.name: a -> x"}},
		{"an optional field makes no map", `{"billing":{"s":1},"shipping":{"s":1}}`, `{"billing":{"s":1}}`, []string{`missing body.shipping: {"s":1} -> `}},
		{"names like a1 are fields", `{"line1":"x","line2":"y"}`, `{"line1":"x","line2":"z"}`, []string{"changed body.line2: y -> z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newComparer(t, compare.Options{})
			check(t, c.Compare(compare.Request{}, message("application/json", test.a), message("application/json", test.b)), "", test.want)
		})
	}
}

func TestRules(t *testing.T) {
	const id1, id2 = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0b8ec3a5-6dfb-4d0c-9d0a-6a4f6ca3a2c1"
	for _, test := range []struct {
		name   string
		ignore []string
		rules  []compare.Rule
		a, b   string
		want   []string
	}{
		{
			"ignored",
			[]string{"body.a", "body.items[].t", "body.m.*.x", "body.**.deep"},
			nil,
			`{"a":{"b":1},"items":[{"t":1},{"t":2}],"m":{"u":{"x":1}},"q":{"r":[{"deep":1}]},"z":1}`,
			`{"a":7,"items":[{"t":3},{"t":4}],"m":{"u":{"x":2}},"q":{"r":[{"deep":2}]},"z":2}`,
			[]string{"changed body.z: 1 -> 2"},
		},
		{"ignored with all", []string{"**.b"}, nil, `{"a":{"b":1},"b":2}`, `{"b":3,"a":{}}`, nil},
		{"ignored in quotes", []string{`body["a.b"]`}, nil, `{"a.b":1}`, `{"a.b":2}`, nil},
		{
			"ignored while aligned",
			[]string{"body[].t"},
			nil, `[{"v":1,"t":1},{"v":2,"t":2}]`, `[{"v":0,"t":5},{"v":1,"t":3},{"v":2,"t":4}]`,
			[]string{`added body[] at body[0]:  -> {"v":0,"t":5}`, "length body: 2 -> 3"},
		},
		{"a uuid may vary", nil, []compare.Rule{{Path: "body.id", Type: compare.FormatUUID}}, `{"id":"` + id1 + `"}`, `{"id":"` + id2 + `"}`, nil},
		{"a uuid stays one", nil, []compare.Rule{{Path: "body.id", Type: compare.FormatUUID}}, `{"id":"` + id1 + `"}`, `{"id":"none"}`, []string{"type changed body.id: " + id1 + " -> none"}},
		{"a uuid is no number", nil, []compare.Rule{{Path: "body.id", Type: compare.FormatUUID}}, `{"id":"` + id1 + `"}`, `{"id":5}`, []string{"type changed body.id: " + id1 + " -> 5"}},
		{"a uuid may not be missing", nil, []compare.Rule{{Path: "body.id", Type: compare.FormatUUID}}, `{"id":"` + id1 + `"}`, `{}`, []string{"missing body.id: " + id1 + " -> "}},
		{
			"a time keeps its form", nil,
			[]compare.Rule{{Path: "body[]", Type: compare.FormatTimestamp}},
			`["2024-01-02T03:04:05Z","2024-01-02T03:04:05Z"]`, `["2025-01-02T03:04:05.5Z",1735787045]`,
			[]string{"type changed body[] at body[1]: 2024-01-02T03:04:05Z -> 1735787045"},
		},
		{"a counter", nil, []compare.Rule{{Path: "body.n", Type: compare.FormatCounter}}, `{"n":5}`, `{"n":1735787045}`, nil},
		{"a counter has no fraction", nil, []compare.Rule{{Path: "body.n", Type: compare.FormatCounter}}, `{"n":5}`, `{"n":5.5}`, []string{"type changed body.n: 5 -> 5.5"}},
		{"a token", nil, []compare.Rule{{Path: "body.t", Type: compare.FormatToken}}, `{"t":"d41d8cd98f00b204e9800998ecf8427e"}`, `{"t":"9e107d9d372bb6826bd81d3542a419d6"}`, nil},
		{
			"a token keeps its length", nil,
			[]compare.Rule{{Path: "body.t", Type: compare.FormatToken}},
			`{"t":"d41d8cd98f00b204e9800998ecf8427e"}`, `{"t":"9e107d9d372bb682"}`,
			[]string{"type changed body.t: d41d8cd98f00b204e9800998ecf8427e -> 9e107d9d372bb682"},
		},
		{"any of one type", nil, []compare.Rule{{Path: "body.*", Type: compare.FormatAny}}, `{"a":"x","b":1}`, `{"a":"y z","b":"1"}`, []string{"type changed body.b: 1 -> 1"}},
		{"tolerances", nil, []compare.Rule{{Path: "body.a", Absolute: 0.5}, {Path: "body.r", Relative: 0.01}}, `{"a":1,"r":1000,"x":1}`, `{"a":1.5,"r":1010,"x":1.5}`, []string{"changed body.x: 1 -> 1.5"}},
		{"beyond tolerances", nil, []compare.Rule{{Path: "body.a", Absolute: 0.5}, {Path: "body.r", Relative: 0.01}}, `{"a":1,"r":1000}`, `{"a":1.6,"r":1020}`, []string{"changed body.a: 1 -> 1.6", "changed body.r: 1000 -> 1020"}},
		{"the last rule wins", nil, []compare.Rule{{Path: "body.a", Absolute: 9}, {Path: "**.a", Absolute: 1}}, `{"a":1}`, `{"a":3}`, []string{"changed body.a: 1 -> 3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newComparer(t, compare.Options{Ignore: test.ignore, Fields: test.rules})
			check(t, c.Compare(compare.Request{}, message("application/json", test.a), message("application/json", test.b)), "", test.want)
		})
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		options compare.Options
		want    string
	}{
		{compare.Options{Ignore: []string{"items"}}, `ignore 0, "items": a path begins with status, header., trailer., body or **`},
		{compare.Options{Ignore: []string{"body."}}, "a name is missing after a dot"},
		{compare.Options{Ignore: []string{"body.a*"}}, "* stands for a whole name"},
		{compare.Options{Ignore: []string{"body[3]"}}, "[ is followed by ] for any index"},
		{compare.Options{Ignore: []string{""}}, "the path is empty"},
		{compare.Options{Ignore: []string{"body..a"}}, "a name is missing after a dot"},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a"}}}, `field rule 0, "body.a": the rule says nothing`},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a", Absolute: -1}}}, "must be a number that is not negative"},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a", Relative: 2}}}, "between 0 and 1"},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a", Array: compare.ArrayKey}}}, "need a key"},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a", Array: compare.ArraySet, Key: "id"}}}, "only where arrays are matched by key"},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a", Array: compare.ArrayKey, Key: "a[]"}}}, "a key has only names"},
		{compare.Options{Fields: []compare.Rule{{Path: "body.a", Type: compare.FormatWord}}}, "type word cannot be declared"},
		{compare.Options{MaxDepth: -1}, "MaxDepth is -1"},
	} {
		_, err := compare.New(test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New(%+v): %v, want %q in it", test.options, err, test.want)
		}
	}
}
