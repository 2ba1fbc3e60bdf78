//go:build linux

package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestApart: this program leaves the proxy's core, and has it back later.
func TestApart(t *testing.T) {
	core, ok := ownCore()
	if !ok {
		t.Skip("one core only")
	}
	allowed := func() bool {
		var now unix.CPUSet
		if err := unix.SchedGetaffinity(0, &now); err != nil {
			t.Fatal(err)
		}
		return now.IsSet(core)
	}
	back, err := apart()
	if err != nil || allowed() {
		t.Errorf("core %d is still in use: %v", core, err)
	}
	if err := back(); err != nil || !allowed() {
		t.Errorf("core %d is not back: %v", core, err)
	}
}
