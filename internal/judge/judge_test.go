package judge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
)

// noisyShop answers with every kind of noise. fault changes the body's fields
// before it is written.
func noisyShop(fault func(r *rand.Rand, q *request, f map[string]string)) service {
	served := 0
	return func(r *rand.Rand, q *request) reply {
		if served == 0 {
			served = r.IntN(1e6)
		}
		served++
		f := map[string]string{
			"id":      `"` + uuid(r) + `"`,
			"at":      `"` + q.at.Add(time.Duration(r.IntN(1e6))).Format(time.RFC3339Nano) + `"`,
			"etag":    fmt.Sprintf(`"%016x%016x"`, r.Uint64(), r.Uint64()),
			"served":  fmt.Sprint(served),
			"load":    fmt.Sprintf("%.6f", r.Float64()),
			"tags":    shuffled(r, 5),
			"price":   fmt.Sprint(100 + q.n%17),
			"name":    fmt.Sprintf(`"thing %d"`, q.n%13),
			"flaky":   "1",
			"nothing": "null",
		}
		if r.IntN(10) < 3 {
			f["flaky"] = "2"
		}
		if fault != nil {
			fault(r, q, f)
		}
		body := "{"
		for i, name := range []string{"id", "at", "etag", "served", "load", "tags", "price", "name", "flaky", "nothing"} {
			if f[name] == "" {
				continue
			}
			if i > 0 && len(body) > 1 {
				body += ","
			}
			body += `"` + name + `":` + f[name]
		}
		duration := time.Millisecond + time.Duration(r.ExpFloat64()*float64(5*time.Millisecond))
		return reply{body: body + "}", headers: []string{"date", q.at.Format(time.RFC1123), "x-served", uuid(r)}, duration: duration}
	}
}

func mirrored() policy.Compare {
	return policy.Compare{
		Epsilon: 0.005, Alpha: 0.01, MaxLatencyRatio: 1.05, MaxBody: 1 << 20,
		Baseline: policy.Baseline{Cluster: baseline},
	}
}

// TestIdenticalBuilds: amid all noise, nothing is different, and enough
// exchanges show it.
func TestIdenticalBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary, s.shadow, s.baseline = noisyShop(nil), noisyShop(nil), noisyShop(nil)
		for range 30 { // looked at again and again
			s.send(100, func(i int) request { return request{method: "GET", path: fmt.Sprintf("/items/%d", i)} })
			if c := s.report(); len(differences(c, report.Proven)) > 0 || c.Verdict.State == report.Different {
				t.Fatalf("a false alarm: %s", describe(c))
			}
		}
		c := s.report()
		if c.Verdict.State != report.Equivalent {
			t.Errorf("the verdict is %+v", c.Verdict)
		}
		if got := differences(c, report.Suspected); len(got) > 1 {
			t.Errorf("suspected: %v", got)
		}
		want := map[string]string{
			"body.id": "uuid", "body.at": "timestamp", "body.etag": "token", "body.served": "counter", "body.load": "float",
			"body.tags": "permutation", "body.flaky": "any", "header.x-served": "uuid",
		}
		if diff := cmp.Diff(want, noise(c)); diff != "" {
			t.Error(diff)
		}
		if c.Account.Compared != 3000 || c.Account.WithBaseline != 3000 || c.Account.Offered != 3000 {
			t.Errorf("the account is %+v", c.Account)
		}
		if len(c.Endpoints) != 1 || c.Endpoints[0].Path != "/items/{id}" || c.Latency.Verdict == report.LatencySlower {
			t.Errorf("endpoints: %s, latency %+v", describe(c), c.Latency)
		}
	})
}

// TestRegressionOfOnePercent: one field is wrong in 1 % of the answers of one
// endpoint, and nothing else is found.
func TestRegressionOfOnePercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary, s.baseline = noisyShop(nil), noisyShop(nil)
		s.shadow = noisyShop(func(_ *rand.Rand, q *request, f map[string]string) {
			if q.path == "/cart" && q.n%100 == 37 {
				f["price"] = "99.5"
			}
		})
		for s.n < 4000 {
			path := "/items"
			if s.n%2 == 1 {
				path = "/cart"
			}
			s.send(1, get(path))
		}
		c := s.report()
		if diff := cmp.Diff([]string{"GET /cart body.price value"}, differences(c, report.Proven)); diff != "" {
			t.Error(diff, describe(c))
		}
		if c.Verdict.State != report.Different {
			t.Errorf("the verdict is %+v", c.Verdict)
		}
		d := find(t, c, "body.price", "value")
		if d.Candidate != 40 || d.OnlyCandidate != 40 || d.Baseline != 0 || d.Exchanges != 2000 {
			t.Errorf("counts: %+v", d)
		}
		if len(d.Transitions) == 0 || d.Transitions[0].To != "99.5" || d.Example == nil || d.Example.At != "body.price" || len(d.Series) == 0 {
			t.Errorf("description: %+v", d)
		}
		for _, e := range c.Endpoints {
			want := report.Equivalent
			if e.Path == "/cart" {
				want = report.Different
			}
			if e.Verdict.State != want {
				t.Errorf("%s is %+v, want %s", e.Path, e.Verdict, want)
			}
		}
	})
}

// TestChangesWithinNoise: values that always differ are still checked for all else.
func TestChangesWithinNoise(t *testing.T) {
	for _, test := range []struct {
		field, aspect string
		fault         func(r *rand.Rand, q *request, f map[string]string)
	}{
		{"id", "presence", func(_ *rand.Rand, _ *request, f map[string]string) { f["id"] = "" }},
		{"served", "type", func(_ *rand.Rand, _ *request, f map[string]string) { f["served"] = `"` + f["served"] + `"` }},
		{"id", "format", func(r *rand.Rand, _ *request, f map[string]string) { f["id"] = fmt.Sprintf(`"id-%d"`, r.Uint32()) }},
		{"at", "format", func(_ *rand.Rand, q *request, f map[string]string) {
			f["at"] = fmt.Sprintf(`"%s"`, q.at.Format(time.RFC1123))
		}},
		{"load", "range", func(r *rand.Rand, _ *request, f map[string]string) { f["load"] = fmt.Sprintf("%.6f", -5-r.Float64()) }},
		{"at", "range", func(_ *rand.Rand, q *request, f map[string]string) {
			f["at"] = `"` + q.at.Add(-time.Hour).Format(time.RFC3339Nano) + `"`
		}},
		{"id", "repeat", func(_ *rand.Rand, _ *request, f map[string]string) {
			f["id"] = `"3b241101-e2bb-4255-8caf-4136c566a962"`
		}},
		{"flaky", "value", func(_ *rand.Rand, _ *request, f map[string]string) { f["flaky"] = "3" }},
	} {
		t.Run(test.field+"/"+test.aspect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, judge.Options{}, mirrored())
				s.primary, s.baseline = noisyShop(nil), noisyShop(nil)
				wrong := 0
				s.shadow = noisyShop(func(r *rand.Rand, q *request, f map[string]string) {
					if q.n >= 50 && r.IntN(4) == 0 { // after it was learnt
						test.fault(r, q, f)
						wrong++
					}
				})
				s.send(1500, get("/items"))
				c := s.report()
				found := differences(c, report.Proven)
				want := fmt.Sprintf("GET /items body.%s %s", test.field, test.aspect)
				if len(found) == 0 || wrong == 0 {
					t.Fatalf("nothing was found: %s", describe(c))
				}
				has := false
				for _, f := range found {
					has = has || f == want
					if f != want && !strings.Contains(f, "body."+test.field+" ") {
						t.Errorf("%s was found, too", f)
					}
				}
				if !has {
					t.Errorf("%s is not in %v", want, found)
				}
			})
		})
	}
}
