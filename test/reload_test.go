package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// version is one of the configurations that follow each other.
type version struct {
	weight int // of v1, in percent; v2 has the rest
	share  int // percent
	target string
}

// versionOf makes configurations no two of which are alike.
func versionOf(i int) version {
	return version{weight: 1 + i*37%99, share: 1 + i*13%100, target: "shadow-" + string(rune('a'+i%2))}
}

func (v version) yaml() string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: httpbin
spec:
  hosts:
  - httpbin
  http:
  - route:
    - destination:
        host: httpbin
        subset: v1
      weight: %d
    - destination:
        host: httpbin
        subset: v2
      weight: %d
    mirror:
      host: httpbin
      subset: %s
    mirrorPercentage:
      value: %d
`, v.weight, 100-v.weight, v.target, v.share)
}

func clusterOf(subset string) string {
	return "outbound|8000|" + subset + "|httpbin.default.svc.cluster.local"
}

// action is what the config dump has to show of the route.
func (v version) action() map[string]any {
	return map[string]any{
		"weighted_clusters": map[string]any{"clusters": []any{
			map[string]any{"name": clusterOf("v1"), "weight": float64(v.weight)},
			map[string]any{"name": clusterOf("v2"), "weight": float64(100 - v.weight)},
		}},
		"request_mirror_policies": []any{map[string]any{
			"cluster": clusterOf(v.target),
			"runtime_fraction": map[string]any{
				"default_value": map[string]any{"numerator": float64(v.share * 10000), "denominator": "MILLION"},
			},
		}},
	}
}

// mistakes break a good configuration; why is what stderr has to say of it.
func mistakes() []struct{ old, with, why string } {
	return []struct{ old, with, why string }{
		{"  http:\n", "  http: [\n", "rules.yaml:"},
		{"      value: ", "      value: 300 #", "spec.http[0].mirrorPercentage"},
		{"mirrorPercentage", "mirorPercentage", "mirorPercentage"},
		{"      weight: ", "      weight: many #", "spec.http[0].route[0].weight"},
		{"        host: httpbin\n", "        host: [httpbin]\n", "spec.http[0].route[0].destination.host"},
	}
}

const reloadBase = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: httpbin
spec:
  host: httpbin
  subsets:
  - name: v1
    labels: {version: v1}
  - name: v2
    labels: {version: v2}
  - name: shadow-a
    labels: {version: shadow-a}
  - name: shadow-b
    labels: {version: shadow-b}
---
apiVersion: v1
kind: Service
metadata:
  name: httpbin
spec:
  selector: {app: httpbin}
  ports:
  - name: http
    port: 8000
    targetPort: 80
`

const (
	reloadRequests = 100_000
	rewrites       = 50
)

// The configuration changes fifty times under load. No request fails, good
// versions take effect, bad ones change nothing, and the books balance.
func TestReloadsUnderLoad(t *testing.T) {
	services := map[string]*service{}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "base.yaml"), reloadBase)
	args := []string{"run", "-f", dir, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	for _, name := range []string{"v1", "v2", "shadow-a", "shadow-b"} {
		services[name] = serve(t, name)
		args = append(args, "--endpoint", "httpbin/"+name+"="+services[name].address)
	}
	r := &rewriter{t: t, file: filepath.Join(dir, "rules.yaml"), good: versionOf(0)}
	write(t, r.file, r.good.yaml())
	r.p = sundog(t, args...)
	l := startLoad(t, r.p.listener("virtualOutbound"), 16)
	r.wantRoute()
	started := time.Now()
	for i := 1; i <= rewrites && !t.Failed(); i++ {
		eventually(t, "the load goes on", func() bool { return l.sent.Load() >= int64(i*reloadRequests/rewrites-1000) })
		switch {
		case i%10 == 9:
			r.breakIt(i / 10)
		case i == rewrites/2:
			r.writeHalf(versionOf(i))
		default:
			r.change(versionOf(i), i%2 == 0)
		}
		r.p.ledger() // balances in the middle of it all
	}
	rewritten := time.Since(started)
	sent := l.finish(reloadRequests)
	t.Logf("%d rewrites in %v; %d requests in %v; slowest to take effect: %v", rewrites, rewritten.Round(time.Millisecond),
		sent, time.Since(started).Round(time.Millisecond), r.slowest.Round(time.Millisecond))

	end := r.p.settled()
	if end.Forwarded != sent {
		t.Errorf("%d requests sent, %d forwarded", sent, end.Forwarded)
	}
	if n := len(services["v1"].got()) + len(services["v2"].got()); n != sent {
		t.Errorf("%d requests sent, v1 and v2 got %d", sent, n)
	}
	completed := map[string]int{}
	for _, route := range end.Routes {
		for _, m := range route.Mirrors {
			completed[m.Cluster] += m.Outcomes["completed"]
			if n := m.Outcomes["completed"] + m.Outcomes["not_sampled"] + m.Outcomes["dropped_budget"]; n != m.Outcomes.sum() {
				t.Errorf("copies to healthy shadows went wrong: %s has %v", m.Cluster, m.Outcomes)
			}
		}
	}
	for _, name := range []string{"shadow-a", "shadow-b"} {
		if got := len(services[name].got()); got == 0 || completed[clusterOf(name)] != got {
			t.Errorf("%s got %d copies, the ledger has %d completed", name, got, completed[clusterOf(name)])
		}
	}
	r.p.stop()
}

// rewriter changes the configuration of a running sundog and watches.
type rewriter struct {
	t       *testing.T
	p       *process
	file    string
	good    version // that has to be in effect
	slowest time.Duration
}

// lacks tells what the route that is in effect lacks of the good version.
func (r *rewriter) lacks() (missing []string, version string) {
	route, version := r.p.route("8000", "httpbin.default.svc.cluster.local:8000")
	return lacks("route", r.good.action(), route["route"]), version
}

func (r *rewriter) wantRoute() (version string) {
	r.t.Helper()
	missing, version := r.lacks()
	for _, m := range missing {
		r.t.Error(m)
	}
	return version
}

// change writes a good version, in place or as editors do by renaming, and
// waits until it is in effect.
func (r *rewriter) change(v version, rename bool) {
	r.t.Helper()
	if rename {
		write(r.t, r.file+".new", v.yaml())
		must(r.t, os.Rename(r.file+".new", r.file))
	} else {
		write(r.t, r.file, v.yaml())
	}
	r.takesEffect(v)
}

func (r *rewriter) takesEffect(v version) {
	r.t.Helper()
	r.good = v
	written := time.Now()
	var missing []string
	eventually(r.t, "the new version is in effect", func() bool {
		missing, _ = r.lacks()
		return len(missing) == 0
	})
	took := time.Since(written)
	r.slowest = max(r.slowest, took)
	if took > 2*time.Second {
		r.t.Errorf("%+v took effect after %v", v, took)
	}
}

// breakIt writes a broken version and waits until it is refused.
func (r *rewriter) breakIt(kind int) {
	r.t.Helper()
	m := mistakes()[kind]
	broken := strings.Replace(versionOf(100+kind).yaml(), m.old, m.with, 1)
	r.refused(broken, m.why)
}

// writeHalf writes a version in two parts, the first of which ends in a word.
func (r *rewriter) writeHalf(v version) {
	r.t.Helper()
	text := v.yaml()
	cut := strings.Index(text, "Percentage:")
	r.refused(text[:cut], "not valid YAML")
	f, err := os.OpenFile(r.file, os.O_APPEND|os.O_WRONLY, 0)
	must(r.t, err)
	_, err = f.WriteString(text[cut:])
	must(r.t, err)
	must(r.t, f.Close())
	r.takesEffect(v)
}

// refused writes text, which has to change nothing and to be told.
func (r *rewriter) refused(text, why string) {
	r.t.Helper()
	before := r.wantRoute()
	told := len(r.p.err.String())
	write(r.t, r.file, text)
	eventually(r.t, "the broken version is refused", func() bool {
		return strings.Contains(r.p.err.String()[told:], `level=ERROR msg="the new configuration has errors; the running one stays"`)
	})
	if said := r.p.err.String()[told:]; !strings.Contains(said, filepath.Base(r.file)+":") || !strings.Contains(said, why) {
		r.t.Errorf("stderr does not say where and why (%s):\n%s", why, said)
	}
	if after := r.wantRoute(); after != before {
		r.t.Errorf("a broken version made the route's version %s of %s", after, before)
	}
}

// load is requests without a pause, until it is told to finish.
type load struct {
	t            *testing.T
	sent, failed atomic.Int64
	until        atomic.Int64 // so many are sent
	wg           sync.WaitGroup
}

func startLoad(t *testing.T, address string, connections int) *load {
	t.Helper()
	l := &load{t: t}
	l.until.Store(1 << 40)
	t.Cleanup(func() {
		l.until.Store(0)
		l.wg.Wait()
	})
	for range connections {
		k, err := newKeepAlive(address, "GET http://httpbin:8000/headers HTTP/1.1\r\nHost: httpbin:8000\r\n\r\n")
		must(t, err)
		l.wg.Go(func() {
			defer func() { _ = k.conn.Close() }()
			for l.sent.Load() < l.until.Load() {
				l.sent.Add(1)
				body, err := k.do()
				if err == nil && (string(body) == "v1" || string(body) == "v2") {
					continue
				}
				if l.failed.Add(1) <= 3 {
					t.Errorf("a request got %q, %v", body, err)
				}
				if err != nil {
					return // the connection is of no use now
				}
			}
		})
	}
	return l
}

// finish sends at least this many requests in all, and tells how many it were.
func (l *load) finish(atLeast int64) int {
	l.t.Helper()
	l.until.Store(atLeast)
	l.wg.Wait()
	if n := l.failed.Load(); n > 0 {
		l.t.Errorf("%d of %d requests failed", n, l.sent.Load())
	}
	return int(l.sent.Load())
}
