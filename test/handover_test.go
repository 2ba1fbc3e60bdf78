package test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestHandover: one sundog takes over from another while clients go on, some on
// connections that they keep and some on new ones; no request fails, and the
// old process ends by itself.
func TestHandover(t *testing.T) {
	primary, shadow := serve(t, "primary"), serve(t, "shadow")
	socket := filepath.Join(t.TempDir(), "sundog.sock")
	args := []string{
		"mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--primary", "http://" + primary.address, "--shadow", "http://" + shadow.address,
		"--handover", socket,
	}
	old := sundog(t, args...)
	target := old.url("/")

	var failed, sent atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		c := client(t, "")
		c.Transport.(*http.Transport).DisableKeepAlives = i%2 == 0
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, body, err := exchange(c, get(t, target)())
				sent.Add(1)
				if err != nil || status != 200 || body != "primary" {
					if failed.Add(1) == 1 {
						t.Errorf("a request got %d %q, %v", status, body, err)
					}
				}
			}
		})
	}
	for range 3 {
		before := sent.Load()
		next := sundog(t, args...)
		next.find(&next.err, `taking over the listening sockets`)
		<-old.done
		if code := old.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the old process ended with %d", code)
		}
		if !strings.Contains(old.err.String(), "another process has taken over") {
			t.Error("the old process does not say why it ended")
		}
		eventually(t, "the new process serves", func() bool { return sent.Load() > before+200 })
		old = next
	}
	close(stop)
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, sent.Load())
	}
}
