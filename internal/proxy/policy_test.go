package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// under puts the scene's route under a ShadowPolicy.
func (s *scene) under(t testing.TB, p policy.Policy) *scene {
	t.Helper()
	p.Name = "default/test"
	m, err := policy.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	s.policy = &structpb.Struct{Fields: map[string]*structpb.Value{policy.MetadataField: structpb.NewStructValue(m)}}
	return s
}

// copies is a shadow that keeps what it gets.
type copies struct {
	mu  sync.Mutex
	all []*http.Request
	raw []string // bodies
}

func (c *copies) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all, c.raw = append(c.all, r), append(c.raw, string(body))
}

// got is what has come so far, with its bodies.
func (c *copies) got() ([]*http.Request, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all), slices.Clone(c.raw)
}

func (c *copies) len() int {
	all, _ := c.got()
	return len(all)
}

func send(t testing.TB, addr, request string) {
	t.Helper()
	c := dial(t, addr)
	c.send(request)
	method, _, _ := strings.Cut(request, " ")
	if resp, body := c.response(method); resp.StatusCode != 200 {
		t.Fatalf("%d %q", resp.StatusCode, body)
	}
	_ = c.Close()
}

// A share above 100 % sends several copies: the ledger has one outcome for
// each request, and counts further copies beside it.
func TestPolicySendsSeveralCopies(t *testing.T) {
	shadow := &copies{}
	percent := 250.0
	s := newScene(backend(t, echo), backend(t, shadow.ServeHTTP)).under(t, policy.Policy{Sample: policy.Sample{Percent: &percent}})
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	const n = 200
	get(t, addr, n)
	eventually(t, "all copies", func() bool {
		m := p.Status().Ledger.Routes[0].Mirrors[0]
		return m.Outcomes["completed"] == n && m.Further["in_flight"] == 0 && m.Further["completed"] > 0
	})
	m := p.Status().Ledger.Routes[0].Mirrors[0]
	if got := int(m.Outcomes["completed"] + m.Further["completed"]); got != shadow.len() || got < 2*n+n/4 || got > 3*n-n/4 || m.Share != 2.5 {
		t.Errorf("%d copies in the ledger, %d at the shadow, of %d requests with share %v", got, shadow.len(), n, m.Share)
	}
}

// A key makes the share sticky: all requests of a user are mirrored, or none.
func TestPolicyKeysAreSticky(t *testing.T) {
	half := 50.0
	for name, tt := range map[string]struct {
		key   policy.Key
		field string
	}{
		"header": {policy.Key{Kind: policy.KeyHeader, Name: "x-user"}, "X-User: %s"},
		"cookie": {policy.Key{Kind: policy.KeyCookie, Name: "user"}, "Cookie: a=b; user=%s; superuser=1"},
	} {
		t.Run(name, func(t *testing.T) {
			shadow := &copies{}
			s := newScene(backend(t, echo), backend(t, shadow.ServeHTTP)).under(t, policy.Policy{Sample: policy.Sample{Percent: &half, Key: tt.key}})
			p, addr := serve(t, s, proxy.Options{Concurrency: 1})
			const users, each = 40, 5
			for range each {
				for user := range users {
					send(t, addr, "GET /"+fmt.Sprint(user)+" HTTP/1.1\r\nHost: x\r\n"+fmt.Sprintf(tt.field, fmt.Sprint("u", user))+"\r\n\r\n")
				}
			}
			eventually(t, "all copies", func() bool {
				return outcome(p, 0, "completed")+outcome(p, 0, "not_sampled") == users*each
			})
			count := map[string]int{}
			all, _ := shadow.got()
			for _, r := range all {
				count[r.URL.Path]++
			}
			for path, n := range count {
				if n != each {
					t.Errorf("user %s: %d copies of %d requests", path, n, each)
				}
			}
			if len(count) < users/5 || len(count) > users*4/5 {
				t.Errorf("%d of %d users are mirrored", len(count), users)
			}
		})
	}
}

// Methods, the expression and the rate leave requests out, each with its own
// outcome, and the hash decides before them.
func TestPolicyFilters(t *testing.T) {
	shadow := &copies{}
	s := newScene(backend(t, echo), backend(t, shadow.ServeHTTP)).under(t, policy.Policy{Sample: policy.Sample{
		Methods: []string{"GET"}, Match: `request.headers["x-user"].startsWith("a") || request.url_path == "/rate"`, Rate: 1e-6,
	}})
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	send(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nX-User: anna\r\nContent-Length: 0\r\n\r\n") // filtered
	send(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nX-User: bert\r\n\r\n")                       // filtered
	send(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")                                       // filtered: no such header
	send(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nX-User: anna\r\n\r\n")
	send(t, addr, "GET /rate HTTP/1.1\r\nHost: x\r\n\r\n") // one in eleven days
	eventually(t, "all outcomes", func() bool {
		return outcome(p, 0, "filtered") == 3 && outcome(p, 0, "completed") == 1 && outcome(p, 0, "not_sampled") == 1
	})
	if n := shadow.len(); n != 1 {
		t.Errorf("%d copies", n)
	}
}

// A copy's path is rewritten, and its secrets never reach the shadow, neither
// of the head nor of a JSON body. A body that cannot be read is not sent.
func TestPolicyRewritesCopies(t *testing.T) {
	shadow := &copies{}
	var primaries copies
	s := newScene(backend(t, primaries.ServeHTTP), backend(t, shadow.ServeHTTP)).under(t, policy.Policy{Request: policy.Request{
		Path: &policy.Path{Prefix: "/api", Replacement: "/v2"},
		Redact: policy.Redact{
			Headers: []string{"authorization"}, Cookies: []string{"session"}, Query: []string{"token"}, JSON: []string{"$.user.email"},
		},
	}})
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	const head = "POST /api/x?a=1&token=hidden1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hidden2\r\nCookie: a=b; session=hidden3\r\nContent-Type: application/json\r\n"
	body := `{"user": {"email": "hidden4", "name": "anna"}}`
	send(t, addr, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body))
	send(t, addr, fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(body), body))
	wantCompleted(t, p, 2)
	send(t, addr, fmt.Sprintf("%sContent-Length: 9\r\n\r\n{\"hidden5", head))
	eventually(t, "the copy that cannot be redacted", func() bool { return outcome(p, 0, "unsupported") == 1 })
	if n := shadow.len(); n != 2 {
		t.Fatalf("%d copies", n)
	}
	firsts, bodies := primaries.got()
	if bodies[0] != body || firsts[0].URL.String() != "/api/x?a=1&token=hidden1" || firsts[0].Header.Get("Authorization") != "Bearer hidden2" {
		t.Errorf("the primary got %s with %q", firsts[0].URL, bodies[0])
	}
	requests, raw := shadow.got()
	for i, r := range requests {
		var all bytes.Buffer
		_ = r.Header.Write(&all)
		text := r.URL.String() + all.String() + raw[i]
		if strings.Contains(text, "hidden") {
			t.Errorf("a secret is in %s", text)
		}
		if !strings.HasPrefix(r.URL.String(), "/v2/x?a=1&token=sd_") || !strings.Contains(raw[i], `"name": "anna"`) {
			t.Errorf("the shadow got %s", text)
		}
		if raw[i] != raw[0] {
			t.Error("the same secret has two pseudonyms")
		}
	}
}

// compared is a settled exchange as a sink saw it.
type compared struct {
	request, primary string
	server           string // header of the primary's answer as it came
	shadows          map[traffic.Role]string
	clusters         []string
}

// watcher is a sink that copies what it sees.
type watcher struct {
	mu  sync.Mutex
	all []compared
}

func (*watcher) Enabled() bool { return true }

func (w *watcher) Offer(ev traffic.Event, e *traffic.Exchange) bool {
	if ev != traffic.Settled || !e.Compared {
		return true
	}
	server, _ := e.Received.Get("server")
	s := compared{
		request: string(e.RequestBody.Bytes), primary: string(e.Primary.Body.Bytes), server: string(server), shadows: map[traffic.Role]string{},
	}
	for i := range e.Shadows {
		a := &e.Shadows[i]
		s.shadows[a.Role] = fmt.Sprintf("%s %v", a.Body.Bytes, a.Body.Cut)
		s.clusters = append(s.clusters, a.Cluster)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, s)
	return true
}

func (w *watcher) seen() []compared {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// A route whose answers are compared hands over all bodies, those of its
// candidate, of its baseline and of the primary, asked again; the order in which the
// copies go out is a random one.
func TestComparedExchanges(t *testing.T) {
	says := func(what string) string {
		return backend(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", "of "+what)
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", what, r.Host, body)
		})
	}
	s := newScene(says("primary"), says("candidate"), says("baseline")).under(t, policy.Policy{Compare: policy.Compare{
		Enabled: true, MaxBody: 40, Baseline: policy.Baseline{Cluster: "shadow1", Again: 1},
	}})
	sink := &watcher{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	const n = 40
	get(t, addr, n)
	eventually(t, "all exchanges", func() bool { return len(sink.seen()) == n })
	first := map[string]int{}
	for _, e := range sink.seen() {
		want := map[traffic.Role]string{
			traffic.Candidate: "candidate x-shadow  false", traffic.Baseline: "baseline x-shadow  false", traffic.Again: "primary x  false",
		}
		if e.primary != "primary x " || e.server != "of primary" || fmt.Sprint(e.shadows) != fmt.Sprint(want) {
			t.Fatalf("%+v", e)
		}
		first[e.clusters[0]]++
	}
	if len(first) != 3 {
		t.Errorf("these go out first: %v", first)
	}
	send(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n"+strings.Repeat("x", 30))
	eventually(t, "the last", func() bool { return len(sink.seen()) == n+1 })
	last := sink.seen()[n]
	if last.request != strings.Repeat("x", 30) || last.shadows[traffic.Candidate] != "candidate x-shadow "+strings.Repeat("x", 21)+" true" {
		t.Errorf("%+v", last)
	}
	if _, again := last.shadows[traffic.Again]; again {
		t.Error("the primary was asked to POST again")
	}
	mirrors := p.Status().Ledger.Routes[0].Mirrors
	i := slices.IndexFunc(mirrors, func(m mirror.MirrorReport) bool { return m.Cluster == "again" })
	if i < 0 || mirrors[i].Outcomes["completed"] != n || mirrors[i].Outcomes["filtered"] != 1 {
		t.Errorf("the ledger: %+v", mirrors)
	}
}

// However many mismatches are confirmed, the primary is asked again for samples:
// each of both has half of the allowance.
func TestConfirmationsLeaveSamples(t *testing.T) {
	s := newScene(backend(t, func(http.ResponseWriter, *http.Request) {}), backend(t, func(http.ResponseWriter, *http.Request) {})).
		under(t, policy.Policy{Compare: policy.Compare{Enabled: true, MaxBody: 40, Baseline: policy.Baseline{Again: 1, AgainRate: 0.01}}})
	var compared []proxy.Compared
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: &watcher{}, Comparing: func(all []proxy.Compared) { compared = all }})
	key := compared[0].RouteKey
	if !p.MayAsk(key, 2) || p.MayAsk(key, 2) {
		t.Fatal("the allowance of confirmations is not that of one")
	}
	get(t, addr, 5)
	eventually(t, "one sample", func() bool {
		mirrors := p.Status().Ledger.Routes[0].Mirrors
		i := slices.IndexFunc(mirrors, func(m mirror.MirrorReport) bool { return m.Cluster == "again" })
		return i >= 0 && mirrors[i].Outcomes["completed"] == 1 && mirrors[i].Outcomes["not_sampled"] == 4
	})
}

// Both sides of a route can be asked again, which the ledger does not count.
func TestAsk(t *testing.T) {
	says := func(what string) string {
		return backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s %s", what, r.Host, r.URL) })
	}
	s := newScene(says("primary"), says("candidate")).under(t, policy.Policy{
		Request: policy.Request{Redact: policy.Redact{Query: []string{"token"}}},
		Compare: policy.Compare{Enabled: true, MaxBody: 100, Baseline: policy.Baseline{Again: 1e-9}},
	})
	p, addr := serve(t, s, proxy.Options{Concurrency: 2})
	get(t, addr, 1)
	eventually(t, "the copy", func() bool { return outcome(p, 1, "completed") == 1 })
	key := p.Status().Ledger.Routes[0].Route
	var head traffic.Head
	head.Reset()
	head.SetMethod([]byte("GET"))
	head.SetAuthority([]byte("x"))
	head.SetPath([]byte("/?token=hidden"))
	for cluster, want := range map[string]string{"primary": "primary x /?token=hidden", "shadow0": "candidate x-shadow /?token=sd_"} {
		a, err := p.Ask(t.Context(), proxy.Question{RouteKey: key, Cluster: cluster, Request: &head, Keep: 100})
		if err != nil || a.Outcome != traffic.Completed || a.Response.Status != 200 || !strings.HasPrefix(string(a.Body.Bytes), want) {
			t.Errorf("%s: %v %+v %q", cluster, err, a, a.Body.Bytes)
		}
	}
	if _, err := p.Ask(t.Context(), proxy.Question{RouteKey: key, Cluster: "none", Request: &head}); err == nil {
		t.Error("a cluster that is not there answers")
	}
	head.SetMethod([]byte("POST"))
	if _, err := p.Ask(t.Context(), proxy.Question{RouteKey: key, Cluster: "primary", Request: &head}); err == nil {
		t.Error("a POST is asked again")
	}
	if l := p.Status().Ledger; l.Forwarded != 1 || outcome(p, 1, "completed") != 1 {
		t.Errorf("the ledger: %+v", l)
	}
}
