//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// ownCore is the core that a proxy has for itself in parts that measure what
// clients wait: else they would wait for the scheduler, as clients, destinations
// and proxy are in each other's way. It is the last that this program might use
// when it began; who has only one has none to give.
var ownCore = sync.OnceValues(func() (core int, ok bool) {
	var mine unix.CPUSet
	if unix.SchedGetaffinity(0, &mine) != nil || mine.Count() < 2 {
		return 0, false
	}
	for left := mine.Count(); left > 0; core++ {
		if mine.IsSet(core) {
			left--
		}
	}
	return core - 1, true
})

// alone gives the process, and its children, the core for itself.
func (p *process) alone() error {
	core, ok := ownCore()
	if !ok {
		return nil
	}
	var set unix.CPUSet
	set.Set(core)
	for _, pid := range p.pids() {
		if err := keepTo(pid, &set); err != nil {
			return err
		}
	}
	return nil
}

// apart keeps this program, and the destinations that it starts from now on, off
// the proxy's core. back ends that.
func apart() (back func() error, err error) {
	core, ok := ownCore()
	if !ok {
		return func() error { return nil }, nil
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	others := before
	others.Clear(core)
	self := strconv.Itoa(os.Getpid())
	return func() error { return keepTo(self, &before) }, keepTo(self, &others)
}

// keepTo keeps all threads of a process to cores. Threads have those of the
// thread that started them, so it asks twice: one may have started another
// meanwhile.
func keepTo(pid string, cores *unix.CPUSet) error {
	for range 2 {
		tasks, err := os.ReadDir(filepath.Join("/proc", pid, "task"))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, cores); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("sched_setaffinity of %s: %w", pid, err)
			}
		}
	}
	return nil
}
