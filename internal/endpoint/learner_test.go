package endpoint_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/endpoint"
)

func learner(t testing.TB, o endpoint.Options) *endpoint.Learner {
	t.Helper()
	l, err := endpoint.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// One path alone is enough to know these.
func TestAtOnce(t *testing.T) {
	for path, want := range map[string]string{
		"/":                "/",
		"":                 "/{other}",
		"*":                "*",
		"example.com:443":  "/{other}",
		"/users/123":       "/users/{id}",
		"/users/123?a=1/2": "/users/{id}",
		"/users/123#a":     "/users/{id}",
		"/users/123/":      "/users/{id}/",
		"//users//7":       "//users//{id}",
		"/Users/-1":        "/Users/{id}",
		"/a%20b/c%2Fd":     "/a%20b/c%2Fd",
		"/v1/users":        "/v1/users",
		"/api/v2.1/x":      "/api/v2.1/x",
		"/oauth2/s3-sync":  "/oauth2/s3-sync",
		"/2/tweets/1":      "/2/tweets/{id}",
		"/1.1/statuses/show/210462857140252672.json":               "/1.1/statuses/show/{id}.json",
		"/2010-04-01/Accounts/AC2a0747eba6abf96b7e3c3ff0b4530f6e":  "/2010-04-01/Accounts/{id}",
		"/x/f47ac10b-58cc-4372-a567-0e02b2c3d479":                  "/x/{id}",
		"/x/%7Bf47ac10b%7D":                                        "/x/%7Bf47ac10b%7D",
		"/x/urn:uuid:F47AC10B-58CC-4372-A567-0E02B2C3D479":         "/x/{id}",
		"/x/507f1f77bcf86cd799439011":                              "/x/{id}",
		"/commit/2c26b46b68ffc68ff99b453c1d30413413422d70":         "/commit/{id}",
		"/x/01ARZ3NDEKTSV4RRFFQ69G5FAV":                            "/x/{id}",
		"/x/0x1f":                                                  "/x/{id}",
		"/reports/2024-01-31":                                      "/reports/{id}",
		"/reports/2024-01-31T10:00:00Z":                            "/reports/{id}",
		"/reports/2024-01-31T10%3A00%3A00Z/csv":                    "/reports/{id}/csv",
		"/mail/a.b@example.com":                                    "/mail/{id}",
		"/mail/a.b%40example.com":                                  "/mail/{id}",
		"/hosts/10.0.0.1":                                          "/hosts/{id}",
		"/at/52.5,13.4":                                            "/at/{id}",
		"/v1/customers/cus_NffrFeUfNV2Hib":                         "/v1/customers/{id}",
		"/v1/customers/cus_NeZwdNtLEOXuvB/sources":                 "/v1/customers/{id}/sources",
		"/v1/charges/ch_3MmlLrLkdIwHu7ix0snN0B15/capture":          "/v1/charges/{id}/capture",
		"/v1/payment_intents/pi_3MtwBwLkdIwHu7ix28a3tqPa":          "/v1/payment_intents/{id}",
		"/v1/checkout/sessions":                                    "/v1/checkout/sessions",
		"/v1/billing_portal/configurations":                        "/v1/billing_portal/configurations",
		"/pods/web-7d4b9c6f58-x2x9z":                               "/pods/{id}",
		"/api/v1/namespaces/default/pods/web-7d4b9c6f58-x2x9z/log": "/api/v1/namespaces/default/pods/{id}/log",
		"/apis/apps/v1/namespaces/kube-system/deployments":         "/apis/apps/v1/namespaces/kube-system/deployments",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles":          "/apis/rbac.authorization.k8s.io/v1/clusterroles",
		"/repos/octocat/hello-world/issues/1347/comments":          "/repos/octocat/hello-world/issues/{id}/comments",
		"/repos/octocat/hello-world/git/trees/9fb037999f264ba9a7fc6274d15fa3ae2ab98312": "/repos/octocat/hello-world/git/trees/{id}",
		"/v1/projects/123:cancel":                     "/v1/projects/{id}:cancel",
		"/odata/Users(42)/Orders('A-7')":              "/odata/Users({id})/Orders({id})",
		"/list;page=2;sort=name/x;12":                 "/list;page={id};sort=name/x;{id}",
		"/app;jsessionid=7F3B2C1D9E8A":                "/app;jsessionid={id}",
		"/getUserByEmailAddress/authorizationServers": "/getUserByEmailAddress/authorizationServers",
		"/t/eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9": "/t/{id}",
		"/t/Zm9vYmFyMTIzNDU2Nzg5MA==":   "/t/{id}",
		"/w/" + strings.Repeat("w", 65): "/w/{id}",
		strings.Repeat("/a", 33):        "/{other}",
		strings.Repeat("/a", 32):        strings.Repeat("/a", 32),
	} {
		l := learner(t, endpoint.Options{})
		if got := l.Template("GET", path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestGRPC(t *testing.T) {
	l := learner(t, endpoint.Options{Distinct: 2})
	for i := range 20 {
		path := fmt.Sprintf("/pkg.v%d.Greeter/SayHello%d", i, i)
		if got := l.Template("POST", path); got != path {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := l.Template("POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"); !strings.HasSuffix(got, "Info") {
		t.Error(got)
	}
}

// change is one call of Widened.
type change struct{ Old, New string }

func TestNames(t *testing.T) {
	var changes []change
	l := learner(t, endpoint.Options{Distinct: 3, Widened: func(old, new string) { changes = append(changes, change{old, new}) }})
	for _, path := range []string{"/users/ann", "/users/ann/repos", "/users/bob/repos", "/users/cid", "/users/7", "/users/"} {
		want := strings.Replace(path, "7", "{id}", 1)
		if got := l.Template("GET", path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := l.Template("GET", "/users/dan/gists"); got != "/users/{id}/gists" {
		t.Error(got)
	}
	want := []change{
		{"/users/ann", "/users/{id}"},
		{"/users/cid", "/users/{id}"},
		{"/users/ann/repos", "/users/{id}/repos"},
		{"/users/bob/repos", "/users/{id}/repos"},
	}
	if d := cmp.Diff(want, changes); d != "" {
		t.Error(d)
	}
	for path, want := range map[string]string{
		"/users/ann": "/users/{id}", "/users/eve": "/users/{id}", "/users/eve/repos": "/users/{id}/repos", "/users/": "/users/",
	} {
		if got := l.Template("GET", path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if l.Len() != 4 {
		t.Errorf("%d templates, want 4", l.Len())
	}
}

// Names that look like values need fewer, and leave plain names alone.
func TestOddNames(t *testing.T) {
	l := learner(t, endpoint.Options{Distinct: 10})
	l.Template("GET", "/photos/search")
	for i, name := range []string{"a-01-b", "img_22.jpg", "x9y8"} {
		got := l.Template("GET", "/photos/"+name)
		if want := "/photos/" + name; i < 2 && got != want || i == 2 && got != "/photos/{id}" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for path, want := range map[string]string{
		"/photos/search": "/photos/search", "/photos/latest": "/photos/latest", "/photos/a-01-b": "/photos/{id}", "/photos/q-77-r": "/photos/{id}",
	} {
		if got := l.Template("GET", path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A scanner that tries names does not make one endpoint of a whole service.
func TestScanner(t *testing.T) {
	l := learner(t, endpoint.Options{})
	real := []string{"/users", "/orders", "/health", "/login"}
	for range 20 {
		for _, path := range real {
			l.Template("GET", path)
		}
	}
	for i := range 2000 {
		l.Template("GET", "/"+name(i))
	}
	for _, path := range real {
		if got := l.Template("GET", path); got != path {
			t.Errorf("%s became %s", path, got)
		}
	}
	if got := l.Template("GET", "/"+name(1)); got != "/{id}" || l.Len() > 10 {
		t.Errorf("a name that was tried has the template %s; %d templates", got, l.Len())
	}
}

// name is a word that no other number has.
func name(i int) string {
	var b []byte
	for i += 1000; i > 0; i /= 20 {
		b = append(b, "bcdfghjklmnpqrstvwxz"[i%20], 'a')
	}
	return string(b)
}

func TestRoom(t *testing.T) {
	l := learner(t, endpoint.Options{Max: 5})
	others := 0
	for i := range 20 {
		if l.Template("GET", fmt.Sprintf("/%s/%s", name(i/4), name(i))) == endpoint.Other {
			others++
		}
	}
	if l.Len() != 5 || others != 15 || l.Others() != 15 {
		t.Errorf("%d templates, %d others, %d counted", l.Len(), others, l.Others())
	}
	if got := l.Template("GET", "/"+name(0)+"/"+name(0)); got == endpoint.Other {
		t.Error("a known path is another")
	}
}

// The memory of a million exchanges over 10,000 paths is that of the first few.
func TestMemory(t *testing.T) {
	var paths []string
	for i := range 10_000 {
		switch resource := name(i % 20); i % 5 {
		case 0:
			paths = append(paths, fmt.Sprintf("/api/v1/%s/%d", resource, i))
		case 1:
			paths = append(paths, fmt.Sprintf("/api/v1/%s/%d/items/%d", resource, i/7, i))
		case 2:
			paths = append(paths, fmt.Sprintf("/api/v1/%s/by-name/%s", resource, name(i)))
		case 3:
			paths = append(paths, fmt.Sprintf("/files/%s/%s-%d.pdf", name(i), resource, i))
		default:
			paths = append(paths, fmt.Sprintf("/%s/%s", name(i), name(i/2)))
		}
	}
	l := learner(t, endpoint.Options{})
	random := rand.New(rand.NewPCG(1, 2))
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	most, after := 0, 0
	for i := range n {
		l.Template("GET", paths[random.IntN(len(paths))])
		most = max(most, l.Nodes())
		if i == n/2 {
			after = l.Nodes()
		}
	}
	if l.Nodes() > after || most > 4000 || l.Len() > 200 {
		t.Errorf("%d nodes, %d at half-time, %d at most; %d templates", l.Nodes(), after, most, l.Len())
	}
	t.Logf("%d nodes (at most %d), %d templates, %d others", l.Nodes(), most, l.Len(), l.Others())
}

// follow is the template that a template has become.
func follow(changes []change, template string) string {
	for _, c := range changes {
		if c.Old == template {
			template = c.New
		}
	}
	return template
}

// A path's template is always its earlier one, or what that was widened to.
func TestNeverNarrower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var changes []change
		widened := func(old, new string) { changes = append(changes, change{old, new}) }
		l, _ := endpoint.New(endpoint.Options{Distinct: 3, Max: 40, Widened: widened})
		type seen struct {
			template string
			at       int // changes when it was given
		}
		known := map[string]seen{}
		segment := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "", "1", "22", "x1y2", "p3q4", "7.json", "k;v=1", "1.1"})
		paths := rapid.SliceOfN(rapid.SliceOfN(segment, 1, 4), 1, 120).Draw(t, "paths")
		for i, segments := range paths {
			path := "/" + strings.Join(segments, "/")
			got := l.Template("GET", path)
			for p, s := range known {
				now := l.Template("GET", p)
				if want := follow(changes[s.at:], s.template); now != want && s.template != endpoint.Other {
					t.Fatalf("%s was %s, so it is to be %s, and is %s; changes %v", p, s.template, want, now, changes[s.at:])
				}
				known[p] = seen{now, len(changes)}
			}
			known[path] = seen{got, len(changes)}
			if i%40 == 39 { // what was saved and loaded goes on in the same way
				other, _ := endpoint.New(endpoint.Options{Distinct: 3, Max: 40, Widened: widened})
				state := l.State()
				other.Merge(state)
				if d := cmp.Diff(state, other.State()); d != "" || other.Len() != l.Len() {
					t.Fatal(d, other.Len(), l.Len())
				}
				l = other
			}
		}
	})
}

// Merged learners give every path what either of them gave, or wider.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var changes []change
		widened := func(old, new string) { changes = append(changes, change{old, new}) }
		a, _ := endpoint.New(endpoint.Options{Distinct: 3, Widened: widened})
		b, _ := endpoint.New(endpoint.Options{Distinct: 3})
		segment := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "1", "x1y2", "p3q4", "7.json"})
		paths := rapid.SliceOfN(rapid.SliceOfN(segment, 1, 4), 1, 40)
		learn := func(l *endpoint.Learner, paths [][]string) []string {
			var all []string
			for _, p := range paths {
				all = append(all, "/"+strings.Join(p, "/"))
				l.Template("GET", all[len(all)-1])
			}
			return all
		}
		before := map[string][]string{}
		for _, p := range learn(a, paths.Draw(t, "a")) {
			before[p] = []string{a.Template("GET", p)}
		}
		for _, p := range learn(b, paths.Draw(t, "b")) {
			before[p] = append(before[p], b.Template("GET", p))
		}
		changes = nil
		a.Merge(b.State())
		for p, was := range before {
			for _, w := range was {
				if got, want := a.Template("GET", p), follow(changes, w); got != want {
					t.Fatalf("%s was %s, so it is to be %s, and is %s; changes %v", p, w, want, got, changes)
				}
			}
		}
	})
}

func TestStateJSON(t *testing.T) {
	l := learner(t, endpoint.Options{Distinct: 3})
	for _, p := range []string{"/", "/a/x", "/a/y", "/a/z", "/a/w", "/b/a1b2", "/b/3", "/b/3", "/c"} {
		l.Template("GET", p)
	}
	l.Template("POST", "/a.B/C")
	text, err := json.Marshal(l.State())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"templates":[{"template":"/","hits":1},{"template":"/a/{id}","hits":4},{"template":"/b/a1b2","hits":1},` +
		`{"template":"/b/{id}","hits":2},{"template":"/c","hits":1}],"open":["/a"],"grpc":["/a.B/C"]}`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
}

func TestKnownPathsAllocateNothing(t *testing.T) {
	l := learner(t, endpoint.Options{Templates: []string{"/given/{a}/x"}})
	for _, path := range []string{"/users/123/orders", "/given/7/x", "/a/b/c", "/x/f47ac10b-58cc-4372-a567-0e02b2c3d479?q=1"} {
		l.Template("GET", path)
		if n := testing.AllocsPerRun(100, func() { l.Template("GET", path) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func BenchmarkTemplate(b *testing.B) {
	l := learner(b, endpoint.Options{})
	b.ReportAllocs()
	for b.Loop() {
		l.Template("GET", "/api/v1/users/123/orders/f47ac10b-58cc-4372-a567-0e02b2c3d479?q=1")
	}
}

// The endpoints of a service with users, collections and scanners come out as
// a person would name them.
func TestService(t *testing.T) {
	l := learner(t, endpoint.Options{})
	random := rand.New(rand.NewPCG(1, 2))
	popular := rand.NewZipf(random, 1.1, 10, 5000)
	user := func() string { return name(int(popular.Uint64())) }
	collections := func(i int) string { return "/v1/" + name(3*i) + "/" }
	routes := []func() string{
		func() string { return "/users/" + user() },
		func() string { return "/users/" + user() + "/repos" },
		func() string { return "/users/me" },
		func() string { return "/repos/" + user() + "/" + user() + "/issues" },
		func() string { return fmt.Sprintf("/repos/%s/%s/issues/%d", user(), user(), random.IntN(9999)) },
		func() string { return "/repos/" + user() + "/" + user() + "/pulls" },
		func() string { return "/search/" + []string{"code", "users", "issues"}[random.IntN(3)] },
		func() string { return "/health" },
		func() string { return collections(random.IntN(40)) + fmt.Sprint(random.IntN(1000)) },
		func() string { return "/" + name(random.IntN(100_000)) + ".php" },
	}
	for range 50_000 {
		l.Template("GET", routes[random.IntN(len(routes))]())
	}
	want := []string{
		"/health", "/repos/{id}/{id}/issues", "/repos/{id}/{id}/issues/{id}", "/repos/{id}/{id}/pulls", "/search/code", "/search/issues",
		"/search/users", "/users/me", "/users/{id}", "/users/{id}/repos", "/{id}",
	}
	for i := range 40 {
		want = append(want, collections(i)+"{id}")
	}
	var got []string
	for _, learnt := range l.State().Templates {
		got = append(got, learnt.Template)
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
