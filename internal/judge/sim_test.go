package judge_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
)

// runsOfSimulation is how many comparisons of identical builds TestFalseAlarms makes.
var runsOfSimulation = flag.Int("runs", 8, "runs of TestFalseAlarms")

// randomFields answers with fields of which each varies in some share of the
// exchanges, from 0 to 95 %, between few or many values.
func randomFields(n int) service {
	return func(r *rand.Rand, q *request) reply {
		var b strings.Builder
		for i := range n {
			value := fmt.Sprint(q.n % (i + 2))
			if r.Float64() < 0.95*float64(i)/float64(n) {
				value = fmt.Sprint(1000 + r.IntN(3+100*(i%3)))
			}
			fmt.Fprintf(&b, `%c"f%d":%s`, ",{"[min(1, max(0, 1-i))], i, value)
		}
		return reply{body: b.String() + "}", duration: time.Duration(1 + r.IntN(1e7))}
	}
}

// TestFalseAlarms: identical builds amid noise of all rates, looked at after
// every 100 exchanges, are hardly ever called different. (The mathematics are
// simulated in package evidence; this is about what the judge makes of them.)
func TestFalseAlarms(t *testing.T) {
	alarms, equivalent := 0, 0
	for run := range *runsOfSimulation {
		synctest.Test(t, func(t *testing.T) {
			p := mirrored()
			p.Epsilon, p.Alpha = 0.02, 0.05
			s := newScene(t, judge.Options{}, p)
			s.r = rand.New(rand.NewPCG(uint64(run), 99))
			s.primary, s.shadow, s.baseline = randomFields(20), randomFields(20), randomFields(20)
			for range 10 {
				s.send(100, get("/items"))
				if c := s.report(); c.Verdict.State == report.Different {
					alarms++
					t.Logf("run %d: %s", run, c.Verdict.Why)
					break
				}
			}
			if s.report().Verdict.State == report.Equivalent {
				equivalent++
			}
		})
	}
	t.Logf("%d runs: %d false alarms, %d equivalent", *runsOfSimulation, alarms, equivalent)
	if alarms*5 > *runsOfSimulation { // of 8 runs, 2 have a probability of 6 % at a rate of 5 %
		t.Errorf("%d of %d runs have a false alarm", alarms, *runsOfSimulation)
	}
	if equivalent*2 < *runsOfSimulation {
		t.Errorf("only %d of %d runs end as equivalent", equivalent, *runsOfSimulation)
	}
}

// TestAgainAsBaseline: the primary, asked again for a small share of requests,
// shows what is noise in all of them.
func TestAgainAsBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mirrored()
		p.Baseline = policy.Baseline{Again: 0.1}
		s := newScene(t, judge.Options{}, p)
		shop := noisyShop(nil)
		s.primary, s.shadow, s.again = shop, noisyShop(nil), true
		s.send(4000, func(i int) request {
			s.baseline = nil
			if s.n%10 == 0 {
				s.baseline = shop
			}
			return request{method: "GET", path: "/items"}
		})
		c := s.report()
		if c.Account.WithBaseline != 400 || c.Counts.Alone.Exchanges != 3600 || c.Counts.Paired.Exchanges != 400 {
			t.Errorf("%+v, %+v", c.Account, c.Counts)
		}
		if len(differences(c, report.Proven)) > 0 || c.Verdict.State != report.Equivalent {
			t.Errorf("%+v: %v, suspected %v", c.Verdict, differences(c, report.Proven), differences(c, report.Suspected))
		}
		if got := noise(c)["body.flaky"]; got == "" {
			t.Errorf("noise: %v", noise(c))
		}
	})
}

// TestWithoutBaseline: values show their noise, rules say the rest; nothing is
// called different by counts alone.
func TestWithoutBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mirrored()
		p.Baseline = policy.Baseline{}
		p.Ignore = []string{"body.load", "body.flaky"}
		p.Fields = []policy.FieldRule{{Path: "body.tags", Array: policy.ArraySet}, {Path: "body.id", Type: policy.TypeUUID}}
		s := newScene(t, judge.Options{}, p)
		wrong := false
		s.primary = noisyShop(nil)
		s.shadow = noisyShop(func(_ *rand.Rand, q *request, f map[string]string) {
			if wrong && q.n%4 == 0 {
				f["price"] = "0"
			}
		})
		s.send(3000, get("/items"))
		c := s.report()
		if c.Verdict.State != report.Equivalent || len(differences(c, report.Suspected)) > 0 || len(c.Warnings) == 0 {
			t.Errorf("%+v: suspected %v", c.Verdict, differences(c, report.Suspected))
		}
		if got := noise(c); got["body.at"] != "timestamp" || got["body.etag"] != "token" || got["body.served"] != "counter" || got["header.x-served"] != "uuid" || got["body.id"] != "" {
			t.Errorf("noise: %v", got)
		}
		wrong = true
		s.send(1000, get("/items"))
		c = s.report()
		if d := find(t, c, "body.price", "value"); d.State != report.Suspected || d.Candidate < 230 || d.Candidate > 250 || c.Verdict.State != report.Undecided {
			t.Errorf("%+v, %+v", d, c.Verdict)
		}
	})
}
