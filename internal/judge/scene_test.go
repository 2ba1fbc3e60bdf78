package judge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Clusters of the tests.
const (
	primary   = "outbound|80|v1|shop"
	candidate = "outbound|80|v2|shop"
	baseline  = "outbound|80|v1b|shop"
	routeKey  = "shop/shop/0"
)

// reply is what a service under test answers.
type reply struct {
	status   int
	headers  []string // name, value, ...
	body     string
	cut      bool
	duration time.Duration
}

// service answers a request. r is the service's own randomness.
type service func(r *rand.Rand, q *request) reply

// request is one client's request.
type request struct {
	method, path string
	headers      []string
	body         string
	n            int // of the request, from 0
	at           time.Time
}

// scene is a judge with its route, and what to send through it.
type scene struct {
	t        *testing.T
	judge    *judge.Judge
	primary  service
	shadow   service
	baseline service // nil: none
	again    bool    // the baseline is the primary, asked again
	r        *rand.Rand
	n        int
	offered  int
}

// newScene runs a judge in a synctest bubble, until the test ends.
func newScene(t *testing.T, o judge.Options, p policy.Compare) *scene {
	t.Helper()
	s := &scene{t: t, judge: judge.New(o), r: rand.New(rand.NewPCG(1, uint64(len(t.Name()))))}
	s.configure(p)
	s.run()
	return s
}

func (s *scene) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.judge.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *scene) configure(p policy.Compare) {
	s.t.Helper()
	if err := s.judge.Configure([]judge.Route{routeOf(p)}); err != nil {
		s.t.Fatal(err)
	}
}

func routeOf(p policy.Compare) judge.Route {
	p.Enabled = true
	return judge.Route{
		Key: routeKey, Primary: primary, Candidates: []string{candidate},
		Policy: policy.Policy{Name: "shop/compare", Compare: p},
	}
}

// send offers exchanges and waits until they are judged.
func (s *scene) send(n int, path func(i int) request) {
	s.t.Helper()
	for i := range n {
		q := path(i)
		s.offer(&q)
		if i%64 == 63 {
			synctest.Wait()
		}
	}
	synctest.Wait()
}

// get makes requests for one path.
func get(path string) func(int) request {
	return func(int) request { return request{method: "GET", path: path} }
}

func (s *scene) offer(q *request) bool {
	e := s.exchange(q)
	return s.judge.Offer(traffic.Settled, e)
}

// exchange makes an exchange of the request and all services' answers.
func (s *scene) exchange(q *request) *traffic.Exchange {
	q.n, q.at = s.n, time.Now()
	s.n++
	s.offered++
	e := &traffic.Exchange{Start: q.at, RouteKey: routeKey, Compared: true}
	head(&e.Request, q)
	e.RequestBody = traffic.Body{Bytes: []byte(q.body)}
	fill(&e.Primary, primary, s.primary(s.r, q))
	c := e.AddShadow()
	c.Role = traffic.Candidate
	fill(c, candidate, s.shadow(s.r, q))
	if s.baseline != nil {
		b := e.AddShadow()
		b.Role = traffic.Baseline
		cluster := baseline
		if s.again {
			b.Role, cluster = traffic.Again, primary
		}
		fill(b, cluster, s.baseline(s.r, q))
	}
	return e
}

func head(h *traffic.Head, q *request) {
	h.Reset()
	h.SetMethod([]byte(q.method))
	h.SetScheme([]byte("http"))
	h.SetAuthority([]byte("shop.example"))
	h.SetPath([]byte(q.path))
	h.Add("x-request-id", fmt.Appendf(nil, "request-%d", q.n))
	for i := 0; i+1 < len(q.headers); i += 2 {
		h.Add(q.headers[i], []byte(q.headers[i+1]))
	}
}

func fill(a *traffic.Answer, cluster string, r reply) {
	a.Cluster, a.Outcome = cluster, traffic.Completed
	a.Response.Reset()
	a.Response.Status = r.status
	if r.status == 0 {
		a.Response.Status = http.StatusOK
	}
	a.Response.Add("content-type", []byte("application/json"))
	for i := 0; i+1 < len(r.headers); i += 2 {
		a.Response.Add(r.headers[i], []byte(r.headers[i+1]))
	}
	a.Body = traffic.Body{Bytes: []byte(r.body), Cut: r.cut}
	a.ResponseBytes = int64(len(r.body))
	a.Duration = max(r.duration, time.Millisecond)
	a.ServiceTime = a.Duration / 2
}

// report is the report of the only comparison.
func (s *scene) report() report.Comparison {
	s.t.Helper()
	r := s.judge.Report()
	if len(r.Comparisons) != 1 {
		s.t.Fatalf("%d comparisons, want one", len(r.Comparisons))
	}
	return r.Comparisons[0]
}

// differences lists those in a state, as "GET /path field aspect".
func differences(c report.Comparison, state report.DifferenceState) []string {
	list := []string{}
	for _, d := range c.Differences {
		if d.State == state {
			list = append(list, strings.Join([]string{d.Method, d.Path, d.Field, d.Aspect}, " "))
		}
	}
	slices.Sort(list)
	return list
}

func find(t *testing.T, c report.Comparison, field, aspect string) report.Difference {
	t.Helper()
	for _, d := range c.Differences {
		if d.Field == field && d.Aspect == aspect {
			return d
		}
	}
	t.Fatalf("no difference in the %s of %s; there are %v", aspect, field, describe(c))
	return report.Difference{}
}

func describe(c report.Comparison) string {
	c.Latency = report.Latency{}
	for i := range c.Endpoints {
		c.Endpoints[i].Latency = report.Latency{}
	}
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func noise(c report.Comparison) map[string]string {
	m := map[string]string{}
	for _, n := range c.Noise {
		m[n.Field] = n.Type
	}
	return m
}

// uuid draws a UUID of version 4.
func uuid(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}

// shuffled writes the numbers below n in random order, as JSON.
func shuffled(r *rand.Rand, n int) string {
	return strings.ReplaceAll(fmt.Sprint(r.Perm(n)), " ", ",")
}
