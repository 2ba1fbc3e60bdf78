package upstream_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// serving says which slots the cluster's requests go to.
func serving(c *upstream.Cluster) []int {
	var slots []int
	b := upstream.NewBalancer(1)
	for range 50 * len(c.Endpoints().All) {
		if e := b.Pick(c, nil, upstream.Choice{}); e != nil && !slices.Contains(slots, e.Slot) {
			slots = append(slots, e.Slot)
		}
	}
	slices.Sort(slots)
	return slots
}

const checked = "outlier_detection: {}\nhealth_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}]\n"

// passed compiles a cluster whose endpoints have all passed their check: until
// they have, new ones take no requests.
func passed(t testing.TB, slots *upstream.Slots, old *upstream.Cluster, text string) *upstream.Cluster {
	c := compile(t, slots, old, text)
	for _, e := range c.Endpoints().All {
		c.SetUnhealthy(e, upstream.HealthCheckFailed, false)
	}
	return c
}

// An endpoint takes requests again when the last reason is gone.
func TestSetUnhealthy(t *testing.T) {
	c := passed(t, upstream.NewSlots(nil), nil, static("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")+checked)
	e := c.Endpoints().All[1]
	for _, step := range []struct {
		why       upstream.Ailment
		unhealthy bool
		want      []int
	}{
		{upstream.OutlierEjected, true, []int{0, 2}},
		{upstream.OutlierEjected, true, []int{0, 2}},
		{upstream.HealthCheckFailed, true, []int{0, 2}},
		{upstream.OutlierEjected, false, []int{0, 2}},
		{upstream.HealthCheckFailed, false, []int{0, 1, 2}},
		{upstream.HealthCheckFailed, false, []int{0, 1, 2}},
	} {
		c.SetUnhealthy(e, step.why, step.unhealthy)
		if got := serving(c); !slices.Equal(got, step.want) {
			t.Fatalf("after %+v requests go to %v", step, got)
		}
	}
	c.SetUnhealthy(&upstream.Endpoint{Slot: -1}, upstream.OutlierEjected, true) // one that the client named
}

// Health outlasts reloads, reaches all generations, and counts only while the
// configuration asks for the check.
func TestHealthOverReloads(t *testing.T) {
	slots := upstream.NewSlots(nil)
	text := static("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80") + checked
	one := passed(t, slots, nil, text)
	one.SetUnhealthy(one.Endpoints().All[0], upstream.OutlierEjected, true)

	two := compile(t, slots, one, text)
	if two.Endpoints() != one.Endpoints() {
		t.Error("nothing has changed, and the set is another one")
	}
	three := passed(t, slots, two, static("10.0.0.3:80", "10.0.0.1:80 1", "10.0.0.2:80", "10.0.0.9:80")+checked)
	if got := serving(three); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("after a reload requests go to %v", got)
	}
	three.SetUnhealthy(three.Endpoints().All[0], upstream.HealthCheckFailed, true) // slot 2
	for i, c := range []*upstream.Cluster{one, two} {
		c.SetUnhealthy(c.Endpoints().All[0], upstream.OutlierEjected, false)
		if got := serving(c); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("generation %d: requests go to %v", i, got)
		}
	}
	unchecked := compile(t, slots, three, static("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"))
	if got := serving(unchecked); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("without checks requests go to %v", got)
	}

	// Once nobody has the endpoint, nothing is known of it.
	for _, c := range []*upstream.Cluster{one, two, three, unchecked} {
		c.Release()
	}
	anew := passed(t, slots, nil, text)
	if got := serving(anew); len(got) != 3 {
		t.Errorf("an endpoint that is new has the health of its predecessor: %v", got)
	}
}

// Health outlasts changes of the names' addresses.
func TestHealthOverDNS(t *testing.T) {
	resolving(t, map[string]string{"ip4 a.com": "10.0.0.1 10.0.0.2 10.0.0.3"}, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
		c := compile(t, upstream.NewSlots(nil), nil, strictDNS+"outlier_detection: {}\n")
		r.Set([]*upstream.Cluster{c})
		synctest.Wait()
		sick := c.Endpoints().All[2] // 10.0.0.2
		c.SetUnhealthy(sick, upstream.OutlierEjected, true)
		dns.set("ip4 a.com", "10.0.0.2 10.0.0.3 10.0.0.4")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if now := c.Endpoints().All; len(now) != 4 || now[1] != sick {
			t.Fatalf("endpoints %v", addrs(c))
		}
		if got := serving(c); slices.Contains(got, sick.Slot) || len(got) != 3 {
			t.Errorf("requests go to %v; %d is sick", got, sick.Slot)
		}
	})
}

// Health changes on some goroutines, reloads on one, picks on others. At the
// end all generations agree on who is well.
func TestSetUnhealthyConcurrently(t *testing.T) {
	for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST", "RING_HASH", "MAGLEV"} {
		t.Run(policy, func(t *testing.T) {
			slots := upstream.NewSlots(nil)
			tail := checked + "lb_policy: " + policy
			if policy == "MAGLEV" {
				tail += "\nmaglev_lb_config: {table_size: 251}"
			}
			text := static(ten()...) + tail
			first := passed(t, slots, nil, text)
			all := first.Endpoints().All
			var stop atomic.Bool
			var pickers, changers sync.WaitGroup
			for seed := range uint64(2) {
				pickers.Go(func() {
					b := upstream.NewBalancer(seed)
					for n := uint64(0); !stop.Load(); n++ {
						if e := b.Pick(first, nil, upstream.Choice{Hash: n, Hashed: true, Tried: all[:1], Attempts: 2}); e == nil {
							t.Error("no endpoint")
							return
						}
					}
				})
			}
			for k := range 2 {
				changers.Go(func() {
					for i := range 400 {
						first.SetUnhealthy(all[(i*7+k)%10], upstream.Ailment(1<<k), i%2 == 0)
					}
					for i := range all {
						first.SetUnhealthy(all[i], upstream.Ailment(1<<k), i < 3)
					}
				})
			}
			var last *upstream.Cluster
			changers.Go(func() {
				before := first
				for i := range 50 {
					last = compile(t, slots, before, static(append(ten(), fmt.Sprintf("10.0.9.%d:80", i%3+1))...)+tail)
					if before != first {
						before.Release()
					}
					before = last
				}
			})
			changers.Wait()
			stop.Store(true)
			pickers.Wait()
			for _, e := range last.Endpoints().All[10:] {
				last.SetUnhealthy(e, upstream.HealthCheckFailed, false)
			}
			want := []int{3, 4, 5, 6, 7, 8, 9}
			if got := serving(first); !slices.Equal(got, want) {
				t.Errorf("requests go to %v", got)
			}
			if got := serving(last); !slices.Equal(got[:7], want) || len(got) != 8 {
				t.Errorf("of the last generation requests go to %v", got)
			}
		})
	}
}
