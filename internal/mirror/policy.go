package mirror

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// Limits bound what the copies of one mirror may cost. Zero fields mean the
// defaults.
type Limits struct {
	Timeout     time.Duration // of a copy, from its last byte to the end of its answer; 15 s
	Buffer      int64         // bytes of one copy that may wait for the shadow; 1 MiB
	MaxRequests int           // copies in flight; 1,024
	MaxBytes    int64         // bytes that may wait in all copies in flight; 64 MiB
}

// WithDefaults fills the zero fields.
func (l Limits) WithDefaults() Limits {
	return l.Or(Limits{Timeout: 15 * time.Second, Buffer: 1 << 20, MaxRequests: 1024, MaxBytes: 64 << 20})
}

// Or fills the zero fields with those of others.
func (l Limits) Or(others Limits) Limits {
	return Limits{
		Timeout: cmp.Or(l.Timeout, others.Timeout), Buffer: cmp.Or(l.Buffer, others.Buffer),
		MaxRequests: cmp.Or(l.MaxRequests, others.MaxRequests), MaxBytes: cmp.Or(l.MaxBytes, others.MaxBytes),
	}
}

// Budget counts what the copies of one mirror take, on all loops together. It
// survives reloads.
type Budget struct {
	requests, bytes atomic.Int64
	full            atomic.Bool // a copy was given up for want of bytes
}

// InUse is how many copies are in flight, and how many of their bytes wait.
func (b *Budget) InUse() (requests, bytes int64) { return b.requests.Load(), b.bytes.Load() }

// room reports whether a copy may begin. Once the bytes ran out, a sixteenth of
// them has to be free: else each copy would cost a connection and part of a body
// before it is given up, for as long as a shadow hangs.
func (b *Budget) room(most int64) bool {
	if b.full.Load() {
		if b.bytes.Load() > most-most/16 {
			return false
		}
		b.full.Store(false)
	}
	return true
}

// Policy is a compiled mirror policy of one route.
type Policy struct {
	Mirror   *route.Mirror
	Role     traffic.Role
	Share    Share
	Cluster  *upstream.Cluster // nil when there is none of that name, and where the primary is asked again
	Limits   Limits
	Budget   *Budget
	Brake    *Brake           // of the route; nil: always released
	Redactor *redact.Redactor // of what a shadow must not see; nil: nothing
	Rate     *Rate            // at which the primary is asked again; nil: no bound
}
