package judge_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
)

// named answers with a name of its own.
func named(names ...string) service {
	return func(r *rand.Rand, q *request) reply {
		return reply{body: fmt.Sprintf(`{"host":"%s","price":%d}`, names[r.IntN(len(names))], q.n%7)}
	}
}

// TestIdentity: a value of its own on each side is told apart, until a baseline
// on another instance settles it.
func TestIdentity(t *testing.T) {
	for _, test := range []struct {
		name      string
		primary   service
		shadow    service
		baseline  service
		again     bool
		policy    policy.Baseline
		state     report.State
		identity  int
		different int
		noise     string
	}{
		{
			name: "no baseline", primary: named("web-1"), shadow: named("canary-1"),
			state: report.Equivalent, identity: 1,
		},
		{
			name: "the primary asked again", primary: named("web-1"), shadow: named("canary-1"),
			baseline: named("web-1"), again: true, policy: policy.Baseline{Again: 1},
			state: report.Equivalent, identity: 1,
		},
		{
			name: "several instances, one asked again", primary: named("web-1", "web-2", "web-3"), shadow: named("canary-1", "canary-2"),
			baseline: named("web-1", "web-2", "web-3"), again: true, policy: policy.Baseline{Again: 1},
			state: report.Equivalent, identity: 1,
		},
		{
			name: "a baseline that agrees", primary: named("web"), shadow: named("canary"), baseline: named("web"),
			policy: policy.Baseline{Cluster: baseline},
			state:  report.Different, different: 1,
		},
		{
			name: "a baseline with a name of its own", primary: named("web-1"), shadow: named("canary-1"), baseline: named("base-1"),
			policy: policy.Baseline{Cluster: baseline},
			state:  report.Equivalent, noise: "identity",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mirrored()
				p.Baseline = test.policy
				s := newScene(t, judge.Options{}, p)
				s.primary, s.shadow, s.baseline, s.again = test.primary, test.shadow, test.baseline, test.again
				s.send(2500, get("/items"))
				c := s.report()
				if c.Verdict.State != test.state {
					t.Errorf("the verdict is %+v, want %s", c.Verdict, test.state)
				}
				if got := differences(c, report.Identity); len(got) != test.identity {
					t.Errorf("identity: %v", got)
				}
				if got := differences(c, report.Proven); len(got) != test.different {
					t.Errorf("different: %v", got)
				}
				if got := noise(c)["body.host"]; got != test.noise {
					t.Errorf("the noise is %q, want %q", got, test.noise)
				}
				if test.identity > 0 && len(c.Warnings) < 2 {
					t.Errorf("warnings: %q", c.Warnings)
				}
			})
		})
	}
}

// TestAMappingIsNoIdentity: values that follow from the request are a
// difference, even where both sides have few of them and none in common.
func TestAMappingIsNoIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mirrored()
		p.Baseline = policy.Baseline{Again: 1}
		s := newScene(t, judge.Options{}, p)
		states := func(format string) service {
			return func(_ *rand.Rand, q *request) reply {
				return reply{body: fmt.Sprintf(`{"state":"`+format+`"}`, q.n%3)}
			}
		}
		s.primary, s.shadow, s.baseline, s.again = states("s%d"), states("S%d"), states("s%d"), true
		s.send(200, get("/items"))
		c := s.report()
		if got := differences(c, report.Proven); len(got) != 1 || c.Verdict.State != report.Different {
			t.Errorf("different: %v, verdict %+v", got, c.Verdict)
		}
	})
}

// TestInstancesAreNoRegression: what is particular to an instance (a name of
// another make, a counter that began later, a level of memory) is no difference
// where the baseline has an instance of its own.
func TestInstancesAreNoRegression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		instance := func(name string, uptime, memory int) service {
			return func(r *rand.Rand, q *request) reply {
				return reply{body: fmt.Sprintf(`{"host":"%s","uptime":%d,"memory":%d}`, name, uptime+q.n/10, memory+r.IntN(1000))}
			}
		}
		s.primary = instance("web-7d4b9c6f58-x2x9z", 1_000_000, 50_000)
		s.baseline = instance("web-7d4b9c6f58-qq81z", 999_000, 50_500)
		s.shadow = instance("canary", 5, 56_000)
		s.send(3000, get("/status"))
		c := s.report()
		if len(differences(c, report.Proven)) > 0 || len(differences(c, report.Suspected)) > 0 || c.Verdict.State != report.Equivalent {
			t.Errorf("%+v: %v, suspected %v, %+v", c.Verdict, differences(c, report.Proven), differences(c, report.Suspected), c.Counts)
		}
		if got := noise(c); got["body.host"] != "identity" || got["body.uptime"] != "counter" {
			t.Errorf("noise: %v", got)
		}
	})
}
