package overload

import (
	"maps"
	"math"
	"slices"
)

// Status is how near to its limits the process is.
type Status struct {
	Level Level
	// Cause is what the level is due to: "memory", "cpu" or "descriptors"; empty
	// when it is OK.
	Cause     string
	Resources []Resource
}

// Resource is one that is watched.
type Resource struct {
	Name        string  // "memory" in bytes, "cpu" in CPUs, or "descriptors"
	Used, Limit float64 // 0 where they are not known
}

// Status is what the last sample has shown.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status()
}

func (m *Monitor) status() (st Status) {
	for i := range m.gauges {
		g := &m.gauges[i]
		if g.level > st.Level {
			st.Level, st.Cause = g.level, g.name
		}
		if g.known {
			st.Resources = append(st.Resources, Resource{g.name, g.used, g.limit})
		}
	}
	return st
}

// percent is how much of the cause's limit is used.
func (st *Status) percent() int {
	for _, r := range st.Resources {
		if r.Name == st.Cause {
			return int(math.Round(100 * r.Used / r.Limit))
		}
	}
	return 0
}

// Stat is one number under Envoy's name for it, where Envoy has one.
type Stat struct {
	Name  string
	Gauge bool
	Value uint64
}

// Stats are the numbers of Envoy's overload manager and of its listeners'
// limits. Pressure is a percentage of the limit.
func (m *Monitor) Stats() []Stat {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Stat
	gauge := func(name string, v uint64) { all = append(all, Stat{name, true, v}) }
	for i := range m.gauges {
		if g := &m.gauges[i]; g.known {
			gauge("overload."+g.stat+".pressure", uint64(math.Round(100*g.pressure())))
		}
	}
	if limit := m.opt.MaxConnections; limit > 0 {
		gauge("overload.global_downstream_max_connections.pressure", uint64(100*max(m.active.Load(), 0))/uint64(limit))
	}
	active := func(action string, from Level) {
		v := uint64(0)
		if m.Level() >= from {
			v = 1
		}
		gauge("overload."+action+".active", v)
	}
	active("shed_shadows", ShedShadows)
	active("stop_accepting_connections", RefuseConnections)
	active("stop_accepting_requests", RefuseConnections)
	for _, name := range slices.Sorted(maps.Keys(m.rejected)) {
		r := m.rejected[name]
		all = append(all,
			Stat{"listener." + name + ".downstream_cx_overload_reject", false, r.overload},
			Stat{"listener." + name + ".downstream_global_cx_overflow", false, r.overflow})
	}
	return all
}
