package upstream_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// group is a LocalityLbEndpoints: n endpoints 10.priority.locality.i, of which
// the first sick are unhealthy.
type group struct {
	priority, locality, weight, n, sick int
}

// grouped is a cluster of such groups.
func grouped(head string, groups ...group) string {
	var b strings.Builder
	b.WriteString("name: c\noutlier_detection: {}\n" + head + "\nload_assignment:\n  cluster_name: c\n  endpoints:\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "  - priority: %d\n    locality: {zone: z%d}\n    load_balancing_weight: %d\n    lb_endpoints:\n", g.priority, g.locality, g.weight)
		for i := range g.n {
			fmt.Fprintf(&b, "    - {endpoint: {address: {socket_address: {address: 10.%d.%d.%d, port_value: 80}}}}\n", g.priority, g.locality, i+1)
		}
	}
	return b.String()
}

// compileGroups compiles the cluster and makes the endpoints sick.
func compileGroups(t testing.TB, head string, groups ...group) *upstream.Cluster {
	c := compile(t, upstream.NewSlots(nil), nil, grouped(head, groups...))
	i := 0
	for _, g := range groups {
		for k := range g.n {
			c.SetUnhealthy(c.Endpoints().All[i], upstream.OutlierEjected, k < g.sick)
			i++
		}
	}
	return c
}

// tally counts n picks by priority, by locality, and those of sick endpoints.
func tally(c *upstream.Cluster, n int) (priorities, localities, sick [4]int) {
	b := upstream.NewBalancer(5)
	for i := range n {
		e := b.Pick(c, nil, upstream.Choice{Hash: uint64(i), Hashed: true})
		if e == nil {
			continue
		}
		a := e.Addr.Addr().As4()
		priorities[a[1]]++
		localities[a[2]]++
		if e.Ailments() != 0 {
			sick[a[1]]++
		}
	}
	return priorities, localities, sick
}

// The tables of Envoy's architecture overview, "Priority levels" and "Panic
// threshold": percentage of healthy endpoints, percentage of the requests.
func TestPriorities(t *testing.T) {
	for _, test := range []struct {
		healthy, want []int
		panics        []bool
	}{
		{[]int{100, 100}, []int{100, 0}, nil},
		{[]int{72, 100}, []int{100, 0}, nil},
		{[]int{71, 100}, []int{99, 1}, nil},
		{[]int{50, 100}, []int{70, 30}, nil},
		{[]int{25, 100}, []int{35, 65}, nil},
		{[]int{0, 100}, []int{0, 100}, nil},

		{[]int{100, 100, 100}, []int{100, 0, 0}, nil},
		{[]int{72, 72, 100}, []int{100, 0, 0}, nil},
		{[]int{71, 71, 100}, []int{99, 1, 0}, nil},
		{[]int{50, 50, 100}, []int{70, 30, 0}, nil},
		{[]int{25, 100, 100}, []int{35, 65, 0}, nil},
		{[]int{25, 25, 100}, []int{35, 35, 30}, nil},

		{[]int{72, 72}, []int{100, 0}, nil},
		{[]int{71, 71}, []int{99, 1}, nil},
		{[]int{50, 60}, []int{70, 30}, nil},
		{[]int{25, 25}, []int{50, 50}, []bool{true, true}},
		{[]int{5, 65}, []int{8, 92}, []bool{true, false}}, // Envoy gives the rest of the rounding to the first
		{[]int{0, 0}, []int{50, 50}, []bool{true, true}},
	} {
		for _, policy := range []string{"ROUND_ROBIN", "RING_HASH"} {
			t.Run(fmt.Sprint(policy, test.healthy), func(t *testing.T) {
				var groups []group
				for i, h := range test.healthy {
					groups = append(groups, group{priority: i, n: 100, sick: 100 - h})
				}
				c := compileGroups(t, "lb_policy: "+policy, groups...)
				const rounds = 300
				got, _, sick := tally(c, 100*rounds)
				for i, want := range test.want {
					if got[i] != want*rounds {
						t.Errorf("priority %d has %v %% of the requests, want %d %%", i, float64(got[i])/rounds, want)
					}
					panics := test.panics != nil && test.panics[i]
					if (sick[i] > 0) != panics {
						t.Errorf("priority %d: %d requests to sick endpoints, want some: %v", i, sick[i], panics)
					}
				}
			})
		}
	}
}

func TestPanicThreshold(t *testing.T) {
	for _, test := range []struct {
		name, head string
		sick       int // of 10
		toSick     bool
		none       bool
	}{
		{"half", "", 5, false, false},
		{"below half", "", 6, true, false},
		{"all", "", 10, true, false},
		{"lower", "common_lb_config: {healthy_panic_threshold: {value: 20}}", 8, false, false},
		{"below lower", "common_lb_config: {healthy_panic_threshold: {value: 20}}", 9, true, false},
		{"off", "common_lb_config: {healthy_panic_threshold: {value: 0}}", 9, false, false},
		{"off, all", "common_lb_config: {healthy_panic_threshold: {value: 0}}", 10, false, true},
		{"fail in panic", "common_lb_config: {zone_aware_lb_config: {fail_traffic_on_panic: true}}", 6, false, true},
		{"no fail without panic", "common_lb_config: {zone_aware_lb_config: {fail_traffic_on_panic: true}}", 5, false, false},
	} {
		for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"} {
			t.Run(test.name+" "+policy, func(t *testing.T) {
				c := compileGroups(t, "lb_policy: "+policy+"\n"+test.head, group{n: 10, sick: test.sick})
				got, _, sick := tally(c, 1000)
				if (got[0] == 0) != test.none || (sick[0] > 0) != test.toSick {
					t.Errorf("%d picks, %d of sick ones", got[0], sick[0])
				}
			})
		}
	}
}

// A priority's health may be counted by weight.
func TestWeightedPriorityHealth(t *testing.T) {
	const text = `
name: c
load_assignment:
  policy: {weighted_priority_health: %v, overprovisioning_factor: 100}
  endpoints:
  - lb_endpoints:
    - {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}, load_balancing_weight: 3}
    - {endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}, load_balancing_weight: 1, health_status: UNHEALTHY}
  - priority: 1
    lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.1.0.1, port_value: 80}}}}]
`
	for byWeight, want := range map[bool]int{false: 50, true: 75} {
		c := compile(t, upstream.NewSlots(nil), nil, fmt.Sprintf(text, byWeight))
		if got, _, _ := tally(c, 1000); got[0] != want*10 || got[1] != 1000-want*10 {
			t.Errorf("by weight %v: %v, want %d %% in priority 0", byWeight, got, want)
		}
	}
}

// Envoy's documentation of locality weighted load balancing: a locality has
// its weight times its availability, which is its health by the overprovisioning.
func TestLocalityWeights(t *testing.T) {
	const on = "\ncommon_lb_config: {locality_weighted_lb_config: {}}"
	for _, test := range []struct {
		name   string
		groups []group
		want   []float64 // by locality
	}{
		{"healthy", []group{{locality: 0, weight: 1, n: 2}, {locality: 1, weight: 2, n: 5}}, []float64{1. / 3, 2. / 3}},
		{"well enough", []group{{locality: 0, weight: 1, n: 2}, {locality: 1, weight: 2, n: 4, sick: 1}}, []float64{1. / 3, 2. / 3}},
		{"half of one sick", []group{{locality: 0, weight: 1, n: 2}, {locality: 1, weight: 2, n: 4, sick: 2}}, []float64{1 / 2.4, 1.4 / 2.4}},
		{"one sick", []group{{locality: 0, weight: 1, n: 3}, {locality: 1, weight: 2, n: 2, sick: 2}}, []float64{1, 0}},
		{"no weight", []group{{locality: 0, weight: 0, n: 2}, {locality: 1, weight: 2, n: 4}}, []float64{0, 1}},
		{"no weights", []group{{locality: 0, n: 1}, {locality: 1, n: 3}}, []float64{.25, .75}},
		{"two groups of a locality", []group{{locality: 0, weight: 3, n: 1}, {locality: 1, weight: 1, n: 3}, {locality: 1, weight: 1, n: 0}}, []float64{.75, .25}},
		{"in panic they do not count", []group{{locality: 0, weight: 1, n: 5, sick: 4}, {locality: 1, weight: 8, n: 5, sick: 4}}, []float64{.5, .5}},
	} {
		for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"} {
			t.Run(test.name+" "+policy, func(t *testing.T) {
				const n = 60_000
				_, got, _ := tally(compileGroups(t, "lb_policy: "+policy+on, test.groups...), n)
				for i, share := range test.want {
					want := share * n
					bound := 5 * math.Sqrt(want*(1-share))
					if policy == "ROUND_ROBIN" {
						bound = n / 1000
					}
					if math.Abs(float64(got[i])-want) > bound {
						t.Errorf("locality %d has %d, want about %v", i, got[i], want)
					}
				}
			})
		}
	}
	_, got, _ := tally(compileGroups(t, "lb_policy: ROUND_ROBIN", group{locality: 0, weight: 9, n: 1}, group{locality: 1, weight: 1, n: 1}), 100)
	if got[0] != 50 || got[1] != 50 {
		t.Errorf("without locality_weighted_lb_config: %v", got)
	}
}

// In turn means in turn inside of priorities and localities, too: over full
// rounds every endpoint has exactly its share.
func TestRoundRobinIsExactEverywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var groups []group
		total := 0
		for i := range rapid.IntRange(1, 3).Draw(rt, "localities") {
			g := group{locality: i, weight: rapid.IntRange(1, 5).Draw(rt, "weight"), n: rapid.IntRange(1, 4).Draw(rt, "n")}
			groups = append(groups, g)
			total += g.weight
		}
		c := compileGroups(t, "common_lb_config: {locality_weighted_lb_config: {}}", groups...)
		b := upstream.NewBalancer(rapid.Uint64().Draw(rt, "seed"))
		const lcm = 12 // of all numbers of endpoints
		if diff := cmp.Diff(wanted(groups, lcm), shares(c, &b, nil, total*lcm)); diff != "" {
			rt.Fatalf("%v: %s", groups, diff)
		}
	})
}

func wanted(groups []group, rounds int) (all []int) {
	for _, g := range groups {
		for range g.n {
			all = append(all, g.weight*rounds/g.n)
		}
	}
	return all
}
