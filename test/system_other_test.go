//go:build !linux

package test

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) { _ = p.Kill() }

// The kernel's default will do.
func setReceiveBuffer(uintptr, int) error { return nil }

// resident is not known here.
func resident(*os.Process) (int, error) { return 0, nil }

// errReset is what a connection says that the other side has reset.
const errReset = syscall.ECONNRESET

// descriptors are not known here.
func descriptors(*os.Process) (int, error) { return 0, nil }
