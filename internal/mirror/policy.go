package mirror

import (
	"sync/atomic"
	"time"

	"github.com/sundog-mesh/sundog/internal/route"
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
	if l.Timeout <= 0 {
		l.Timeout = 15 * time.Second
	}
	if l.Buffer <= 0 {
		l.Buffer = 1 << 20
	}
	if l.MaxRequests <= 0 {
		l.MaxRequests = 1024
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = 64 << 20
	}
	return l
}

// Budget counts what the copies of one mirror take, on all loops together. It
// survives reloads.
type Budget struct{ requests, bytes atomic.Int64 }

// InUse is how many copies are in flight, and how many of their bytes wait.
func (b *Budget) InUse() (requests, bytes int64) { return b.requests.Load(), b.bytes.Load() }

// Policy is a compiled mirror policy of one route.
type Policy struct {
	Mirror  *route.Mirror
	Cluster *upstream.Cluster // nil when there is none of that name
	Limits  Limits
	Budget  *Budget
	Brake   *Brake // of the route; nil: always released
}
