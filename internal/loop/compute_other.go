//go:build !linux || portable

package loop

// computer runs what is sent to it.
func computer(work <-chan func()) {
	for f := range work {
		f()
	}
}
