package mirror_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/mirror"
)

func share(numerator, denominator uint64) mirror.Share {
	return mirror.Share{Numerator: numerator, Denominator: denominator}
}

// TestCopiesNest wants a request that a share takes to be taken by every
// larger share, whatever the denominators.
func TestCopiesNest(t *testing.T) {
	denominators := rapid.SampledFrom([]uint64{100, 10_000, 1_000_000})
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint64().Draw(t, "number")
		d1, d2 := denominators.Draw(t, "d1"), denominators.Draw(t, "d2")
		n1, n2 := rapid.Uint64Range(0, 3*d1).Draw(t, "n1"), rapid.Uint64Range(0, 3*d2).Draw(t, "n2")
		c1, c2 := share(n1, d1).Copies(number), share(n2, d2).Copies(number)
		if n1*d2 <= n2*d1 && c1 > c2 {
			t.Fatalf("%d/%d gives %d copies, %d/%d gives %d", n1, d1, c1, n2, d2, c2)
		}
		if whole := int(n1 / d1); c1 < whole || c1 > whole+1 || n1%d1 == 0 && c1 != whole {
			t.Fatalf("%d/%d gives %d copies", n1, d1, c1)
		}
	})
}

func TestCopiesAtTheEdges(t *testing.T) {
	for _, tt := range []struct {
		number, numerator, denominator uint64
		want                           int
	}{
		{0, 0, 100, 0},
		{math.MaxUint64, 0, 100, 0},
		{0, 1, 1_000_000, 1},
		{math.MaxUint64, 999_999, 1_000_000, 0},
		{math.MaxUint64, 100, 100, 1},
		{0, 100, 100, 1},
		{math.MaxUint64, 250, 100, 2},
		{0, 250, 100, 3},
		{math.MaxUint64 / 2, 50, 100, 1},
		{math.MaxUint64/2 + 1, 50, 100, 0},
	} {
		if got := share(tt.numerator, tt.denominator).Copies(tt.number); got != tt.want {
			t.Errorf("share %d/%d of number %d gives %d copies, want %d", tt.numerator, tt.denominator, tt.number, got, tt.want)
		}
	}
}

// TestFrequencies counts the copies of requests whose ids come one after the
// other, the worst that a client can do to a hash.
func TestFrequencies(t *testing.T) {
	s := mirror.Sampler{K0: 1, K1: 2}
	const n = 200_000
	for _, percent := range []uint64{1, 10, 50, 99} {
		copies := 0
		for i := range n {
			copies += share(percent, 100).Copies(s.Number(fmt.Appendf(nil, "request-%d", i)))
		}
		p := float64(percent) / 100
		if want := p * n; math.Abs(float64(copies)-want) > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%d %%: %d copies of %d", percent, copies, n)
		}
	}
}

// TestSamplersDiffer wants another key to sample other requests.
func TestSamplersDiffer(t *testing.T) {
	a, b := mirror.Sampler{K0: 1}, mirror.Sampler{K0: 2}
	both, n := 0, 10_000
	for i := range n {
		id := fmt.Appendf(nil, "%d", i)
		if share(50, 100).Copies(a.Number(id))+share(50, 100).Copies(b.Number(id)) == 2 {
			both++
		}
		if first := a.Number(id); first != a.Number(id) {
			t.Fatal("the same key gives another number")
		}
	}
	if both < n/5 || both > n*3/10 {
		t.Errorf("%d of %d requests are in both halves", both, n)
	}
}
