package upstream_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func TestSuccessRate(t *testing.T) {
	const more = "outlier_detection: {max_ejection_percent: 100, consecutive_5xx: 0, "
	many := func(codes, others string, n int) (all []string) {
		all = append(all, codes)
		for range n - 1 {
			all = append(all, others)
		}
		return all
	}
	const half = "200*50 500*50"
	tests := []struct {
		name, config, out string
		codes             []string
		counts            []string
	}{
		{"by the book", "}", "0", many(half, "200*100", 5), []string{"success_rate 1/1"}}, // 50 < 90 - 1.9 * 20
		{"a wider factor", "success_rate_stdev_factor: 2100}", "", many(half, "200*100", 5), nil},
		{"too few endpoints", "}", "", many(half, "200*100", 4), nil},
		{"fewer are enough", "success_rate_minimum_hosts: 4, success_rate_stdev_factor: 1700}", "0", many(half, "200*100", 4), []string{"success_rate 1/1"}},
		{"too few requests", "}", "", many(half, "200*99", 5), nil},
		{"fewer are enough, of requests", "success_rate_request_volume: 99}", "0", many(half, "200*99", 5), []string{"success_rate 1/1"}},
		{"detected only", "enforcing_success_rate: 0}", "", many(half, "200*100", 5), []string{"success_rate 1/0"}},
		{
			"local",
			"split_external_local_origin_errors: true, consecutive_local_origin_failure: 0}",
			"0",
			many("connect*50 fail*50", "connect*100", 5),
			[]string{"local_origin_success_rate 1/1"},
		},
		{
			"failure percentage", "enforcing_failure_percentage: 100, enforcing_success_rate: 0, success_rate_request_volume: 1000}", "0 1",
			[]string{"500*85 200*15", "500*90 200*10", "500*84 200*16", "200*50", "200*50"},
			[]string{"failure_percentage 2/2"},
		},
		{
			"failure percentage, own threshold", "enforcing_failure_percentage: 100, failure_percentage_threshold: 20, failure_percentage_minimum_hosts: 2, failure_percentage_request_volume: 10}", "0",
			[]string{"500*2 200*8", "500*1 200*9"},
			[]string{"failure_percentage 1/1"},
		},
		{"failure percentage, detected only", "}", "", many("500*90 200*10", "500*90 200*10", 5), []string{"failure_percentage 5/0"}},
		{"failure percentage, too few endpoints", "enforcing_failure_percentage: 100}", "", many("500*90 200*10", "500*90 200*10", 4), nil},
		{"failure percentage, too few requests", "enforcing_failure_percentage: 100}", "", many("500*49", "500*49", 5), nil},
		{
			"local, detected only",
			"split_external_local_origin_errors: true, consecutive_local_origin_failure: 0, enforcing_local_origin_success_rate: 0}",
			"",
			many("connect*50 fail*50", "connect*100", 5),
			[]string{"local_origin_success_rate 1/0"},
		},
		{
			"local failure percentage", "enforcing_failure_percentage_local_origin: 100, split_external_local_origin_errors: true, consecutive_local_origin_failure: 0}",
			"0 1 2 3 4", many("fail*90 connect*10", "fail*90 connect*10", 5),
			[]string{"local_origin_failure_percentage 5/5"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
				t.serve(len(tt.codes), more+tt.config)
				for i, codes := range tt.codes {
					t.status(i, strings.ReplaceAll(codes, "500*", "505*")) // no gateway failures among them
				}
				t.want("")
				time.Sleep(10 * time.Second)
				t.want(tt.out)
				t.wantCounts(tt.counts...)
				// What was judged once is not judged again.
				time.Sleep(10 * time.Second)
				t.wantCounts(tt.counts...)
			})
		})
	}
}

func TestSuccessRateIsShown(t *testing.T) {
	monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
		t.serve(5, "outlier_detection: {consecutive_5xx: 0, failure_percentage_request_volume: 200}")
		shown := func(i int) string {
			external, local := t.c.Endpoints().All[i].SuccessRate()
			return fmt.Sprint(external, local)
		}
		t.status(0, "200*150 501*50")
		t.status(1, "200*99")
		if got := shown(0); got != "-1 -1" {
			t.Errorf("before the first sweep: %s", got)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if a, b := shown(0), shown(1); a != "75 -1" || b != "-1 -1" {
			t.Errorf("%s and %s", a, b)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := shown(0); got != "-1 -1" {
			t.Errorf("an interval without requests: %s", got)
		}
	})
}
