package proxy_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests and looks whether they leave goroutines or
// descriptors behind. With childEnv set it is the child of an allocation test.
func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(allocationChild(spec))
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if after := descriptors(); code == 0 && after > before+2 { // the runtime's poller
		fmt.Fprintf(os.Stderr, "%d descriptors at the start, %d at the end\n", before, after)
		code = 1
	}
	os.Exit(code)
}

// descriptors counts the open ones; 0 where the system does not tell.
func descriptors() int {
	open, _ := os.ReadDir("/proc/self/fd")
	return len(open)
}
