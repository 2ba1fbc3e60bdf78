package upstream_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// monitored is a cluster under a Monitor that works, in a bubble with a clock
// of its own.
type monitored struct {
	*testing.T
	m     *upstream.Monitor
	slots *upstream.Slots
	c     *upstream.Cluster
	start time.Time
}

func monitoring(t *testing.T, opt upstream.MonitorOptions, f func(t *monitored)) {
	synctest.Test(t, func(t *testing.T) {
		slots := upstream.NewSlots(nil)
		r := &monitored{T: t, m: upstream.NewMonitor(opt), slots: slots, start: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.m.Run(ctx) }()
		f(r)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// serve compiles a cluster of n endpoints and makes it the one that serves.
func (t *monitored) serve(n int, more string) {
	t.Helper()
	t.serveText(static(hosts(n)...) + more)
}

func (t *monitored) serveText(text string) {
	t.Helper()
	old := t.c
	t.c = compile(t, t.slots, old, text)
	t.m.Serve([]*upstream.Cluster{t.c})
	if old != nil {
		old.Release()
	}
}

func hosts(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	return all
}

// status reports codes of endpoint i, "502*3 200" for example.
func (t *monitored) status(i int, codes string) {
	t.Helper()
	e := t.c.Endpoints().All[i]
	for code := range strings.FieldsSeq(codes) {
		code, n, _ := strings.Cut(code, "*")
		for range max(number(n), 1) {
			switch code {
			case "fail":
				t.c.Outliers.LocalFailure(0, e)
			case "connect":
				t.c.Outliers.LocalSuccess(0, e)
			default:
				t.c.Outliers.Status(0, e, number(code))
			}
		}
	}
	synctest.Wait()
}

// number is 0 of an empty text.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// ejected lists who is out, as "0 2", and checks that the balancer agrees.
func (t *monitored) ejected() string {
	t.Helper()
	synctest.Wait()
	var out []string
	for i, e := range t.c.Endpoints().All {
		if e.Ejected() {
			out = append(out, fmt.Sprint(i))
		}
	}
	if n := t.c.Outlier().EjectionsActive; int(n) != len(out) {
		t.Errorf("%d ejections active, want %d", n, len(out))
	}
	return strings.Join(out, " ")
}

func (t *monitored) want(out string) {
	t.Helper()
	if got := t.ejected(); got != out {
		t.Errorf("after %v: ejected %q, want %q", time.Since(t.start), got, out)
	}
}

// counts has the kinds that are not zero, as "consecutive_5xx 2/1" for two
// detected and one enforced.
func (t *monitored) counts() (all []string) {
	synctest.Wait()
	s := t.c.Outlier()
	total := uint64(0)
	for _, k := range s.Kinds {
		total += k.Enforced
		if k.Detected+k.Enforced > 0 {
			all = append(all, fmt.Sprintf("%s %d/%d", k.Kind, k.Detected, k.Enforced))
		}
	}
	if total != s.EjectionsEnforcedTotal {
		t.Errorf("%d ejections, but the kinds' sum is %d", s.EjectionsEnforcedTotal, total)
	}
	if s.EjectionsOverflow > 0 {
		all = append(all, fmt.Sprintf("overflow %d", s.EjectionsOverflow))
	}
	return all
}

func (t *monitored) wantCounts(want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, t.counts()); diff != "" {
		t.Errorf("after %v: counters (-want +got):\n%s", time.Since(t.start), diff)
	}
}

const onlyGateway = "outlier_detection: {max_ejection_percent: 100, consecutive_5xx: 0, enforcing_consecutive_gateway_failure: 100}"

func TestConsecutive(t *testing.T) {
	tests := []struct {
		name, config, codes, out string
		counts                   []string
	}{
		{"five", "outlier_detection: {max_ejection_percent: 100}", "500*5", "0", []string{"consecutive_5xx 1/1"}},
		{"four", "outlier_detection: {max_ejection_percent: 100}", "500*4", "", nil},
		{"a success between", "outlier_detection: {max_ejection_percent: 100}", "500*4 200 500*4", "", nil},
		{"an error of the client between", "outlier_detection: {max_ejection_percent: 100}", "500*4 404 500*4", "", nil},
		{"599 and 600", "outlier_detection: {max_ejection_percent: 100, consecutive_5xx: 2}", "599 600 599", "", nil},
		{"of its own", "outlier_detection: {max_ejection_percent: 100, consecutive_5xx: 2}", "500*2", "0", []string{"consecutive_5xx 1/1"}},
		{"none", "outlier_detection: {max_ejection_percent: 100, consecutive_5xx: 0}", "500*99", "", nil},
		{
			"gateway failures are detected only", "outlier_detection: {max_ejection_percent: 100, consecutive_5xx: 0}", "502*5 503*5", "",
			[]string{"consecutive_gateway_failure 2/0"},
		},
		{"gateway", onlyGateway, "502 503 504 502 503", "0", []string{"consecutive_gateway_failure 1/1"}},
		{"another 5xx between", onlyGateway, "502*4 500 502*4", "", nil},
		{"505 and 501 are not", onlyGateway, "505*5 501*5", "", nil},
		{"both at once, one ejection", "outlier_detection: {max_ejection_percent: 100, enforcing_consecutive_gateway_failure: 100}", "502*5", "0", []string{"consecutive_gateway_failure 1/1"}},
		{"no answer counts as 503", onlyGateway, "fail*5", "0", []string{"consecutive_gateway_failure 1/1"}},
		{"a connection is no success", onlyGateway, "fail*4 connect fail", "0", []string{"consecutive_gateway_failure 1/1"}},
		{
			"split",
			"outlier_detection: {max_ejection_percent: 100, split_external_local_origin_errors: true}",
			"fail*4 connect fail*4 500*4 connect fail*4 500",
			"0",
			[]string{"consecutive_5xx 1/1"},
		},
		{
			"split, local",
			"outlier_detection: {max_ejection_percent: 100, split_external_local_origin_errors: true, consecutive_local_origin_failure: 3}",
			"500*4 fail*3",
			"0",
			[]string{"consecutive_local_origin_failure 1/1"},
		},
		{
			"split, an answer does not end local failures",
			"outlier_detection: {max_ejection_percent: 100, split_external_local_origin_errors: true}",
			"fail*4 200 fail",
			"0",
			[]string{"consecutive_local_origin_failure 1/1"},
		},
		{"not enforced", "outlier_detection: {max_ejection_percent: 100, enforcing_consecutive_5xx: 0}", "500*11", "", []string{"consecutive_5xx 2/0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
				t.serve(3, tt.config)
				// One by one, as requests come: the Monitor keeps up.
				for code := range strings.FieldsSeq(tt.codes) {
					code, n, _ := strings.Cut(code, "*")
					for range max(number(n), 1) {
						t.status(0, code)
					}
				}
				t.want(tt.out)
				t.wantCounts(tt.counts...)
				if n, want := t.c.Endpoints().Len(), 3-len(strings.Fields(tt.out)); n != want {
					t.Errorf("%d endpoints take requests, want %d", n, want)
				}
			})
		})
	}
}

func TestMaxEjectionPercent(t *testing.T) {
	tests := []struct {
		config, out string
		n           int
		overflow    uint64
	}{
		{"", "", 9, 9},
		{"", "0", 10, 9},
		{"max_ejection_percent: 50", "0 1", 5, 3},
		{"max_ejection_percent: 50", "0 1", 4, 2},
		{"max_ejection_percent: 100", "0 1 2", 3, 0},
		{"max_ejection_percent: 0", "", 3, 3},
		{"max_ejection_percent: 0, always_eject_one_host: true", "0", 3, 2},
		{"max_ejection_percent: 70, always_eject_one_host: true", "0 1", 3, 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d %s", tt.n, tt.config), func(t *testing.T) {
			monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
				t.serve(tt.n, "outlier_detection: {"+tt.config+"}")
				for i := range tt.n {
					t.status(i, "500*5")
				}
				t.want(tt.out)
				if got := t.c.Outlier().EjectionsOverflow; got != tt.overflow {
					t.Errorf("overflow %d, want %d", got, tt.overflow)
				}
			})
		})
	}
}

func TestEnforcingIsAChance(t *testing.T) {
	draws := []uint64{140, 139} // 40 of 100, then 39
	random := func() uint64 {
		d := draws[0]
		draws = draws[1:]
		return d
	}
	monitoring(t, upstream.MonitorOptions{Random: random}, func(t *monitored) {
		t.serve(2, "outlier_detection: {max_ejection_percent: 100, enforcing_consecutive_5xx: 40}")
		t.status(0, "500*5")
		t.want("")
		t.status(0, "500*5")
		t.want("0")
		t.wantCounts("consecutive_5xx 2/1")
	})
}

// TestEjectionTimes follows one endpoint that fails again and again: it is out
// longer each time, and after good behaviour shorter.
func TestEjectionTimes(t *testing.T) {
	config := "outlier_detection: {max_ejection_percent: 100, interval: 1s, base_ejection_time: 10s, max_ejection_time: 25s}"
	monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
		t.serve(2, config)
		out := func(want time.Duration) {
			t.Helper()
			t.status(0, "500*5")
			t.want("0")
			begun := time.Now()
			for t.ejected() != "" && time.Since(begun) < time.Minute {
				time.Sleep(100 * time.Millisecond)
			}
			if got := time.Since(begun).Truncate(time.Second); got != want {
				t.Errorf("out for %v, want %v", got, want)
			}
		}
		time.Sleep(500 * time.Millisecond) // half between two sweeps
		out(10 * time.Second)              // until the sweep after it
		out(20 * time.Second)
		for range 4 {
			out(25 * time.Second)
		}
		// The multiplier has stopped at 4; each sweep from one interval after
		// the return takes one away.
		time.Sleep(3500 * time.Millisecond)
		out(20 * time.Second)
		time.Sleep(time.Minute)
		out(10 * time.Second)
	})
}

func TestEjectionJitter(t *testing.T) {
	monitoring(t, upstream.MonitorOptions{Random: func() uint64 { return 5001 + 4000 }}, func(t *monitored) {
		t.serve(2, "outlier_detection: {max_ejection_percent: 100, interval: 1s, base_ejection_time: 10s, max_ejection_time_jitter: 5s, enforcing_consecutive_5xx: 100}")
		t.status(0, "500*5")
		time.Sleep(13900 * time.Millisecond)
		t.want("0")
		time.Sleep(200 * time.Millisecond)
		t.want("")
	})
}

func TestUnejectionEndsRows(t *testing.T) {
	monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
		t.serve(2, "outlier_detection: {max_ejection_percent: 100, interval: 1s, base_ejection_time: 1s}")
		t.status(0, "500*5")
		t.status(0, "500*4") // of requests that were under way
		time.Sleep(1100 * time.Millisecond)
		t.want("")
		t.status(0, "500*4")
		t.want("")
		t.status(0, "500")
		t.want("0")
	})
}

func TestOutliersNil(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, static("10.0.0.1:80"))
	e := c.Endpoints().All[0]
	if c.Outliers != nil {
		t.Fatal("outlier detection without a configuration")
	}
	c.Outliers.Status(0, e, 500)
	c.Outliers.LocalFailure(0, e)
	c.Outliers.LocalSuccess(0, e)
	c = compile(t, upstream.NewSlots(nil), nil, static("10.0.0.1:80")+"outlier_detection: {}")
	c.Outliers.Status(0, &upstream.Endpoint{Slot: -1}, 500) // an address that the client named
	if x, y := e.SuccessRate(); e.Ejected() || x != -1 || y != -1 {
		t.Errorf("%v %v %v", e.Ejected(), x, y)
	}
}

// TestOutliersTogether has loops that report while the Monitor sweeps.
func TestOutliersTogether(t *testing.T) {
	slots := upstream.NewSlots(nil)
	m := upstream.NewMonitor(upstream.MonitorOptions{})
	c := compile(t, slots, nil, static(hosts(3)...)+"outlier_detection: {max_ejection_percent: 40, interval: 0.001s, base_ejection_time: 0.001s, consecutive_5xx: 7}")
	m.Serve([]*upstream.Cluster{c})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.Run(ctx) })
	var loops sync.WaitGroup
	for loop := range 4 {
		loops.Go(func() {
			all := c.Endpoints().All
			for range 300 {
				for range 7 {
					c.Outliers.Status(loop, all[0], 503)
					c.Outliers.Status(loop, all[1], 200)
				}
				_ = c.Outlier()
			}
		})
	}
	loops.Wait()
	// 8,400 failures in a row have tripped it, whatever the order was.
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for c.Outlier().EjectionsEnforcedTotal == 0 {
		select {
		case <-look.C:
		case <-t.Context().Done():
			t.Fatal("nothing was ejected")
		}
	}
	cancel()
	wg.Wait()
	if s := c.Outlier(); s.EjectionsEnforcedTotal > 8400/7 || c.Endpoints().All[1].Ejected() {
		t.Errorf("%+v", s)
	}
}

func TestReportsDoNotAllocate(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, static("10.0.0.1:80")+"outlier_detection: {split_external_local_origin_errors: true}")
	upstream.NewMonitor(upstream.MonitorOptions{}).Serve([]*upstream.Cluster{c})
	e := c.Endpoints().All[0]
	for name, f := range map[string]func(){
		"success":       func() { c.Outliers.Status(1, e, 200); c.Outliers.LocalSuccess(1, e) },
		"failure":       func() { c.Outliers.Status(1, e, 503) },
		"local failure": func() { c.Outliers.LocalFailure(1, e) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 && !raced {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	c := compile(b, upstream.NewSlots(nil), nil, static("10.0.0.1:80")+"outlier_detection: {}")
	upstream.NewMonitor(upstream.MonitorOptions{}).Serve([]*upstream.Cluster{c})
	e := c.Endpoints().All[0]
	b.ReportAllocs()
	for b.Loop() {
		c.Outliers.Status(1, e, 200)
	}
}
