package mirror

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	limits  BrakeLimits

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
func NewBrakes(logger *slog.Logger) *Brakes {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Brakes{logger: logger, routes: map[string][]*Brake{}, keys: map[string]*Brake{}}
}

// Of returns the brake of a route with these mirrors. It lasts through reloads
// for as long as they, their shares and the limits stay as they are: with other
// shares, slow requests of before would be compared with quick ones of after.
func (b *Brakes) Of(routeKey string, mirrors []*Policy, limits BrakeLimits) *Brake {
	var key strings.Builder
	fmt.Fprintf(&key, "%s\x00%v", routeKey, limits)
	for _, p := range mirrors {
		fmt.Fprintf(&key, "\x00%s\x00%v", p.Mirror.Name, p.Share)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.keys[key.String()]
	if r == nil {
		r = &Brake{route: routeKey, limits: limits, control: controlFrom(limits.ControlShare), blocks: newBlocks()}
		r.idle = !slices.ContainsFunc(mirrors, func(p *Policy) bool { return p.Share.Numerator > 0 })
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

// Copies is how many copies of the request with this number are sent: as the
// share in force says, and none in the control share.
func (p *Policy) Copies(number uint64) int {
	share := p.Share
	if b := p.Brake; b != nil {
		if b.control != 0 && number >= b.control {
			return 0
		}
		n := b.notch.Load()
		if n >= shut {
			return 0
		}
		share.Denominator <<= n
	}
	return share.Copies(number)
}

// LeftOut is the outcome of a request of which no copy is sent: Control if
// its number is in the control share and below the share asked for, else
// NotSampled.
func (p *Policy) LeftOut(number uint64) traffic.Outcome {
	if b := p.Brake; b != nil && b.control != 0 && number >= b.control && p.Share.Copies(number) > 0 {
		return traffic.Control
	}
	return traffic.NotSampled
}
