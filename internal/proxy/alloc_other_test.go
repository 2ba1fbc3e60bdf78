//go:build !linux || portable

package proxy_test

const childEnv = "SUNDOG_ALLOCATIONS_OF"

func allocationChild(string) int { return 2 }
