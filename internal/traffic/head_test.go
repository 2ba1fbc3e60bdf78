package traffic_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/traffic"
	"pgregory.net/rapid"
)

func fields(h *traffic.Head) (all []string) {
	for i := range h.Len() {
		name, value := h.Field(i)
		all = append(all, string(name)+": "+string(value))
	}
	return all
}

func TestSetReplacesInPlace(t *testing.T) {
	var h traffic.Head
	h.Reset()
	for _, name := range []string{"a", "b", "a", "c", "a"} {
		h.Add(name, []byte("old"))
	}
	h.Set("a", []byte("new"))
	h.Append("b", []byte("more"))
	h.Append("d", []byte("first"))
	h.Del("c")
	want := []string{"a: new", "b: old,more", "d: first"}
	if got := fields(&h); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestViewsStay: a view of a value lives until Reset, whatever is added.
func TestViewsStay(t *testing.T) {
	var h traffic.Head
	h.Reset()
	h.SetPath([]byte("/one"))
	path := h.Path()
	h.Add("a", []byte("value"))
	value, _ := h.Get("a")
	for range 1000 {
		h.Add("b", []byte(strings.Repeat("x", 100)))
		h.Set("a", []byte("other"))
	}
	if string(path) != "/one" || string(value) != "value" {
		t.Errorf("views changed: %q, %q", path, value)
	}
}

func TestCopyIsIndependent(t *testing.T) {
	var a, b traffic.Head
	a.Reset()
	a.SetMethod([]byte("GET"))
	a.Add("x", []byte("1"))
	b.CopyFrom(&a)
	a.Set("x", []byte("2"))
	a.SetMethod([]byte("PUT"))
	if v, _ := b.Get("x"); string(v) != "1" || string(b.Method()) != "GET" {
		t.Errorf("the copy changed: %s %q", b.Method(), v)
	}
}

func TestListHas(t *testing.T) {
	for list, want := range map[string]bool{
		"": false, "close": true, "Close": true, " close ,x": true, "x,\tCLOSE": true, "closer": false, "x;close": false, ",,close": true,
	} {
		if got := traffic.ListHas([]byte(list), "close"); got != want {
			t.Errorf("ListHas(%q, close) = %v", list, got)
		}
	}
}

// TestHeadAgainstSlice plays random edits against a slice of pairs.
func TestHeadAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h traffic.Head
		h.Reset()
		type pair struct{ name, value string }
		var model []pair
		name := rapid.SampledFrom([]string{"a", "b", "ab"})
		for range rapid.IntRange(0, 40).Draw(t, "edits") {
			n, v := name.Draw(t, "name"), rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "value")
			at := slices.IndexFunc(model, func(p pair) bool { return p.name == n })
			switch rapid.IntRange(0, 2).Draw(t, "edit") {
			case 0:
				h.Add(n, []byte(v))
				model = append(model, pair{n, v})
			case 1:
				h.Del(n)
				model = slices.DeleteFunc(model, func(p pair) bool { return p.name == n })
			default:
				h.Set(n, []byte(v))
				if at < 0 {
					model = append(model, pair{n, v})
					break
				}
				rest := slices.DeleteFunc(slices.Clone(model[at+1:]), func(p pair) bool { return p.name == n })
				model = append(append(model[:at:at], pair{n, v}), rest...)
			}
			var want []string
			for _, p := range model {
				want = append(want, p.name+": "+p.value)
			}
			if got := fields(&h); !slices.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			if got, ok := h.Get(n); ok != h.Has(n) || ok && !slices.ContainsFunc(model, func(p pair) bool { return p == pair{n, string(got)} }) {
				t.Fatalf("Get(%q) = %q, %v", n, got, ok)
			}
		}
	})
}

func TestFlagsAndOutcomes(t *testing.T) {
	if got := (traffic.FlagUpstreamFailure | traffic.FlagRetryExhausted).String(); got != "UF,URX" {
		t.Errorf("flags %q", got)
	}
	if got := traffic.Flags(0).String(); got != "-" {
		t.Errorf("no flags %q", got)
	}
	seen := map[string]bool{}
	for o := range traffic.NumOutcomes {
		if s := o.String(); s == "" || seen[s] {
			t.Errorf("outcome %d is called %q", o, s)
		}
		seen[o.String()] = true
	}
}
