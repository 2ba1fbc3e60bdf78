package overload_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/overload"
)

// machine is a file system that changes while it is watched.
type machine struct {
	mu    sync.Mutex
	files fstest.MapFS
	cpu   time.Duration
}

func (m *machine) Open(name string) (fs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files.Open(name)
}

func (m *machine) set(name, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = &fstest.MapFile{Data: []byte(text)}
}

func (m *machine) cpuTime() (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cpu, true
}

func newMachine(files map[string]string) *machine {
	m := &machine{files: fstest.MapFS{}}
	for name, text := range files {
		m.set(name, text)
	}
	return m
}

const mib = 1 << 20

// TestMemoryLimits reads the cgroup trees of machines and containers.
func TestMemoryLimits(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		limit int64
		used  float64
	}{
		{"version 2, in a container", map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.max":     "268435456\n",
			"sys/fs/cgroup/memory.current": "100000000\n",
			"sys/fs/cgroup/memory.stat":    "anon 5\ninactive_file 40000000\nactive_file 7\n",
		}, 256 * mib, 60_000_000},
		{"version 2, the tighter limit is above", map[string]string{
			"proc/self/cgroup":                 "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":     "max\n",
			"sys/fs/cgroup/a/memory.max":       "104857600\n",
			"sys/fs/cgroup/a/memory.current":   "7\n",
			"sys/fs/cgroup/a/b/memory.current": "3\n",
			"sys/fs/cgroup/memory.max":         "204857600\n",
		}, 100 * mib, 7},
		{"version 1, seen from inside of a container", map[string]string{
			"proc/self/cgroup":                           "5:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000\n",
			"sys/fs/cgroup/memory/memory.stat":           "inactive_file 1\ntotal_inactive_file 150000000\n",
		}, 512 * mib, 250_000_000},
		{"version 1 without a limit", map[string]string{
			"proc/self/cgroup":                           "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000\n",
		}, 0, 0},
		{"version 2 without a limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0, 0},
		{"no cgroups at all", nil, 0, 0},
		{"nonsense", map[string]string{"proc/self/cgroup": "x\n0::\n", "sys/fs/cgroup/memory.max": "many\n"}, 0, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			m := overload.New(overload.Options{Root: newMachine(tt.files), CPUTime: noCPU})
			if got := m.MemoryLimit(); got != tt.limit {
				t.Errorf("%s: limit %d, want %d", tt.name, got, tt.limit)
			}
			run(t, m)
			used := 0.0
			for _, r := range m.Status().Resources {
				if r.Name == "memory" {
					used = r.Used
				}
			}
			if used != tt.used {
				t.Errorf("%s: %v in use, want %v", tt.name, used, tt.used)
			}
		})
	}
}

func noCPU() (time.Duration, bool) { return 0, false }

// run starts the monitor in a bubble of synctest and waits for its first sample.
func run(t *testing.T, m *overload.Monitor) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

// TestMemoryLevels takes memory up and down, and wants the level to rise at
// once and to fall late.
func TestMemoryLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pc := newMachine(map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.max":     "1000\n",
			"sys/fs/cgroup/memory.current": "0\n",
		})
		m := overload.New(overload.Options{Root: pc, CPUTime: noCPU})
		var seen []string
		m.Watch(func(st overload.Status) { seen = append(seen, st.Level.String()+" "+st.Cause) })
		run(t, m)
		steps := []struct {
			used  int
			after time.Duration
			want  overload.Level
		}{
			{840, time.Second, overload.OK},
			{850, 250 * time.Millisecond, overload.ShedShadows},
			{810, time.Minute, overload.ShedShadows}, // not low enough
			{799, 4 * time.Second, overload.ShedShadows},
			{801, time.Second, overload.ShedShadows},
			{799, 4 * time.Second, overload.ShedShadows}, // the time begins again
			{799, 2 * time.Second, overload.OK},
			{960, 250 * time.Millisecond, overload.RefuseConnections},
			{899, 6 * time.Second, overload.ShedShadows},
			{100, 6 * time.Second, overload.OK},
		}
		for i, s := range steps {
			pc.set("sys/fs/cgroup/memory.current", fmt.Sprint(s.used))
			time.Sleep(s.after)
			synctest.Wait()
			if got := m.Level(); got != s.want {
				t.Errorf("step %d, %d of 1000: %v, want %v", i, s.used, got, s.want)
			}
		}
		want := []string{"shed_shadows memory", "ok ", "refuse_connections memory", "shed_shadows memory", "ok "}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestMaxMemoryIsAboutTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages := 90
		pc := newMachine(map[string]string{"proc/self/statm": fmt.Sprintf("1000 %d 3 4 5 6 7\n", pages)})
		m := overload.New(overload.Options{Root: pc, CPUTime: noCPU, MaxMemory: int64(100 * os.Getpagesize())})
		run(t, m)
		if m.Level() != overload.ShedShadows {
			t.Errorf("%v with 90 of 100 pages", m.Level())
		}
		want := []overload.Stat{
			{Name: "overload.fixed_heap.pressure", Gauge: true, Value: 90},
			{Name: "overload.shed_shadows.active", Gauge: true, Value: 1},
			{Name: "overload.stop_accepting_connections.active", Gauge: true},
			{Name: "overload.stop_accepting_requests.active", Gauge: true},
		}
		if diff := cmp.Diff(want, m.Stats()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestWithoutFiles is a system without /proc: the runtime tells.
func TestWithoutFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := overload.New(overload.Options{Root: newMachine(nil), CPUTime: noCPU, MaxMemory: 1})
		run(t, m)
		if m.Level() != overload.RefuseConnections {
			t.Errorf("%v with a limit of one byte: %+v", m.Level(), m.Status())
		}
	})
}

// TestCPULevels uses CPU time, against a quota of half a CPU.
func TestCPULevels(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"version 2": {"proc/self/cgroup": "0::/x\n", "sys/fs/cgroup/x/cpu.max": "max 100000\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"},
		"version 1": {
			"proc/self/cgroup": "3:cpu,cpuacct:/y\n",
			"sys/fs/cgroup/cpu,cpuacct/y/cpu.cfs_quota_us":  "25000\n",
			"sys/fs/cgroup/cpu,cpuacct/y/cpu.cfs_period_us": "50000\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":    "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":   "100000\n",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			pc := newMachine(files)
			m := overload.New(overload.Options{Root: pc, CPUTime: pc.cpuTime})
			run(t, m)
			use := func(percent int, d time.Duration) {
				for range d / (50 * time.Millisecond) {
					pc.mu.Lock()
					pc.cpu += 50 * time.Millisecond * time.Duration(percent) / 100
					pc.mu.Unlock()
					time.Sleep(50 * time.Millisecond)
				}
				synctest.Wait()
			}
			for i, s := range []struct {
				percent int // of one CPU
				d       time.Duration
				want    overload.Level
			}{
				{40, 10 * time.Second, overload.OK},
				{50, time.Second, overload.OK}, // a moment is no overload
				{50, 2 * time.Second, overload.ShedShadows},
				{200, 10 * time.Second, overload.ShedShadows}, // it never refuses
				{43, time.Minute, overload.ShedShadows},
				{10, 10 * time.Second, overload.OK},
			} {
				use(s.percent, s.d)
				if got := m.Level(); got != s.want {
					t.Errorf("%s, step %d: %v, want %v; %+v", name, i, got, s.want, m.Status())
				}
			}
		})
	}
}

// TestLoopsLimitCPU wants one event loop that is busy to be seen on a machine
// with more CPUs.
func TestLoopsLimitCPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		m := overload.New(overload.Options{Root: newMachine(nil), Loops: 1, CPUTime: func() (time.Duration, bool) { return time.Since(begin), true }})
		run(t, m)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := m.Status(); st.Level != overload.ShedShadows || st.Cause != "cpu" {
			t.Errorf("status %+v", st)
		}
	})
}

// TestCauses has CPU and then memory run short: whoever sheds differently for
// each must be told.
func TestCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		pc := newMachine(map[string]string{"proc/self/statm": "1 1"})
		busy := func() (time.Duration, bool) { return time.Since(begin), true }
		m := overload.New(overload.Options{Root: pc, Loops: 1, CPUTime: busy, MaxMemory: int64(100 * os.Getpagesize())})
		idle := overload.New(overload.Options{Root: pc, Loops: 1, CPUTime: busy, MaxCPU: -1})
		var causes []string
		m.Watch(func(st overload.Status) { causes = append(causes, st.Cause) })
		run(t, m)
		run(t, idle)
		time.Sleep(5 * time.Second)
		pc.set("proc/self/statm", "1 90")
		time.Sleep(5 * time.Second)
		pc.set("proc/self/statm", "1 1")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"cpu", "memory", "cpu"}, causes); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if idle.Level() != overload.OK {
			t.Errorf("CPU sheds where it is not to: %+v", idle.Status())
		}
	})
}

func TestDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]overload.Level{0: overload.RefuseConnections, 1: overload.OK} { // the size of the folder; 0: not told
			pc := newMachine(nil)
			pc.set("proc/self/fd", strings.Repeat("x", size))
			m := overload.New(overload.Options{Root: pc, CPUTime: noCPU})
			m.CountDescriptors(func() int { return 1 << 60 })
			run(t, m)
			if st := m.Status(); st.Level != want || want != overload.OK && st.Cause != "descriptors" {
				t.Errorf("size %d: %+v", size, st)
			}
		}
	})
}

func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pc := newMachine(map[string]string{"proc/self/statm": "1 1 1"})
		m := overload.New(overload.Options{Root: pc, CPUTime: noCPU, MaxConnections: 2, MaxMemory: int64(100 * os.Getpagesize())})
		run(t, m)
		if !m.Admit("a") || !m.Admit("b") {
			t.Fatal("refused below the limit")
		}
		for range 2 {
			if m.Admit("a") {
				t.Error("admitted beyond the limit")
			}
		}
		m.Leave()
		if !m.Admit("a") {
			t.Error("refused after one has left")
		}
		m.Leave()
		pc.set("proc/self/statm", "100 99 1")
		time.Sleep(time.Second)
		synctest.Wait()
		if m.Admit("b") {
			t.Error("admitted while overloaded")
		}
		got := map[string]uint64{}
		for _, s := range m.Stats() {
			got[s.Name] = s.Value
		}
		want := map[string]uint64{
			"listener.a.downstream_global_cx_overflow": 2, "listener.a.downstream_cx_overload_reject": 0,
			"listener.b.downstream_global_cx_overflow": 0, "listener.b.downstream_cx_overload_reject": 1,
			"overload.global_downstream_max_connections.pressure": 50, "overload.fixed_heap.pressure": 99,
			"overload.shed_shadows.active": 1, "overload.stop_accepting_connections.active": 1, "overload.stop_accepting_requests.active": 1,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestLimitHeap(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	t.Setenv("GOMEMLIMIT", "")
	m := overload.New(overload.Options{Root: newMachine(nil), MaxMemory: 4 << 30})
	if got := m.LimitHeap(); got != 3<<30 || debug.SetMemoryLimit(-1) != got {
		t.Errorf("limited to %d, the runtime has %d", got, debug.SetMemoryLimit(-1))
	}
	if got := overload.New(overload.Options{Root: newMachine(nil)}).LimitHeap(); got != 0 {
		t.Errorf("without a limit: %d", got)
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	if got := m.LimitHeap(); got != 0 || debug.SetMemoryLimit(-1) != 3<<30 {
		t.Errorf("with GOMEMLIMIT: %d", got)
	}
}

// TestThisMachine only wants what there is to be read without harm.
func TestThisMachine(t *testing.T) {
	m := overload.New(overload.Options{MaxMemory: 1 << 50})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	st := m.Status()
	if st.Level != overload.OK {
		t.Errorf("status %+v", st)
	}
	for _, r := range st.Resources {
		if r.Limit <= 0 || r.Used <= 0 {
			t.Errorf("%+v", r)
		}
	}
}
