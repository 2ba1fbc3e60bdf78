//go:build unix

package cli_test

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkReload loads and applies 10,000 VirtualServices: at the start, and
// after one of them has changed. CPU time is that of the whole process, with
// the garbage collector; the time of the clock says little on a busy machine.
func BenchmarkReload(b *testing.B) {
	const n = 10_000
	b.Run("start", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			reloads(b, n)()
		}
		b.ReportMetric(float64((cpuTime(b)-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
	b.Run("again", func(b *testing.B) {
		load := reloads(b, n)
		load()
		b.ReportAllocs()
		cpu := cpuTime(b)
		for b.Loop() {
			load()
		}
		b.ReportMetric(float64((cpuTime(b)-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
}

func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
