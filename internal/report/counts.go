package report

import "github.com/sundog-mesh/sundog/internal/evidence"

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

// all takes the exchanges with a baseline and those without together. Where
// there was none, all that the candidate differed counts against it.
func (c Counts) all() evidence.Excess {
	return evidence.Excess{
		Exchanges: c.exchanges(), Candidate: c.Paired.Candidate + c.Alone.Different, Baseline: c.Paired.Baseline,
	}
}

// upper bounds the excess rate.
func (c Counts) upper(alpha float64) float64 {
	if c.exchanges() == 0 {
		return 1
	}
	return max(0, c.all().Upper(alpha))
}

// needed is about how many more exchanges bring upper down to epsilon; 0: they
// have, or none would do.
func (c Counts) needed(epsilon, alpha float64) uint64 { return c.all().Needed(epsilon, alpha) }
