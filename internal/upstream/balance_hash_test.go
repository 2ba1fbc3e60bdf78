package upstream_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

const small = "\nring_hash_lb_config: {minimum_ring_size: 4096}"

func ten() (endpoints []string) {
	for i := range 10 {
		endpoints = append(endpoints, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	return endpoints
}

// owners says which address each key goes to.
func owners(c *upstream.Cluster, n int) (all []string) {
	b := upstream.NewBalancer(1)
	for i := range n {
		all = append(all, b.Pick(c, nil, upstream.Choice{Hash: keyHash(i), Hashed: true}).Addr.String())
	}
	return all
}

// When one of ten endpoints goes, its keys move. On a ring no other key does as
// long as the rest keeps its number of points, else those whose points are new
// (ten times 103 are nine times 114); Maglev's table moves a few, by the paper's
// measurements. The order of the configuration does not matter.
func TestHashIsConsistent(t *testing.T) {
	const n = 20_000
	for _, test := range []struct {
		head   string
		others float64 // part of the keys
	}{
		{"lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 9}", 0},
		{"lb_policy: RING_HASH", 0.9 * 11 / 114},
		{"lb_policy: MAGLEV", 0.03},
	} {
		with := func(endpoints []string) []string {
			return owners(compile(t, upstream.NewSlots(nil), nil, static(endpoints...)+test.head), n)
		}
		before := with(ten())
		turned := ten()
		slices.Reverse(turned)
		if !slices.Equal(before, with(turned)) {
			t.Errorf("%s goes by the order of the endpoints", test.head)
		}
		after := with(slices.Delete(ten(), 3, 4))
		moved := 0
		for i := range before {
			if before[i] != "10.0.0.4:80" && before[i] != after[i] {
				moved++
			}
		}
		if float64(moved) > test.others*n {
			t.Errorf("%s: %d of %d keys moved that had no need to", test.head, moved, n)
		}
	}
}

// An ailing endpoint's keys go elsewhere and come back with its health.
func TestHashFollowsHealth(t *testing.T) {
	for _, policy := range []string{"RING_HASH", "MAGLEV"} {
		c := compile(t, upstream.NewSlots(nil), nil, static(ten()...)+"outlier_detection: {}\nlb_policy: "+policy)
		before := owners(c, 2_000)
		sick := c.Endpoints().All[7]
		c.SetUnhealthy(sick, upstream.OutlierEjected, true)
		if slices.Contains(owners(c, 2_000), sick.Addr.String()) {
			t.Errorf("%s: the sick endpoint has keys", policy)
		}
		c.SetUnhealthy(sick, upstream.OutlierEjected, false)
		if !slices.Equal(before, owners(c, 2_000)) {
			t.Errorf("%s: not as before", policy)
		}
	}
}

// Maglev gives each endpoint its share of the places, less one at most where
// weights are equal; a ring with p points of an endpoint strays from its share
// by about one in the root of p.
func TestHashShares(t *testing.T) {
	const n = 200_000
	for _, test := range []struct {
		name, head string
		weights    []float64
		stray      float64
	}{
		{"maglev", "lb_policy: MAGLEV", []float64{1, 1, 1}, 0},
		{"maglev by weight", "lb_policy: MAGLEV", []float64{1, 3, 6}, 0.001},
		{"ring", "lb_policy: RING_HASH" + small, []float64{1, 1, 1}, 3 / math.Sqrt(1365)},
		{"ring by weight", "lb_policy: RING_HASH" + small, []float64{1, 3, 6}, 3 / math.Sqrt(410)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var endpoints []string
			total := 0.0
			for i, w := range test.weights {
				endpoints = append(endpoints, fmt.Sprintf("10.0.0.%d:80 %v", i+1, w))
				total += w
			}
			c := compile(t, upstream.NewSlots(nil), nil, static(endpoints...)+test.head)
			counts := map[string]float64{}
			for _, o := range owners(c, n) {
				counts[o]++
			}
			for i, w := range test.weights {
				want := n * w / total
				bound := 4*math.Sqrt(want) + test.stray*want
				if got := counts[fmt.Sprintf("10.0.0.%d:80", i+1)]; math.Abs(got-want) > bound {
					t.Errorf("endpoint %d has %v keys, want %v give or take %v", i, got, want, bound)
				}
			}
		})
	}
}

// A request without a hash goes anywhere.
func TestNoHash(t *testing.T) {
	for _, policy := range []string{"RING_HASH", "MAGLEV"} {
		c := balanced(t, policy, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
		b := upstream.NewBalancer(9)
		for i, n := range shares(c, &b, nil, 3_000) {
			if n < 700 || n > 1_300 {
				t.Errorf("%s: endpoint %d has %d of 3000", policy, i, n)
			}
		}
		if n := len(c.Endpoints().All); c.Endpoints().Len() != n {
			t.Errorf("%s: Len is %d, want %d", policy, c.Endpoints().Len(), n)
		}
	}
}

// Retries leave the endpoint that was tried, always to the same ones.
func TestHashAvoidsTried(t *testing.T) {
	for _, policy := range []string{"RING_HASH", "MAGLEV"} {
		c := balanced(t, policy, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
		b := upstream.NewBalancer(3)
		for i := range 500 {
			by := upstream.Choice{Hash: keyHash(i), Hashed: true}
			first := b.Pick(c, nil, by)
			by.Tried, by.Attempts = []*upstream.Endpoint{first}, 40
			second := b.Pick(c, nil, by)
			if second == first || second != b.Pick(c, nil, by) {
				t.Fatalf("%s: %v, then %v", policy, first.Addr, second.Addr)
			}
			by.Tried = c.Endpoints().All
			if b.Pick(c, nil, by) == nil {
				t.Fatalf("%s picked none when all were tried", policy)
			}
		}
	}
}

// With hash_balance_factor no endpoint has more than its part of factor percent
// of the requests, even if all have the same hash; until it is full they stay
// together.
func TestBoundedLoad(t *testing.T) {
	const n = 1_000
	for _, policy := range []string{"RING_HASH", "MAGLEV"} {
		t.Run(policy, func(t *testing.T) {
			c := compile(t, upstream.NewSlots(nil), nil, static("10.0.0.1:80 1", "10.0.0.2:80 1", "10.0.0.3:80 2", "10.0.0.4:80 4")+
				"common_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 125}}\nlb_policy: "+policy)
			b := upstream.NewBalancer(1)
			active := make([]uint32, 4)
			for range n {
				active[b.Pick(c, active, upstream.Choice{Hash: 7, Hashed: true}).Slot]++
			}
			full := 0
			for i, weight := range []uint32{1, 1, 2, 4} {
				bound := uint32(math.Ceil(n*1.25*float64(weight)/8)) + 1 // one is let in while the load is exactly 1
				if active[i] > bound {
					t.Errorf("endpoint %d has %d requests, more than %d", i, active[i], bound)
				}
				if active[i] >= bound-2 {
					full++
				}
			}
			if full < 2 {
				t.Errorf("requests are spread as if they had different hashes: %v", active)
			}
			if e := b.Pick(c, nil, upstream.Choice{Hash: 7, Hashed: true}); e != b.Pick(c, make([]uint32, 4), upstream.Choice{Hash: 7, Hashed: true}) {
				t.Error("idle endpoints: the choice is not the hash's")
			}
		})
	}
}

func TestHashErrors(t *testing.T) {
	for _, test := range []struct{ yaml, want string }{
		{"lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 2048, maximum_ring_size: 1024}", "minimum_ring_size: 2048 is above maximum_ring_size, which is 1024"},
		{"lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 8388609}", "minimum_ring_size: must be 8388608 or less"},
		{"lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 0, maximum_ring_size: 0}", "maximum_ring_size: must be above 0"},
		{"lb_policy: MAGLEV\nmaglev_lb_config: {table_size: 65536}", "table_size: 65536 is not a prime number"},
		{"lb_policy: MAGLEV\nmaglev_lb_config: {table_size: 1}", "table_size: 1 is not a prime number"},
		{"lb_policy: MAGLEV\nmaglev_lb_config: {table_size: 5000113}", "table_size: must be 5000011 or less"},
		{"lb_policy: MAGLEV\ncommon_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 99}}", "hash_balance_factor: must be 100 or more"},
		{"common_lb_config: {healthy_panic_threshold: {value: 101}}", "healthy_panic_threshold: must be from 0 to 100"},
		{"lb_policy: LEAST_REQUEST\nleast_request_lb_config: {active_request_bias: {default_value: -1}}", "active_request_bias: must be 0 or more"},
		{"round_robin_lb_config: {slow_start_config: {slow_start_window: 60s, aggression: {default_value: 0}}}", "slow_start_config.aggression: must be above 0"},
		{"load_assignment: {policy: {overprovisioning_factor: 0}}", "overprovisioning_factor: must be above 0"},
	} {
		_, err := upstream.Compile(clusterProto(t, "name: c\n"+test.yaml), nil, nil, upstream.NewSlots(nil), nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.yaml, err, test.want)
		}
	}
}

// The smallest rings and tables serve, and one of many endpoints.
func TestTableSizes(t *testing.T) {
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("10.0.%d.%d:80", i/256, i%256))
	}
	for _, head := range []string{
		"lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 0, maximum_ring_size: 1}",
		"lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 1}",
		"lb_policy: MAGLEV\nmaglev_lb_config: {table_size: 2}",
		"lb_policy: MAGLEV\nmaglev_lb_config: {table_size: 3001}",
	} {
		seen := map[string]bool{}
		for _, o := range owners(compile(t, upstream.NewSlots(nil), nil, static(many...)+head), 5_000) {
			seen[o] = true
		}
		if strings.Contains(head, "3001") && len(seen) != 300 {
			t.Errorf("%s: only %d of 300 endpoints are used", head, len(seen))
		}
	}
}
