package priority_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sundog-mesh/sundog/internal/priority"
)

// TestLow: it is another thread, never the first, of a lower priority, while
// the caller's stays.
func TestLow(t *testing.T) {
	usual, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		thread, got := 0, 0
		priority.Low(func() {
			thread = unix.Gettid()
			got, _ = unix.Getpriority(unix.PRIO_PROCESS, 0)
		})
		if want := max(usual-10, 1); thread == os.Getpid() || got != want {
			t.Fatalf("thread %d with priority %d, want %d", thread, got, want)
		}
		if now, _ := unix.Getpriority(unix.PRIO_PROCESS, 0); os.Geteuid() == 0 && now != usual {
			t.Fatalf("the caller's is %d now, and was %d", now, usual)
		}
	}
}
