//go:build linux && !portable

package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// childEnv makes the test binary serve as a proxy whose allocations its parent
// counts: "h1|", "h2|" (what the endpoints speak) or "tls|" (the clients), then
// the addresses of primary and shadow, the latter may be empty.
const childEnv = "SUNDOG_ALLOCATIONS_OF"

// quiet is a testing.TB for a scene outside a test.
type quiet struct{ testing.TB }

func (quiet) Helper()           {}
func (quiet) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// allocationChild serves until its input ends. It writes its address, and for
// each line that it reads how many objects it has allocated so far.
func allocationChild(spec string) int {
	kind, spec, _ := strings.Cut(spec, "|")
	primary, shadow, _ := strings.Cut(spec, " ")
	s := newScene(primary)
	if shadow != "" {
		s = newScene(primary, shadow)
	}
	if kind == "h2" {
		for i := range s.clusters {
			options(quiet{}, s.clusters[i], &httpv3.HttpProtocolOptions{})
		}
	}
	snap := s.snapshot(quiet{})
	if kind == "tls" {
		snap = s.secure(quiet{}, terminating(certtest.NewCA().Issue("proxy.test")))
	}
	p, err := proxy.New(proxy.Options{Concurrency: 1})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if err := p.Apply(snap); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(p.Status().Listeners[0].Address.String())
	var m runtime.MemStats
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		runtime.ReadMemStats(&m)
		_ = out.Encode(m.Mallocs)
	}
	cancel()
	if err := <-done; err != nil {
		panic(err)
	}
	return 0
}

// fixed answers every message that it takes for whole with the same bytes.
// Messages end with what ends says.
func fixed(t *testing.T, ends, answer string) string {
	return peer(t, func(w *wire) {
		_ = w.SetDeadline(time.Time{})
		tail := make([]byte, 0, 64<<10)
		for {
			n, err := w.r.Read(tail[len(tail):cap(tail)])
			if err != nil {
				return
			}
			tail = tail[:len(tail)+n]
			if strings.HasSuffix(string(tail), ends) {
				tail = tail[:0]
				if _, err := io.WriteString(w.TCPConn, answer); err != nil {
					return
				}
			}
		}
	})
}

// TestAllocations counts what a proxy process of its own allocates for each
// request, in a steady state.
func TestAllocations(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	const answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
	const get = "GET /a?b=c HTTP/1.1\r\nHost: httpbin:8000\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n"
	const post = "POST /a HTTP/1.1\r\nHost: httpbin:8000\r\nX-Request-Id: 1\r\nX-Forwarded-For: 10.11.12.13, 10.11.12.14\r\n" +
		"X-Envoy-Internal: true\r\nContent-Length: 20\r\n\r\n01234567890123456789"
	const chunks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for _, tt := range []struct {
		name, request, ends string
		mirrored            bool
	}{
		{"GET", get, "\r\n\r\n", false},
		{"GET, mirrored", get, "\r\n\r\n", true},
		{"POST behind another proxy", post, "0123456789", false},
		{"POST in chunks, mirrored", chunks, "0\r\n\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec := "h1|" + fixed(t, tt.ends, answer) + " "
			if tt.mirrored {
				spec += fixed(t, tt.ends, answer)
			}
			perRequest := countAllocations(t, spec, 12000, func(addr string) func(n int) {
				pool := make([]*wire, 16)
				for i := range pool {
					pool[i] = dial(t, addr)
					_ = pool[i].SetDeadline(time.Time{})
				}
				return func(n int) { drive(t, pool, tt.request, n) }
			})
			t.Logf("%.4f allocations per request", perRequest)
			if perRequest > 0.01 {
				t.Errorf("%.4f allocations per request", perRequest)
			}
		})
	}
}

// countAllocations starts a child by its spec and returns what it allocates for
// each request. connect makes the clients, and what it returns sends n requests.
func countAllocations(t *testing.T, spec string, n int, connect func(addr string) func(n int)) float64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+spec)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	}()
	dec := json.NewDecoder(out)
	var addr string
	if err := dec.Decode(&addr); err != nil {
		t.Fatal(err)
	}
	count := func() (n uint64) {
		_, _ = io.WriteString(in, "\n")
		if err := dec.Decode(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	send := connect(addr)
	send(n / 4) // until pools and buffers have their size
	before := count()
	send(n)
	return float64(count()-before) / float64(n)
}

// drive sends n requests, one at a time on each connection.
func drive(t *testing.T, pool []*wire, request string, n int) {
	t.Helper()
	buf := make([]byte, 4096)
	for range n / len(pool) {
		for _, w := range pool {
			w.send("%s", request)
		}
		for _, w := range pool {
			got := buf[:0]
			for !bytes.HasSuffix(got, []byte("\r\n\r\nok")) {
				k, err := w.TCPConn.Read(buf[len(got):])
				if got = buf[:len(got)+k]; err != nil {
					t.Fatalf("%v after %q", err, got)
				}
			}
		}
	}
}
