package judge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// asker asks the services of a scene.
type asker struct {
	mu     sync.Mutex
	scene  *scene
	r      *rand.Rand
	asked  map[string]int // by cluster
	orders map[string]int
	order  string
	fail   bool
	method map[string]bool
}

func newAsker() *asker {
	return &asker{r: rand.New(rand.NewPCG(3, 4)), asked: map[string]int{}, orders: map[string]int{}, method: map[string]bool{}}
}

func (a *asker) Ask(_ context.Context, q judge.Question) (compare.Message, time.Duration, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fail {
		return compare.Message{}, 0, errors.New("nobody is there")
	}
	a.asked[q.Cluster]++
	a.method[string(q.Request.Method())] = true
	request := request{method: string(q.Request.Method()), path: string(q.Request.Path()), at: time.Now()}
	if id, ok := q.Request.Get("x-request-id"); ok {
		_, _ = fmt.Sscanf(string(id), "request-%d", &request.n)
	}
	service, letter := a.scene.primary, "p"
	if q.Role == traffic.Candidate {
		service, letter = a.scene.shadow, "c"
	}
	if a.order += letter; len(a.order) == 4 {
		a.orders[a.order]++
		a.order = ""
	}
	var answer traffic.Answer
	fill(&answer, q.Cluster, service(a.r, &request))
	m := compare.Message{Status: answer.Response.Status, Body: answer.Body.Bytes, Size: answer.ResponseBytes}
	for i := range answer.Response.Len() {
		name, value := answer.Response.Field(i)
		m.Headers = append(m.Headers, compare.Field{Name: string(name), Value: string(value)})
	}
	return m, answer.Duration, nil
}

func asking() policy.Compare {
	return policy.Compare{Epsilon: 0.01, Alpha: 0.01, Baseline: policy.Baseline{Again: 1e-9, AgainRate: 2}}
}

// TestConfirmations: what a stable difference is, noise and what does not happen
// again, without any baseline.
func TestConfirmations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		s := newScene(t, judge.Options{Asker: a, Askers: 1}, asking())
		a.scene = s
		once := map[int]bool{}
		s.primary = func(r *rand.Rand, q *request) reply {
			return reply{body: fmt.Sprintf(`{"price":%d,"spin":%d,"glitch":0}`, q.n, r.IntN(1000))}
		}
		s.shadow = func(r *rand.Rand, q *request) reply {
			price, glitch := q.n, 0
			if q.n%10 == 3 {
				price += 1000
			}
			if q.n%10 == 7 && !once[q.n] {
				once[q.n], glitch = true, 1
			}
			return reply{body: fmt.Sprintf(`{"price":%d,"spin":%d,"glitch":%d}`, price, r.IntN(1000), glitch)}
		}
		for range 300 {
			s.send(1, get("/items"))
			time.Sleep(time.Second) // of the bubble: the allowance fills
		}
		c := s.report()
		if got := differences(c, report.Proven); len(got) != 1 || got[0] != "GET /items body.price value" {
			t.Errorf("different: %v\n%s", got, describe(c))
		}
		price, glitch := find(t, c, "body.price", "value"), find(t, c, "body.glitch", "value")
		if price.Confirmed.Stable < 5 || price.Confirmed.Stable != price.Confirmed.Asked {
			t.Errorf("price: %+v", price.Confirmed)
		}
		if glitch.Confirmed.Transient < 5 || glitch.Confirmed.Transient != glitch.Confirmed.Asked {
			t.Errorf("glitch: %+v", glitch.Confirmed)
		}
		if got := noise(c)["body.spin"]; got == "" {
			t.Errorf("spin is not known to be noise: %s", describe(c))
		}
		if a.asked[primary] != a.asked[candidate] || a.asked[primary] != 2*int(c.Account.Confirmed.Asked) {
			t.Errorf("asked %v for %+v", a.asked, c.Account.Confirmed)
		}
		if len(a.orders) < 4 {
			t.Errorf("orders of questions: %v", a.orders)
		}
	})
}

// TestConfirmationsKeepToThePolicy: unsafe methods, and routes that allow it not,
// are never asked about; and no more than their rate allows.
func TestConfirmationsKeepToThePolicy(t *testing.T) {
	wrong := func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"price":%d}`, -q.n)} }
	right := func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"price":%d}`, q.n)} }
	for _, test := range []struct {
		name   string
		method string
		policy policy.Baseline
		most   int // confirmations of 100 mismatches at once
	}{
		{"POST", "POST", policy.Baseline{Again: 0.1, AgainRate: 100}, 0},
		{"not allowed", "GET", policy.Baseline{}, 0},
		{"GET", "GET", policy.Baseline{Again: 0.1, AgainRate: 6}, 3},
		{"HEAD", "HEAD", policy.Baseline{Again: 0.1, AgainRate: 2}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAsker()
				p := asking()
				p.Baseline = test.policy
				s := newScene(t, judge.Options{Asker: a}, p)
				a.scene, s.primary, s.shadow = s, right, wrong
				s.send(100, func(int) request { return request{method: test.method, path: "/items"} })
				if got := int(s.judge.Stats().Asked); got != test.most || a.asked[primary] != 2*test.most {
					t.Errorf("%d confirmations, %v asked; want %d", got, a.asked, test.most)
				}
				if test.most > 0 && s.judge.Stats().NotAsked == 0 {
					t.Error("what was not asked is not counted")
				}
			})
		})
	}
}

// TestConfirmationsThatFail are no evidence for a difference.
func TestConfirmationsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		a.fail = true
		s := newScene(t, judge.Options{Asker: a, Allow: func(string, int) bool { return true }}, asking())
		a.scene = s
		s.primary = func(*rand.Rand, *request) reply { return reply{body: `{"n":1}`} }
		s.shadow = func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"n":%d}`, q.n+2)} }
		s.send(50, get("/items"))
		c, stats := s.report(), s.judge.Stats()
		if stats.AskFailed == 0 || stats.AskFailed != stats.Asked || c.Account.Confirmed.Asked != 0 {
			t.Errorf("stats %+v, confirmed %+v", stats, c.Account.Confirmed)
		}
		if got := differences(c, report.Proven); len(got) != 0 {
			t.Errorf("different: %v", got)
		}
	})
}

// TestOnePercentOfTwoHundredFields: with a baseline and confirmations, a stable
// difference in 1 % of the answers, in one field of 200 of which many are noise,
// is proven within 600 exchanges.
func TestOnePercentOfTwoHundredFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		p := mirrored()
		p.Alpha, p.Baseline.AgainRate = 0.05, 10
		s := newScene(t, judge.Options{Asker: a}, p)
		a.scene = s
		fields := randomFields(200)
		s.primary, s.baseline = fields, fields
		s.shadow = func(r *rand.Rand, q *request) reply {
			answer := fields(r, q)
			if q.n%100 == 60 {
				answer.body = answer.body[:len(answer.body)-1] + `,"total":1}`
			}
			return answer
		}
		for s.n < 600 && s.report().Verdict.State != report.Different {
			for range 10 {
				s.send(1, get("/items"))
				time.Sleep(100 * time.Millisecond) // of the bubble
			}
		}
		c := s.report()
		if got := differences(c, report.Proven); len(got) != 1 || got[0] != "GET /items body.total presence" {
			t.Errorf("after %d exchanges: %v, %+v", s.n, got, c.Verdict)
		}
		t.Logf("proven after %d exchanges, by %+v", s.n, find(t, c, "body.total", "presence").Confirmed)
	})
}
