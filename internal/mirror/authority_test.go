package mirror_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/mirror"
)

func TestAppendAuthority(t *testing.T) {
	for in, want := range map[string]string{
		"httpbin":      "httpbin-shadow",
		"httpbin:8000": "httpbin-shadow:8000",
		"a.b.c:80":     "a.b.c-shadow:80",
		"1.2.3.4":      "1.2.3.4-shadow",
		"1.2.3.4:80":   "1.2.3.4-shadow:80",
		"[::1]":        "[::1]-shadow",
		"[::1]:80":     "[::1]-shadow:80",
		"[fe80::1%25]": "[fe80::1%25]-shadow",
		"host:":        "host-shadow:",
		"":             "-shadow",
	} {
		if got := string(mirror.AppendAuthority([]byte("+"), []byte(in))); got != "+"+want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestOrigins(t *testing.T) {
	var o mirror.Origins
	a, b, c := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"), netip.MustParseAddrPort("127.0.0.1:3")
	o.Add(a, b)
	if !o.Has(a, b) {
		t.Error("it was added")
	}
	if o.Has(a, c) || o.Has(b, a) {
		t.Error("a client with the same address and another destination is somebody else")
	}
	o.Remove(a, b)
	o.Remove(a, c)
	if o.Has(a, b) {
		t.Error("it was removed")
	}
}

func TestLimits(t *testing.T) {
	want := mirror.Limits{Timeout: 15 * time.Second, Buffer: 1 << 20, MaxRequests: 1024, MaxBytes: 64 << 20}
	if got := (mirror.Limits{}).WithDefaults(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	own := mirror.Limits{Timeout: 1, Buffer: 2, MaxRequests: 3, MaxBytes: 4}
	if got := own.WithDefaults(); got != own {
		t.Errorf("%+v, want %+v", got, own)
	}
}
