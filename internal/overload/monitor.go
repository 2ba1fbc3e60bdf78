package overload

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Options configures a Monitor. The zero value watches this process.
type Options struct {
	// MaxMemory is the most bytes that the process may have resident. 0: the
	// limit of its cgroup, if it has one, against what the cgroup uses.
	MaxMemory int64
	// MaxCPU is the part of the CPUs, 0 to 1, at which copies are given up. 0:
	// 0.95; below 0: never.
	MaxCPU float64
	// MaxConnections is the most connections of clients at a time. 0: no limit.
	MaxConnections int
	// Loops is the number of event loops: what CPUs there are beyond them cannot
	// serve requests. 0: it is not considered.
	Loops int
	// Logger is told when the level changes. Nil: nobody is.
	Logger *slog.Logger

	// Root is the file system with proc and sys. Nil: this machine's.
	Root fs.FS
	// CPUTime is what the process has used so far. Nil: getrusage, where there is
	// one.
	CPUTime func() (time.Duration, bool)
}

// Monitor watches the process. Its methods are safe from any goroutine.
type Monitor struct {
	opt   Options
	files system
	watch []func(Status)
	fds   func() int // nil: as the system tells

	level  atomic.Uint32
	active atomic.Int64 // connections

	mu       sync.Mutex // guards the rest
	gauges   [3]gauge   // memory, CPU, descriptors
	cause    string     // of the level
	cpu      [cpuSamples]cpuSample
	cpuNext  int
	rejected map[string]*rejects // by listener
}

type rejects struct{ overflow, overload uint64 }

// cpuSample is the CPU time used by a moment.
type cpuSample struct {
	at   time.Time
	used time.Duration
}

const (
	sampleEvery = 250 * time.Millisecond
	cpuSamples  = 8 // CPU time is averaged over two seconds
)

// New makes a monitor and reads the limits. It samples nothing until Run.
func New(opt Options) *Monitor {
	if opt.Root == nil {
		opt.Root = os.DirFS("/")
	}
	if opt.CPUTime == nil {
		opt.CPUTime = cpuTime
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	memory := "cgroup_memory"
	if opt.MaxMemory > 0 {
		memory = "fixed_heap"
	}
	return &Monitor{
		opt: opt, files: newSystem(opt.Root), rejected: map[string]*rejects{},
		gauges: [3]gauge{
			{name: "memory", stat: memory, at: memoryThresholds()},
			{name: "cpu", stat: "cpu_utilization", at: cpuThresholds(opt.MaxCPU)},
			{name: "descriptors", stat: "descriptors", at: descriptorThresholds()},
		},
	}
}

// Watch makes f be told of each change of the level or its cause, on the
// monitor's goroutine. It must be called before Run.
func (m *Monitor) Watch(f func(Status)) { m.watch = append(m.watch, f) }

// CountDescriptors makes f tell how many file descriptors are in use, about,
// where the system does not (Linux does, since 6.2). It must be called before
// Run, and f is called on the monitor's goroutine.
func (m *Monitor) CountDescriptors(f func() int) { m.fds = f }

// Level is what is to be given up now: one atomic load.
func (m *Monitor) Level() Level { return Level(m.level.Load()) }

// Admit counts a client's connection on the listener and reports whether it
// may stay; else it is to be closed at once. Leave must be called for each
// that was admitted.
//
// As Envoy does, it closes connections beyond the process' limit
// (downstream_global_cx_overflow) and those that come while the process is
// overloaded (downstream_cx_overload_reject).
func (m *Monitor) Admit(listener string) bool {
	if m.Level() >= RefuseConnections {
		m.reject(listener, true)
		return false
	}
	n := m.active.Add(1)
	if limit := m.opt.MaxConnections; limit > 0 && n > int64(limit) {
		m.active.Add(-1)
		m.reject(listener, false)
		return false
	}
	return true
}

// Leave says that a connection that was admitted has been closed.
func (m *Monitor) Leave() { m.active.Add(-1) }

func (m *Monitor) reject(listener string, overload bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rejected[listener]
	if r == nil {
		r = &rejects{}
		m.rejected[listener] = r
	}
	if overload {
		r.overload++
	} else {
		r.overflow++
	}
}

// Run samples until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		m.sample(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sample looks at everything once, and tells of changes.
func (m *Monitor) sample(now time.Time) {
	m.mu.Lock()
	memory, cpu, descriptors := &m.gauges[0], &m.gauges[1], &m.gauges[2]
	used, limit, known := m.memory()
	memory.set(now, used, limit, known)
	used, limit, known = m.cpuUse(now)
	cpu.set(now, used, limit, known)
	used, limit, known = m.descriptors()
	descriptors.set(now, used, limit, known)
	before, because, st := m.Level(), m.cause, m.status()
	m.level.Store(uint32(st.Level))
	m.cause = st.Cause
	m.mu.Unlock()
	switch {
	case st.Level > before:
		m.opt.Logger.Warn("overload", "level", st.Level.String(), "cause", st.Cause, "used_percent", st.percent())
	case st.Level < before:
		m.opt.Logger.Info("overload is less", "level", st.Level.String(), "cause", st.Cause)
	case st.Cause == because:
		return
	}
	for _, f := range m.watch {
		f(st)
	}
}

// memory is what is in use and the limit, in bytes.
func (m *Monitor) memory() (used, limit float64, known bool) {
	if m.opt.MaxMemory > 0 {
		n, ok := m.files.resident()
		return float64(n), float64(m.opt.MaxMemory), ok
	}
	n, ok := m.files.memory.use(m.opt.Root)
	return float64(n), float64(m.files.memory.limit), ok
}

// descriptors are those in use and the limit.
func (m *Monitor) descriptors() (used, limit float64, known bool) {
	most, ok := maxDescriptors()
	if n, told := m.files.descriptors(); told {
		return float64(n), float64(most), ok
	}
	if m.fds == nil {
		return 0, 0, false
	}
	return float64(m.fds()), float64(most), ok
}

// cpuUse is the CPUs in use, on average over the last two seconds, and those
// that the process may use.
func (m *Monitor) cpuUse(now time.Time) (used, limit float64, known bool) {
	total, ok := m.opt.CPUTime()
	if !ok {
		return 0, 0, false
	}
	oldest := m.cpu[m.cpuNext]
	m.cpu[m.cpuNext] = cpuSample{now, total}
	m.cpuNext = (m.cpuNext + 1) % cpuSamples
	if oldest.at.IsZero() || !now.After(oldest.at) {
		return 0, 0, false
	}
	return float64(total-oldest.used) / float64(now.Sub(oldest.at)), m.cpus(), true
}

// cpus is how many CPUs can serve requests.
func (m *Monitor) cpus() float64 {
	if n := m.opt.Loops; n > 0 {
		return min(m.files.cpus(), float64(n))
	}
	return m.files.cpus()
}

// MemoryLimit is the limit that memory is watched against, in bytes; 0: none
// was named, nor has the process' cgroup one.
func (m *Monitor) MemoryLimit() int64 {
	if m.opt.MaxMemory > 0 {
		return m.opt.MaxMemory
	}
	return m.files.memory.limit
}

// LimitHeap makes Go's garbage collector keep the heap within three quarters
// of the memory limit, as GOMEMLIMIT does, and returns that; 0 when there is
// no limit, or GOMEMLIMIT is set and so stays. It changes the whole process.
func (m *Monitor) LimitHeap() int64 {
	limit := m.MemoryLimit()
	if limit <= 0 || os.Getenv("GOMEMLIMIT") != "" {
		return 0
	}
	heap := int64(float64(limit) * heapPart)
	debug.SetMemoryLimit(heap)
	return heap
}
