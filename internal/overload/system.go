package overload

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
)

// system is what the files of Linux tell of the process; on other systems
// there are none, and nothing is known.
type system struct {
	root   fs.FS
	memory memoryGroup
	quota  float64 // CPUs; 0: no quota
}

// memoryGroup is the cgroup with the tightest memory limit.
type memoryGroup struct {
	limit    int64 // bytes; 0: none
	current  string
	stat     string
	inactive string // the field of stat that is no real use
}

// noLimit and more is how cgroup v1 writes that there is none.
const noLimit = 1 << 60

// newSystem finds the limits of the process' cgroups and of those that they are in.
// The version 2 hierarchy is looked at as well as the version 1 ones.
func newSystem(root fs.FS) system {
	s := system{root: root}
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		controllers, group := parts[1], parts[2]
		if parts[0] == "0" && controllers == "" {
			s.v2("sys/fs/cgroup", group)
			s.v2("sys/fs/cgroup/unified", group)
		}
		for c := range strings.SplitSeq(controllers, ",") {
			switch c {
			case "memory":
				s.v1Memory("sys/fs/cgroup/memory", group)
			case "cpu":
				s.v1CPU("sys/fs/cgroup/cpu", group)
				s.v1CPU("sys/fs/cgroup/"+controllers, group)
			}
		}
	}
	return s
}

// upwards are the folders of a cgroup and of all that it is in. In a container
// the group's path may be that outside of it: then only the mount itself has
// the files.
func upwards(mount, group string) (dirs []string) {
	for group = path.Clean("/" + group); group != "/"; group = path.Dir(group) {
		dirs = append(dirs, mount+group)
	}
	return append(dirs, mount)
}

func (s *system) v2(mount, group string) {
	for _, dir := range upwards(mount, group) {
		if n, ok := readInt(s.root, dir+"/memory.max"); ok {
			s.tighten(memoryGroup{n, dir + "/memory.current", dir + "/memory.stat", "inactive_file"})
		}
		if text, err := fs.ReadFile(s.root, dir+"/cpu.max"); err == nil {
			if f := strings.Fields(string(text)); len(f) == 2 {
				s.tightenCPU(f[0], f[1])
			}
		}
	}
}

func (s *system) v1Memory(mount, group string) {
	for _, dir := range upwards(mount, group) {
		if n, ok := readInt(s.root, dir+"/memory.limit_in_bytes"); ok {
			s.tighten(memoryGroup{n, dir + "/memory.usage_in_bytes", dir + "/memory.stat", "total_inactive_file"})
		}
	}
}

func (s *system) v1CPU(mount, group string) {
	for _, dir := range upwards(mount, group) {
		quota, err1 := fs.ReadFile(s.root, dir+"/cpu.cfs_quota_us")
		period, err2 := fs.ReadFile(s.root, dir+"/cpu.cfs_period_us")
		if err1 == nil && err2 == nil {
			s.tightenCPU(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
		}
	}
}

func (s *system) tighten(g memoryGroup) {
	if g.limit > 0 && g.limit < noLimit && (s.memory.limit == 0 || g.limit < s.memory.limit) {
		s.memory = g
	}
}

// tightenCPU takes a quota and its period; "max" and -1 are none.
func (s *system) tightenCPU(quota, period string) {
	q, err1 := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err1 != nil || err2 != nil || q <= 0 || p <= 0 {
		return
	}
	if cpus := q / p; s.quota == 0 || cpus < s.quota {
		s.quota = cpus
	}
}

// cpus is how many CPUs the process may use.
func (s *system) cpus() float64 {
	n := float64(runtime.GOMAXPROCS(0))
	if s.quota > 0 {
		return min(n, s.quota)
	}
	return n
}

// use is what the group uses, but for file pages that the kernel would drop
// before it kills anything.
func (g *memoryGroup) use(root fs.FS) (int64, bool) {
	if g.limit == 0 {
		return 0, false
	}
	n, ok := readInt(root, g.current)
	if !ok {
		return 0, false
	}
	stat, _ := fs.ReadFile(root, g.stat)
	for line := range strings.Lines(string(stat)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == g.inactive {
			if inactive, err := strconv.ParseInt(value, 10, 64); err == nil {
				n -= inactive
			}
			break
		}
	}
	return max(n, 0), true
}

// resident is the process' resident memory in bytes; where the system does
// not tell, what Go's runtime holds of it.
func (s *system) resident() (int64, bool) {
	text, err := fs.ReadFile(s.root, "proc/self/statm")
	if f := strings.Fields(string(text)); err == nil && len(f) > 1 {
		if pages, err := strconv.ParseInt(f[1], 10, 64); err == nil {
			return pages * int64(os.Getpagesize()), true
		}
	}
	held := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(held)
	if held[0].Value.Kind() != metrics.KindUint64 || held[1].Value.Kind() != metrics.KindUint64 {
		return 0, false
	}
	return int64(held[0].Value.Uint64() - held[1].Value.Uint64()), true
}

// descriptors is how many files are open: the size of that folder, since Linux
// 6.2, and 0 before.
func (s *system) descriptors() (int64, bool) {
	info, err := fs.Stat(s.root, "proc/self/fd")
	if err != nil || info.Size() <= 0 {
		return 0, false
	}
	return info.Size(), true
}

func readInt(root fs.FS, name string) (int64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
