package judge_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/judge"
)

// niceness counts the threads of the process by their niceness, as text.
func niceness(t *testing.T) map[string]int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil { // else it has ended
			_, fields, _ := strings.Cut(string(text), ") ")
			all[strings.Fields(fields)[16]]++ // field 19 of the line
		}
	}
	return all
}

// TestWorkersYield: each worker has a thread of lower priority, which is gone
// after Run.
func TestWorkersYield(t *testing.T) {
	const workers = 3
	before := niceness(t)
	if before["19"] > 0 {
		t.Skip("the lowest priority is that of this process already")
	}
	j := judge.New(judge.Options{Workers: workers})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	others := func() (n int) {
		for nice, threads := range niceness(t) {
			if before[nice] == 0 {
				n += threads
			}
		}
		return n
	}
	await(t, func() bool { return others() == workers })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 { // else the last thread's niceness may stay with another
		await(t, func() bool { return others() == 0 })
	}
}

// await waits until it holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for limit := time.After(10 * time.Second); !holds(); {
		select {
		case <-look.C:
		case <-limit:
			t.Fatal("it never came to that")
		}
	}
}
