package upstream

import "math/bits"

// dial maps positions to items by weight.
type dial struct {
	sums  []uint64 // sums[i] is the weight of the items up to and with i; nil when all are equal
	total uint64   // the positions are [0, total)
	// stride is coprime to total and near its golden section: stepping by it
	// visits every position once in total steps, well spread.
	stride uint64
}

// newDial makes a dial over n items.
func newDial(n int, weight func(i int) uint64) dial {
	d := dial{total: uint64(n)}
	for i := 1; i < n; i++ {
		if weight(i) != weight(0) {
			d.sums = make([]uint64, n)
			break
		}
	}
	if d.sums == nil {
		return d
	}
	d.total = 0
	for i := range d.sums {
		d.total += weight(i)
		d.sums[i] = d.total
	}
	d.stride = goldenStride(d.total)
	return d
}

// goldenStride returns a number coprime to n, near n divided by the golden
// ratio.
func goldenStride(n uint64) uint64 {
	s := max(uint64(float64(n)*0.6180339887498949), 1)
	for gcd(s, n) != 1 {
		s++
	}
	return s
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// at returns the item that owns position x.
func (d *dial) at(x uint64) int {
	if d.sums == nil {
		return int(x)
	}
	lo, hi := 0, len(d.sums)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if d.sums[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// draw returns an item by weight for a random number.
func (d *dial) draw(random uint64) int {
	x, _ := bits.Mul64(random, d.total)
	return d.at(x)
}

// turn returns the item whose turn it is at the cursor: in order where all
// weights are equal, else by the stride, so that total steps visit each item
// as often as its weight says, and not in bursts. inner is a cursor for what
// is inside the item: over all rounds the item sees each value once.
func (d *dial) turn(cursor uint64) (i int, inner uint64) {
	round, x := cursor/d.total, cursor%d.total
	if d.sums == nil {
		return int(x), round
	}
	hi, lo := bits.Mul64(x, d.stride)
	_, x = bits.Div64(hi, lo, d.total)
	i = d.at(x)
	from := uint64(0)
	if i > 0 {
		from = d.sums[i-1]
	}
	return i, round*(d.sums[i]-from) + x - from
}
