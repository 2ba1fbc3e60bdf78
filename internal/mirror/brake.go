package mirror

import (
	"fmt"
	"log/slog"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// BrakeLimits says when mirroring steps down, and what it is measured against.
type BrakeLimits struct {
	// ControlShare is the fraction of the requests, 0 to 1, that no mirror ever
	// copies, so that there is something to compare with at 100 %, too. The
	// requests that a share below 100 % leaves out count towards it.
	ControlShare float64
	// Ratio is how many times as long as unmirrored requests mirrored ones may
	// take, at the median and at the 99th percentile. 0: latency is measured,
	// and never brakes.
	Ratio float64
}

// DefaultBrakeRatio is the limit that users get who name none. It is above what
// copies cost on a small machine at half of its capacity, or those users would
// get fewer copies than their mirror asks for.
const DefaultBrakeRatio = 1.5

// Brake is the brake of one route: every mirror of the route asks it how much
// of its share is in force. It belongs to Brakes, which sets it; the loops only
// read it. A nil Brake brakes nothing.
type Brake struct {
	notch   atomic.Uint32 // the share in force is that asked for, halved so often; shut is none
	control uint64        // numbers from here on are kept unmirrored; 0 none
	idle    bool          // the shares are 0: there is nothing to compare
	route   string        // its key in the ledger

	// The rest is guarded by Brakes.mu.
	ladder ladder
	moved  time.Time // when the notch last changed; zero: never
	blocks [numBlocks]block
	last   Comparison
}

// long is the block of a route that keeps requests for long.
func (r *Brake) long() *block { return &r.blocks[len(r.blocks)-1] }

// Brakes are the brakes of all routes, and that of the process. They survive
// reloads.
//
// Each loop has a Meter, which notes how long each request took and whether it
// was mirrored. Once a second Tick gathers the notes, and where mirrored
// requests are sure to take longer than the limit allows it halves the share
// in force. Its methods are for goroutines other than the loops'.
type Brakes struct {
	limits BrakeLimits
	logger *slog.Logger

	mu       sync.Mutex
	routes   map[string][]*Brake // by the route's key in the ledger
	keys     map[string]*Brake   // by the route's key and its mirrors
	process  ladder
	pressure Pressure
	ticked   time.Time // the last Tick
	dropped  uint64    // notes
}

// NewBrakes makes the brakes of a proxy; all are released. A nil logger is
// slog.DiscardHandler's.
func NewBrakes(limits BrakeLimits, logger *slog.Logger) *Brakes {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Brakes{limits: limits, logger: logger, routes: map[string][]*Brake{}, keys: map[string]*Brake{}}
}

// Of returns the brake of a route. It lasts through reloads for as long as the
// route's mirrors and their shares stay as they are: with other shares, slow
// requests of before would be compared with quick ones of after.
func (b *Brakes) Of(routeKey string, mirrors []route.Mirror) *Brake {
	var key strings.Builder
	key.WriteString(routeKey)
	for i := range mirrors {
		m := &mirrors[i]
		fmt.Fprintf(&key, "\x00%s\x00%d/%d", m.Name, m.Numerator, m.Denominator)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.keys[key.String()]
	if r == nil {
		r = &Brake{route: routeKey, control: controlFrom(b.limits.ControlShare), blocks: newBlocks()}
		r.idle = !slices.ContainsFunc(mirrors, func(m route.Mirror) bool { return m.Numerator > 0 })
		b.keys[key.String()] = r
		b.routes[routeKey] = append(b.routes[routeKey], r)
		b.apply(r, b.ticked)
	}
	return r
}

// Keep forgets the brakes of routes and shares that the configuration does not
// have any more.
func (b *Brakes) Keep(policies [][]*Policy) {
	used := map[*Brake]bool{}
	for _, all := range policies {
		for _, p := range all {
			used[p.Brake] = true
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.routes)
	for key, r := range b.keys {
		if !used[r] {
			delete(b.keys, key)
			continue
		}
		b.routes[r.route] = append(b.routes[r.route], r)
	}
}

// controlFrom is the first number of the control share c: the numbers at the
// top end, which shares reach last. 0 stands for none.
func controlFrom(c float64) uint64 {
	if c <= 0 {
		return 0
	}
	const one = 1 << 53 // what a float64 holds exactly
	part := uint64(min(c, 1) * one)
	if part == 0 {
		return 0
	}
	if part == one {
		return 1 // number 0 is not worth a flag of its own
	}
	return -(part << 11)
}

// Samples reports whether the request with this number is copied: whether it
// lies below the share in force, and outside of the control share.
func (p *Policy) Samples(number uint64) bool {
	if b := p.Brake; b != nil {
		if b.control != 0 && number >= b.control {
			return false
		}
		// To halve the share is to double the number.
		if n := b.notch.Load(); n != 0 {
			if n >= shut || bits.Len64(number) > 64-int(n) {
				return false
			}
			number <<= n
		}
	}
	return Copies(number, uint64(p.Mirror.Numerator), p.Mirror.Denominator) > 0
}

// LeftOut is the outcome of a request that Samples has left out: Control if
// its number is in the control share and below the share asked for, else
// NotSampled.
func (p *Policy) LeftOut(number uint64) traffic.Outcome {
	if b := p.Brake; b != nil && b.control != 0 && number >= b.control &&
		Copies(number, uint64(p.Mirror.Numerator), p.Mirror.Denominator) > 0 {
		return traffic.Control
	}
	return traffic.NotSampled
}
