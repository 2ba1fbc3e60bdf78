package judge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestLatency: an endpoint that is slower than the limit allows is found, and no
// other; without a fair baseline there is no verdict.
func TestLatency(t *testing.T) {
	slow := func(factor float64) service {
		return func(r *rand.Rand, q *request) reply {
			d := (2 + r.ExpFloat64()) * float64(10*time.Millisecond)
			if q.path == "/slow" {
				d *= factor
			}
			return reply{body: `{}`, duration: time.Duration(d)}
		}
	}
	paths := func(i int) request { return request{method: "GET", path: []string{"/slow", "/fast"}[i%2]} }
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary, s.shadow, s.baseline = slow(1), slow(1.2), slow(1)
		s.send(3000, paths)
		c := s.report()
		if diff := cmp.Diff([]string{"GET /slow latency latency"}, differences(c, report.Proven)); diff != "" {
			t.Error(diff)
		}
		for _, e := range c.Endpoints {
			if (e.Latency.Verdict == report.LatencySlower) != (e.Path == "/slow") || (e.Verdict.State == report.Different) != (e.Path == "/slow") {
				t.Errorf("%s: %+v, %+v", e.Path, e.Latency, e.Verdict)
			}
			if len(e.Latency.Quantiles) != 3 || e.Latency.Against != report.AgainstBaseline || e.Latency.Warning != "" {
				t.Errorf("%s: %+v", e.Path, e.Latency)
			}
			if q := e.Latency.Quantiles[0]; e.Path == "/slow" && (q.Ratio.Low > 1.2 || q.Ratio.High < 1.2 || q.Candidate.Estimate < 25 || q.Candidate.Estimate > 45) {
				t.Errorf("the median is %+v", q)
			}
		}
		if c.Verdict.State != report.Different {
			t.Errorf("the verdict is %+v", c.Verdict)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, policy.Compare{Epsilon: 0.01, Alpha: 0.01, MaxLatencyRatio: 1.05})
		s.primary, s.shadow = slow(1), slow(3)
		s.send(1500, paths)
		c := s.report()
		if c.Verdict.State != report.Equivalent || c.Latency.Verdict != report.LatencyUndecided || c.Latency.Warning == "" || c.Latency.Against != report.AgainstPrimary {
			t.Errorf("without a baseline: %+v, %+v", c.Verdict, c.Latency)
		}
	})
}

// TestPredictors: the feature that tells where the difference is, and no other.
func TestPredictors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary = func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"n":%d}`, q.n)} }
		s.baseline = s.primary
		s.shadow = func(_ *rand.Rand, q *request) reply {
			if strings.Contains(q.path, "verbose") {
				return reply{body: fmt.Sprintf(`{"n":%d}`, -q.n)}
			}
			return reply{body: fmt.Sprintf(`{"n":%d}`, q.n)}
		}
		s.send(400, func(i int) request {
			q := request{method: "GET", path: fmt.Sprintf("/items/%d?page=%d", i, i%3), headers: []string{"user-agent", "curl/8.1", "accept-language", []string{"de", "en"}[i%2]}}
			if i%5 == 2 {
				q.path += "&verbose=true"
			}
			return q
		})
		d := find(t, s.report(), "body.n", "value")
		want := []report.Predictor{{Feature: `query "verbose" is set`, With: 1}, {Feature: "query verbose=true", With: 1}}
		if diff := cmp.Diff(want, d.Predictors); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCurl: the command of an example is one for a shell, and says what was asked.
func TestCurl(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no shell")
	}
	for _, test := range []struct {
		request request
		want    []string // arguments, then the input
	}{
		{
			request{method: "GET", path: "/a?x=[1]&y='$(id)'", headers: []string{"accept", "*/*", "x-note", "it's `x` $HOME \\ \"q\""}},
			[]string{"http://shop.example/a?x=[1]&y='$(id)'", "-H", "accept: */*", "-H", "x-note: it's `x` $HOME \\ \"q\"", "-H", "user-agent:"},
		},
		{
			request{method: "POST", path: "/a", body: "{\"a\":\n\"'\"}", headers: []string{"content-type", "application/json", "x-empty", ""}},
			[]string{"http://shop.example/a", "-H", "content-type: application/json", "-H", "x-empty;", "-H", "accept:", "-H", "user-agent:", "--data-binary", "{\"a\":\n\"'\"}"},
		},
		{
			request{method: "PUT", path: "/a", body: "@/etc/passwd"},
			[]string{"-X", "PUT", "http://shop.example/a", "-H", "accept:", "-H", "user-agent:", "-H", "content-type:", "--data-binary", "@-", "<@/etc/passwd"},
		},
		{
			request{method: "PUT", path: "/a", body: "\x00\xff'"},
			[]string{"-X", "PUT", "http://shop.example/a", "-H", "accept:", "-H", "user-agent:", "-H", "content-type:", "--data-binary", "@-", "<\x00\xff'"},
		},
		{request{method: "HEAD", path: "/a"}, []string{"--head", "http://shop.example/a", "-H", "accept:", "-H", "user-agent:"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newScene(t, judge.Options{}, mirrored())
			s.primary = func(*rand.Rand, *request) reply { return reply{status: 200} }
			s.shadow = func(*rand.Rand, *request) reply { return reply{status: 500} }
			s.send(1, func(int) request { return test.request })
			d := find(t, s.report(), "status", "value")
			script := `curl() { printf '%s\0' "$@"; case " $* " in *" @- "*) printf '<'; cat; printf '\0';; esac; }; ` + d.Example.Curl
			out, err := exec.Command("sh", "-c", script).Output()
			if err != nil {
				t.Fatalf("%s: %v", d.Example.Curl, err)
			}
			want := strings.Join(append([]string{"-sS", "-g", "--path-as-is"}, test.want...), "\x00") + "\x00"
			if diff := cmp.Diff(want, string(out)); diff != "" {
				t.Errorf("%s: %s", d.Example.Curl, diff)
			}
		})
	}
}

// TestExampleIsTheSmallest, and cut, and of readable text.
func TestExampleIsTheSmallest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		body := func(q *request, n int) string {
			return fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, strings.Repeat("ü", 10000-1000*(q.n%4)))
		}
		s.primary = func(_ *rand.Rand, q *request) reply { return reply{body: body(q, 1)} }
		s.shadow = func(_ *rand.Rand, q *request) reply { return reply{body: body(q, 2)} }
		s.send(8, get("/items"))
		e := find(t, s.report(), "body.n", "value").Example
		if e.ID != "request-3" || e.From != "1" || e.To != "2" || e.Method != "GET" || e.URL != "http://shop.example/items" {
			t.Errorf("the example is %+v", e)
		}
		if n := len(e.Primary.Body); n < 4000 || n > 4096 || e.Primary.Size != int64(len(body(&request{n: 3}, 1))) {
			t.Errorf("it shows %d bytes of %d", n, e.Primary.Size)
		}
	})
}

// TestAspectsShowTheirOwn: where elements differ in more than one way, each
// aspect has its own values, and a length is called one.
func TestAspectsShowTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary = func(*rand.Rand, *request) reply { return reply{body: `{"items":["one","two"]}`} }
		s.baseline = s.primary
		s.shadow = func(*rand.Rand, *request) reply { return reply{body: `{"items":["red","two","blue"]}`} }
		s.send(20, get("/items"))
		c := s.report()
		for _, want := range [][4]string{
			{"body.items", "value", "length 2", "length 3"},
			{"body.items[]", "value", "one", "red"},
			{"body.items[]", "presence", "(absent)", "blue"},
		} {
			d := find(t, c, want[0], want[1])
			if len(d.Transitions) != 1 || d.Transitions[0].From != want[2] || d.Transitions[0].To != want[3] || d.Example.From != want[2] || d.Example.To != want[3] {
				t.Errorf("want %q: %+v, %+v", want, d.Transitions, d.Example)
			}
		}
	})
}

// TestNoSecretLeaves: neither the report nor the state nor the counters hold
// what the policy wants redacted, wherever an answer repeats it.
func TestNoSecretLeaves(t *testing.T) {
	const secret = "hunter2-s3cret"
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		s := newScene(t, judge.Options{Asker: a}, asking())
		a.scene = s
		r := routeOf(asking())
		r.Policy.Request.Redact = policy.Redact{
			Headers: []string{"authorization"}, Cookies: []string{"session"}, Query: []string{"token"}, JSON: []string{"$.user.password"},
		}
		if err := s.judge.Configure([]judge.Route{r}); err == nil {
			t.Fatal("redaction without a key is taken")
		}
		r.RedactKey = bytes.Repeat([]byte("k"), 32)
		if err := s.judge.Configure([]judge.Route{r}); err != nil {
			t.Fatal(err)
		}
		echo := func(n int) service {
			return func(_ *rand.Rand, q *request) reply {
				return reply{
					headers: []string{"set-cookie", "session=" + secret, "location", "/next?token=" + secret, "x-echo", secret},
					body:    fmt.Sprintf(`{"n":%d,"user":{"password":"%s"},"echo":"you sent %s"}`, n, secret, secret),
				}
			}
		}
		s.primary, s.shadow = echo(1), echo(2)
		for _, method := range []string{"GET", "POST"} {
			s.send(20, func(i int) request {
				return request{
					method: method, path: "/login/?token=" + secret, body: `{"user":{"password":"` + secret + `"}}`,
					headers: []string{"authorization", "Bearer " + secret, "cookie", "a=b; session=" + secret, "content-type", "application/json"},
				}
			})
		}
		s.send(1, func(int) request { // cannot be read, so nothing is known of its secrets
			return request{method: "POST", path: "/", body: `{"user":{"password":"` + secret, headers: []string{"content-type", "application/json"}}
		})
		c := s.report()
		if c.Account.Compared != 40 || c.Account.NotComparable["redaction_failed"] != 1 || len(c.Differences) == 0 || s.judge.Stats().Asked == 0 {
			t.Fatalf("%+v, %+v", c.Account, s.judge.Stats())
		}
		var out bytes.Buffer
		if err := json.NewEncoder(&out).Encode(s.judge.Report()); err != nil {
			t.Fatal(err)
		}
		if err := s.judge.Save(&out); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(&out, s.judge.Stats())
		if bytes.Contains(out.Bytes(), []byte(secret)) {
			i := bytes.Index(out.Bytes(), []byte(secret))
			t.Errorf("a secret is in it: %s", out.Bytes()[max(0, i-200):i+40])
		}
	})
}

// TestEqualBodies: bodies that are equal are not all looked into, but shapes are known.
func TestEqualBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary = func(*rand.Rand, *request) reply { return reply{body: `{"n":[1,2,3]}`} }
		s.shadow, s.baseline = s.primary, s.primary
		s.send(2000, get("/items"))
		c := s.report()
		if c.Account.Equal != 2000 || len(c.Differences) != 0 || c.Coverage.Shapes != 1 || c.Verdict.State != report.Equivalent {
			t.Errorf("%+v, %d shapes, %+v", c.Account, c.Coverage.Shapes, c.Verdict)
		}
	})
}

// TestTwoCandidates of one route have accounts and verdicts of their own.
func TestTwoCandidates(t *testing.T) {
	const other = "outbound|80|v3|shop"
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		r := routeOf(mirrored())
		r.Candidates = append(r.Candidates, other)
		if err := s.judge.Configure([]judge.Route{r}); err != nil {
			t.Fatal(err)
		}
		s.primary = func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"n":%d}`, q.n)} }
		s.shadow, s.baseline = s.primary, s.primary
		for i := range 60 {
			e := s.exchange(&request{method: "GET", path: "/items"})
			if i%2 == 0 {
				b := e.AddShadow()
				fill(b, other, reply{body: `{"n":-1}`})
			}
			s.judge.Offer(traffic.Settled, e)
		}
		synctest.Wait()
		all := s.judge.Report().Comparisons
		if len(all) != 2 || all[0].Candidate != candidate || all[1].Candidate != other {
			t.Fatalf("%d comparisons", len(all))
		}
		balance(t, all[0], 60)
		balance(t, all[1], 30)
		if len(differences(all[0], report.Proven)) != 0 || len(differences(all[1], report.Proven)) != 1 {
			t.Errorf("%v and %v", differences(all[0], report.Proven), differences(all[1], report.Proven))
		}
	})
}

// TestEndpointsWiden: when names turn out to be a parameter, their counts come together.
func TestEndpointsWiden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		s.primary = func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"n":%d}`, q.n)} }
		s.baseline = s.primary
		s.shadow = func(_ *rand.Rand, q *request) reply {
			if q.n%10 == 0 {
				return reply{body: `{"n":-1}`}
			}
			return reply{body: fmt.Sprintf(`{"n":%d}`, q.n)}
		}
		name := func(i int) string { return "/by/" + string([]byte{byte('a' + i%26), byte('a' + i/26), 'x', 'y'}) }
		s.send(200, func(i int) request { return request{method: "GET", path: name(i)} })
		c := s.report()
		balance(t, c, 200)
		if len(c.Endpoints) != 1 || c.Endpoints[0].Path != "/by/{id}" {
			t.Errorf("%d endpoints, the first is %s", len(c.Endpoints), c.Endpoints[0].Path)
		}
		if d := find(t, c, "body.n", "value"); d.OnlyCandidate != 20 || d.State != report.Proven || d.Exchanges != 200 {
			t.Errorf("%+v", d)
		}
	})
}

// TestLargeIntegers: an id that is always the next one is another id, however
// near both numbers are; bytes that are no text are shown by their numbers.
func TestLargeIntegers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mirrored()
		p.Baseline = policy.Baseline{}
		s := newScene(t, judge.Options{}, p)
		s.primary = func(*rand.Rand, *request) reply { return reply{body: "{\"id\":9007199254740992,\"text\":\"a\xfc\"}"} }
		s.shadow = func(*rand.Rand, *request) reply { return reply{body: "{\"id\":9007199254740993,\"text\":\"a\xfd\"}"} }
		s.send(200, get("/items"))
		c := s.report()
		if d := find(t, c, "body.id", "value"); d.State != report.Suspected || c.Counts.Alone.Different != 200 {
			t.Errorf("%+v, %+v", d, c.Counts)
		}
		if d := find(t, c, "body.text", "value"); d.Transitions[0].From != `a\xfc` || d.Transitions[0].To != `a\xfd` {
			t.Errorf("%+v", d.Transitions)
		}
	})
}

// TestWhatFollowsFromTheStatus: a report tells a cause from what only comes with
// it, and has causes first.
func TestWhatFollowsFromTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, judge.Options{}, mirrored())
		good := func(*rand.Rand, *request) reply { return reply{body: `{"id":7,"price":10}`} }
		s.primary, s.baseline = good, good
		s.shadow = func(_ *rand.Rand, q *request) reply {
			switch {
			case q.n%3 == 0:
				return reply{status: 500, body: `{"error":"no such column"}`, headers: []string{"retry-after", "1"}}
			case q.n%7 == 0:
				return reply{body: `{"id":7,"price":11}`}
			}
			return reply{body: `{"id":7,"price":10}`}
		}
		s.send(300, get("/items"))
		c := s.report()
		var causes, followers []string
		for _, d := range c.Differences {
			name := d.Field + " " + d.Aspect
			switch {
			case d.Follows():
				followers = append(followers, name)
			case len(followers) > 0:
				t.Errorf("%s comes after what follows: %v", name, followers)
			default:
				causes = append(causes, name)
			}
		}
		slices.Sort(causes)
		slices.Sort(followers)
		if diff := cmp.Diff([]string{"body.price value", "status value"}, causes); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"body.error presence", "body.id presence", "body.price presence", "header.retry-after presence"}, followers); diff != "" {
			t.Error(diff)
		}
		if got := c.Headline(); !strings.Contains(got, "5 more differences, 4 of them only where a status differs") {
			t.Error(got)
		}
	})
}
