//go:build linux

package main

import (
	"flag"
	"testing"
)

// The page names a command that works on every machine.
func TestTyped(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "go run ./bench"},
		{[]string{"cpu", "tls"}, "go run ./bench cpu tls"},
		{[]string{"-sundog", "/tmp/x", "--out=page.md", "-cache", "/c", "-fetch=false", "idle"}, "go run ./bench idle"},
		{[]string{"-quick", "-caddy=false", "-runs=3", "harm"}, "go run ./bench -caddy=false -quick -runs 3 harm"},
	} {
		fs := flag.NewFlagSet("bench", flag.ContinueOnError)
		(&bench{}).measures(fs)
		fs.String("out", "", "")
		fs.String("sundog", "", "")
		fs.String("cache", "", "")
		fs.Bool("fetch", true, "")
		fs.Bool("caddy", true, "")
		if err := fs.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		if got := typed(fs); got != test.want {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
}
