package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/mirror"
)

func TestRunServesTheArticlesScenario(t *testing.T) {
	v1, v1Hosts := service(t, "v1")
	shadow, shadowHosts := service(t, "shadow")
	logFile := filepath.Join(t.TempDir(), "access.log")
	p := start(t, "run", "-f", filepath.Join("..", "..", "examples", "in-cluster"),
		"--endpoint", "httpbin/v1="+v1, "--endpoint", "httpbin/v1-mirroring="+shadow, "--endpoint", "sleep="+v1,
		"--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log", logFile, "--shadow-log")
	c := client(t, p.address("virtualOutbound"))

	if code, body := get(t, client(t, ""), p.adminURL("/ready")); code != 200 || body != "LIVE\n" {
		t.Errorf("/ready: %d %q", code, body)
	}
	const requests = 40
	for range requests {
		if code, body := get(t, c, "http://httpbin:8000/headers"); code != 200 || body != "v1" {
			t.Fatalf("%d %q", code, body)
		}
		if host := receive(t, v1Hosts); host != "httpbin:8000" {
			t.Errorf("the primary got Host %q", host)
		}
	}
	report := ledger(t, p)
	report.Routes = slices.DeleteFunc(report.Routes, func(r mirror.RouteReport) bool { return r.Forwarded == 0 })
	if report.Forwarded != requests || len(report.Routes) != 1 || len(report.Routes[0].Mirrors) != 1 {
		t.Fatalf("the ledger is %+v", report)
	}
	outcomes, sum := report.Routes[0].Mirrors[0].Outcomes, uint64(0)
	for _, n := range outcomes {
		sum += n
	}
	completed := outcomes["completed"]
	if sum != requests || completed == 0 || completed == requests || completed != uint64(len(shadowHosts)) {
		t.Errorf("outcomes %v; the shadow got %d requests", outcomes, len(shadowHosts))
	}
	if host := receive(t, shadowHosts); host != "httpbin-shadow:8000" {
		t.Errorf("the shadow got Host %q", host)
	}
	_, metrics := get(t, client(t, ""), p.adminURL("/stats/prometheus"))
	for _, want := range []string{
		`sundog_forwarded_total{route="` + report.Routes[0].Route + `"} 40`,
		`envoy_cluster_upstream_rq_total{envoy_cluster_name="outbound|8000|v1|httpbin.default.svc.cluster.local"} 40`,
		"envoy_server_live 1\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	lines, err := os.ReadFile(logFile)
	must(t, err)
	if n := uint64(strings.Count(string(lines), "\n")); n != requests+completed {
		t.Errorf("%d lines in the access log, want %d and %d:\n%s", n, requests, completed, lines)
	}
	if n := uint64(strings.Count(string(lines), ` "httpbin-shadow:8000" "`+shadow+`" outbound|8000|v1-mirroring|`)); n != completed {
		t.Errorf("%d lines of shadows, want %d:\n%s", n, completed, lines)
	}
	if !strings.Contains(string(lines), " shadow outcome=completed\n") || !strings.Contains(string(lines), `"GET /headers HTTP/1.1" 200 - via_upstream - "-" 0 2 `) {
		t.Errorf("the access log is\n%s", lines)
	}
}

func TestMirrorServesWithoutYAML(t *testing.T) {
	primary, primaryHosts := service(t, "primary")
	a, aHosts := service(t, "a")
	b, bHosts := service(t, "b")
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", "http://"+primary, "--shadow", "http://"+a, "--shadow", "http://"+b+"/",
		"--admin", "127.0.0.1:0", "--access-log", "-", "--shadow-log")
	if code, body := get(t, client(t, ""), "http://"+p.address("127.0.0.1_0")+"/x?y=1"); code != 200 || body != "primary" {
		t.Errorf("%d %q", code, body)
	}
	host := receive(t, primaryHosts)
	name, port, err := net.SplitHostPort(host)
	must(t, err)
	for _, hosts := range []<-chan string{aHosts, bHosts} {
		if got, want := receive(t, hosts), name+"-shadow:"+port; got != want {
			t.Errorf("a shadow got Host %q, want %q", got, want)
		}
	}
	want := []mirror.MirrorReport{
		{Cluster: "shadow-1", Share: 1, InForce: 1, Outcomes: map[string]uint64{"completed": 1}},
		{Cluster: "shadow-2", Share: 1, InForce: 1, Outcomes: map[string]uint64{"completed": 1}},
	}
	if report := ledger(t, p); len(report.Routes) != 1 || cmp.Diff(want, report.Routes[0].Mirrors) != "" {
		t.Errorf("the ledger is %+v", report)
	}
	p.find(&p.out, `"GET /x\?y=1 HTTP/1.1" 200 - .* "`+regexp.QuoteMeta(b)+`" shadow outcome=completed\n`)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Where answers are compared copies keep their Host, unless asked for.
func TestMirrorComparesWithTheSameHost(t *testing.T) {
	for _, suffix := range []bool{false, true} {
		primary, primaryHosts := service(t, "primary")
		shadow, hosts := service(t, "shadow")
		args := []string{"mirror", "--listen", "127.0.0.1:0", "--admin", "", "--primary", "http://" + primary, "--shadow", "http://" + shadow, "--compare"}
		if suffix {
			args = append(args, "--shadow-host-suffix")
		}
		p := start(t, args...)
		get(t, client(t, ""), "http://"+p.address("127.0.0.1_0")+"/")
		if a, b := receive(t, primaryHosts), receive(t, hosts); a == b == suffix {
			t.Errorf("suffix %v: the primary got Host %q, the shadow %q", suffix, a, b)
		}
		p.exit()
	}
}

// virtualService answers web.example by itself with the given body.
func virtualService(body string) string {
	return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
spec:
  hosts: [web.example]
  http:
  - directResponse:
      status: 200
      body: {string: ` + body + `}
`
}

func TestGatewayPortsArePublishedElsewhere(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "gateway.yaml"), `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - hosts: ["*"]
    port: {number: 80, name: http, protocol: HTTP}
`)
	write(t, filepath.Join(dir, "web.yaml"), strings.Replace(virtualService("edge"), "spec:\n", "spec:\n  gateways: [edge]\n", 1))
	p := start(t, "run", "-f", dir, "--publish", "127.0.0.1:0:80", "--outbound", "", "--admin", "127.0.0.1:0")
	address := p.address("0.0.0.0_80")
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("bound to %s", address)
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
	must(t, err)
	r.Host = "web.example"
	resp, err := client(t, "").Do(r)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if string(body) != "edge" || resp.Header.Get("Server") != "istio-envoy" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
	if _, listeners := get(t, client(t, ""), p.adminURL("/listeners")); listeners != "0.0.0.0_80::"+address+"\n" {
		t.Errorf("/listeners: %q", listeners)
	}
}

// until sends requests until the body is as wanted.
func until(t *testing.T, c *http.Client, target, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		code, body := get(t, c, target)
		if code == 200 && body == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %q, want %q", code, body, want)
		}
	}
}

func TestRunReloadsAndSurvivesBadFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yaml")
	service := "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: web}\nspec:\n  hosts: [web.example]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: STATIC\n  endpoints: [{address: 127.0.0.1}]\n---\n"
	write(t, file, service+virtualService("one"))
	p := start(t, "run", "-f", file, "--outbound", "127.0.0.1:0", "--admin", "")
	c := client(t, p.address("virtualOutbound"))
	until(t, c, "http://web.example/", "one")

	write(t, file, service+virtualService("two"))
	changed := time.Now()
	until(t, c, "http://web.example/", "two")
	if took := time.Since(changed); took > 3*time.Second {
		t.Errorf("live after %v", took)
	}

	write(t, file, service+virtualService("[broken"))
	p.find(&p.err, `level=ERROR msg="the new configuration has errors; the running one stays"`)
	until(t, c, "http://web.example/", "two")

	write(t, file, "")
	p.find(&p.err, `level=ERROR msg="a file is empty, so it may be half written`)
	until(t, c, "http://web.example/", "two")

	write(t, file, service+virtualService("three"))
	until(t, c, "http://web.example/", "three")

	must(t, os.Remove(file))
	p.find(&p.err, `web.yaml: error: no such file or folder`)
	until(t, c, "http://web.example/", "three")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTakenPortsEndTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	examples := filepath.Join("..", "..", "examples", "in-cluster")
	tests := map[string]struct {
		args []string
		hint string
	}{
		"outbound": {[]string{"run", "-f", examples, "--admin", "", "--outbound", address}, "hint: stop what listens there (maybe another sundog), or use another port with --publish PORT:GATEWAYPORT"},
		"admin":    {[]string{"run", "-f", examples, "--admin", address, "--outbound", ""}, `hint: stop what listens there (maybe another sundog), or use another port with --admin ADDRESS, or turn it off`},
		"mirror":   {[]string{"mirror", "--listen", address, "--primary", "http://127.0.0.1:1", "--shadow", "http://127.0.0.1:1", "--admin", ""}, "or use another port with --listen"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, tt.args...)
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			text, _ := p.err.read()
			if !strings.Contains(text, address) || !strings.Contains(text, tt.hint) {
				t.Errorf("stderr:\n%s", text)
			}
		})
	}
}

// Two sundogs cannot share a port, though their sockets might.
func TestASecondSundogIsRefused(t *testing.T) {
	args := []string{"mirror", "--primary", "http://127.0.0.1:1", "--shadow", "http://127.0.0.1:1", "--admin", "", "--listen"}
	first := start(t, append(args, "127.0.0.1:0")...)
	second := start(t, append(args, first.address("127.0.0.1_0"))...)
	if code := second.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if text, _ := second.err.read(); !strings.Contains(text, "sundog: listener") || !strings.Contains(text, "hint: stop what listens there") {
		t.Errorf("stderr:\n%s", text)
	}
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "late")
	}))
	defer srv.Close()
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", srv.URL, "--shadow", "http://127.0.0.1:1", "--admin", "127.0.0.1:0")
	target, ready := "http://"+p.address("127.0.0.1_0"), p.adminURL("/ready")
	answer := make(chan string, 1)
	c := client(t, "")
	go func() {
		resp, err := c.Get(target)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		answer <- string(body)
	}()
	<-arrived
	p.stop()
	p.find(&p.err, "msg=draining")
	if code, body := get(t, client(t, ""), ready); code != 503 || body != "DRAINING\n" {
		t.Errorf("/ready while it drains: %d %q", code, body)
	}
	close(release)
	if got := receive(t, answer); got != "late" {
		t.Errorf("the request got %q", got)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAccessLogFollowsTheMeshConfig(t *testing.T) {
	v1, _ := service(t, "v1")
	mesh := filepath.Join(t.TempDir(), "mesh.yaml")
	write(t, mesh, "accessLogFile: /dev/stdout\naccessLogEncoding: JSON\n")
	p := start(t, "run", "-f", filepath.Join("..", "..", "examples", "in-cluster"), "--mesh-config", mesh, "--shadow-log",
		"--endpoint", "httpbin="+v1, "--endpoint", "sleep="+v1, "--outbound", "127.0.0.1:0", "--admin", "")
	c := client(t, p.address("virtualOutbound"))
	for sent := 0; ; sent++ {
		get(t, c, "http://httpbin:8000/")
		if text, _ := p.out.read(); strings.Contains(text, `"shadow":true`) {
			break // half of the requests have one
		}
		if sent > 100_000 {
			t.Fatal("no line of a shadow")
		}
	}
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, _ := p.out.read()
	authorities := map[string]any{}
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if fields["response_code"] != 200.0 || fields["path"] != "/" || fields["requested_server_name"] != nil {
			t.Fatalf("a line is %s", line)
		}
		authorities[fields["authority"].(string)] = fields["outcome"]
	}
	if diff := cmp.Diff(map[string]any{"httpbin:8000": nil, "httpbin-shadow:8000": "completed"}, authorities); diff != "" {
		t.Error(diff)
	}
}
