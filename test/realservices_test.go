package test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/report"
)

// docs/comparing-real-services.md tells of these tests.

// finding is a field of an endpoint that differs.
type finding struct{ path, field string }

// httpbinPaths are what go-httpbin answers to a GET.
var httpbinPaths = []string{
	"/get", "/get?page=%d", "/headers", "/ip", "/uuid", "/json", "/user-agent", "/anything/a?page=%d", "/base64/aGVsbG8=", "/bytes/32",
	"/bytes/64?seed=%d", "/cookies", "/deflate", "/gzip", "/encoding/utf8", "/etag/abc", "/html", "/links/5/1", "/range/26",
	"/response-headers?x=%d", "/status/418", "/stream/3", "/unstable", "/xml", "/hostname", "/deny", "/robots.txt", "/redirect-to?url=/get",
	"/bearer", "/delay/0.01",
}

// TestOneVersionIsEquivalent: of three processes of go-httpbin nothing is proven,
// although many of its answers are never the same.
func TestOneVersionIsEquivalent(t *testing.T) {
	bin := goHTTPBin(t, "2.9")
	p, c := compareServices(t, bin(), bin(), bin(), 2000, func(r *rand.Rand) string { return pick(r, httpbinPaths) })
	if got := proven(c); len(got) > 0 {
		t.Errorf("proven of one version: %v", got)
	}
	noise := map[finding]string{}
	for _, n := range c.Noise {
		noise[finding{n.Path, n.Field}] = n.Type
	}
	for _, want := range []finding{{"/uuid", "body.uuid"}, {"/unstable", "status"}, {"/bytes/{id}", "body"}} {
		if noise[want] == "" {
			t.Errorf("%v is not known to vary by itself; that is: %v", want, noise)
		}
	}
	if noise[finding{"/uuid", "body.uuid"}] != "uuid" {
		t.Errorf("noise is %v", noise)
	}
	p.verdict("0.5%", 0)
}

// TestChangeLogOfHTTPBin has go-httpbin 2.8.0 against 2.9.0, whose release notes
// say: answers that tell of the request have its method from now on, and "data"
// is the empty string if there was no body.
func TestChangeLogOfHTTPBin(t *testing.T) {
	before, after := goHTTPBin(t, "2.8"), goHTTPBin(t, "2.9")
	p, c := compareServices(t, before(), before(), after(), 1500, func(r *rand.Rand) string { return pick(r, httpbinPaths) })
	wantFindings(t, c, []finding{
		{"/anything/a", "body.data"},
		{"/anything/a", "body.method"},
		{"/deflate", "body.method"},
		{"/delay/{id}", "body.data"}, // answers as /anything does
		{"/delay/{id}", "body.method"},
		{"/etag/abc", "body.method"}, // answers as /get does
		{"/get", "body.method"},
		{"/gzip", "body.method"},
	})
	p.verdict("0.5%", 1)
}

// TestChangeLogOfDatasette has Datasette 1.0a13 against 1.0a14, whose change log
// says: ?sql= of a database redirects to /-/query, names of tables and rows that
// are not there are not repeated in the answer, and metadata is kept elsewhere.
func TestChangeLogOfDatasette(t *testing.T) {
	db := shop(t)
	before, after := datasette(t, "1.0a13", db), datasette(t, "1.0a14", db)
	p, c := compareServices(t, before(), before(), after(), 800, func(r *rand.Rand) string {
		return pick(r, []string{
			"/shop/items.json?_size=5", "/shop/items.json?stock=%d&_size=3", "/shop/items/%d.json", "/shop/items/%d.json", "/shop/items/1%d.json",
			"/shop/items.csv?_size=3&stock=%d", "/shop/places.json?_shape=array", "/shop.json", "/shop.json?sql=select+%d",
			"/shop/orders.json", "/-/settings.json", "/-/databases.json",
		})
	})
	c.Differences = slices.DeleteFunc(c.Differences, func(d report.Difference) bool {
		return d.Field == "body.query_ms" || d.Field == "latency" // 1.0a14 also takes longer, which shows in some runs
	})
	wantFindings(t, c, []finding{
		{"/shop.json", "body"}, // the redirect has none
		{"/shop.json", "body.metadata"},
		{"/shop.json", "header.content-type"},
		{"/shop.json", "header.location"},
		{"/shop.json", "status"},
		{"/shop/items/{id}.json", "body.error"},
		{"/shop/orders.json", "body.error"},
	})
	for _, d := range c.Differences {
		if d.Field != "status" {
			continue
		}
		if len(d.Transitions) != 1 || d.Transitions[0].From != "200" || d.Transitions[0].To != "302" {
			t.Errorf("statuses: %v", d.Transitions)
		}
		if !slices.ContainsFunc(d.Predictors, func(p report.Predictor) bool {
			return p.Feature == `query "sql" is set` && p.With == 1 && p.Without == 0
		}) {
			t.Errorf("what predicts the redirect: %v", d.Predictors)
		}
	}
	p.verdict("0.5%", 1)
}

// compared is a sundog that compares.
type compared struct{ *process }

// verdict wants an exit code of sundog verdict.
func (p compared) verdict(maxDiff string, code int) {
	p.t.Helper()
	admin := p.find(&p.err, `msg="admin interface" address=(\S+)`)
	v := start(p.t, exec.Command(os.Getenv(binaryVariable), "verdict", "--admin", admin, "--max-diff", maxDiff))
	if got := v.wait(); got != code {
		p.t.Errorf("the exit code of sundog verdict is %d, want %d: %s%s", got, code, &v.out, &v.err)
	}
}

// compareServices sends n requests, one at a time, and waits until all of them
// are compared.
func compareServices(t *testing.T, primary, baseline, candidate string, n int, path func(*rand.Rand) string) (compared, report.Comparison) {
	t.Helper()
	p := sundog(t, "mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--compare", "--shadow-host-suffix=false",
		"--primary", "http://"+primary, "--baseline", "http://"+baseline, "--shadow", "http://"+candidate)
	address := p.listener("127.0.0.1_0")
	visitor := client(t, "")
	visitor.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	choice := rand.New(rand.NewPCG(1, 2))
	for range n {
		if _, _, err := exchange(visitor, get(t, "http://"+address+path(choice))()); err != nil {
			t.Fatal(err)
		}
	}
	var r report.Report
	defer func() {
		if t.Failed() {
			_, ledger := p.get("/ledger")
			t.Logf("%+v\n%s", r, ledger)
		}
	}()
	eventually(t, "all is accounted for", func() bool {
		p.getJSON("/report", &r)
		return len(r.Comparisons) == 1 && r.Comparisons[0].Account.Offered == uint64(n) && r.Comparisons[0].Account.Waiting == 0
	})
	c := r.Comparisons[0]
	if c.Account.Compared < uint64(n)*99/100 { // on a busy machine some come too late, or too fast
		t.Errorf("compared: %+v", c.Account)
	}
	t.Logf("%+v", c.Account)
	return compared{p}, c
}

// pick is one of the paths, a number in it filled in.
func pick(r *rand.Rand, paths []string) string {
	path := paths[r.IntN(len(paths))]
	if slices.Contains([]byte(path), '%') {
		return fmt.Sprintf(path, r.IntN(50))
	}
	return path
}

func proven(c report.Comparison) (all []finding) {
	for _, d := range c.Differences {
		if d.State == report.Proven {
			all = append(all, finding{d.Path, d.Field})
		}
	}
	slices.SortFunc(all, func(a, b finding) int { return slices.Compare([]string{a.path, a.field}, []string{b.path, b.field}) })
	return slices.Compact(all)
}

func wantFindings(t *testing.T, c report.Comparison, want []finding) {
	t.Helper()
	if diff := cmp.Diff(want, proven(c), cmp.AllowUnexported(finding{})); diff != "" {
		t.Errorf("what is proven (-want +got):\n%s", diff)
	}
}

// goHTTPBin builds a version of go-httpbin; the function starts it.
func goHTTPBin(t *testing.T, version string) func() (address string) {
	binary := peer(t, "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin", "-modfile=httpbin-"+version+".mod")
	return func() string {
		return listening(t, func(address string) *exec.Cmd {
			host, port, err := net.SplitHostPort(address)
			must(t, err)
			return exec.Command(binary, "-host", host, "-port", port)
		})
	}
}

// datasette finds a version of Datasette; the function starts it.
func datasette(t *testing.T, version, db string) func() (address string) {
	packages, err := filepath.Abs("../.cache/datasette-" + version)
	must(t, err)
	if _, err := os.Stat(filepath.Join(packages, "datasette")); err != nil {
		missing(t, "Datasette "+version, "pip install --target .cache/datasette-"+version+" datasette=="+version)
	}
	return func() string {
		address := listening(t, func(address string) *exec.Cmd {
			host, port, err := net.SplitHostPort(address)
			must(t, err)
			cmd := exec.Command("python3", "-m", "datasette", "serve", "--immutable", db, "--host", host, "--port", port)
			cmd.Env = append(os.Environ(), "PYTHONPATH="+packages)
			return cmd
		})
		c := client(t, "")
		eventually(t, "Datasette has made its own tables", func() bool { // 1.0a14 may answer 500 until then
			status, _, err := exchange(c, get(t, "http://"+address+"/shop.json")())
			return err == nil && status == http.StatusOK
		})
		return address
	}
}

// shop makes a database.
func shop(t *testing.T) (path string) {
	python := needProgram(t, "python3", "python3")
	path = filepath.Join(t.TempDir(), "shop.db")
	out, err := exec.CommandContext(t.Context(), python, "-c", shopDatabase, path).CombinedOutput()
	if err != nil {
		t.Fatalf("making the database: %v\n%s", err, out)
	}
	return path
}

const shopDatabase = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("create table items (id integer primary key, name text, price real, stock integer)")
db.execute("create table places (id integer primary key, city text)")
db.executemany("insert into items values (?, ?, ?, ?)", ((i, f"item {i}", i * 1.25, i % 7) for i in range(1, 121)))
db.executemany("insert into places (city) values (?)", [("Lima",), ("Oslo",), ("Quito",)])
db.commit()
`
