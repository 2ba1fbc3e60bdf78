package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Buckets are from 1 µs to 1 h, each wider than the one before by 1 %; the
// first holds what is shorter, the last what is longer.
const (
	shortest = time.Microsecond
	longest  = time.Hour
	width    = 1.01
	buckets  = 2214
	layout   = 1 // of the JSON form
)

// Unbounded stands for a bound that is not known yet: too little was observed.
const Unbounded time.Duration = math.MaxInt64

// Histogram counts durations in buckets of 1 % relative width. It takes memory
// for the buckets between its shortest and longest duration only, 18 KiB at
// most. The zero value is ready. It is not safe for concurrent use.
//
// It is not DDSketch (github.com/DataDog/sketches-go), whose buckets are alike:
// bounds of a quantile need whole counts and the edges of buckets, and a bounded
// DDSketch collapses its outer buckets, after which ranks are lost and a merge
// depends on its order. Its counts are floating point and its form is protobuf.
type Histogram struct {
	count  uint64
	first  int // bucket of counts[0]
	counts []uint64
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) { h.add(bucket(d), 1) }

// Count is how many durations were observed.
func (h *Histogram) Count() uint64 { return h.count }

// Merge adds what the other has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		if n > 0 {
			h.add(o.first+i, n)
		}
	}
}

func (h *Histogram) add(i int, n uint64) {
	switch {
	case len(h.counts) == 0:
		h.first, h.counts = i, append(h.counts, 0)
	case i < h.first:
		h.counts = slices.Insert(h.counts, 0, make([]uint64, h.first-i)...)
		h.first = i
	case i >= h.first+len(h.counts):
		h.counts = append(h.counts, make([]uint64, i-h.first-len(h.counts)+1)...)
	}
	h.counts[i-h.first] = sum(h.counts[i-h.first], n)
	h.count = sum(h.count, n)
}

// Bounds returns the q-quantile, 0 < q < 1, and bounds between which it is at
// every look with probability 1-alpha at least: a confidence sequence (Howard,
// Ramdas, Sequential estimation of quantiles, 2022). If x is the quantile, the
// durations up to x are a share of q or more, and those below x one of q or
// less; every x at which the counts refute that is outside. The bounds are
// edges of buckets, so rounding widens them. low is 0 and high is Unbounded
// while nothing is known; the estimate is 0 for an empty histogram.
func (h *Histogram) Bounds(q, alpha float64) (low, estimate, high time.Duration) {
	if h.count == 0 || !(q > 0 && q < 1) {
		return 0, 0, Unbounded
	}
	n := float64(h.count)
	limit := math.Log(2) - math.Log(alpha)
	// Too few up to x; as many, counted from above, too many below x.
	less, more := above(q), above(1-q)
	few := most(h.count, func(k float64) bool { return less(n, k, 0) >= limit })
	many := most(h.count, func(k float64) bool { return more(n, k, 0) >= limit })
	high = Unbounded
	if few >= 0 {
		low, _ = h.rank(uint64(few) + 1)
	}
	if many >= 0 {
		_, high = h.rank(h.count - uint64(many))
	}
	from, to := h.rank(max(1, uint64(math.Ceil(q*n))))
	return low, middle(from, to), high
}

// most returns the greatest k up to n for which ok, which fails from some k on,
// or -1.
func most(n uint64, ok func(k float64) bool) int64 {
	if !ok(0) {
		return -1
	}
	low, high := uint64(0), n
	for high-low > 1 {
		if mid := low + (high-low)/2; ok(float64(mid)) {
			low = mid
		} else {
			high = mid
		}
	}
	return int64(low)
}

// rank returns the edges of the bucket of the k-th duration, from 1.
func (h *Histogram) rank(k uint64) (low, high time.Duration) {
	last := 0
	for i, n := range h.counts {
		if last = i; k <= n {
			break
		}
		k -= n
	}
	return edge(h.first + last), edge(h.first + last + 1)
}

// middle is the duration whose relative distance to both edges is the same.
func middle(low, high time.Duration) time.Duration {
	if low == 0 {
		return high / 2
	}
	if high == Unbounded {
		return low
	}
	return time.Duration(math.Sqrt(float64(low) * float64(high)))
}

// bucket is where a duration is counted: the greatest i for which edge(i) <= d.
func bucket(d time.Duration) int {
	switch {
	case d < shortest:
		return 0
	case d >= longest:
		return buckets - 1
	}
	i := 1 + int(math.Log(float64(d)/float64(shortest))/math.Log(width))
	for i > 1 && edge(i) > d { // what rounding did
		i--
	}
	for edge(i+1) <= d {
		i++
	}
	return i
}

// edge is where bucket i begins.
func edge(i int) time.Duration {
	switch {
	case i <= 0:
		return 0
	case i == buckets-1:
		return longest
	case i >= buckets:
		return Unbounded
	}
	return time.Duration(math.Round(float64(shortest) * math.Pow(width, float64(i-1))))
}

// histogramJSON holds pairs of bucket and count, ascending.
type histogramJSON struct {
	Layout  int         `json:"layout"`
	Buckets [][2]uint64 `json:"buckets"`
}

// MarshalJSON writes the buckets that are not empty, of a value as of a pointer.
func (h Histogram) MarshalJSON() ([]byte, error) {
	j := histogramJSON{Layout: layout, Buckets: [][2]uint64{}}
	for i, n := range h.counts {
		if n > 0 {
			j.Buckets = append(j.Buckets, [2]uint64{uint64(h.first + i), n})
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote. It fails, and leaves the histogram
// as it was, where buckets are unknown, out of order or empty, or of another layout.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	if j.Layout != layout {
		return fmt.Errorf("histogram: layout %d is not known, only %d", j.Layout, layout)
	}
	var read Histogram
	next := uint64(0)
	for _, b := range j.Buckets {
		if b[0] < next || b[0] >= buckets || b[1] == 0 {
			return fmt.Errorf("histogram: bucket %d with count %d: buckets ascend from 0 to %d, counts are at least 1", b[0], b[1], buckets-1)
		}
		if b[1] > math.MaxInt64-read.count {
			return errors.New("histogram: the counts sum to more than 2^63")
		}
		read.add(int(b[0]), b[1])
		next = b[0] + 1
	}
	*h = read
	return nil
}

// Ratio is how much longer the candidate's q-quantile is than the reference's,
// and bounds that hold at every look with probability 1-alpha at least. low is
// 0 and high math.MaxFloat64 while nothing is known; the estimate is 0 then, too,
// if either histogram is empty.
func Ratio(candidate, reference *Histogram, q, alpha float64) (low, estimate, high float64) {
	cl, ce, ch := candidate.Bounds(q, alpha/2)
	rl, re, rh := reference.Bounds(q, alpha/2)
	high = math.MaxFloat64
	if rh != Unbounded && rh > 0 {
		low = float64(cl) / float64(rh)
	}
	if ch != Unbounded && rl > 0 {
		high = float64(ch) / float64(rl)
	}
	if re > 0 {
		estimate = float64(ce) / float64(re)
	}
	return low, estimate, high
}
