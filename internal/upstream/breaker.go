package upstream

import "sync/atomic"

// What a request gets that a breaker refuses, in Envoy's words. Beside them the
// answer has the header x-envoy-overloaded: true.
const (
	OverflowStatus  = 503
	OverflowFlag    = "UO"
	OverflowDetails = "upstream_reset_before_response_started{overflow}"
)

// unlimited is where a limit counts as none: what it would count is not
// counted, so no cache line is shared for it. Istio sets 2^32-1 by default.
const unlimited = 1 << 31

// Breakers are the circuit breakers of a cluster for the priority DEFAULT
// (Cluster.circuit_breakers). All loops share their counts. They hold exactly:
// a limit is never exceeded, and nothing is refused below it.
//
// Whoever was let in says so when it is done, to the same Breakers: after a
// reload a cluster has new ones, which count on where these are, but may count
// other things. A nil Breakers lets all in. Shadows are not asked about.
type Breakers struct {
	limits Limits
	budget *retryBudget
	counts *breakerCounts // shared by the generations of a cluster
	// What is counted. Of an unlimited thing nothing is.
	connections, pending, requests, retries bool
}

// breakerCounts outlive the Breakers of one generation.
type breakerCounts struct {
	connections, pending, requests, retries breakerCount
}

// breakerCount has cache lines of its own.
type breakerCount struct {
	n        atomic.Uint32
	_        [60]byte
	overflow atomic.Uint64
	_        [56]byte
}

// newBreakers makes the breakers of a cluster, nil where nothing is limited.
// They count on where old, which may be nil, is.
func newBreakers(l Limits, budget *retryBudget, old *Breakers) *Breakers {
	b := &Breakers{
		limits:      l,
		budget:      budget,
		connections: l.Connections < unlimited,
		pending:     l.PendingRequests < unlimited || budget != nil,
		requests:    l.Requests < unlimited || budget != nil,
		retries:     l.Retries < unlimited || budget != nil,
	}
	if !b.connections && !b.pending && !b.requests && !b.retries {
		return nil
	}
	if old != nil {
		b.counts = old.counts
	} else {
		b.counts = &breakerCounts{}
	}
	return b
}

// TryRequest asks for one more active request (max_requests); end it with
// DoneRequest. If refused, the request is answered with OverflowStatus. Every
// try counts, as in Envoy, where a request that is sent again is a new one.
func (b *Breakers) TryRequest() bool {
	return b == nil || !b.requests || b.counts.requests.try(b.limits.Requests)
}

// DoneRequest ends what TryRequest began.
func (b *Breakers) DoneRequest() {
	if b != nil && b.requests {
		b.counts.requests.done()
	}
}

// TryPending asks to wait for a connection (max_pending_requests); end it with
// DonePending when there is one, or no hope of it. If refused, the request is
// answered with OverflowStatus. A request that finds a connection at rest does
// not ask.
func (b *Breakers) TryPending() bool {
	return b == nil || !b.pending || b.counts.pending.try(b.limits.PendingRequests)
}

// DonePending ends what TryPending began.
func (b *Breakers) DonePending() {
	if b != nil && b.pending {
		b.counts.pending.done()
	}
}

// TryConnection asks for one more connection (max_connections); end it with
// DoneConnection when that is closed. If refused, the request waits for a
// connection to the same endpoint, and where the loop has none it opens one
// all the same, with AddConnection, so that no endpoint starves.
func (b *Breakers) TryConnection() bool {
	return b == nil || !b.connections || b.counts.connections.try(b.limits.Connections)
}

// AddConnection counts a connection that is made whatever the limit says.
func (b *Breakers) AddConnection() {
	if b != nil && b.connections {
		b.counts.connections.n.Add(1)
	}
}

// DoneConnection ends what TryConnection or AddConnection began.
func (b *Breakers) DoneConnection() {
	if b != nil && b.connections {
		b.counts.connections.done()
	}
}

// TryRetry asks for one more retry under way (max_retries, or retry_budget,
// which goes before it); end it with DoneRetry. If refused, the answer or
// failure at hand is final, and the flag of the request is OverflowFlag.
func (b *Breakers) TryRetry() bool {
	return b == nil || !b.retries || b.counts.retries.try(b.retryLimit())
}

// DoneRetry ends what TryRetry began.
func (b *Breakers) DoneRetry() {
	if b != nil && b.retries {
		b.counts.retries.done()
	}
}

func (b *Breakers) retryLimit() uint32 {
	if b.budget == nil {
		return b.limits.Retries
	}
	return b.budget.limit(uint64(b.counts.requests.n.Load()) + uint64(b.counts.pending.n.Load()))
}

// try adds one where that does not exceed the limit. One that refuses does not
// write to the line that the others write to.
func (c *breakerCount) try(limit uint32) bool {
	for {
		n := c.n.Load()
		if n >= limit {
			c.overflow.Add(1)
			return false
		}
		if c.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *breakerCount) done() {
	if c.n.Add(^uint32(0)) == ^uint32(0) {
		panic("upstream: internal error: a breaker was told twice that something is done")
	}
}

// BreakerState is one threshold as it stands.
type BreakerState struct {
	Active, Limit uint32
	// Open is true where the next one is refused (Envoy's gauges cx_open,
	// rq_pending_open, rq_open and rq_retry_open).
	Open bool
	// Remaining is what is left (remaining_cx, remaining_pending, remaining_rq,
	// remaining_retries). It is 0 for retries under a budget, as in Envoy.
	Remaining uint32
	// Overflow counts the refused (upstream_cx_overflow,
	// upstream_rq_retry_overflow; Envoy's upstream_rq_pending_overflow is the
	// sum of those of pending requests and of requests).
	Overflow uint64
}

// BreakerStats are all thresholds of a cluster. What is unlimited is not
// counted, so its Active is 0.
type BreakerStats struct {
	Connections, PendingRequests, Requests, Retries BreakerState
	// TrackRemaining says whether the configuration wants Remaining published
	// (track_remaining).
	TrackRemaining bool
}

// Breaker returns the thresholds of the cluster as they stand.
func (c *Cluster) Breaker() BreakerStats {
	l, b := c.Limits, c.Breakers
	s := BreakerStats{
		Connections:     BreakerState{Limit: l.Connections, Remaining: l.Connections},
		PendingRequests: BreakerState{Limit: l.PendingRequests, Remaining: l.PendingRequests},
		Requests:        BreakerState{Limit: l.Requests, Remaining: l.Requests},
		Retries:         BreakerState{Limit: l.Retries, Remaining: l.Retries},
		TrackRemaining:  l.TrackRemaining,
	}
	if b == nil {
		return s
	}
	s.Connections = b.counts.connections.state(l.Connections)
	s.PendingRequests = b.counts.pending.state(l.PendingRequests)
	s.Requests = b.counts.requests.state(l.Requests)
	s.Retries = b.counts.retries.state(b.retryLimit())
	if b.budget != nil {
		s.Retries.Remaining = 0
	}
	return s
}

func (c *breakerCount) state(limit uint32) BreakerState {
	n := c.n.Load()
	s := BreakerState{Active: n, Limit: limit, Open: n >= limit, Overflow: c.overflow.Load()}
	if !s.Open {
		s.Remaining = limit - n
	}
	return s
}
