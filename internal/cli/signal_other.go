//go:build !unix

package cli

import "os"

// reopenSignals are none: the system has no SIGUSR1.
func reopenSignals() []os.Signal { return nil }
