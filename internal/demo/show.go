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
		count[fmt.Sprintf("%s %s  Host: %s", r.method, r.path, r.host)]++
	}
	for _, what := range slices.Sorted(maps.Keys(count)) {
		s.line("  %-26s received %4d x %s", name, count[what], what)
	}
	if len(got) == 0 {
		s.line("  %-26s received nothing", name)
	}
}

// beside prints the article's route on the left and ours on the right, and
// checks that ours has every field of it.
func (s *show) beside(want, got []byte) {
	var w, g any
	s.check(json.Unmarshal(want, &w) == nil && json.Unmarshal(got, &g) == nil, "a route is no JSON")
	missing := covers("route", w, g)
	s.check(len(missing) == 0, "the route lacks %v", missing)
	for _, field := range leaves("", w) {
		mark := "="
		if at, ok := find(leaves("", g), field.path); !ok || at != field.value {
			mark = "differs: " + at
		}
		s.line("  %-64s %s  %s", field.path, short(field.value), mark)
	}
	s.line("  (= is the same in Sundog's dump)")
}

func short(v string) string {
	if len(v) > 60 {
		return v[:57] + "..."
	}
	return v
}

// leaf is a value of a JSON tree, with its path.
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
		all = append(all, leaf{path, fmt.Sprint(v)})
	}
	return all
}

func find(all []leaf, path string) (string, bool) {
	for _, l := range all {
		if l.path == path {
			return l.value, true
		}
	}
	return "", false
}
