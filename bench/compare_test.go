//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestJSONServices: the two versions answer with JSON of the size that is asked
// for, alike or not.
func TestJSONServices(t *testing.T) {
	get := func(version, wanted string) map[string]any {
		t.Helper()
		s, err := answeringJSON(version)()
		if err != nil {
			t.Fatal(err)
		}
		defer s.stop()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(answerHeader, wanted)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) < 10_000 || len(body) > 10_500 {
			t.Errorf("%s: %d bytes", wanted, len(body))
		}
		var v map[string]any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatalf("%s: %v: %.200s", wanted, err, body)
		}
		return v
	}
	differ := func(wanted string) (names []string) {
		x, y := get("1", wanted), get("2", wanted)
		for _, name := range []string{"at", "id", "unit", "total"} {
			if x[name] == nil || x[name] != y[name] {
				names = append(names, name)
			}
		}
		return names
	}
	if got := differ("equal 10240"); len(got) != 0 {
		t.Errorf("%v differ in equal answers", got)
	}
	if got := strings.Join(differ("unequal 10240"), " "); got != "at id unit" {
		t.Errorf("%q differ in unequal answers", got)
	}
}

// TestRenewKeepsTheLength: what is written anew does not touch its neighbours.
func TestRenewKeepsTheLength(t *testing.T) {
	a, err := newJSONAnswer(smallUnequal, "1")
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(a.message)
	a.renew()
	rest := func(m []byte) []byte { return m[bytes.Index(m, []byte(`"unit"`)):] }
	if bytes.Equal(a.message, before) || !bytes.Equal(rest(a.message), rest(before)) {
		t.Errorf("%s became %s", before, a.message)
	}
}

func TestWantedAnswer(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nhost: a\r\nX-Answer: equal 5\r\n\r\nGET / HTTP/1.1\r\n\r\n"))
	for _, want := range []string{"equal 5", smallUnequal} {
		if got, err := wantedAnswer(in); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// TestWordsDiffer: each of the paths has a word of its own.
func TestWordsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for n := range comparePaths {
		seen[word(n)] = true
	}
	if len(seen) != comparePaths {
		t.Errorf("%d words for %d paths", len(seen), comparePaths)
	}
}
