package test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sundog-mesh/sundog/internal/report"
)

// docs/comparing-real-services.md tells of these tests.

// httpbinVisits are what go-httpbin answers; versions that lack an endpoint say 404.
const httpbinVisits = `
GET /get
GET /get?page=#&verbose=1
GET /headers | X-Tenant: t#
GET /ip
GET /uuid
GET /json
GET /user-agent | User-Agent: visitor/#
GET /hostname
GET /env
GET /anything/a?page=#
POST /anything/b | Content-Type: application/json <- {"n": #, "tags": ["a", "b"]}
POST /post | Content-Type: application/x-www-form-urlencoded <- a=#&b=two
POST /post | Content-Type: application/json <- {"order": #}
PUT /put | Content-Type: text/plain <- text #
PATCH /patch | Content-Type: application/json <- [#]
DELETE /delete?id=#
HEAD /head
POST /upload | Content-Type: application/octet-stream <- file #
GET /base64/aGVsbG8=
GET /base64/encode/n#
GET /bytes/32
GET /bytes/64?seed=#
GET /stream-bytes/64?seed=#
GET /cookies | Cookie: color=c#; size=M
GET /cookies/set?color=c#
GET /cookies/delete?color
GET /deflate
GET /gzip
GET /delay/0.01
GET /drip?numbytes=4&duration=0.005&delay=0
GET /dump/request
GET /encoding/utf8
GET /etag/abc
GET /etag/abc | If-None-Match: "abc"
GET /cache | If-Modified-Since: Mon, 02 Jan 2023 15:04:05 GMT
GET /cache/60
GET /html
GET /forms/post
GET /image | Accept: image/png
GET /links/5/1
GET /range/26
GET /range/26 | Range: bytes=3-9
GET /response-headers?x=#
GET /status/418
GET /status/200,503
GET /stream/3
GET /sse?count=2&duration=5ms
GET /trailers?x=#
GET /unstable
GET /unstable?failure_rate=0.05
GET /xml
GET /deny
GET /robots.txt
GET /redirect/2
GET /absolute-redirect/2
GET /relative-redirect/2
GET /redirect-to?url=/get
GET /bearer
GET /bearer | Authorization: Bearer t#
GET /basic-auth/user/passwd
GET /basic-auth/user/passwd | Authorization: Basic dXNlcjpwYXNzd2Q=
GET /hidden-basic-auth/user/passwd
GET /hidden-basic-auth/user/passwd | Authorization: Basic dXNlcjpwYXNzd2Q=
GET /digest-auth/auth/user/passwd
GET /digest-auth/auth/user/passwd | Authorization: ` + digestAuthorization

// digestAuthorization is right: go-httpbin takes any nonce.
const digestAuthorization = `Digest username="user", realm="go-httpbin", nonce="00ff", uri="/digest-auth/auth/user/passwd", ` +
	`qop=auth, nc=00000001, cnonce="0a4f113b", response="a230e5bb3964cde45cebd5bc09729ff5"`

// prediction is what a change log says of answers, and what came otherwise.
type prediction struct {
	predicted []finding // by who had read the change log and seen no report
	wrong     []finding // predicted, but the new version's source has no such change
	found     []finding // by Sundog; the new version's source has them
	timing    bool      // how long things take may be proven, too
}

// TestOneVersionIsEquivalent: of three processes of go-httpbin nothing is proven
// in any report, although many of its answers are never the same.
func TestOneVersionIsEquivalent(t *testing.T) {
	t.Parallel()
	bin := goHTTPBin(t, "2.21")
	p := startComparing(t, services3{bin(), bin(), bin()})
	p.watch(visits(t, httpbinVisits), 0, 200)
	if len(p.proven) > 0 {
		t.Errorf("proven of one version: %v", sorted(p.proven))
	}
	noise := map[[2]string]string{}
	for _, n := range p.report.Noise {
		noise[[2]string{n.Method + " " + n.Path, n.Field}] = n.Type
	}
	for _, want := range [][3]string{
		{"GET /uuid", "body.uuid", "uuid"},
		{"GET /unstable", "status"},
		{"GET /status/{id}", "status"},
		{"GET /bytes/{id}", "body"},
		{"GET /digest-auth/auth/user/passwd", "header.www-authenticate"},
	} {
		if got, ok := noise[[2]string{want[0], want[1]}]; !ok || want[2] != "" && got != want[2] {
			t.Errorf("%v is not known to vary by itself; that is: %v", want, noise)
		}
	}
	p.verdict(0)
}

// TestChangeLogOfHTTPBin29 has go-httpbin 2.8.0 against 2.9.0, whose release
// notes say: answers that tell of the request have its method from now on, and
// "data" is the empty string if there was no body.
func TestChangeLogOfHTTPBin29(t *testing.T) {
	t.Parallel()
	before, after := goHTTPBin(t, "2.8"), goHTTPBin(t, "2.9")
	p := startComparing(t, services3{before(), before(), after()})
	p.watch(visits(t, httpbinVisits), 9, 30)
	p.wants(prediction{
		predicted: []finding{
			{"GET /get", "body.method", "presence"},
			{"GET /gzip", "body.method", "presence"},
			{"GET /deflate", "body.method", "presence"},
			{"GET /anything/a", "body.method", "presence"},
			{"GET /anything/a", "body.data", "value"},
			{"POST /anything/b", "body.method", "presence"},
			{"POST /post", "body.method", "presence"},
			{"PUT /put", "body.method", "presence"},
			{"PATCH /patch", "body.method", "presence"},
			{"DELETE /delete", "body.method", "presence"},
			{"DELETE /delete", "body.data", "value"},
		},
		found: []finding{ // the notes name no endpoints; by the source
			{"GET /etag/abc", "body.method", "presence"},   // it answers as /get does,
			{"GET /cache/{id}", "body.method", "presence"}, // and so does this one
			{"GET /delay/{id}", "body.method", "presence"}, // as /anything does
			{"GET /delay/{id}", "body.data", "value"},
		},
	})
	p.verdict(1)
}

// TestChangeLogOfHTTPBin221 has go-httpbin 2.20.0 against 2.21.0, whose release
// notes say: "authorized" became "authenticated" in answers of /basic-auth,
// /hidden-basic-auth and /digest-auth, the answers of /cookies have another shape
// (that of the original httpbin), and /upload is new.
func TestChangeLogOfHTTPBin221(t *testing.T) {
	t.Parallel()
	before, after := goHTTPBin(t, "2.20"), goHTTPBin(t, "2.21")
	p := startComparing(t, services3{before(), before(), after()})
	p.watch(visits(t, httpbinVisits), 9, 30)
	p.wants(prediction{
		predicted: []finding{
			{"GET /basic-auth/user/passwd", "body.authenticated", "presence"},
			{"GET /hidden-basic-auth/user/passwd", "body.authenticated", "presence"},
			{"GET /digest-auth/auth/user/passwd", "body.authenticated", "presence"},
			{"GET /cookies", "body.cookies", "presence"},
			{"GET /cookies", "body.color", "presence"},
			{"GET /cookies", "body.size", "presence"},
			{"POST /upload", "status", "value"},
		},
		wrong: []finding{ // the notes say "renamed", but the source keeps the old name, too
			{"GET /basic-auth/user/passwd", "body.authorized", "presence"},
			{"GET /hidden-basic-auth/user/passwd", "body.authorized", "presence"},
			{"GET /digest-auth/auth/user/passwd", "body.authorized", "presence"},
		},
		found: []finding{ // a 404 in plain text has become a 200 in JSON
			{"POST /upload", "body", "value"},
			{"POST /upload", "body[]", "presence"},
			{"POST /upload", "body[]", "value"},
			{"POST /upload", "header.content-type", "value"},
			{"POST /upload", "header.x-content-type-options", "presence"}, // net/http's 404 has it
		},
	})
	p.verdict(1)
}

// datasetteVisits are of a database with two tables. Of items 120 are there.
const datasetteVisits = `
GET /shop/items.json?_size=5
GET /shop/items.json?stock=#&_size=3
GET /shop/items/#.json
GET /shop/items/2#.json
GET /shop/items.csv?_size=3&stock=#
GET /shop/places.json?_shape=array
GET /shop/places
GET /shop.json
GET /shop.json?sql=select+#
GET /shop/orders.json
GET /-/settings.json
GET /-/databases.json
GET /-/metadata.json
GET /-/static/app.css`

// TestChangeLogOfDatasette has Datasette 1.0a13 against 1.0a14, whose change log
// says: ?sql= of a database redirects to /-/query, names of tables and rows that
// are not there are not repeated in the answer, static files have ETags, pages
// have a language, and menus a z-index; and its upgrade guide that /metadata.json
// is gone.
func TestChangeLogOfDatasette(t *testing.T) {
	t.Parallel()
	db := shop(t)
	before, after := datasette(t, "1.0a13", db), datasette(t, "1.0a14", db)
	p := startComparing(t, services3{before(), before(), after()})
	p.watch(visits(t, datasetteVisits), 9, 30)
	p.wants(prediction{
		predicted: []finding{
			{"GET /shop.json", "status", "value"},
			{"GET /shop.json", "header.location", "presence"},
			{"GET /shop/orders.json", "body.error", "value"},
			{"GET /shop/items/{id}.json", "body.error", "value"},
			{"GET /-/static/app.css", "header.etag", "presence"},
			{"GET /shop/places", "body.html.@lang", "presence"},
			{"GET /-/metadata.json", "status", "value"},
		},
		found: []finding{
			{"GET /shop.json", "body", "presence"}, // a redirect has none
			{"GET /shop.json", "header.content-type", "value"},
			{"GET /shop.json", "body.metadata", "presence"}, // follows from metadata in tables, which the change log names
			{"GET /-/metadata.json", "body.ok", "presence"}, // the fields of a 404
			{"GET /-/metadata.json", "body.error", "presence"},
			{"GET /-/metadata.json", "body.status", "presence"},
			{"GET /-/metadata.json", "body.title", "presence"},
			{"GET /-/static/app.css", "body", "value"},                      // the z-index; how many lines there are,
			{"GET /-/static/app.css", "body[]", "presence"},                 // and the new line
			{"GET /shop/places", "body.html.head.link.@href", "value"},      // the hash of app.css
			{"GET /shop/places", "body.html.head.script.#text", "value"},    // Datasette's version
			{"GET /shop/places", "body.html.body.footer.a.@title", "value"}, // and there, too
		},
		timing: true, // 1.0a14 asks a database of its own in addition, which shows in some runs
	})
	p.redirect()
	p.verdict(1)
}

// redirect wants the report to say which requests are redirected.
func (p *compared) redirect() {
	p.t.Helper()
	for _, d := range p.report.Differences {
		if d.Field != "status" || d.Path != "/shop.json" {
			continue
		}
		if len(d.Transitions) != 1 || d.Transitions[0].From != "200" || d.Transitions[0].To != "302" {
			p.t.Errorf("statuses: %v", d.Transitions)
		}
		if !slices.ContainsFunc(d.Predictors, func(p report.Predictor) bool {
			return p.Feature == `query "sql" is set` && p.With == 1 && p.Without == 0
		}) {
			p.t.Errorf("what predicts the redirect: %v", d.Predictors)
		}
	}
}

// wants exactly the predicted differences, and those with a reason.
func (p *compared) wants(w prediction) {
	p.t.Helper()
	known := append(slices.Clone(w.predicted), w.found...)
	for _, f := range known {
		if _, ok := p.proven[f]; !ok {
			p.t.Errorf("not proven: %v", f)
		}
	}
	for _, f := range w.wrong {
		if _, ok := p.proven[f]; ok {
			p.t.Errorf("proven, though the source says otherwise: %v", f)
		}
	}
	for _, f := range sorted(p.proven) {
		timing := f.field == "latency" || f.field == "body.query_ms"
		if !slices.Contains(known, f) && (!timing || !w.timing) {
			p.t.Errorf("proven, and nobody knows why: %v", f)
		}
	}
	var r report.Report // as people's programs read it
	v := p.ask("report", "--format", "json")
	if code := v.wait(); code != 0 {
		p.t.Fatalf("sundog report: exit code %d: %s", code, &v.err)
	}
	must(p.t, json.Unmarshal([]byte(v.out.String()), &r))
	for _, f := range known {
		if !slices.ContainsFunc(r.Comparisons[0].Differences, func(d report.Difference) bool {
			return f == finding{d.Method + " " + d.Path, d.Field, d.Aspect} && d.State == report.Proven && len(d.Transitions) > 0 && d.Example != nil && d.Example.Curl != ""
		}) {
			p.t.Errorf("sundog report has no values or no example of %v", f)
		}
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
