package strict_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config/strict"
	"sigs.k8s.io/yaml"
)

func TestDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // text and line of each document
	}{
		"none":               {"", ""},
		"comments":           {"# a\n---\n# b\n", ""},
		"one":                {"a", "a 1"},
		"marker first":       {"---\na\n", "a 2"},
		"on the marker line": {"--- a\n--- b\n", "a 1, b 2"},
		"end marker":         {"a\n...\n# c\nb\n", "a 1, b 4"},
		"directive":          {"%YAML 1.2\n---\na\n...\n%YAML 1.2\n---\nb\n", "a 3, b 7"},
		"marker in text":     {"|\n  x\n  ---\n  y\n---\nb\n", "x\n---\ny\n 1, b 6"},
		"no marker":          {"---a\n", "---a 1"},
		"windows":            {"---\r\na\r\n---\r\nb\r\n", "a 2, b 4"},
		"byte order mark":    {"\ufeffa\n", "a 1"},
	} {
		t.Run(name, func(t *testing.T) {
			roots, faults := strict.Documents([]byte(c.text), nil)
			var got []string
			for _, n := range roots {
				text, _ := n.Text()
				got = append(got, fmt.Sprintf("%s %d", text, n.Line))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" || len(faults) > 0 {
				t.Errorf("documents (-want +got):\n%s%v", diff, faults)
			}
		})
	}
}

type inner struct {
	A string `json:"a"`
}

type sample struct {
	inner  `json:",inline"`
	Self   *sample          `json:"self,omitempty"`
	List   []int8           `json:"list"`
	Map    map[string]*bool `json:"map"`
	Float  float32          `json:"float"`
	Small  uint8            `json:"small"`
	Any    any              `json:"any"`
	Hidden string           `json:"-"`
	Plain  string
	Bytes  []byte `json:"bytes"`
}

// What Check returns is what encoding/json takes.
func TestCheckGoType(t *testing.T) {
	const text = `a: x
self: {a: z, self: {list: [1, -128, 127]}}
list: [128, 1, no]
map: {t: on, n: null, b: 1}
float: 1.5
small: 256
any: {a: [1, yes, null, "s", 1.5], b: 1, b: 2}
Plain: p
bytes: aGk=
-: x
plain: p
`
	roots, faults := strict.Documents([]byte(text), nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	v, faults := strict.Check(roots[0], strict.NewShapes().Type(reflect.TypeFor[sample]()), strict.Options{})
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%d:%d %s: %s", f.Line, f.Column, f.Path, f.Message))
	}
	want := []string{
		`7:42 any.b: the key "b" is written twice; it is also on line 7`,
		`10:1 -: unknown field`,
		`11:1 plain: unknown field`,
		`3:8 list[0]: 128 is out of range; it must be between -128 and 127`,
		`3:16 list[2]: must be a whole number, not the boolean no`,
		`4:23 map.b: must be true or false, not the number 1`,
		`6:1 small: 256 is out of range; it must be between 0 and 255`,
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var s sample
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if s.A != "x" || s.Self.Self.List[1] != -128 || len(s.List) != 3 || !*s.Map["t"] || s.Float != 1.5 || string(s.Bytes) != "hi" || s.Plain != "p" {
		t.Errorf("decoded %+v", s)
	}
}

// Scalars mean what they mean to kubectl, which is the oracle here.
func TestScalarsAsKubectl(t *testing.T) {
	shape := strict.NewShapes().Type(reflect.TypeFor[map[string]any]())
	for _, text := range []string{
		"y", "N", "yes", "No", "on", "OFF", "true", "False", "~", "null", "",
		"0o17", "017", "08", "-0o7", "0b11", "+0b1", "0x1F", "1_0", "+5", "-5", "1:30", "18446744073709551615",
		"1e3", ".5", "1.", "12e03", "0.0_1", "1e400", "-1.5", "1e-7", "0x1p3",
		"2001-01-01", "=", "a b", "'1'", `"yes"`, "!!str 5", "!!int '5'", "!!float 1", "<<", "[y, 1]", "{a: 017}",
	} {
		wanted, err := yaml.YAMLToJSON([]byte("a: " + text))
		if err != nil {
			t.Fatal(err)
		}
		roots, faults := strict.Documents([]byte("a: "+text), nil)
		if len(faults) > 0 {
			t.Errorf("%q: %v", text, faults)
			continue
		}
		v, _ := strict.Check(roots[0], shape, strict.Options{})
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any // 1e-7 and 1e-07 are the same
		if err := errors.Join(json.Unmarshal(data, &got), json.Unmarshal(wanted, &want)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q is %s, kubectl has %s", text, data, wanted)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"mirror", "mirrors", "mirrorPercentage", "timeout"}
	for word, want := range map[string]string{
		"miror": "mirror", "Mirrors": "mirrors", "mirrorPercentages": "mirrorPercentage", "time": "timeout", "x": "", "": "", "retries": "",
	} {
		if got := strict.Nearest(word, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestKeyPath(t *testing.T) {
	for _, key := range []string{"a", "x-a", "a.b/c", "", "[0]", ":path", "é"} {
		roots, faults := strict.Documents(fmt.Appendf(nil, "m:\n  other: 1\n  %q: 1\n", key), nil)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		if path := strict.KeyPath("m", key); roots[0].At(path).Line != 3 {
			t.Errorf("At(%s) is line %d", path, roots[0].At(path).Line)
		}
	}
}

// A long file with a fault that YAML sees late must not take long to report.
func TestFaultLineIsBounded(t *testing.T) {
	text := "a: \"open\n" + strings.Repeat("b: 1\n", 50_000)
	done := make(chan []strict.Fault)
	go func() {
		_, faults := strict.Documents([]byte(text), nil)
		done <- faults
	}()
	select {
	case faults := <-done:
		if len(faults) != 1 {
			t.Errorf("faults %v", faults)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still at it after 30 s")
	}
}
