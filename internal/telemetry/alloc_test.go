//go:build !race

package telemetry_test

import (
	"path/filepath"
	"testing"

	"github.com/sundog-mesh/sundog/internal/telemetry"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// fullLog returns a log that formats every line and has room for none.
func fullLog(tb testing.TB) *telemetry.AccessLog {
	tb.Helper()
	l := telemetry.NewAccessLog(telemetry.LogOptions{MaxPending: 1})
	if err := l.Configure(snapshot(tb, fileLog(filepath.Join(tb.TempDir(), "a"), istioText))); err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestOfferAllocatesNothing(t *testing.T) {
	l, e := fullLog(t), exchange()
	if n := testing.AllocsPerRun(100, func() { l.Offer(traffic.Answered, e) }); n != 0 {
		t.Errorf("%v allocations per line, want 0", n)
	}
}

func BenchmarkOffer(b *testing.B) {
	l, e := fullLog(b), exchange()
	b.ReportAllocs()
	for b.Loop() {
		l.Offer(traffic.Answered, e)
	}
}
