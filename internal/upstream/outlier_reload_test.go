package upstream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func TestOutliersSurviveReloads(t *testing.T) {
	config := "outlier_detection: {max_ejection_percent: 100, interval: 1s, base_ejection_time: 10s}"
	monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
		t.serve(3, config)
		t.status(0, "500*5")
		t.status(1, "500*3")
		t.serve(4, config)
		t.want("0")
		t.status(1, "500*2") // three before the reload
		t.want("0 1")
		t.wantCounts("consecutive_5xx 2/2")

		// The ejection goes on where it was, and counts for the next.
		time.Sleep(9 * time.Second)
		t.want("0 1")
		t.serve(3, strings.Replace(config, "interval: 1s", "interval: 2s", 1))
		t.want("0 1")
		time.Sleep(2100 * time.Millisecond)
		t.want("")
		t.status(0, "500*5")
		time.Sleep(15 * time.Second)
		t.want("0")

		// A lower limit takes at the next failure.
		t.status(2, "500*4")
		t.serve(3, strings.Replace(config, "interval: 1s", "interval: 1s, consecutive_5xx: 3", 1))
		t.want("0")
		t.status(2, "500")
		t.want("0 2")

		// Who goes away is forgotten; so are all without outlier detection.
		t.serveText(static("10.0.0.2:80") + config)
		t.serve(3, config)
		t.want("")
		t.status(1, "500*5")
		t.serve(3, "")
		t.want("")
		if s := t.c.Outlier(); s.Kinds != nil {
			t.Errorf("%+v", s)
		}
	})
}

// TestOutliersOfOldGenerations: a request that began before a reload is still
// reported, to the old cluster.
func TestOutliersOfOldGenerations(t *testing.T) {
	config := "outlier_detection: {max_ejection_percent: 100}"
	monitoring(t, upstream.MonitorOptions{}, func(t *monitored) {
		t.serve(2, config)
		old, e := t.c, t.c.Endpoints().All[0]
		t.serve(2, config)
		for range 5 {
			old.Outliers.Status(0, e, 500)
		}
		t.want("0")

		gone := t.c.Endpoints().All[1]
		t.serveText(static("10.0.0.1:80") + config)
		for range 5 {
			old.Outliers.Status(0, gone, 500)
		}
		t.want("0")
		t.wantCounts("consecutive_5xx 1/1")
	})
}
