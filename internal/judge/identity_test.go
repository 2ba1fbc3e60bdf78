package judge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
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
			state: report.Undecided, identity: 1,
		},
		{
			name: "the primary asked again", primary: named("web-1"), shadow: named("canary-1"),
			baseline: named("web-1"), again: true, policy: policy.Baseline{Again: 1},
			state: report.Undecided, identity: 1,
		},
		{
			name: "several instances, one asked again", primary: named("web-1", "web-2", "web-3"), shadow: named("canary-1", "canary-2"),
			baseline: named("web-1", "web-2", "web-3"), again: true, policy: policy.Baseline{Again: 1},
			state: report.Undecided, identity: 1,
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
				if test.identity > 0 && (len(c.Warnings) < 2 || c.Unsettled != 1 || !strings.Contains(c.Verdict.Why, "body.host of GET /items") || !strings.Contains(c.Endpoints[0].Verdict.Why, "baseline on another instance")) {
					t.Errorf("unsettled %d, %+v, warnings: %q", c.Unsettled, c.Verdict, c.Warnings)
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

// TestARestartIsNoDifference: a primary that comes back with another name was
// not different before, at whatever look; what follows from the request stays a
// difference if requests come in batches.
func TestARestartIsNoDifference(t *testing.T) {
	for _, test := range []struct {
		name            string
		primary, shadow func(n int) string // the names by exchange
		different       bool
	}{
		{"once", restarts("web", 300), restarts("canary", 1e6), false},
		{"soon", restartsOnce("web", 12), restarts("canary", 1e6), false},
		{"many times", restarts("web", 50), restarts("canary", 1e6), false},
		{"both at once", restarts("web", 300), restarts("canary", 300), false},
		{"while both instances answer", overlapping("web", 300), restarts("canary", 1e6), false},
		{"by batches of requests", batches("web", 20), batches("canary", 20), true},
		{"by batches, of the primary alone", batches("web", 20), restarts("canary", 1e6), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mirrored()
				p.Baseline = policy.Baseline{Again: 1}
				s := newScene(t, judge.Options{}, p)
				host := func(name func(n int) string) service {
					return func(_ *rand.Rand, q *request) reply {
						return reply{body: fmt.Sprintf(`{"host":"%s"}`, name(q.n))}
					}
				}
				s.primary, s.shadow, s.baseline, s.again = host(test.primary), host(test.shadow), host(test.primary), true
				for range 160 {
					s.send(5, get("/items"))
					if got := differences(s.report(), report.Proven); len(got) > 0 && !test.different {
						t.Fatalf("proven: %v", got)
					}
				}
				c := s.report()
				want := report.Undecided
				if test.different {
					want = report.Different
				}
				if c.Verdict.State != want || (c.Unsettled == 1) == test.different {
					t.Errorf("%+v, %d unsettled", c.Verdict, c.Unsettled)
				}
			})
		})
	}
}

// restarts names an instance that is replaced after each so many exchanges.
func restarts(name string, every int) func(n int) string {
	return func(n int) string { return fmt.Sprintf("%s-%d", name, n/every) }
}

// restartsOnce names an instance that is replaced after so many exchanges.
func restartsOnce(name string, after int) func(n int) string {
	return func(n int) string { return fmt.Sprintf("%s-%d", name, min(n/after, 1)) }
}

// overlapping is restarts, where for ten exchanges the old instance answers in turn with the new one.
func overlapping(name string, every int) func(n int) string {
	return func(n int) string {
		if n%every < 10 && n%2 == 0 {
			n = max(n-every, 0)
		}
		return fmt.Sprintf("%s-%d", name, n/every)
	}
}

// batches gives one of two names, by the request.
func batches(name string, each int) func(n int) string {
	return func(n int) string { return fmt.Sprintf("%s-%d", name, n/each%2) }
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

// TestWhatMayBeAName: without a baseline on another instance, what is always
// another value on both sides is an identity only if it looks like one.
func TestWhatMayBeAName(t *testing.T) {
	quoted := func(s string) string { return `"` + s + `"` }
	for _, test := range []struct {
		field              string // of the body, or "header NAME"
		primary, candidate string
		name               bool
	}{
		{"host", quoted("web-7d4b9c6f58-x2x9z"), quoted("web-66c9f7d5b4-k8d2p"), true},
		{"origin", quoted("10.0.0.7"), quoted("10.0.0.9"), true},
		{"by", quoted("ip-10-0-0-7.internal:8080"), quoted("ip-10-0-0-9.internal:8080"), true},
		{"app", quoted("1.4.2"), quoted("1.5.0-rc.1"), true},
		{"app", quoted("v1"), quoted("v2"), true},
		{"since", quoted("2026-01-02T03:04:05Z"), quoted("2026-02-03T04:05:06Z"), true},
		{"since", "1767323045", "1770091506", true},
		{"run", quoted("0b8c4f6e-6a52-4b0e-9f57-2f4a6d1c7e11"), quoted("9d5ce1de-1c5f-4a0f-8ad1-3f2e6f0a5b10"), true},
		{"gitCommit", quoted("9f2c1e7"), quoted("master"), true},
		{"instanceId", quoted("stable"), quoted("canary"), true},
		{"header x-served-by", "stable", "canary", true},
		{"header server", "Apache/2.4.57 (Debian)", "Apache/2.4.58 (Debian)", true},

		{"status", quoted("ok"), quoted("error"), false},
		{"currency", quoted("USD"), quoted("EUR"), false},
		{"price", "10", "11", false},
		{"price", quoted("19.99"), quoted("20.99"), false},
		{"price", quoted("$1,019.99"), quoted("$1,020.99"), false},
		{"active", "true", "false", false},
		{"active", quoted("true"), quoted("false"), false},
		{"pid", "1201", "1377", false},
		{"title", quoted("The 39 Steps"), quoted("The 40 Steps"), false},
		{"link", quoted("http://web/a"), quoted("http://canary:8080/a"), true},
		{"link", quoted("http://web/a"), quoted("http://canary/b"), false},
		{"path", quoted("/v1/items"), quoted("/v2/items"), false},
		{"topic", quoted("orders.created"), quoted("orders.deleted"), false},
		{"host", quoted("web-1"), quoted(""), false},
		{"host", quoted("web-1"), "null", false},
		{"host", quoted("web-1"), "17", false},
		{"host", quoted("web-1"), quoted("2026-02-03T04:05:06Z"), false},
		{"header content-type", "application/json", "application/json; v=2", false},
		{"header location", "/items/v1", "/items/v2", false},
		{"header cache-control", "max-age=60", "max-age=61", false},
	} {
		t.Run(test.field+" "+test.primary, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mirrored()
				p.Baseline = policy.Baseline{Again: 1}
				s := newScene(t, judge.Options{}, p)
				answers := func(value string) service {
					return func(*rand.Rand, *request) reply {
						if header, ok := strings.CutPrefix(test.field, "header "); ok {
							return reply{headers: []string{header, value}, body: `{}`}
						}
						return reply{body: fmt.Sprintf(`{"%s":%s}`, test.field, value)}
					}
				}
				s.primary, s.shadow, s.baseline, s.again = answers(test.primary), answers(test.candidate), answers(test.primary), true
				s.send(3, get("/config"))
				if c := s.report(); len(differences(c, report.Identity)) > 0 {
					t.Errorf("after 3 exchanges: %v", differences(c, report.Identity))
				}
				s.send(3000, get("/config"))
				c := s.report()
				if got := len(differences(c, report.Identity)) == 1 && c.Verdict.State == report.Undecided && c.Unsettled == 1; got != test.name {
					t.Errorf("identity is %v: %+v, %v, proven %v", got, c.Verdict, differences(c, report.Identity), differences(c, report.Proven))
				}
				if got := len(differences(c, report.Proven)) > 0 && c.Verdict.State == report.Different; got == test.name {
					t.Errorf("proven is %v: %+v, %v", got, c.Verdict, differences(c, report.Proven))
				}
			})
		})
	}
}

// TestANameAmongErrors: errors that do not name their instance do not make its
// name a difference; values that are the same now and then do.
func TestANameAmongErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		other reply // one of ten
		state report.State
	}{
		{"not found", reply{status: 404, body: `{}`}, report.Undecided},
		{"the same value", reply{body: `{"host":"web-0"}`}, report.Different},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := mirrored()
				p.Baseline = policy.Baseline{Again: 1}
				s := newScene(t, judge.Options{}, p)
				host := func(name string) service {
					return func(_ *rand.Rand, q *request) reply {
						if q.n%10 == 0 {
							return test.other
						}
						return reply{body: fmt.Sprintf(`{"host":"%s"}`, name)}
					}
				}
				s.primary, s.shadow, s.baseline, s.again = host("web-1"), host("web-2"), host("web-1"), true
				s.send(2500, get("/items"))
				if c := s.report(); c.Verdict.State != test.state {
					t.Errorf("%+v", c.Verdict)
				}
			})
		})
	}
}
