package overload

import (
	"math"
	"time"
)

// Level says what is to be given up.
type Level uint32

// The levels, each of which includes the ones before it.
const (
	OK                Level = iota
	ShedShadows             // copies
	RefuseConnections       // connections and requests, too
)

// String is the level's name in logs.
func (l Level) String() string {
	return [...]string{"ok", "shed_shadows", "refuse_connections"}[l]
}

// thresholds are parts of a limit. A level is reached at once at its first
// number, and left when the use has been below the second for clearAfter.
type thresholds struct {
	shed, unshed     float64
	refuse, unrefuse float64
}

// The heap's own limit is heapPart of the memory: what lies above is in use,
// and is not just garbage that has not been collected yet.
const (
	heapPart   = 0.75
	clearAfter = 5 * time.Second
)

func memoryThresholds() thresholds { return thresholds{0.85, 0.80, 0.95, 0.90} }

// A process that runs short of CPU time serves on: only copies are given up.
func cpuThresholds(shed float64) thresholds {
	never := math.Inf(1)
	switch {
	case shed == 0:
		shed = 0.95
	case shed < 0:
		shed = never
	}
	return thresholds{shed, shed * 0.85, never, never}
}

func descriptorThresholds() thresholds { return thresholds{0.80, 0.75, 0.95, 0.90} }

// gauge is one resource.
type gauge struct {
	name     string // "memory"
	stat     string // Envoy's name of the resource monitor
	at       thresholds
	known    bool
	used     float64
	limit    float64
	level    Level
	lowSince time.Time // since when the level below would do; zero: it would not
}

func (g *gauge) pressure() float64 {
	if !g.known || g.limit <= 0 {
		return 0
	}
	return g.used / g.limit
}

// set enters a sample.
func (g *gauge) set(now time.Time, used, limit float64, known bool) {
	g.used, g.limit, g.known = used, limit, known && limit > 0
	p := g.pressure()
	up, down := OK, OK
	switch {
	case p >= g.at.refuse:
		up = RefuseConnections
	case p >= g.at.shed:
		up = ShedShadows
	}
	switch {
	case p >= g.at.unrefuse:
		down = RefuseConnections
	case p >= g.at.unshed:
		down = ShedShadows
	}
	switch {
	case up >= g.level:
		g.level, g.lowSince = up, time.Time{}
	case down >= g.level:
		g.lowSince = time.Time{}
	case g.lowSince.IsZero():
		g.lowSince = now
	case now.Sub(g.lowSince) >= clearAfter:
		g.level, g.lowSince = down, time.Time{}
	}
}
