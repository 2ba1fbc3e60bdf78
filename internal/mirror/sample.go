package mirror

import (
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

// Copies is how many copies of the request go to a mirror with the share
// numerator/denominator: one where the request's number lies below the share
// (so 0 sends none), and one more for each whole time the share exceeds 1.
func Copies(number, numerator, denominator uint64) int {
	whole, part := numerator/denominator, numerator%denominator
	if at, _ := bits.Mul64(number, denominator); at < part {
		whole++
	}
	return int(whole)
}
