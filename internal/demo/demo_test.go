package demo_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/demo"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := demo.Run(t.Context(), demo.Options{Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"httpbin-shadow:8000", `"47.95.xx.xx" is not an IP address`, "shadow outcome=completed", "demo: PASS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "\n"); n > 90 {
		t.Errorf("the demo has %d lines, want one screen or two", n)
	}
}

// With Serve what it tells to try works, until the context ends.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	defer func() { _ = r.Close() }() // or Run would wait for a reader
	done := make(chan error, 1)
	go func() {
		err := demo.Run(ctx, demo.Options{Serve: true, Out: w})
		_ = w.CloseWithError(io.EOF)
		done <- err
	}()
	urls := regexp.MustCompile(`^curl (http://\S+)`)
	var tried []string
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		m := urls.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		tried = append(tried, m[1])
		resp, err := client.Get(m[1])
		if err != nil {
			t.Error(err)
		} else if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", m[1], resp.Status)
		}
		if len(tried) == 3 { // the gateway, and the admin interfaces of A and B
			cancel()
		}
	}
	if err := <-done; err != nil || len(tried) != 3 {
		t.Errorf("Run: %v; tried %v", err, tried)
	}
}
