package test

import (
	"fmt"
	"os"
	"syscall"
)

// ownGroup puts a child and its children into a process group, and has it
// killed when the tests are.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup ends a child that is not reaped yet, with its children.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

// setReceiveBuffer bounds what the kernel takes for a socket that nobody reads.
func setReceiveBuffer(fd uintptr, size int) error {
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, size)
}

// resident is the memory of the process in bytes.
func resident(p *os.Process) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Pid))
	if err != nil {
		return 0, err
	}
	var size, pages int
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0, fmt.Errorf("statm %q: %w", data, err)
	}
	return pages * os.Getpagesize(), nil
}

// descriptors is how many descriptors the process has open.
func descriptors(p *os.Process) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid))
	return len(entries), err
}

// errReset is what a connection says that the other side has reset.
const errReset = syscall.ECONNRESET
