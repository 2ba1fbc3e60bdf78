//go:build !linux

package framing

import "syscall"

func ownGroup() *syscall.SysProcAttr { return nil }
