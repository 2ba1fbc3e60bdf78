package evidence

import "math"

// Excess counts the exchanges that had both a candidate and a baseline. Its
// bounds are of the excess mismatch rate: how much more often the candidate
// differs from the primary than the baseline does, between -1 and 1.
type Excess struct {
	Exchanges uint64 `json:"exchanges"`
	Candidate uint64 `json:"candidate"` // of these, only the candidate differed
	Baseline  uint64 `json:"baseline"`  // of these, only the baseline differed
}

// Merge returns the counts of both.
func (e Excess) Merge(o Excess) Excess {
	return Excess{sum(e.Exchanges, o.Exchanges), sum(e.Candidate, o.Candidate), sum(e.Baseline, o.Baseline)}
}

// Estimate is the observed rate; 0 for no exchange.
func (e Excess) Estimate() float64 {
	n, c, b := e.floats()
	if n == 0 {
		return 0
	}
	return (c - b) / n
}

// LogE is the natural logarithm of the e-process against "the excess rate is
// this or more": Upper(alpha) is the lowest rate at which it reaches ln(1/alpha).
func (e Excess) LogE(rate float64) float64 {
	n, c, b := e.floats()
	return above(rate)(n, c, b)
}

// Upper is a bound that the excess rate is ever above with probability alpha
// at most. Without a mismatch it is below ε after about ln(2/α)/ε exchanges.
func (e Excess) Upper(alpha float64) float64 {
	n, c, b := e.floats()
	return lowestRefuted(-1, 1, alpha, func(rate float64) float64 { return above(rate)(n, c, b) })
}

// Lower is a bound that the excess rate is ever below with probability alpha
// at most.
func (e Excess) Lower(alpha float64) float64 {
	return -Excess{e.Exchanges, e.Baseline, e.Candidate}.Upper(alpha)
}

// Needed is about how many more exchanges bring Upper(alpha) down to epsilon if
// they go on as those so far. Mismatches whose excess may be chance, as long as
// Lower(alpha) is not above 0, are expected of both sides alike; none are if there
// were none. It is 0 if epsilon is reached already, and if no number would do.
func (e Excess) Needed(epsilon, alpha float64) uint64 {
	n, c, b := e.floats()
	if above(epsilon)(n, c, b) >= -math.Log(alpha) {
		return 0
	}
	if e.Lower(alpha) <= 0 {
		c, b = (c+b)/2, (c+b)/2
	}
	return needed(n, c, b, epsilon, alpha)
}

// floats returns the counts, never more mismatches than exchanges.
func (e Excess) floats() (n, c, b float64) {
	n, c, b = float64(e.Exchanges), float64(e.Candidate), float64(e.Baseline)
	return max(n, c+b), c, b
}

// above returns the e-process against an excess of rate or more, which never
// falls when rate rises: n exchanges, in c of which only the candidate and in b
// of which only the baseline differed. The bets are on rate minus what comes
// out: 1, -1 or 0.
func above(rate float64) func(n, c, b float64) float64 {
	most := 1 - rate // what a stake can lose
	baseline, neither := gain((1+rate)/most), gain(rate/most)
	return func(n, c, b float64) float64 {
		return mixture(outcome{c, lost}, outcome{b, baseline}, outcome{n - c - b, neither})
	}
}

// Rate counts exchanges that have no baseline. Its bounds are of the plain
// mismatch rate, which is also a bound of the excess from above.
type Rate struct {
	Exchanges uint64 `json:"exchanges"`
	Different uint64 `json:"different"`
}

// Merge returns the counts of both.
func (r Rate) Merge(o Rate) Rate {
	return Rate{sum(r.Exchanges, o.Exchanges), sum(r.Different, o.Different)}
}

// Upper is a bound that the rate is ever above with probability alpha at most.
func (r Rate) Upper(alpha float64) float64 {
	return max(0, Excess{Exchanges: r.Exchanges, Candidate: r.Different}.Upper(alpha))
}

// Lower is a bound that the rate is ever below with probability alpha at most.
func (r Rate) Lower(alpha float64) float64 {
	n, k := float64(max(r.Exchanges, r.Different)), float64(r.Different)
	return 1 - lowestRefuted(0, 1, alpha, func(rate float64) float64 { return above(rate)(n, n-k, 0) })
}

// Needed is about how many more exchanges bring Upper(alpha) down to epsilon if
// they go on as those so far. It is 0 if it is so already, and if no number would do.
func (r Rate) Needed(epsilon, alpha float64) uint64 {
	n, k := float64(max(r.Exchanges, r.Different)), float64(r.Different)
	if above(epsilon)(n, k, 0) >= -math.Log(alpha) {
		return 0
	}
	return needed(n, k, 0, epsilon, alpha)
}

// lowestRefuted returns the lowest of the parameters between low and high that
// reach 1/alpha, rounded up; high if none does.
func lowestRefuted(low, high, alpha float64, logE func(parameter float64) float64) float64 {
	for {
		mid := low + (high-low)/2
		if mid <= low || mid >= high {
			return high
		}
		if logE(mid) >= -math.Log(alpha) {
			high = mid
		} else {
			low = mid
		}
	}
}

// farAway is more exchanges than anybody waits for.
const farAway = 1 << 60

// needed returns how many more than n it takes, at the rates of c and b among n,
// until the rate epsilon is refuted; 0 if it never is. A mixture of powers is
// convex, so that happens once at most.
func needed(n, c, b, epsilon, alpha float64) uint64 {
	up, down := c/max(n, 1), b/max(n, 1)
	logE := above(epsilon)
	enough := func(n float64) bool { return logE(n, up*n, down*n) >= -math.Log(alpha) }
	if !enough(farAway) {
		return 0
	}
	low, high := n, float64(farAway)
	for high-low > 1 {
		mid := low + (high-low)/2
		if mid <= low || mid >= high {
			break
		}
		if enough(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return uint64(max(1, math.Ceil(high-n)))
}
