package upstream_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// part is the part of n requests that the endpoint with that address gets now.
func part(c *upstream.Cluster, seed uint64, addr string) float64 {
	const n = 40_000
	b := upstream.NewBalancer(seed)
	now := time.Now()
	got := 0.0
	for range n {
		if b.Pick(c, nil, upstream.Choice{Now: now}).Addr.String() == addr {
			got++
		}
	}
	return got / n
}

// An endpoint that comes to others has, after a part of the window, that part
// of its weight to the power of 1/aggression, but at least min_weight_percent.
func TestSlowStart(t *testing.T) {
	for _, test := range []struct {
		config string
		after  []time.Duration
		factor []float64
	}{
		{"slow_start_window: 100s", []time.Duration{0, 5 * time.Second, 50 * time.Second, 99 * time.Second, 100 * time.Second}, []float64{.1, .1, .5, .99, 1}},
		{"slow_start_window: 100s, aggression: {default_value: 2}", []time.Duration{0, 25 * time.Second, 81 * time.Second}, []float64{.1, .5, .9}},
		{"slow_start_window: 100s, min_weight_percent: {value: 40}", []time.Duration{0, 30 * time.Second, 60 * time.Second}, []float64{.4, .4, .6}},
		{"slow_start_window: 100s, min_weight_percent: {value: 0}", []time.Duration{2 * time.Second, 50 * time.Second}, []float64{.02, .5}},
	} {
		for _, policy := range []string{"ROUND_ROBIN", "LEAST_REQUEST"} {
			t.Run(policy+" "+test.config, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					head := "outlier_detection: {}\nlb_policy: " + policy + "\nround_robin_lb_config: {slow_start_config: {" + test.config + "}}"
					if policy == "LEAST_REQUEST" {
						head = "outlier_detection: {}\nlb_policy: " + policy + "\nleast_request_lb_config: {slow_start_config: {" + test.config + "}}"
					}
					slots := upstream.NewSlots(nil)
					old := compile(t, slots, nil, static("10.0.0.1:80 3", "10.0.0.2:80 2")+head)
					if got := part(old, 1, "10.0.0.1:80"); math.Abs(got-.6) > .01 {
						t.Errorf("where all are new the first has %v, want 0.6", got)
					}
					time.Sleep(200 * time.Second)
					c := compile(t, slots, old, static("10.0.0.1:80 3", "10.0.0.2:80 2", "10.0.0.3:80 5")+head)
					ramp := func(what string) {
						began := time.Now()
						for i, after := range test.after {
							time.Sleep(time.Until(began.Add(after)))
							want := 5 * test.factor[i] / (5 + 5*test.factor[i])
							if got := part(c, uint64(i), "10.0.0.3:80"); math.Abs(got-want) > 5*math.Sqrt(want/40_000) {
								t.Errorf("%s, after %v: %v of the requests, want %v", what, after, got, want)
							}
						}
					}
					ramp("new")
					time.Sleep(200 * time.Second)
					if got := part(c, 9, "10.0.0.3:80"); math.Abs(got-.5) > .01 {
						t.Errorf("at the end it has %v, want 0.5", got)
					}
					e := c.Endpoints().All[2]
					c.SetUnhealthy(e, upstream.OutlierEjected, true)
					time.Sleep(time.Hour)
					c.SetUnhealthy(e, upstream.OutlierEjected, false)
					ramp("back")
				})
			})
		}
	}
}

// Without a time, and for policies without slow start, there is none.
func TestNoSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := upstream.NewSlots(nil)
		const head = "round_robin_lb_config: {slow_start_config: {slow_start_window: 100s}}"
		old := compile(t, slots, nil, static("10.0.0.1:80")+head)
		time.Sleep(200 * time.Second)
		c := compile(t, slots, old, static("10.0.0.1:80", "10.0.0.2:80")+head)
		b := upstream.NewBalancer(1)
		if got := shares(c, &b, nil, 1_000); got[0] != 500 {
			t.Errorf("without a time: %v", got)
		}
	})
}

// One endpoint of old among very many new ones is not left with all the work.
func TestSlowStartOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := upstream.NewSlots(nil)
		const head = "round_robin_lb_config: {slow_start_config: {slow_start_window: 100s}}"
		old := compile(t, slots, nil, static("10.0.0.1:80")+head)
		time.Sleep(200 * time.Second)
		endpoints := []string{"10.0.0.1:80"}
		for i := range 99 {
			endpoints = append(endpoints, fmt.Sprintf("10.0.1.%d:80", i+1))
		}
		c := compile(t, slots, old, static(endpoints...)+head)
		want := 1 / (1 + 99*.1)
		if got := part(c, 3, "10.0.0.1:80"); math.Abs(got-want) > .02 {
			t.Errorf("the old one has %v, want %v", got, want)
		}
	})
}
