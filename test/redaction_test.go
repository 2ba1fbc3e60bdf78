package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/sundog-mesh/sundog/internal/report"
)

// redactionRoutes has a route whose noise the primary measures, asked again,
// behind a rewritten path, and one with a baseline service.
const redactionRoutes = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - name: asked
    match: [{uri: {prefix: /asked/}}]
    rewrite: {uri: /v2/}
    route: [{destination: {host: shop}}]
    mirror: {host: shop-next}
  - name: all
    route: [{destination: {host: shop}}]
    mirror: {host: shop-next}
`

const redactionPolicy = `
---
apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: %[1]s}
spec:
  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: shop, sectionName: %[1]s}]
  brake: {enabled: false}
  request:
    redact:
      headers: [authorization, X-Api-Key]
      cookies: [session]
      queryParams: [token]
      jsonPaths: [$.user.email, $..card]
  compare:
    baseline: {%[2]s}
`

// logged are headers of requests and answers that the access log shows.
const redactionLog = `accessLogFormat: "%REQ(:METHOD)% %REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(AUTHORIZATION)% %REQ(X-API-KEY)% %REQ(COOKIE)% \
  %REQ(REFERER)% %REQ(X-FORWARDED-URI)% %REQ(X-ORIGINAL-URL)% %REQ(X-REPLACED-PATH)% %RESPONSE_CODE% %RESP(LOCATION)% %RESP(LINK)% %RESP(SET-COOKIE)% \
  %RESP(X-ECHO-AUTHORIZATION)% %RESP(X-ECHO-PASSWORD)% %RESP(X-ECHO-KEY)% %RESP(X-ECHO-PATH)% %RESP(X-ECHO-COOKIE)% %RESP(X-ECHO-BODY)% \
  %RESP(CONTENT-TYPE)% n=%REQ(X-NUMBER)%\n"
`

const redactionRequests = 240

// redacting is a sundog before careless services.
type redacting struct {
	*process
	t                         *testing.T
	primary, next, same       *careless
	accessLog, state, address string
}

func startRedacting(t *testing.T) *redacting {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	r := &redacting{t: t, accessLog: filepath.Join(out, "access.log"), state: filepath.Join(out, "state")}
	again := "again: {percent: 100, maxPerSecond: 10000}"
	write(t, filepath.Join(dir, "all.yaml"), services("shop", "shop-next", "shop-same")+redactionRoutes+
		fmt.Sprintf(redactionPolicy, "asked", again)+fmt.Sprintf(redactionPolicy, "all", "destination: {host: shop-same}, "+again))
	mesh := filepath.Join(out, "mesh.yaml")
	write(t, mesh, redactionLog)
	args := []string{
		"run", "-f", dir, "--outbound", "", "--admin", "127.0.0.1:0", "--publish", "127.0.0.1:0:80", "--mesh-config", mesh,
		"--access-log", r.accessLog, "--shadow-log", "--compare-state", r.state, "--log-level", "debug",
	}
	for _, s := range []struct {
		host    string
		version int
		service **careless
	}{{"shop", 1, &r.primary}, {"shop-next", 2, &r.next}, {"shop-same", 1, &r.same}} {
		*s.service = &careless{version: s.version, got: map[string][]string{}}
		args = append(args, "--endpoint", s.host+"="+handle(t, (*s.service).ServeHTTP))
	}
	r.process = sundog(t, args...)
	r.address = r.listener("0.0.0.0_80")
	return r
}

// TestNoSecretLeaves: the values that a ShadowPolicy redacts reach the primary
// and its client, and nobody and nothing else.
func TestNoSecretLeaves(t *testing.T) {
	v := newVault()
	all := visitors(v, redactionRequests)
	r := startRedacting(t)
	r.visit(all)
	r.settled()
	r.compared()

	for form, disguise := range disguises() { // what finds no secret could find one
		v.wantAll(t, "what the primary got, as "+form, disguise(r.primary.all()))
	}
	v.wantNone(t, "the candidate", r.next.all())
	v.wantNone(t, "the baseline", r.same.all())
	for _, page := range []string{
		"/report", "/report?format=html", "/report?format=markdown", "/report?format=text", "/verdict", "/ledger", "/stats", "/stats?format=json",
		"/stats/prometheus", "/config_dump", "/clusters", "/clusters?format=json", "/listeners", "/server_info", "/debug/pprof/goroutine?debug=2",
	} {
		status, body := r.get(page)
		if status != http.StatusOK || len(body) == 0 {
			t.Errorf("GET %s: %d, %d bytes", page, status, len(body))
		}
		v.wantNone(t, page, body)
	}
	admin := r.find(&r.err, `msg="admin interface" address=(\S+)`)
	for _, args := range [][]string{{"report"}, {"report", "--format", "html"}, {"report", "--format", "markdown"}, {"report", "--format", "json"}, {"verdict"}} {
		text, _ := exec.Command(os.Getenv(binaryVariable), append(args, "--admin", admin)...).CombinedOutput() //nolint:gosec // the binary under test
		if len(text) < 20 {
			t.Errorf("sundog %v says %q", args, text)
		}
		v.wantNone(t, "sundog "+strings.Join(args, " "), text)
	}
	r.stop()
	r.files(v)
	r.joined(all)
}

// visit sends all requests, half of them over HTTP/2.
func (r *redacting) visit(all []visitor) {
	r.t.Helper()
	var clients []*http.Client
	for _, two := range []bool{false, true} {
		c := client(r.t, "")
		tr := c.Transport.(*http.Transport)
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP1(!two)
		tr.Protocols.SetUnencryptedHTTP2(two)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		clients = append(clients, c)
	}
	work := make(chan *visitor)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for w := range work {
				resp, err := clients[w.number/int(kinds)%2].Do(w.request(r.t, r.address))
				if err != nil {
					r.t.Error(err)
					continue
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode >= http.StatusBadRequest || resp.Header.Get("X-Echo-Authorization") != w.authorization {
					r.t.Errorf("request %d got %d %v, %v", w.number, resp.StatusCode, resp.Header, err)
				}
			}
		})
	}
	for i := range all {
		work <- &all[i]
	}
	close(work)
	wg.Wait()
}

// compared waits until the report is whole, and wants it to show what could
// have a secret in it.
func (r *redacting) compared() {
	r.t.Helper()
	var now report.Report
	eventually(r.t, "all is compared, and was asked again", func() bool {
		r.getJSON("/report", &now)
		for _, c := range now.Comparisons {
			if c.Account.Waiting > 0 || c.Account.Compared < redactionRequests/10 || c.Account.Confirmed.Asked == 0 {
				return false
			}
		}
		return len(now.Comparisons) == 2
	})
	for _, c := range now.Comparisons {
		if len(c.Account.NotComparable)+len(c.Account.Dropped) > 0 {
			r.t.Errorf("%s: not all is compared: %+v", c.Route, c.Account)
		}
		bodies, transitions, commands, predictors := 0, 0, 0, 0
		for _, d := range c.Differences {
			for _, tr := range d.Transitions {
				transitions += strings.Count(tr.From+tr.To, "sd_")
			}
			predictors += len(d.Predictors)
			if d.Example != nil {
				commands += strings.Count(d.Example.Curl, "sd_")
				bodies += strings.Count(d.Example.Primary.Body, "sd_")
			}
		}
		if bodies == 0 || transitions == 0 || commands == 0 || predictors == 0 {
			r.t.Errorf("%s: %d pseudonyms in bodies, %d in transitions, %d in commands; %d predictors: too little to prove anything",
				c.Route, bodies, transitions, commands, predictors)
		}
	}
}

// files looks at what is written when the process ends, and before.
func (r *redacting) files(v *vault) {
	r.t.Helper()
	for name, least := range map[string]int{r.accessLog: 2 * redactionRequests, r.state: 1} {
		text, err := gunzipped([]byte(readFile(r.t, name)))
		must(r.t, err)
		if n := bytes.Count(text, []byte("\n")); n < least || !bytes.Contains(text, []byte("sd_")) {
			r.t.Errorf("%s has %d lines, want %d, and pseudonyms", name, n, least)
		}
		v.wantNone(r.t, name, text)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(r.state), "*"))
	must(r.t, err)
	if len(files) != 3 { // and mesh.yaml
		r.t.Errorf("sundog has written %v", files)
	}
	v.wantNone(r.t, "stdout", []byte(r.out.String()))
	v.wantNone(r.t, "stderr", []byte(r.err.String()))
}

var (
	pseudonym = regexp.MustCompile(`sd_[a-z2-7]{20}`)
	inCookie  = regexp.MustCompile(`session=(sd_[a-z2-7]{20})`)
	inKey     = regexp.MustCompile(`X-Api-Key: (sd_[a-z2-7]{20})`)
	inToken   = regexp.MustCompile(`token=(sd_[a-z2-7]{20})`)
)

// joined wants candidate and baseline to get the same requests, and the same
// value to be the same pseudonym everywhere.
func (r *redacting) joined(all []visitor) {
	r.t.Helper()
	sessions, tokens := map[string]string{}, map[string]string{}
	for _, w := range all {
		number := fmt.Sprint(w.number)
		next := r.next.requests(number)
		if len(next) == 0 {
			r.t.Fatalf("request %d has no copy", w.number)
		}
		for _, got := range append(next, r.same.requests(number)...) {
			if got != next[0] {
				r.t.Fatalf("request %d is not the same for all:\n%s\n%s", w.number, next[0], got)
			}
		}
		session, key, token := inCookie.FindStringSubmatch(next[0]), inKey.FindStringSubmatch(next[0]), inToken.FindStringSubmatch(next[0])
		if session == nil || key == nil || token == nil {
			r.t.Fatalf("request %d lacks pseudonyms:\n%s", w.number, next[0])
		}
		for value, p := range map[string]string{w.session: session[1], w.token: token[1], w.key: key[1]} {
			if sessions[value] != "" && sessions[value] != p || tokens[p] != "" && tokens[p] != value {
				r.t.Fatalf("request %d: %s is not the one pseudonym of its value", w.number, p)
			}
			sessions[value], tokens[p] = p, value
		}
		if n := len(pseudonym.FindAllString(next[0], -1)); n < 7 {
			r.t.Errorf("request %d has %d pseudonyms:\n%s", w.number, n, next[0])
		}
	}
}
