package mirror

import (
	"math"
	"math/bits"

	"github.com/dchest/siphash"
)

// Sampler gives each request one number, from a key of the request. All
// mirrors of a request decide by the same number, so their shares nest: what
// 5 % takes, 10 % takes too. The hash is keyed, so that no client can choose
// to be mirrored or not.
type Sampler struct{ K0, K1 uint64 }

// Number is the number of the request with this key, the request id as a rule.
func (s Sampler) Number(key []byte) uint64 { return siphash.Hash(s.K0, s.K1, key) }

// Share is the part of the requests that one mirror copies: Numerator of
// Denominator, which is at most a million. Above 1 each request is copied more
// than once.
type Share struct{ Numerator, Denominator uint64 }

// Percent is the share of so many percent, in steps of a ten-thousandth.
func Percent(percent float64) Share {
	return Share{uint64(math.Round(max(percent, 0) * 10_000)), 1_000_000}
}

// Copies is how many copies of the request are sent: one where its number
// lies below the share (so 0 sends none), and one more for each whole time the
// share exceeds 1.
func (s Share) Copies(number uint64) int {
	whole, part := s.Numerator/s.Denominator, s.Numerator%s.Denominator
	if at, _ := bits.Mul64(number, s.Denominator); at < part {
		whole++
	}
	return int(whole)
}

// Fraction is the share as a number; 0.5 is half of the requests.
func (s Share) Fraction() float64 { return float64(s.Numerator) / float64(s.Denominator) }
