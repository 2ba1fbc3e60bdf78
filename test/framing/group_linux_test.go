package framing

import "syscall"

// ownGroup has a child killed when the tests are: the fuzzer ends its workers
// without their clean-up.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
