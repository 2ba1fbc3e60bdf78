//go:build unix

package cli

import (
	"os"
	"syscall"
)

// reopenSignals are the signals that reopen the access logs.
func reopenSignals() []os.Signal { return []os.Signal{syscall.SIGUSR1} }
