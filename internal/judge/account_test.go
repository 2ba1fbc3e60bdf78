package judge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"pgregory.net/rapid"
)

// balance checks that every exchange is in exactly one place.
func balance(t interface{ Errorf(string, ...any) }, c report.Comparison, offered uint64) {
	a := c.Account
	sum := a.Waiting + a.Compared
	for _, n := range a.NotComparable {
		sum += n
	}
	for _, n := range a.Dropped {
		sum += n
	}
	if sum != offered || a.Offered != offered || a.Equal+a.Different != a.Compared || a.WithBaseline > a.Compared {
		t.Errorf("%d were offered, the account is %+v", offered, a)
	}
	exchanges := uint64(0)
	for _, e := range c.Endpoints {
		exchanges += e.Exchanges
	}
	if exchanges != a.Compared || c.Counts.Paired.Exchanges+c.Counts.Alone.Exchanges != a.Compared {
		t.Errorf("endpoints have %d exchanges, counts are %+v, compared are %d", exchanges, c.Counts, a.Compared)
	}
}

// TestAccountBalances: whatever is offered, and whenever one looks.
func TestAccountBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := judge.New(judge.Options{Items: 8, Bytes: 20_000})
		if err := j.Configure([]judge.Route{routeOf(mirrored())}); err != nil {
			t.Fatal(err)
		}
		s := &scene{judge: j, r: rand.New(rand.NewPCG(1, 2))}
		s.primary = func(*rand.Rand, *request) reply { return reply{body: `{"n":1}`} }
		s.baseline = s.primary
		running := false
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		offered := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"offer": func(t *rapid.T) {
				body := rapid.SampledFrom([]string{`{"n":1}`, `{"n":2}`, `{"n":`, string(make([]byte, 9000))}).Draw(t, "body")
				s.shadow = func(*rand.Rand, *request) reply {
					return reply{body: body, cut: rapid.IntRange(0, 3).Draw(t, "cut") == 0}
				}
				e := s.exchange(&request{method: "GET", path: "/"})
				e.Shadows[0].Outcome = rapid.SampledFrom([]traffic.Outcome{
					traffic.Completed, traffic.Completed, traffic.TimedOut, traffic.DroppedBudget,
				}).Draw(t, "outcome")
				e.Shadows[1].Outcome = rapid.SampledFrom([]traffic.Outcome{traffic.Completed, traffic.Reset}).Draw(t, "baseline")
				if rapid.IntRange(0, 9).Draw(t, "primary") == 0 {
					e.Primary.Flags = traffic.FlagUpstreamTimeout
				}
				if rapid.IntRange(0, 9).Draw(t, "shadow") == 0 {
					e.Shadows = e.Shadows[1:] // no copy was sent: no pair is offered
				} else {
					offered++
				}
				j.Offer(traffic.Answered, e)
				j.Offer(traffic.Settled, e)
			},
			"run": func(t *rapid.T) {
				if running {
					t.Skip("it runs already")
				}
				running = true
				wg.Go(func() { _ = j.Run(ctx) })
			},
			"": func(t *rapid.T) { balance(t, j.Report().Comparisons[0], offered) },
		})
	})
}

// TestDropsAreCounted: a full queue refuses, and says so.
func TestDropsAreCounted(t *testing.T) {
	j := judge.New(judge.Options{Items: 3})
	if j.Enabled() {
		t.Error("it is enabled before it compares anything")
	}
	if err := j.Configure([]judge.Route{routeOf(mirrored())}); err != nil || !j.Enabled() {
		t.Fatal(err, j.Enabled())
	}
	s := &scene{judge: j, r: rand.New(rand.NewPCG(1, 2)), primary: noisyShop(nil), shadow: noisyShop(nil)}
	for i := range 5 {
		if got := s.offer(&request{method: "GET", path: "/"}); got != (i < 3) {
			t.Errorf("exchange %d: taken %v", i, got)
		}
	}
	c := j.Report().Comparisons[0]
	if c.Account.Waiting != 3 || c.Account.Dropped["queue_full"] != 2 || j.Stats().Dropped != 2 || j.Stats().WaitingBytes == 0 {
		t.Errorf("account %+v, stats %+v", c.Account, j.Stats())
	}
}

// TestReasons: what cannot be compared says why.
func TestReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary = func(*rand.Rand, *request) reply { return reply{body: `{"n":1}`} }
		s.shadow = s.primary
		offer := func(change func(e *traffic.Exchange)) {
			e := s.exchange(&request{method: "GET", path: "/"})
			change(e)
			s.judge.Offer(traffic.Settled, e)
		}
		offer(func(e *traffic.Exchange) { e.Shadows[0].Outcome = traffic.Reset })
		offer(func(e *traffic.Exchange) { e.Primary.Flags = traffic.FlagDownstreamClosed })
		offer(func(e *traffic.Exchange) { e.Primary.Flags = traffic.FlagUpstreamTimeout })
		offer(func(e *traffic.Exchange) { e.Primary.Body.Cut, e.Shadows[0].Body.Cut = true, true })
		offer(func(e *traffic.Exchange) {
			e.Shadows[0].Response.Add("content-encoding", []byte("gzip"))
			e.Shadows[0].Body.Bytes = []byte("this is no gzip")
			e.Primary.Response.Add("content-encoding", []byte("gzip"))
		})
		offer(func(e *traffic.Exchange) { e.Primary.Cluster = "outbound|80|v0|shop" })
		offer(func(e *traffic.Exchange) { e.Compared = false })
		offer(func(e *traffic.Exchange) { e.RouteKey = "another" })
		synctest.Wait()
		want := map[string]uint64{"reset": 1, "primary_broken": 1, "primary_failed": 1, "body_cut": 1, "content_coding": 1, "other_primary": 1}
		got := s.report().Account
		if diff := cmp.Diff(want, got.NotComparable); diff != "" || got.Offered != 6 {
			t.Error(diff, got)
		}
		if all := s.judge.Accounts(); len(all) != 1 || all[0].Candidate != candidate || cmp.Diff(got, all[0].Account) != "" {
			t.Errorf("accounts: %+v", all)
		}
	})
}

// TestConfigureKeepsCounts of comparisons that stay, and forgets others.
func TestConfigureKeepsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary = func(*rand.Rand, *request) reply { return reply{body: `{"n":1}`} }
		s.shadow, s.baseline = s.primary, s.primary
		s.send(10, get("/"))
		p := mirrored()
		p.Epsilon = 0.2
		s.configure(p)
		if c := s.report(); c.Account.Compared != 10 || c.Epsilon != 0.2 {
			t.Errorf("compared %d with epsilon %v", c.Account.Compared, c.Epsilon)
		}
		p.Fields = []policy.FieldRule{{Path: "body[", Type: "Nonsense"}}
		if err := s.judge.Configure([]judge.Route{routeOf(p)}); err == nil {
			t.Error("a rule that makes no sense is taken")
		} else if c := s.report(); c.Account.Compared != 10 {
			t.Error("after an error, counts are gone")
		}
		if c := s.report(); c.Latency.Limited == (evidence.Signs{}) {
			t.Error("a reload that leaves the limit of latency alone takes its counts")
		}
		p = mirrored()
		p.MaxLatencyRatio = 2
		s.configure(p)
		if c := s.report(); c.Latency.Limited != (evidence.Signs{}) || c.Latency.Limit != 2 || c.Account.Compared != 10 {
			t.Errorf("with another limit of latency: %+v", c.Latency)
		}
		for _, change := range []func(p *policy.Compare){
			func(p *policy.Compare) { p.Ignore = []string{"body.x"} },
			func(p *policy.Compare) { p.Baseline = policy.Baseline{} },
		} {
			p = mirrored()
			s.configure(p)
			s.send(10, get("/"))
			change(&p)
			s.configure(p)
			if c := s.report(); c.Account.Compared != 0 {
				t.Errorf("%d exchanges are kept of another comparison", c.Account.Compared)
			}
		}
		if err := s.judge.Configure(nil); err != nil || s.judge.Enabled() || len(s.judge.Report().Comparisons) != 0 {
			t.Errorf("without routes: %v", err)
		}
	})
}

// twoFaces is a scene whose state is worth saving.
func twoFaces(t *testing.T, o judge.Options, seed uint64) *scene {
	s := newScene(t, o, mirrored())
	s.r = rand.New(rand.NewPCG(seed, 1))
	s.primary, s.baseline = noisyShop(nil), noisyShop(nil)
	s.shadow = noisyShop(func(_ *rand.Rand, q *request, f map[string]string) {
		if q.n%20 == 3 {
			f["price"] = "0"
		}
	})
	return s
}

// TestStateSurvives: what is loaded is what was saved, and it goes on from there.
func TestStateSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoFaces(t, judge.Options{}, 7)
		s.send(400, func(i int) request { return request{method: "GET", path: fmt.Sprintf("/items/%d", i)} })
		var saved bytes.Buffer
		if err := s.judge.Save(&saved); err != nil {
			t.Fatal(err)
		}
		first := saved.String()
		want := s.judge.Report()

		offline := judge.New(judge.Options{}) // reads a state, and is never configured
		restarted := judge.New(judge.Options{})
		for _, j := range []*judge.Judge{offline, restarted} {
			if err := j.Load(bytes.NewReader(saved.Bytes())); err != nil {
				t.Fatal(err)
			}
		}
		s.judge = restarted
		s.configure(mirrored())
		for _, j := range []*judge.Judge{offline, restarted} {
			if diff := cmp.Diff(want, j.Report()); diff != "" {
				t.Fatal(diff)
			}
			saved.Reset()
			if err := j.Save(&saved); err != nil || saved.String() != first {
				t.Errorf("saved again, it is another state (%v)", err)
			}
		}
		s.run()
		s.send(100, func(i int) request { return request{method: "GET", path: fmt.Sprintf("/items/%d", i)} })
		c := s.report()
		if c.Account.Compared != 500 || len(c.Endpoints) != 1 {
			t.Errorf("after the restart: %+v, %d endpoints", c.Account, len(c.Endpoints))
		}
		balance(t, c, 500)
	})
}

// TestFleet: the states of two proxies, loaded into one judge, have the counts
// of one that saw everything.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, all := twoFaces(t, judge.Options{}, 7), twoFaces(t, judge.Options{}, 8), twoFaces(t, judge.Options{}, 9)
		fleet := judge.New(judge.Options{})
		for _, s := range []*scene{one, two} {
			for i := range 300 {
				s.n = 1000*int(time.Now().Unix()%2) + i
				e := s.exchange(&request{method: "GET", path: fmt.Sprintf("/items/%d", i)})
				s.judge.Offer(traffic.Settled, e)
				all.judge.Offer(traffic.Settled, e)
				synctest.Wait()
			}
			var state bytes.Buffer
			if err := s.judge.Save(&state); err != nil {
				t.Fatal(err)
			}
			if err := fleet.Load(&state); err != nil {
				t.Fatal(err)
			}
		}
		got, want := fleet.Report().Comparisons[0], all.report()
		balance(t, got, 600)
		if diff := cmp.Diff(want.Account, got.Account); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want.Coverage, got.Coverage); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want.Latency, got.Latency); diff != "" {
			t.Error(diff)
		}
		x, y := find(t, got, "body.price", "value"), find(t, want, "body.price", "value")
		if x.State != report.Proven || x.OnlyCandidate != y.OnlyCandidate || x.LogE != y.LogE {
			t.Errorf("the fleet has %+v, want %+v", x, y)
		}
		if got.Verdict.State != want.Verdict.State {
			t.Errorf("the fleet's verdict is %+v, want %+v", got.Verdict, want.Verdict)
		}
	})
}

// TestLoadRefuses what it does not know.
func TestLoadRefuses(t *testing.T) {
	for _, state := range []string{
		``, `{`, `{"version":3}`, `{"version":2,"comparisons":[{}]}`,
		`{"version":2,"comparisons":[{"key":{"candidate":"x"},"settings":{"alpha":7}}]}`,
		`{"version":2,"comparisons":[{"key":{"candidate":"x"},"settings":{"alpha":0.1,"epsilon":0.1},"endpoints":[{"again":1}]}]}`,
	} {
		j := judge.New(judge.Options{})
		if err := j.Load(bytes.NewReader([]byte(state))); err == nil || len(j.Report().Comparisons) != 0 {
			t.Errorf("%q is taken (%v)", state, err)
		}
	}
	j := judge.New(judge.Options{})
	sparse := `{"version":2,"comparisons":[{"key":{"candidate":"x"},"settings":{"alpha":0.1,"epsilon":0.1},"endpoints":[{"fields":{"a":null,"b":{}}}]}]}`
	if err := j.Load(bytes.NewReader([]byte(sparse))); err != nil || len(j.Report().Comparisons) != 1 {
		t.Errorf("%v", err)
	}
}

// FuzzLoad: whatever a state holds, it is refused, or it can be reported, saved
// and read again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"version":2,"comparisons":[]}`))
	f.Add([]byte(`{"version":2,"comparisons":[{"key":{"route":"r","candidate":"c"},"settings":{"alpha":0.05,"epsilon":0.01},"since":"2026-01-01T00:00:00Z",
"account":{"compared":3},"endpoints":[{"method":"GET","path":"/","exchanges":3,"mirrored":2,"again":1,"sets":{"paired":{"body.a\u001f0\u001e\u001d":2}},
"fields":{"body.a":{"aspects":[{"place":1,"case":{"coin":{"candidate":2}},"candidate":2,"detail":{"transitions":[{"from":"1","to":"2","count":2}],"minutes":[{"at":1,"n":2}],"features":{"x":1}}},null],"learnt":{"pairs":[1,2,3]}}},
"statuses":{"200":3},"latency":{"place":1,"plain":{"slower":3},"candidate":{"layout":1,"buckets":[[3,3]]}},"features":{"x":2},"minutes":[{"at":1,"n":3}]}]}]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		j := judge.New(judge.Options{})
		if j.Load(bytes.NewReader(state)) != nil {
			return
		}
		if _, err := json.Marshal(j.Report()); err != nil {
			t.Fatal(err)
		}
		var saved bytes.Buffer
		if err := j.Save(&saved); err != nil {
			t.Fatal(err)
		}
		if err := judge.New(judge.Options{}).Load(&saved); err != nil {
			t.Fatal(err)
		}
	})
}
