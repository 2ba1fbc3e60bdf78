package evidence_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/evidence"
)

// durations draws some, from none to hours.
func durations(t *rapid.T, label string) []time.Duration {
	d := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(math.Pow(10, rapid.Float64Range(0, 14).Draw(t, "log")))
	})
	return rapid.SliceOfN(d, 0, 300).Draw(t, label)
}

func histogram(all ...[]time.Duration) *evidence.Histogram {
	var h evidence.Histogram
	for _, some := range all {
		for _, d := range some {
			h.Observe(d)
		}
	}
	return &h
}

func marshal(t interface{ Fatal(...any) }, h *evidence.Histogram) string {
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestHistogramMergeIsCountingTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := durations(t, "a"), durations(t, "b")
		merged := histogram(a)
		merged.Merge(histogram(b))
		if diff := cmp.Diff(marshal(t, histogram(b, a)), marshal(t, merged)); diff != "" {
			t.Error(diff)
		}
		var read evidence.Histogram
		if err := json.Unmarshal([]byte(marshal(t, merged)), &read); err != nil {
			t.Fatal(err)
		}
		read.Merge(histogram(a))
		merged.Merge(histogram(a))
		if diff := cmp.Diff(marshal(t, merged), marshal(t, &read)); diff != "" {
			t.Error("what is read goes on otherwise:", diff)
		}
	})
}

// The bounds hold the estimate, and this the sample's own quantile but for the
// width of a bucket.
func TestHistogramBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := durations(t, "all")
		q, alpha := rapid.Float64Range(0.001, 0.999).Draw(t, "q"), rapid.Float64Range(1e-4, 0.9).Draw(t, "alpha")
		low, estimate, high := histogram(all).Bounds(q, alpha)
		if low > estimate || estimate > high {
			t.Fatalf("%v, %v, %v", low, estimate, high)
		}
		if len(all) == 0 {
			if low != 0 || estimate != 0 || high != evidence.Unbounded {
				t.Fatalf("%v, %v, %v of nothing", low, estimate, high)
			}
			return
		}
		slices.Sort(all)
		sample := all[int(math.Ceil(q*float64(len(all))))-1]
		if sample >= time.Microsecond && sample < time.Hour && math.Abs(math.Log(float64(estimate)/float64(sample))) > 0.011 {
			t.Errorf("the estimate of %v is %v", sample, estimate)
		}
		lower, _, higher := histogram(all).Bounds(q, alpha/2)
		if lower > low || higher < high {
			t.Errorf("%v to %v at %v, but %v to %v at half of it", low, high, alpha, lower, higher)
		}
	})
}

func TestHistogramBoundsOfNothing(t *testing.T) {
	for _, q := range []float64{0, 1, -1, 2, math.NaN()} {
		if low, _, high := histogram([]time.Duration{time.Second}).Bounds(q, 0.05); low != 0 || high != evidence.Unbounded {
			t.Errorf("the quantile %v is between %v and %v", q, low, high)
		}
	}
}

// Ten thousand observations bound p50, p90 and p99 as closely as they can but
// for a factor, and a 1 % width.
func TestHistogramBoundsAreNarrow(t *testing.T) {
	var h evidence.Histogram
	for i := range 100_000 { // evenly from 100 to 200 ms
		h.Observe(100*time.Millisecond + time.Duration(i)*time.Microsecond)
	}
	for _, test := range []struct {
		q         float64
		low, high time.Duration
	}{
		{0.5, 148 * time.Millisecond, 153 * time.Millisecond},
		{0.9, 187 * time.Millisecond, 193 * time.Millisecond},
		{0.99, 196 * time.Millisecond, 202 * time.Millisecond},
	} {
		truth := time.Duration((1 + test.q) * float64(100*time.Millisecond))
		low, _, high := h.Bounds(test.q, 0.05)
		if low < test.low || low > truth || high > test.high || high < truth {
			t.Errorf("p%v is between %v and %v, want %v and %v", 100*test.q, low, high, test.low, test.high)
		}
	}
}

// The true quantile is outside at any of all looks in at most alpha of the runs.
func TestHistogramCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const runs, observed = 60, 250
	for _, q := range []float64{0.5, 0.9, 0.99} {
		truth := time.Duration(-math.Log1p(-q) * float64(time.Second))
		outside := 0
		for range runs {
			var h evidence.Histogram
			for range observed {
				h.Observe(time.Duration(r.ExpFloat64() * float64(time.Second)))
				if low, _, high := h.Bounds(q, 0.2); truth < low || truth > high {
					outside++
					break
				}
			}
		}
		if outside > 21 { // three standard errors above 0.2
			t.Errorf("p%v is outside in %d of %d runs", 100*q, outside, runs)
		}
	}
}

func TestRatio(t *testing.T) {
	var slow, fast evidence.Histogram
	for i := range 5000 {
		d := time.Duration(1000+i%1000) * time.Millisecond
		slow.Observe(d * 6 / 5)
		fast.Observe(d)
	}
	low, estimate, high := evidence.Ratio(&slow, &fast, 0.5, 0.05)
	if low < 1.05 || low > 1.2 || math.Abs(estimate-1.2) > 0.025 || high < 1.2 || high > 1.35 {
		t.Errorf("%v, %v, %v for 1.2", low, estimate, high)
	}
	if low, estimate, high := evidence.Ratio(&slow, &evidence.Histogram{}, 0.5, 0.05); low != 0 || estimate != 0 || high != math.MaxFloat64 {
		t.Errorf("%v, %v, %v against nothing", low, estimate, high)
	}
}

func TestHistogramAtATrillion(t *testing.T) {
	var h evidence.Histogram
	if err := json.Unmarshal([]byte(`{"layout":1,"buckets":[[100,990000000000],[200,10000000000]]}`), &h); err != nil {
		t.Fatal(err)
	}
	low, estimate, high := h.Bounds(0.5, 0.05)
	if h.Count() != trillion || low > estimate || estimate > high || float64(high) > 1.011*float64(low) {
		t.Errorf("%d: %v, %v, %v", h.Count(), low, estimate, high)
	}
	if low, _, high := h.Bounds(0.99, 0.05); float64(high) < 2*float64(low) {
		t.Errorf("between two buckets: %v to %v", low, high)
	}
}

func TestHistogramInsideAnotherValue(t *testing.T) {
	type endpoint struct{ Latency evidence.Histogram }
	data, err := json.Marshal(endpoint{*histogram([]time.Duration{time.Second, time.Second})})
	var read endpoint
	if err != nil || json.Unmarshal(data, &read) != nil || read.Latency.Count() != 2 {
		t.Errorf("%s: %d, %v", data, read.Latency.Count(), err)
	}
}

func TestHistogramRejects(t *testing.T) {
	h := histogram([]time.Duration{time.Second})
	before := marshal(t, h)
	for _, text := range []string{
		`[]`, `{}`, `{"layout":2,"buckets":[]}`, `{"layout":1,"buckets":[[3,1],[3,1]]}`, `{"layout":1,"buckets":[[3,0]]}`,
		`{"layout":1,"buckets":[[2214,1]]}`, `{"layout":1,"buckets":[[1,9223372036854775807],[2,1]]}`, `{"layout":1,"buckets":[[1,-1]]}`,
	} {
		if err := json.Unmarshal([]byte(text), h); err == nil {
			t.Errorf("%s is read", text)
		}
	}
	if diff := cmp.Diff(before, marshal(t, h)); diff != "" {
		t.Error(diff)
	}
}

func FuzzHistogram(f *testing.F) {
	f.Add([]byte(`{"layout":1,"buckets":[[0,3],[700,12],[2213,1]]}`))
	f.Add([]byte(`{"layout":1,"buckets":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h, again evidence.Histogram
		if json.Unmarshal(data, &h) != nil {
			return
		}
		text := marshal(t, &h)
		if err := json.Unmarshal([]byte(text), &again); err != nil || marshal(t, &again) != text {
			t.Fatalf("%s is read as %s: %v", text, marshal(t, &again), err)
		}
		if low, estimate, high := h.Bounds(0.9, 0.05); low > estimate || estimate > high {
			t.Fatalf("%s: %v, %v, %v", text, low, estimate, high)
		}
		again.Merge(&h)
		if again.Count() != 2*h.Count() {
			t.Fatalf("%s: merged with itself it counts %d", text, again.Count())
		}
	})
}
