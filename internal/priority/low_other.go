//go:build !linux

package priority

// Low runs f; threads have no priorities of their own here.
func Low(f func()) { f() }
