package mirror

import (
	"math"
	"math/bits"
	"time"
)

// A duration's bucket: 64 for each doubling, from 1 µs to 18 minutes, so none
// is wider than 1.6 % of what it holds. Below 64 µs each microsecond has one.
const (
	pageBits   = 6
	maxMicros  = 1<<30 - 1
	numPages   = 30 - pageBits + 1
	pageLength = 1 << pageBits
)

func bucketOf(d time.Duration) uint32 {
	v := uint64(min(max(d/time.Microsecond, 0), maxMicros))
	shift := max(bits.Len64(v)-pageBits-1, 0)
	return uint32(shift<<pageBits) + uint32(v>>shift)
}

// bucketBounds are the durations that a bucket holds, the upper one excluded.
func bucketBounds(bucket uint32) (low, high time.Duration) {
	shift, sub := 0, uint64(bucket)
	if bucket >= 2*pageLength {
		shift = int(bucket>>pageBits) - 1
		sub = uint64(bucket&(pageLength-1)) + pageLength
	}
	return time.Duration(sub<<shift) * time.Microsecond, time.Duration((sub+1)<<shift) * time.Microsecond
}

// histogram counts durations by bucket. A page of counts is made when the
// first duration of it comes: a route has a handful of them.
type histogram struct {
	n     int
	pages [numPages]*[pageLength]uint32
}

func (h *histogram) add(bucket uint32) {
	p := &h.pages[bucket>>pageBits]
	if *p == nil {
		*p = new([pageLength]uint32)
	}
	(*p)[bucket&(pageLength-1)]++
	h.n++
}

func (h *histogram) reset() {
	h.n = 0
	for _, p := range h.pages {
		if p != nil {
			clear(p[:])
		}
	}
}

// at is the bucket of the k-th smallest duration, k from 1 to n.
func (h *histogram) at(k int) uint32 {
	for i, p := range h.pages {
		if p == nil {
			continue
		}
		for j, count := range p {
			if k -= int(count); k <= 0 {
				return uint32(i<<pageBits + j)
			}
		}
	}
	return numPages*pageLength - 1
}

// quantile estimates the p-quantile. The true one lies within the bounds but
// for a chance of the normal distribution's tail beyond z at either end; a
// high end of 0 is none, for want of data.
//
// The bounds are order statistics, so nothing is assumed of the distribution:
// the number of durations below the true quantile is binomial. And since a
// hash deals requests to both sides by chance, they hold for bursts and
// stalls, too: those fall on both sides alike.
func (h *histogram) quantile(p, z float64) Interval {
	if h.n == 0 {
		return Interval{}
	}
	var v Interval
	low, high := bucketBounds(h.at(min(int(math.Ceil(p*float64(h.n))), h.n)))
	v.Value = low + (high-low)/2
	if k := tailRank(h.n, p, z); k > 0 {
		v.Low, _ = bucketBounds(h.at(k))
	}
	if k := tailRank(h.n, 1-p, z); k > 0 {
		_, v.High = bucketBounds(h.at(h.n + 1 - k))
	}
	return v
}

// tailRank is the largest k for which a binomial number of n trials with
// chance p is below k no more often than a normal one is below -z; 0 if there
// is none. It uses the bound of Zubkov and Serov (2013), which is within one
// step of the truth: P(X < k) <= Φ(-sqrt(2n·D(k/n, p))), where D is the relative
// entropy.
func tailRank(n int, p, z float64) int {
	need := z * z / (2 * float64(n))
	k, end := 0, int(p*float64(n)) // k holds, end+1 does not
	for k < end {
		mid := (k + end + 1) / 2
		if x := float64(mid) / float64(n); x < p && entropy(x, p) >= need {
			k = mid
		} else {
			end = mid - 1
		}
	}
	return k
}

// entropy is the relative entropy of coins with the chances x and p.
func entropy(x, p float64) float64 {
	d := 0.0
	if x > 0 {
		d += x * math.Log(x/p)
	}
	if x < 1 {
		d += (1 - x) * math.Log((1-x)/(1-p))
	}
	return d
}
