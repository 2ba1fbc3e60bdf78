package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// show prints, and keeps what was not as it ought to be.
type show struct {
	out      io.Writer
	checks   int
	failures []string
}

func (s *show) title(text string) {
	_, _ = fmt.Fprintf(s.out, "\n%s\n%s\n", text, strings.Repeat("-", len(text)))
}

func (s *show) line(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format+"\n", args...) }

func (s *show) check(ok bool, format string, args ...any) {
	s.checks++
	if text := fmt.Sprintf(format, args...); !ok && !slices.Contains(s.failures, text) {
		s.failures = append(s.failures, text)
	}
}

// received sums up what a service got.
func (s *show) received(name string, got []seen) {
	count := map[string]int{}
	for _, r := range got {
		count[fmt.Sprintf("%s %s  Host: %s  -> %d", r.method, r.path, r.host, r.status)]++
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		s.line("  %-26s received %4d x %s", name, count[what], what)
	}
	if len(got) == 0 {
		s.line("  %-26s received nothing", name)
	}
}

// beside prints every field of the article's route, and checks that ours has
// it with the same value.
func (s *show) beside(want, got []byte) {
	var w, g any
	s.check(json.Unmarshal(want, &w) == nil && json.Unmarshal(got, &g) == nil, "a route is no JSON")
	ours := leaves("", g)
	fields := leaves("", w)
	s.check(len(fields) > 0, "the article's route is empty")
	for _, field := range fields {
		mark := "="
		at := find(ours, field.path)
		if at != field.value {
			mark = "!"
		}
		s.line("  %s %-76s %s", mark, field.path, short(field.value))
		s.check(mark == "=", "the route's %s is %s, the article has %s", field.path, at, field.value)
	}
	s.line("  (= the same in both; the names and values are the article's)")
}

func short(v string) string {
	if len(v) > 60 {
		return v[:57] + "..."
	}
	return v
}

// leaf is a value of a JSON tree, as JSON, with its path.
type leaf struct{ path, value string }

func leaves(path string, v any) (all []leaf) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, leaves(strings.TrimPrefix(path+"."+k, "."), v[k])...)
		}
	case []any:
		for i, e := range v {
			all = append(all, leaves(fmt.Sprintf("%s[%d]", path, i), e)...)
		}
	default:
		text, _ := json.Marshal(v)
		all = append(all, leaf{path, string(text)})
	}
	return all
}

// find returns the value at the path, "absent" if there is none.
func find(all []leaf, path string) string {
	for _, l := range all {
		if l.path == path {
			return l.value
		}
	}
	return "absent"
}
