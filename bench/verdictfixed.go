//go:build linux

package main

import (
	"fmt"
	"math"
	"sort"
)

// power is what the fixed tests beside the simulations are asked for.
const power = 0.8

// mcnemarNeeds is how many exchanges McNemar's exact one-sided test of a level
// needs, looking once, if only the candidate differs in a share up of them and
// only the baseline in a share down. Large numbers are by the normal approximation.
func mcnemarNeeds(up, down, level float64) int {
	either, excess := up+down, up-down
	about := math.Pow((z(1-level)*math.Sqrt(either)+z(power)*math.Sqrt(either-excess*excess))/excess, 2)
	if about*either > 1000 {
		return int(math.Ceil(about))
	}
	return least(func(n int) bool { return mcnemarPower(n, up, down, level) >= power })
}

// least is the least number that is enough.
func least(enough func(n int) bool) int {
	high := 1
	for !enough(high) {
		high *= 2
	}
	return high/2 + sort.Search(high/2, func(n int) bool { return enough(high/2 + n) })
}

// z is the quantile of the normal distribution.
func z(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// mcnemarPower sums over how many of n exchanges have just one that differs.
func mcnemarPower(n int, up, down, level float64) float64 {
	either := up + down
	middle, spread := float64(n)*either, 6*math.Sqrt(float64(n)*either)+20
	total := 0.0
	for d := max(0, int(middle-spread)); d <= min(n, int(middle+spread)); d++ {
		if p := binomial(n, d, either); p > 0 {
			total += p * atLeast(d, critical(d, level), up/either)
		}
	}
	return total
}

// critical is the least number of heads of n that has a probability of at most
// level; n+1 if none has.
func critical(n int, level float64) int {
	return sort.Search(n+1, func(k int) bool { return upperTail(uint64(k), uint64(n)) <= level })
}

// atLeast is the probability of k or more of n, each with probability p.
func atLeast(n, k int, p float64) float64 {
	if p == 1 {
		if k <= n {
			return 1
		}
		return 0
	}
	total := 0.0
	for i, peak := k, int(p*float64(n)); i <= n; i++ {
		term := binomial(n, i, p)
		total += term
		if i > peak && term < total*1e-12 {
			break
		}
	}
	return total
}

func binomial(n, k int, p float64) float64 {
	if p == 1 {
		if k == n {
			return 1
		}
		return 0
	}
	return math.Exp(logChoose(float64(n), float64(k)) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// signNeeds is how many pairs the exact sign test of a level needs if the
// candidate is slower with probability p.
func signNeeds(p, level float64) int {
	return least(func(n int) bool { return atLeast(n, critical(n, level), p) >= power })
}

// boundNeeds is how many exchanges a bound of level α that looks once needs to be
// below epsilon, with the same noise of both sides: exactly if there is none, and
// never fewer than that; by the normal approximation otherwise.
func boundNeeds(epsilon, noise float64) string {
	silent := math.Log(simAlpha) / math.Log1p(-epsilon)
	return fmt.Sprint(int(math.Ceil(max(silent, math.Pow((z(1-simAlpha)+z(power))/epsilon, 2)*2*noise))))
}
