//go:build !unix

package overload

import "time"

func cpuTime() (time.Duration, bool) { return 0, false }

func maxDescriptors() (uint64, bool) { return 0, false }
