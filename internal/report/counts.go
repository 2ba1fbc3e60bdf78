package report

import "math"

func (c Counts) exchanges() uint64 { return c.Paired.Exchanges + c.Alone.Exchanges }

// estimate is the observed rate: the excess, where there is a baseline.
func (c Counts) estimate() float64 {
	switch {
	case c.Paired.Exchanges > 0:
		return c.Paired.Estimate()
	case c.Alone.Exchanges > 0:
		return float64(c.Alone.Different) / float64(c.Alone.Exchanges)
	}
	return 0
}

// upper bounds the excess rate by those exchanges that bound it best. The whole
// rate of those without a baseline is a bound, too. Where there are both, each
// has half of alpha.
func (c Counts) upper(alpha float64) float64 {
	switch {
	case c.exchanges() == 0:
		return 1
	case c.Alone.Exchanges == 0:
		return max(0, c.Paired.Upper(alpha))
	case c.Paired.Exchanges == 0:
		return c.Alone.Upper(alpha)
	}
	return max(0, min(c.Paired.Upper(alpha/2), c.Alone.Upper(alpha/2)))
}

// needed is about how many more exchanges bring upper down to epsilon; 0: they
// have, or none would do.
func (c Counts) needed(epsilon, alpha float64) uint64 {
	if c.Paired.Exchanges > 0 && c.Alone.Exchanges > 0 {
		alpha /= 2
	}
	least := uint64(0)
	consider := func(n, of uint64) {
		if of > 0 { // not every exchange is of that kind
			n = uint64(math.Ceil(float64(n) * float64(c.exchanges()) / float64(of)))
		}
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	if c.Paired.Exchanges > 0 || c.Alone.Exchanges == 0 {
		consider(c.Paired.Needed(epsilon, alpha), c.Paired.Exchanges)
	}
	if c.Alone.Exchanges > 0 {
		consider(c.Alone.Needed(epsilon, alpha), c.Alone.Exchanges)
	}
	return least
}
