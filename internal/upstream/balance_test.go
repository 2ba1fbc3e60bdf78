package upstream_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func balanced(t testing.TB, policy string, endpoints ...string) *upstream.Cluster {
	return compile(t, upstream.NewSlots(nil), nil, static(endpoints...)+"lb_policy: "+policy+"\n")
}

// shares counts n picks by slot.
func shares(c *upstream.Cluster, b *upstream.Balancer, active []uint32, n int) []int {
	counts := make([]int, len(c.Endpoints().All))
	for range n {
		counts[b.Pick(c, active, upstream.Choice{}).Slot]++
	}
	return counts
}

func TestPickNone(t *testing.T) {
	for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"} {
		c := compile(t, upstream.NewSlots(nil), nil, "name: c\nlb_policy: "+policy)
		b := upstream.NewBalancer(1)
		if e := b.Pick(c, nil, upstream.Choice{Attempts: 3}); e != nil {
			t.Errorf("%s picked %v of nothing", policy, e)
		}
	}
}

// In every total of the weights, each endpoint has exactly its share.
func TestRoundRobinIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 12).Draw(rt, "weights")
		var endpoints []string
		total, equal := 0, true
		for i, w := range weights {
			endpoints = append(endpoints, fmt.Sprintf("10.0.0.%d:80 %d", i+1, w))
			total += w
			equal = equal && w == weights[0]
		}
		if equal {
			total = len(weights)
			for i := range weights {
				weights[i] = 1
			}
		}
		c := balanced(t, "ROUND_ROBIN", endpoints...)
		b := upstream.NewBalancer(rapid.Uint64().Draw(rt, "seed"))
		for round := range 3 {
			if diff := cmp.Diff(weights, shares(c, &b, nil, total)); diff != "" {
				rt.Fatalf("round %d: %s", round, diff)
			}
		}
	})
}

// Endpoints are not hit in bursts as long as their weights.
func TestRoundRobinIsSmooth(t *testing.T) {
	c := balanced(t, "ROUND_ROBIN", "10.0.0.1:80 100", "10.0.0.2:80 101", "10.0.0.3:80 99")
	b := upstream.NewBalancer(1)
	run, last := 0, -1
	for i := range 3_000 {
		if slot := b.Pick(c, nil, upstream.Choice{}).Slot; slot != last {
			run, last = 1, slot
		} else if run++; run > 2 {
			t.Fatalf("%d in a row at %d", run, i)
		}
	}
}

func TestRoundRobinOrder(t *testing.T) {
	c := balanced(t, "ROUND_ROBIN", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	b := upstream.NewBalancer(7)
	first := b.Pick(c, nil, upstream.Choice{}).Slot
	for i := 1; i < 9; i++ {
		if got, want := b.Pick(c, nil, upstream.Choice{}).Slot, (first+i)%3; got != want {
			t.Fatalf("pick %d is %d, want %d", i, got, want)
		}
	}
}

func TestByWeight(t *testing.T) {
	for _, policy := range []string{"RANDOM", "LEAST_REQUEST"} {
		c := balanced(t, policy, "10.0.0.1:80 1", "10.0.0.2:80 3", "10.0.0.3:80 6")
		b := upstream.NewBalancer(42)
		const n = 100_000
		for i, got := range shares(c, &b, nil, n) {
			want := []float64{0.1, 0.3, 0.6}[i] * n
			if math.Abs(float64(got)-want) > 4*math.Sqrt(want) {
				t.Errorf("%s: endpoint %d has %d, want about %v", policy, i, got, want)
			}
		}
	}
}

// With two choices of three, the busiest wins only when drawn twice: once in
// nine.
func TestLeastRequestSparesTheBusy(t *testing.T) {
	c := balanced(t, "LEAST_REQUEST", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
	b := upstream.NewBalancer(42)
	const n = 90_000
	got := shares(c, &b, []uint32{5, 2}, n) // the third slot is beyond the slice: idle
	for i, want := range []float64{1, 3, 5} {
		if want *= n / 9; math.Abs(float64(got[i])-want) > 5*math.Sqrt(want) {
			t.Errorf("endpoint %d has %d, want about %v", i, got[i], want)
		}
	}
}

// Load settles in proportion to the weights.
func TestLeastRequestLevels(t *testing.T) {
	c := balanced(t, "LEAST_REQUEST", "10.0.0.1:80 1", "10.0.0.2:80 4")
	b := upstream.NewBalancer(1)
	active := make([]uint32, 2)
	for range 5_000 {
		active[b.Pick(c, active, upstream.Choice{}).Slot]++
	}
	if active[0] < 900 || active[0] > 1_100 {
		t.Errorf("active requests %v, want about 1 to 4", active)
	}
}

func TestPickAvoidsTried(t *testing.T) {
	for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"} {
		c := balanced(t, policy, "10.0.0.1:80", "10.0.0.2:80")
		all := c.Endpoints().All
		b := upstream.NewBalancer(3)
		for range 200 {
			if e := b.Pick(c, nil, upstream.Choice{Tried: all[:1], Attempts: 64}); e != all[1] {
				t.Fatalf("%s picked the tried one", policy)
			}
		}
		if e := b.Pick(c, nil, upstream.Choice{Tried: all, Attempts: 3}); e == nil {
			t.Errorf("%s picked none when all were tried", policy)
		}
	}
}

// Two loops with different seeds do not go in step.
func TestSeeds(t *testing.T) {
	c := balanced(t, "ROUND_ROBIN", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80")
	starts := map[int]bool{}
	for seed := range uint64(16) {
		b := upstream.NewBalancer(seed)
		starts[b.Pick(c, nil, upstream.Choice{}).Slot] = true
	}
	if len(starts) < 3 {
		t.Errorf("16 loops start at %d of 4 endpoints", len(starts))
	}
}

// With weights w and the bias b an endpoint has its share of w/(active+1)^b, as
// near as drawing some of all comes to it.
func TestActiveRequestBias(t *testing.T) {
	for _, test := range []struct {
		bias  float64
		want  float64 // share of the first, of weight 1 and idle; the other has weight 3 and one request
		stray float64
	}{{0, .25, .01}, {.5, .32, .02}, {2, 4. / 7, .04}} {
		c := balanced(t, "LEAST_REQUEST\nleast_request_lb_config: {active_request_bias: {default_value: "+fmt.Sprint(test.bias)+"}}", "10.0.0.1:80 1", "10.0.0.2:80 3")
		b := upstream.NewBalancer(1)
		const n = 100_000
		got := float64(shares(c, &b, []uint32{0, 1}, n)[0]) / n
		if math.Abs(got-test.want) > test.stray {
			t.Errorf("bias %v: share %v, want %v", test.bias, got, test.want)
		}
	}
}

func TestPickDoesNotAllocate(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	const bounded = "common_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 110}}"
	slow := "_lb_config: {slow_start_config: {slow_start_window: 1000s, aggression: {default_value: 2}}}"
	groups := []group{{weight: 1, n: 2}, {weight: 2, locality: 1, n: 3}, {priority: 1, weight: 1, n: 2}}
	for _, head := range []string{
		"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV", "RING_HASH\n" + bounded, "MAGLEV\n" + bounded,
		"ROUND_ROBIN\nround_robin" + slow, "LEAST_REQUEST\nleast_request" + slow,
		"LEAST_REQUEST\nleast_request_lb_config: {active_request_bias: {default_value: 2}}",
		"ROUND_ROBIN\ncommon_lb_config: {locality_weighted_lb_config: {}}", "RANDOM\ncommon_lb_config: {locality_weighted_lb_config: {}}",
	} {
		slots := upstream.NewSlots(nil)
		old := compile(t, slots, nil, "name: c\nlb_policy: "+head)
		one := compile(t, slots, old, static("10.0.0.1:80 1", "10.0.0.2:80 2")+"lb_policy: "+head)
		two := compileGroups(t, "lb_policy: "+head, groups...)
		for i := range 2 { // some load for each priority
			two.SetUnhealthy(two.Endpoints().All[i], upstream.OutlierEjected, true)
		}
		for _, c := range []*upstream.Cluster{one, two} {
			b := upstream.NewBalancer(1)
			active := []uint32{9, 2, 9, 9, 1, 9, 9}
			by := upstream.Choice{Hashed: true, Tried: c.Endpoints().All[:1], Attempts: 5, Now: time.Now()}
			if n := testing.AllocsPerRun(1000, func() { by.Hash += 1 << 50; b.Pick(c, active, by) }); n != 0 {
				t.Errorf("%s: %v allocations", head, n)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{3, 1_000} {
		for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"} {
			var endpoints []string
			for i := range n {
				endpoints = append(endpoints, fmt.Sprintf("10.0.%d.%d:80 %d", i/256, i%256, 1+i%7))
			}
			c := balanced(b, policy, endpoints...)
			b.Run(fmt.Sprintf("%s/%d", policy, n), func(b *testing.B) {
				b.ReportAllocs()
				bal := upstream.NewBalancer(1)
				active := make([]uint32, n)
				for i := range b.N {
					bal.Pick(c, active, upstream.Choice{Hash: uint64(i) * 0x9e3779b97f4a7c15, Hashed: true})
				}
			})
		}
	}
}
