package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
)

var update = flag.Bool("update", false, "rewrite the wanted Problems in testdata/bad")

func parse(t *testing.T, files ...config.File) (*config.Set, []config.Problem) {
	t.Helper()
	return config.Parse(files, nil, config.Options{})
}

func inline(text string) config.File { return config.File{Name: "in.yaml", Data: []byte(text)} }

func list(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func TestGoodFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/good/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata/good: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, problems := config.Load([]string{name}, nil, config.Options{})
			if got := list(problems); got != "" {
				t.Errorf("Problems in a good file:\n%s", got)
			}
		})
	}
}

// Each bad file ends with its Problems, in comments: "# want LINE: the rest".
func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata/bad: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			body, want, _ := bytes.Cut(data, []byte("# want "))
			if len(want) > 0 {
				want = append([]byte("# want "), want...)
			}
			_, problems := parse(t, config.File{Name: "f", Data: data})
			var got strings.Builder
			for _, p := range problems {
				fmt.Fprintf(&got, "# want %s\n", strings.TrimPrefix(p.String(), "f:"))
			}
			if *update {
				if err := os.WriteFile(name, append(body, got.String()...), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(want) == 0 {
				t.Fatal("the file says no Problem that it wants")
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("Problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Problems come in the order of the files, then of their lines, then the flags.
func TestOrder(t *testing.T) {
	entry := func(name, host string) string {
		return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " + name + "}\nspec: {host: " + host + "}\n"
	}
	files := []config.File{
		{Name: "z.yaml", Data: []byte(entry("b", "b") + "---\nkind: X\n---\n" + entry("a", "'*x*'"))},
		{Name: "a.yaml", Data: []byte("# nothing\n" + entry("a", "c") + "---\n" + entry("c", "c") + "---\n" + entry("c", "c"))},
	}
	mesh := config.File{Name: "mesh.yaml", Data: []byte("x: 1\n")}
	set, problems := config.Parse(files, &mesh, config.Options{Endpoints: []string{"x"}})
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s %s %s %s", p.Position, p.Object, p.Field, p.Severity))
	}
	want := []string{
		"z.yaml:6  apiVersion error",
		"z.yaml:11 DestinationRule default/a spec.host error",
		"a.yaml:2 DestinationRule default/a  error",
		"a.yaml:12 DestinationRule default/c  error",
		"mesh.yaml:1 MeshConfig x error",
		"--endpoint   error",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
	var names []string
	for _, d := range set.DestinationRules {
		names = append(names, d.Name+" "+d.Spec.Host)
	}
	if diff := cmp.Diff([]string{"a *x*", "b b", "c c"}, names); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// A fault in one document leaves the others, and what is right in it, readable.
func TestBrokenNeighbours(t *testing.T) {
	set, problems := parse(t, inline(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  http:
  - nonsense
  - timeout: long
    route: [{destination: {host: a}, weight: x}]
---
a: [
---
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {ports: [{port: 80}]}
`))
	if len(problems) != 4 {
		t.Errorf("Problems:\n%s", list(problems))
	}
	if len(set.Services) != 1 || len(set.VirtualServices) != 1 {
		t.Fatalf("read %v %v", set.Services, set.VirtualServices)
	}
	if h := set.VirtualServices[0].Spec.Http; len(h) != 2 || h[1].Route[0].Destination.Host != "a" || h[1].Timeout != nil {
		t.Errorf("routes %v", h)
	}
}

func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	_, problems := parse(t, inline(b.String()))
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "the aliases of this document stand for more than") {
		t.Errorf("Problems:\n%s", list(problems))
	}
	_, problems = parse(t, inline(strings.Repeat("[", 2000)+strings.Repeat("]", 2000)))
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "nested more than 100 deep") {
		t.Errorf("Problems:\n%s", list(problems))
	}
}

func TestMergeKeys(t *testing.T) {
	set, problems := parse(t, inline(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  http:
  - &first
    name: one
    match: [{uri: {prefix: /a}}]
    timeout: 1s
    route: [{destination: {host: a}}]
  - <<: *first
    name: two
    match: [{uri: {prefix: /b}}]
`))
	if len(problems) > 0 {
		t.Errorf("Problems:\n%s", list(problems))
	}
	v := set.VirtualServices[0]
	if h := v.Spec.Http[1]; h.Name != "two" || h.Match[0].Uri.GetPrefix() != "/b" || h.Timeout.GetSeconds() != 1 {
		t.Errorf("route %v", h)
	}
	for field, line := range map[string]int{"spec.http[1].name": 13, "spec.http[1].timeout": 10, "spec.http[1].route[0].destination.host": 11} {
		if got := v.Source.At(field).Line; got != line {
			t.Errorf("%s is on line %d, want %d", field, got, line)
		}
	}
}

func TestSourceAt(t *testing.T) {
	set, problems := parse(t, inline(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: a
  labels:
    app.kubernetes.io/name: a
spec:
  hosts:
  - a
  http:
  - match:
    - headers:
        x-user:
          exact: me
    mirror:
      host: b
    mirror_percentage:
      value: 50
    route:
    - destination:
        host: a
`))
	if len(problems) > 0 {
		t.Errorf("Problems:\n%s", list(problems))
	}
	v := set.VirtualServices[0]
	for field, line := range map[string]int{
		"":                                       1,
		"nowhere":                                1,
		"metadata.labels":                        5,
		"spec.hosts[0]":                          9,
		"spec.hosts[1]":                          8,
		"spec.http[0]":                           11,
		"spec.http[0].mirror.host":               16,
		"spec.http[0].mirror.port":               15,
		"spec.http[0].mirrorPercent":             11,
		"spec.http[0].route[0].weight":           20,
		"spec.http[0].route[0].destination.host": 21,
		"spec.http[0].mirrorPercentage.value":    18,
		"spec.http[0].match[0].headers.x-user.exact":                14,
		"spec.http[99999999999999999999].mirror":                    10,
		"spec.http[x].mirror":                                       10,
		config.KeyPath("metadata.labels", "app.kubernetes.io/name"): 6,
	} {
		if got := v.Source.At(field); got.Line != line || got.File != "in.yaml" {
			t.Errorf("At(%q) = %v, want line %d", field, got, line)
		}
	}
	if got := (*config.Source)(nil).At("spec"); got != (config.Position{}) {
		t.Errorf("a nil Source is at %v", got)
	}
}

func TestSyntaxLines(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"indentation":     {"a:\n  b: 1\n c: 2\nd: 3\n", 3},
		"open quote":      {"a: 1\nb: \"x\nc: 2\nd: 3\n", 2},
		"open bracket":    {"a: [\n  1,\n  2]\nb: [1,\nc: 2\n", 4},
		"list in a map":   {"a: 1\n- b\n", 2},
		"bad character":   {"a: 1\nb: @x\n", 2},
		"cut off":         {"a: 1\nb:\n  c: 2\n  d", 4},
		"not UTF-8":       {"a: 1\nb: \xff\n", 2},
		"control":         {"a: 1\nb: 2\nc: \x01\n", 3},
		"second document": {"a: 1\n---\nb: 2\n---\nc: d: e\n", 5},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := parse(t, inline(c.text))
			i := len(problems) - 1
			for j, p := range problems {
				if strings.Contains(p.Message, "valid YAML") || strings.Contains(p.Message, "UTF-8") {
					i = j
				}
			}
			if i < 0 || problems[i].Position.Line != c.line {
				t.Errorf("want a Problem on line %d, got:\n%s", c.line, list(problems))
			}
		})
	}
}
