package cli_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// quiet is a service that answers and tells of nothing.
func quiet(t *testing.T) (address string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// TestControlShare wants some requests of a mirror at 100 % to be kept
// unmirrored, each under its outcome.
func TestControlShare(t *testing.T) {
	primary := quiet(t)
	shadow := quiet(t)
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", "http://"+primary, "--shadow", "http://"+shadow,
		"--admin", "127.0.0.1:0", "--control-share", "30")
	c, target := client(t, ""), "http://"+p.address("127.0.0.1_0")
	const n = 200
	for range n {
		get(t, c, target)
	}
	r := ledger(t, p).Routes[0].Mirrors[0]
	if control := r.Outcomes["control"]; control < 20 || control > 100 || control+r.Outcomes["completed"] != n {
		t.Errorf("outcomes %v", r.Outcomes)
	}
	if r.Share != 1 || r.InForce != 0.7 {
		t.Errorf("share %v, in force %v", r.Share, r.InForce)
	}
}

// TestBrakeMeasures waits until the ledger shows both sides beside each other.
// What mirroring costs on the machine of the test is not its matter, so the
// limit is out of reach.
func TestBrakeMeasures(t *testing.T) {
	primary := quiet(t)
	shadow := quiet(t)
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", "http://"+primary, "--shadow", "http://"+shadow,
		"--admin", "127.0.0.1:0", "--percent", "50", "--brake-ratio", "1000")
	c, target := client(t, ""), "http://"+p.address("127.0.0.1_0")
	for deadline := time.Now().Add(patience); ; {
		for range 50 {
			get(t, c, target)
		}
		r := ledger(t, p).Routes[0].Mirrors[0]
		if b := r.Brake; b != nil && b.Mirrored != nil {
			if b.Factor != 1 || b.RatioP50.Value <= 0 || b.Control.Requests < 64 || b.Mirrored.Requests < 64 {
				t.Errorf("brake %+v", b)
			}
			_, metrics := get(t, c, p.adminURL("/stats/prometheus"))
			if !strings.Contains(metrics, `sundog_mirror_latency_ratio{bound="value",quantile="0.5",route=`) {
				t.Error("the metrics lack the ratio")
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing was measured: %+v", r)
		}
	}
}

// TestMaxConnections wants connections beyond the limit to be closed at once,
// and room again when one has gone.
func TestMaxConnections(t *testing.T) {
	primary := quiet(t)
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", "http://"+primary, "--shadow", "http://"+primary,
		"--admin", "127.0.0.1:0", "--max-connections", "1")
	address := p.address("127.0.0.1_0")
	first := dial(t, address)
	if code := ask(first); code != 200 {
		t.Fatalf("the first connection got %d", code)
	}
	if code := ask(dial(t, address)); code != 0 {
		t.Errorf("the second connection got %d", code)
	}
	if _, stats := get(t, client(t, ""), p.adminURL("/stats?filter=global_cx")); stats != "listener.127.0.0.1_0.downstream_global_cx_overflow: 1\n" {
		t.Errorf("stats %q", stats)
	}
	_ = first.Close()
	for deadline := time.Now().Add(patience); ask(dial(t, address)) != 200; {
		if time.Now().After(deadline) {
			t.Fatal("there is no room again")
		}
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a request and returns the status of its answer; 0 for none.
func ask(c net.Conn) int {
	_, _ = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var head [12]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0
	}
	var code int
	if _, err := fmt.Sscanf(string(head[9:]), "%d", &code); errors.Is(err, io.EOF) {
		return 0
	}
	return code
}

// TestOverloadRefuses gives the process less memory than it has: it must refuse
// and live.
func TestOverloadRefuses(t *testing.T) {
	primary := quiet(t)
	ballast := make([]byte, 64<<20) // so that the process has more than the limit
	for i := range len(ballast) / 4096 {
		ballast[i*4096] = 1
	}
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", "http://"+primary, "--shadow", "http://"+primary,
		"--admin", "127.0.0.1:0", "--max-memory", "32MiB")
	address := p.address("127.0.0.1_0")
	p.find(&p.err, `level=WARN msg=overload level=(refuse_connections) cause=memory`)
	if code := ask(dial(t, address)); code != 0 {
		t.Errorf("a connection got %d", code)
	}
	_, body := get(t, client(t, ""), p.adminURL("/stats?filter=overload.*(active|reject)"))
	for _, want := range []string{"overload.stop_accepting_connections.active: 1", "downstream_cx_overload_reject: 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("the stats lack %q:\n%s", want, body)
		}
	}
	if ballast[0] != 1 || p.exit() != 0 {
		t.Error("it did not live")
	}
}
