package upstream

import (
	"net/netip"
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// Checks are the active health checks of a cluster (Cluster.health_checks). A
// Monitor makes them. An endpoint that is new takes no requests before it has
// passed once; from then on the thresholds decide.
type Checks struct {
	spec  *checkSpec
	stats *checkStats // shared by the generations of a cluster
}

// Used says that a connection to the cluster was made: from then on it is
// checked every interval instead of every no_traffic_interval. It may be called
// from any loop, and writes once only. A nil Checks has no use for it.
func (c *Checks) Used() {
	if c != nil && !c.stats.used.Load() {
		c.stats.used.Store(true)
	}
}

// Warm reports whether each endpoint that a Monitor knows of was checked once,
// with success or not. A nil Checks is warm.
func (c *Checks) Warm() bool {
	return c == nil || c.stats.served.Load() && c.stats.unchecked.Load() == 0
}

// CheckStats has what the checks of a cluster counted, under Envoy's names
// after health_check.
type CheckStats struct {
	Attempt, Success, Failure uint64
	NetworkFailure            uint64 // those of Failure that got no answer
	Healthy                   int64  // endpoints that pass now
}

// Stats returns the counters; zeros for nil. They survive reloads.
func (c *Checks) Stats() CheckStats {
	if c == nil {
		return CheckStats{}
	}
	s := c.stats
	return CheckStats{s.attempt.Load(), s.success.Load(), s.failure.Load(), s.network.Load(), s.healthy.Load()}
}

type checkStats struct {
	attempt, success, failure, network atomic.Uint64
	healthy, unchecked                 atomic.Int64
	served, used                       atomic.Bool
}

// checkSpec is a health_check with its defaults filled in.
type checkSpec struct {
	in      *corev3.HealthCheck
	timeout time.Duration
	// How long after a check the next one comes: after success and failure,
	// while a change of state is in the air (edge), and before any traffic.
	interval, healthyEdge       time.Duration
	unhealthy, unhealthyEdge    time.Duration
	noTraffic, noTrafficHealthy time.Duration

	initialJitter, jitter time.Duration
	jitterPercent         uint64

	healthyAfter, unhealthyAfter uint32
	reuse                        bool
	alpn                         []string // instead of what the cluster's TLS offers, if not empty

	host      string // the Host of the requests
	endpoints map[netip.AddrPort]checkAddress
	probe     func(s *checkSpec, at checkAddress, dial dialFunc) prober
}

// checkAddress is where and as what an endpoint is checked, by its
// health_check_config or else by its address.
type checkAddress struct {
	addr     netip.AddrPort
	host     string
	disabled bool // disable_active_health_check

	secure     bool   // over TLS
	serverName string // instead of the one of the TLS context, if not empty
}

// scheme is that of requests.
func (a *checkAddress) scheme() string {
	if a.secure {
		return "https"
	}
	return "http"
}

func (s *checkSpec) at(c *Cluster, e *Endpoint) checkAddress {
	a, ok := s.endpoints[e.Addr]
	if !ok {
		a = checkAddress{addr: e.Addr, host: s.host}
	}
	switch a.secure = c.TLS != nil; {
	case !a.secure:
	case c.AutoSNI:
		// The name is the request's host. Where that is but the cluster's name
		// there is none.
		if a.host != c.Name {
			a.serverName = string(hostOf([]byte(a.host)))
		}
	case c.TLS.AutoHostSNI():
		a.serverName = e.Hostname
	}
	return a
}

// same reports whether o is the same check.
func (s *checkSpec) same(o *checkSpec) bool {
	return s == o || s.host == o.host && proto.Equal(s.in, o.in)
}

// wait is how long after a check the next one begins.
func (s *checkSpec) wait(ok, pending, used bool, random func() uint64) time.Duration {
	d := s.noTraffic
	switch {
	case !used && ok && !pending:
		d = s.noTrafficHealthy
	case !used:
	case ok && pending:
		d = s.healthyEdge
	case ok:
		d = s.interval
	case pending:
		d = s.unhealthyEdge
	default:
		d = s.unhealthy
	}
	d += below(random, time.Duration(s.jitterPercent)*d/100)
	d += below(random, s.jitter)
	return max(d, time.Millisecond)
}

// below draws from [0, limit), in milliseconds as Envoy.
func below(random func() uint64, limit time.Duration) time.Duration {
	if limit < time.Millisecond {
		return 0
	}
	return time.Duration(random()%uint64(limit/time.Millisecond)) * time.Millisecond
}

// patient is an endpoint under checks. It is the Monitor's own.
type patient struct {
	spec   *checkSpec
	at     checkAddress
	tls    *tlsconn.Client // of its connections; nil: plain text
	prober prober
	next   event // the next check

	failing   bool // it takes no requests
	checked   bool // there was a result
	good, bad uint32
	cancel    func() // of the check under way, else nil
	gone      bool   // it is checked no more
}

// judge takes a result in. It tells whether the endpoint changes its state, and
// whether that is in the air.
func (p *patient) judge(v verdict) (changed, pending bool) {
	first := !p.checked
	p.checked = true
	if v == passed {
		p.bad = 0
		if !p.failing {
			return false, false
		}
		p.good++
		if first || p.good >= p.spec.healthyAfter {
			p.failing = false
			return true, false
		}
		return false, true
	}
	p.good = 0
	if p.failing {
		return false, false
	}
	p.bad++
	if v == badAnswer || p.bad >= p.spec.unhealthyAfter {
		p.failing = true
		return true, false
	}
	return false, true
}
