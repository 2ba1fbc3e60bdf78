package admin

import (
	"sync/atomic"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

// StatusSource is what the admin interface reads the proxy through.
type StatusSource interface {
	Status() proxy.Status
}

// State is the proxy's status with what Envoy counts of the whole server:
// its uptime and whether it is live. It is safe for concurrent use.
type State struct {
	source   StatusSource
	started  time.Time
	draining atomic.Bool
}

// NewState returns the state of a server that was started at the given time.
func NewState(source StatusSource, started time.Time) *State {
	return &State{source: source, started: started}
}

// Drain makes the server say that it is draining, for good.
func (s *State) Drain() { s.draining.Store(true) }

// Status is the proxy's status with the server.* stats added.
func (s *State) Status() proxy.Status {
	st := s.source.Status()
	live, state := uint64(0), s.of(&st)
	if state == adminv3.ServerInfo_LIVE {
		live = 1
	}
	n := len(st.Stats)
	st.Stats = append(st.Stats[:n:n],
		proxy.Stat{Name: "server.live", Gauge: true, Value: live},
		proxy.Stat{Name: "server.state", Gauge: true, Value: uint64(state)},
		proxy.Stat{Name: "server.uptime", Gauge: true, Value: uint64(time.Since(s.started) / time.Second)},
	)
	return st
}

// of is Envoy's name for the state that the server is in.
func (s *State) of(st *proxy.Status) adminv3.ServerInfo_State {
	switch {
	case s.draining.Load():
		return adminv3.ServerInfo_DRAINING
	case st.Snapshot == nil:
		return adminv3.ServerInfo_PRE_INITIALIZING
	}
	return adminv3.ServerInfo_LIVE
}
