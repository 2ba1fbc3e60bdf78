package mirror

import "time"

// Interval is an estimate of a duration with bounds. A high bound of 0 means
// that there is too little data for one.
type Interval struct{ Value, Low, High time.Duration }

// Comparison is the latency of mirrored requests beside that of unmirrored
// ones of the same route and time. Each bound of a duration holds with 98.7 %,
// and so those of their ratio with 95 % at least.
type Comparison struct {
	Mirrored, Control Latency
	P50, P99          Ratio // mirrored to control
	Took              time.Duration
}

// Latency is that of one side.
type Latency struct {
	Requests int
	P50, P99 Interval
}

// Ratio is a ratio of durations, with bounds; 0 where there is too little data.
type Ratio struct{ Value, Low, High float64 }

const (
	// shownZ is how sure the bounds are that are shown, and the evidence that
	// keeps a brake from stepping up.
	shownZ = 2.24 // 1.25 % at each end
	// sureZ is how sure a brake must be before it steps down. It looks about
	// twice a second for months, so it must be very sure: 1 in 10 million for
	// each look and bound.
	sureZ = 5.2
	// leastCost is what no client can notice, whatever the ratio is.
	leastCost = 100 * time.Microsecond
	// firstLook is the number of requests of each side that are worth a look.
	firstLook = 64
	// manyRequests, of the smaller side, tell all that is worth knowing.
	manyRequests = 1 << 16
)

// The blocks in which requests are compared: the short ones tell soon what has
// begun on a busy route, the long one tells what takes many requests.
var blockLengths = [numBlocks]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}

const numBlocks = 3

// block is the requests of a route in one stretch of time. It begins anew when
// the question is settled, and at last when its time is over.
type block struct {
	length   time.Duration
	began    time.Time
	mirrored histogram
	control  histogram
	next     int  // requests of the smaller side at the next look
	useless  bool // too short for the little that the route has; keeps nothing
}

func newBlocks() (b [numBlocks]block) {
	for i := range b {
		b[i].length, b[i].next = blockLengths[i], firstLook
	}
	return b
}

func (b *block) restart(now time.Time) {
	b.began, b.next = now, firstLook
	b.mirrored.reset()
	b.control.reset()
}

// weigh decides, before the block begins anew, whether it is of use: whether it
// would hold enough by what a longer one has seen. So a quiet route costs the memory
// of one block.
func (b *block) weigh(long *block, now time.Time) {
	stretch := now.Sub(long.began)
	if b == long || stretch < b.length {
		return
	}
	b.useless = float64(long.smaller())*float64(b.length) < firstLook*float64(stretch)
	if b.useless {
		b.mirrored, b.control = histogram{}, histogram{}
	}
}

func (b *block) add(what uint32) {
	if b.useless {
		return
	}
	if what&mirroredFlag != 0 {
		b.mirrored.add(what &^ mirroredFlag)
	} else {
		b.control.add(what)
	}
}

// smaller is the number of requests of the smaller side.
func (b *block) smaller() int { return min(b.mirrored.n, b.control.n) }

// due reports whether a look may tell more than the last one did, by a quarter
// more data.
func (b *block) due() bool {
	if n := b.smaller(); n >= b.next {
		b.next = n + n/4
		return true
	}
	return false
}

// compare estimates both sides and their ratio.
func (b *block) compare(now time.Time, z float64) Comparison {
	c := Comparison{Mirrored: b.mirrored.latency(z), Control: b.control.latency(z), Took: now.Sub(b.began)}
	c.P50 = ratio(c.Mirrored.P50, c.Control.P50)
	c.P99 = ratio(c.Mirrored.P99, c.Control.P99)
	return c
}

func (h *histogram) latency(z float64) Latency {
	return Latency{Requests: h.n, P50: h.quantile(0.5, z), P99: h.quantile(0.99, z)}
}

// ratio divides intervals; its bounds fail only if one of theirs does.
func ratio(m, c Interval) (r Ratio) {
	if c.Value > 0 {
		r.Value = float64(m.Value) / float64(c.Value)
	}
	if c.High > 0 {
		r.Low = float64(m.Low) / float64(c.High)
	}
	if c.Low > 0 && m.High > 0 {
		r.High = float64(m.High) / float64(c.Low)
	}
	return r
}

// costs names the percentile at which mirroring costs more than the limit, as
// sure as the comparison's bounds are; "" if there is none.
func (c *Comparison) costs(limit float64) string {
	switch {
	case limit <= 0:
	case over(c.Mirrored.P99, c.Control.P99, limit):
		return "p99"
	case over(c.Mirrored.P50, c.Control.P50, limit):
		return "p50"
	}
	return ""
}

func over(m, c Interval, limit float64) bool {
	return c.High > 0 && m.Low >= c.High+leastCost && float64(m.Low) > limit*float64(c.High)
}

// harmless reports whether mirroring is within the limit, as sure as the
// comparison's bounds are.
func (c *Comparison) harmless(limit float64) bool {
	return within(c.Mirrored.P99, c.Control.P99, limit) && within(c.Mirrored.P50, c.Control.P50, limit)
}

func within(m, c Interval, limit float64) bool {
	return m.High > 0 && (m.High <= c.Low+leastCost || float64(m.High) <= limit*float64(c.Low))
}
