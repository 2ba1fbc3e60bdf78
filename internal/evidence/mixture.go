package evidence

import (
	"math"
	"slices"
)

// The stakes are 1 and its fractions by powers of √2, down to about 1e-6, the
// best stake for some 1e12 outcomes. Half of the capital goes all in, since the
// commonest difference that matters is one without any noise; a tenth is never
// staked, so that what cannot tell spoils no product; the rest decays slowly, as
// each finer stake is for longer runs.
const (
	stakes   = 42
	allIn    = 0.5
	kept     = 0.1
	flatness = 4
)

// bet is a share of the capital that is staked, and the logarithm of the part
// of the starting capital with which that is done.
type bet struct {
	share, logCapital float64
}

// bets are all of them; their parts sum to 1. Nobody writes to it.
var bets = func() (all [stakes]bet) {
	all[0], all[stakes-1] = bet{1, math.Log(allIn)}, bet{0, math.Log(kept)}
	for i := 1; i < stakes-1; i++ {
		k := float64(i)
		capital := (1 - allIn - kept) * flatness / ((k + flatness - 1) * (k + flatness))
		if i == stakes-2 { // and all that would follow
			capital = (1 - allIn - kept) * flatness / (k + flatness - 1)
		}
		all[i] = bet{math.Exp2(-k / 2), math.Log(capital)}
	}
	return all
}()

// growth is the logarithm of what one outcome multiplies the capital of each bet by.
type growth [stakes]float64

// gain is the growth where a unit staked wins so much; -1 is its loss.
func gain(unit float64) *growth {
	var g growth
	for i, b := range bets {
		g[i] = math.Log1p(b.share * unit)
	}
	return &g
}

// outcome is how often something happened.
type outcome struct {
	times  float64
	growth *growth
}

// mixture is the logarithm of the capital that bets of every share would have
// made of their parts: log Σ capital·Π(1+share·gain)^times. It is an e-process
// against every hypothesis under which the expected gain of a bet, given all
// before it, is at most 0.
func mixture(all ...outcome) float64 {
	var logs growth
	for i, b := range bets {
		logs[i] = b.logCapital
	}
	for _, o := range all {
		if o.times > 0 { // 0 times a loss of everything is no number
			for i, g := range o.growth {
				logs[i] += o.times * g
			}
		}
	}
	most, sum := slices.Max(logs[:]), 0.0
	for _, l := range logs {
		if l > most-40 { // less is lost in rounding
			sum += math.Exp(l - most)
		}
	}
	return most + math.Log(sum)
}

// sum adds counts, and stays at the highest number instead of starting over.
func sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}
