package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/overload"
)

// protectFlags are the flags that keep mirroring from hurting, and the process
// from dying.
type protectFlags struct {
	controlShare   float64 // percent
	brakeRatio     float64
	maxMemory      sizeValue
	maxCPU         float64 // percent
	maxConnections int
}

func (f *protectFlags) add(fs *pflag.FlagSet) {
	fs.Float64Var(&f.controlShare, "control-share", 0, "keep at least this `PERCENT` of the requests unmirrored, to measure what mirroring costs")
	fs.Float64Var(&f.brakeRatio, "brake-ratio", mirror.DefaultBrakeRatio, "mirror less when mirrored requests are sure to take this `FACTOR` longer than unmirrored ones; 0: never")
	fs.Var(&f.maxMemory, "max-memory", "memory that the process may have; near it copies are given up, then connections (default: the cgroup's limit)")
	fs.Float64Var(&f.maxCPU, "max-cpu", 95, "`PERCENT` of the CPU time of the event loops at which copies are given up; 0: never")
	fs.IntVar(&f.maxConnections, "max-connections", 0, "most connections of clients at a time (default: no limit)")
}

// check refuses values that make no sense.
func (f *protectFlags) check() error {
	switch {
	case !(f.controlShare >= 0 && f.controlShare <= 100):
		return usageError(fmt.Errorf("--control-share %v is not between 0 and 100", f.controlShare), "1 keeps one request in a hundred unmirrored")
	case f.brakeRatio != 0 && !(f.brakeRatio > 1):
		return usageError(fmt.Errorf("--brake-ratio %v is not above 1", f.brakeRatio), "1.1 lets mirroring cost a tenth, 0 turns this brake off")
	case f.maxMemory != 0 && f.maxMemory < 32<<20:
		return usageError(fmt.Errorf("--max-memory %s is too little to run in", &f.maxMemory), "give it 32MiB at least, or leave it out for the limit of the cgroup")
	case !(f.maxCPU >= 0 && f.maxCPU <= 100):
		return usageError(fmt.Errorf("--max-cpu %v is not between 0 and 100", f.maxCPU), "95 keeps a little for what comes, 0 turns this brake off")
	case f.maxConnections < 0:
		return usageError(fmt.Errorf("--max-connections %d is negative", f.maxConnections), "leave it out for no limit")
	}
	return nil
}

// brake is what the brakes are to do.
func (f *protectFlags) brake() mirror.BrakeLimits {
	return mirror.BrakeLimits{ControlShare: f.controlShare / 100, Ratio: f.brakeRatio}
}

// monitor watches the process' limits.
func (f *protectFlags) monitor(loops int, logger *slog.Logger) *overload.Monitor {
	cpu := f.maxCPU / 100
	if cpu == 0 {
		cpu = -1
	}
	return overload.New(overload.Options{
		MaxMemory: int64(f.maxMemory), MaxCPU: cpu, MaxConnections: f.maxConnections, Loops: loops, Logger: logger,
	})
}

// limitHeap tells the garbage collector of the memory limit.
func limitHeap(m *overload.Monitor, logger *slog.Logger) {
	if heap := m.LimitHeap(); heap > 0 {
		limit, kept := sizeValue(m.MemoryLimit()), sizeValue(heap)
		logger.Info("memory is limited", "limit", limit.String(), "heap", kept.String())
	}
}
