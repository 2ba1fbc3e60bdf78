//go:build linux && !portable

package loop_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// nice is the niceness of each thread of the process, as text.
func nice(t *testing.T) (all []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil { // else it has ended
			_, fields, _ := strings.Cut(string(text), ") ")
			all = append(all, strings.Fields(fields)[16]) // field 19 of the line
		}
	}
	return all
}

// TestComputersYield: what is computed has a lower priority than the loop, on
// the same thread each time, and the thread is gone after the loop.
func TestComputersYield(t *testing.T) {
	// The first thread is as likely to be taken as any, and must not be.
	usual, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	const times = 3
	var threads, priorities [times]int
	var between [times]int
	done := make(chan struct{})
	l.Post(func() {
		l.Go(loop.RunnerFunc(func(task *loop.Task) {
			defer close(done)
			for i := range times {
				_ = task.Compute(func() {
					threads[i] = unix.Gettid()
					priorities[i], _ = unix.Getpriority(unix.PRIO_PROCESS, 0)
				})
				between[i], _ = unix.Getpriority(unix.PRIO_PROCESS, 0)
			}
		}))
	})
	<-done
	for i := range times {
		if threads[i] != threads[0] || threads[i] == os.Getpid() || priorities[i] != max(usual-10, 1) || between[i] != usual {
			t.Errorf("%d: thread %d with priority %d, the loop with %d; usual is %d", i, threads[i], priorities[i], between[i], usual)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for limit := time.After(10 * time.Second); ; {
		all := nice(t)
		alike := true
		for _, n := range all {
			alike = alike && n == all[0]
		}
		if alike {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("threads of another priority are left: %v", all)
		}
	}
}
