package evidence

import "math"

// What a unit staked may come to; nobody writes to them.
var (
	lost    = gain(-1)
	doubled = gain(1)
	sixfold = gain(5)
)

// Coin counts the exchanges in which exactly one of candidate and baseline
// differed from the primary. If it makes no difference which of the two gave
// an answer, each of them is the candidate with probability one half: the
// sequential form of McNemar's test (1947). Only exchanges count in which both
// were asked, as decided before any answer was known, and both answered.
type Coin struct {
	Candidate uint64 `json:"candidate"` // only the candidate differed
	Baseline  uint64 `json:"baseline"`  // only the baseline differed
}

// Merge returns the counts of both.
func (c Coin) Merge(o Coin) Coin {
	return Coin{sum(c.Candidate, o.Candidate), sum(c.Baseline, o.Baseline)}
}

// LogE is the natural logarithm of the e-process against "the candidate
// differs no more often than the baseline". A run of n candidates without a
// baseline is worth a little more than 2ⁿ/2.
func (c Coin) LogE() float64 {
	return mixture(outcome{float64(c.Candidate), doubled}, outcome{float64(c.Baseline), lost})
}

// Confirmations counts what became of mismatches after which both sides were
// asked twice more, in one of the six orders of sides drawn at random. A split
// is clean if the primary answered the same all three times, and so did the
// candidate. One whose answers did not all arrive is not.
//
// Whatever the four further answers are, if they do not depend on the side that
// is asked then at most one of the six orders makes the split clean, so a bet
// of a share λ is worth 1-λ+6λ when it is and 1-λ when it is not. (The same
// 1/C(2m-2, m-1) follows, with m = 3, where the order is not drawn but all
// answers are exchangeable.)
type Confirmations struct {
	Clean uint64 `json:"clean"`
	Other uint64 `json:"other"`
}

// Merge returns the counts of both.
func (c Confirmations) Merge(o Confirmations) Confirmations {
	return Confirmations{sum(c.Clean, o.Clean), sum(c.Other, o.Other)}
}

// LogE is the natural logarithm of the e-process against "primary and candidate
// answer alike". A run of n clean splits is worth a little more than 6ⁿ/2.
func (c Confirmations) LogE() float64 {
	return mixture(outcome{float64(c.Clean), sixfold}, outcome{float64(c.Other), lost})
}

// Case is all that speaks against one hypothesis, "this field is the same".
type Case struct {
	Coin          Coin          `json:"coin"`
	Confirmations Confirmations `json:"confirmations"`
}

// Merge returns the counts of both.
func (c Case) Merge(o Case) Case {
	return Case{c.Coin.Merge(o.Coin), c.Confirmations.Merge(o.Confirmations)}
}

// LogE is the natural logarithm of the product of both e-processes.
//
// The product is an e-process, although one exchange adds to both: put the bets
// in the order in which they are settled. A coin falls when the first answers
// of its exchange are known. The order of the further questions is drawn after
// that, so given the first answers, this coin and all earlier bets, a clean
// split still has at most one chance in six; and a coin is fair given all
// earlier exchanges and their confirmations. Each bet has then an expected
// factor of at most 1 given everything settled before it, and so has the
// product. It does not matter which mismatches are asked about again, as long
// as that is decided before the answers are known.
//
// Where a baseline was asked, only mismatches in which it agreed with the
// primary should be counted as confirmed: two instances that always differ (a
// host name) split cleanly each time, and the baseline shows why.
func (c Case) LogE() float64 {
	return c.Coin.LogE() + c.Confirmations.LogE()
}

// Signs counts pairs of latencies of one request: the candidate slower than
// the baseline, or faster; equal ones are not counted. For a limit r the
// baseline's latency is multiplied by r first. If the sides do not matter, each
// is a fair coin, whatever both have in common.
type Signs struct {
	Slower uint64 `json:"slower"`
	Faster uint64 `json:"faster"`
}

// Merge returns the counts of both.
func (s Signs) Merge(o Signs) Signs {
	return Signs{sum(s.Slower, o.Slower), sum(s.Faster, o.Faster)}
}

// LogESlower is the natural logarithm of the e-process against "the candidate
// is slower (than the limit) in at most half of the pairs".
func (s Signs) LogESlower() float64 { return Coin{s.Slower, s.Faster}.LogE() }

// LogEFaster is the same against "the candidate is faster (than the limit) in
// at most half of the pairs". For a limit, this proves that it is kept.
func (s Signs) LogEFaster() float64 { return Coin{s.Faster, s.Slower}.LogE() }

// LogE is the two-sided form: the mean of both e-processes, against "neither
// is faster".
func (s Signs) LogE() float64 {
	a, b := s.LogESlower(), s.LogEFaster()
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b))) - math.Ln2
}
