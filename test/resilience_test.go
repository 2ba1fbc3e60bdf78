package test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// handle serves with h, and returns the address.
func handle(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // it ends with Close
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return ln.Addr().String()
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	return freeAddress(t)
}

// entry is the service a.example with these endpoints, an address with what
// else is to be said of it, and a policy, if that is not empty.
func entry(t *testing.T, policy string, endpoints ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
`)
	for _, e := range endpoints {
		address, more, _ := strings.Cut(e, " ")
		host, port, err := net.SplitHostPort(address)
		must(t, err)
		fmt.Fprintf(&b, "  - {address: %s, ports: {http: %s}%s}\n", host, port, more)
	}
	if policy == "" {
		return b.String()
	}
	fmt.Fprintf(&b, "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: a.example\n  trafficPolicy: %s\n", policy)
	return b.String()
}

// meshOf starts a sundog that serves the YAML to the mesh, with an access log.
func meshOf(t *testing.T, yaml string, more ...string) (p *process, file, log string) {
	t.Helper()
	dir := t.TempDir()
	file, log = filepath.Join(dir, "a.yaml"), filepath.Join(t.TempDir(), "access.log")
	write(t, file, yaml)
	return sundog(t, append([]string{"run", "-f", dir, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--gateway", "", "--access-log", log}, more...)...), file, log
}

// stat is one of Envoy's statistics of the cluster of a.example; 0 while there
// is none.
func (p *process) stat(name string) int {
	p.t.Helper()
	var all struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	p.getJSON("/stats?format=json&filter="+url.QueryEscape("a.example.*"+name+"$"), &all)
	for _, s := range all.Stats {
		if strings.HasSuffix(s.Name, "."+name) {
			return s.Value
		}
	}
	return 0
}

// One connection and one that waits for it: the third request is refused at
// once, and the two are served in turn.
func TestPoolLimits(t *testing.T) {
	arrived, release := make(chan struct{}, 8), make(chan struct{})
	primary := handle(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = w.Write([]byte("served"))
	})
	yaml := example(t, "resilience.md", "limits", "maxConnections: 100", "maxConnections: 1", "http1MaxPendingRequests: 1000", "http1MaxPendingRequests: 1")
	p, _, log := meshOf(t, entry(t, policyOf(yaml), primary), "--concurrency", "1")
	type answer struct {
		status int
		body   string
		err    error
	}
	answers := make(chan answer, 2)
	c, request := client(t, p.listener("virtualOutbound")), get(t, "http://a.example/")
	ask := func() {
		var a answer
		a.status, a.body, a.err = exchange(c, request())
		answers <- a
	}
	go ask()
	<-arrived
	go ask()
	eventually(t, "one request waits", func() bool { return p.stat("upstream_rq_pending_active") == 1 })
	resp, err := c.Do(request())
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != 503 || resp.Header.Get("X-Envoy-Overloaded") != "true" {
		t.Errorf("the third request got %d %v", resp.StatusCode, resp.Header)
	}
	if n, open := p.stat("upstream_rq_pending_overflow"), p.stat("circuit_breakers.default.rq_pending_open"); n != 1 || open != 1 {
		t.Errorf("upstream_rq_pending_overflow is %d, rq_pending_open %d", n, open)
	}
	close(release)
	for range 2 {
		if a := <-answers; a.err != nil || a.status != 200 || a.body != "served" {
			t.Errorf("a request within the limits got %+v", a)
		}
	}
	if total := p.stat("upstream_cx_total"); total != 1 {
		t.Errorf("%d connections were made", total)
	}
	p.stop()
	text := readFile(t, log)
	if n := strings.Count(text, `" 503 UO upstream_reset_before_response_started{overflow} `); n != 1 {
		t.Errorf("the access log has %d overflows:\n%s", n, text)
	}
}

// policyOf is the trafficPolicy of a DestinationRule, which it ends with.
func policyOf(yaml string) string {
	_, policy, _ := strings.Cut(yaml, "trafficPolicy:\n")
	return "\n" + policy
}

// An endpoint that answers 5xx is left out, and taken back when its time is
// over.
func TestOutlierDetection(t *testing.T) {
	var bad atomic.Bool
	bad.Store(true)
	good := handle(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("good")) })
	sick := handle(t, func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(500)
		}
		_, _ = w.Write([]byte("sick"))
	})
	yaml := example(t, "resilience.md", "outliers", "interval: 10s", "interval: 50ms", "baseEjectionTime: 30s", "baseEjectionTime: 500ms")
	p, _, _ := meshOf(t, entry(t, policyOf(yaml), good, sick))
	c, request := client(t, p.listener("virtualOutbound")), get(t, "http://a.example/")
	ask := func() string {
		_, body, err := exchange(c, request())
		must(t, err)
		return body
	}
	eventually(t, "the endpoint is ejected", func() bool { ask(); return p.stat("outlier_detection.ejections_active") == 1 })
	if n := p.stat("outlier_detection.ejections_enforced_consecutive_5xx"); n == 0 {
		t.Error("no ejection is counted as one for consecutive 5xx")
	}
	if n := p.stat("membership_healthy"); n != 1 {
		t.Errorf("membership_healthy is %d", n)
	}
	bad.Store(false)
	for i := 0; p.stat("outlier_detection.ejections_active") == 1; i++ {
		if body := ask(); body != "good" && p.stat("outlier_detection.ejections_active") == 1 {
			t.Fatalf("request %d went to an endpoint that is ejected", i)
		}
	}
	eventually(t, "it is back", func() bool { return ask() == "sick" })
	if n := p.stat("outlier_detection.ejections_active"); n != 0 {
		t.Errorf("%d ejections are active", n)
	}
	p.stop()
}

// What consistent hashing looks at decides the endpoint. Without an endpoint
// its keys move, and few others.
func TestConsistentHash(t *testing.T) {
	var names, endpoints []string
	for i := range 4 {
		name := string(rune('a' + i))
		names = append(names, name)
		endpoints = append(endpoints, serve(t, name).address)
	}
	tests := []struct {
		name, policy string
		make         func(key int) (*http.Request, *net.TCPAddr)
		moved        int // of 100 keys of other endpoints, at most; about 17 are due
	}{
		{"header", "{httpHeaderName: x-user}", func(key int) (*http.Request, *net.TCPAddr) {
			r := get(t, "http://a.example/")()
			r.Header.Set("X-User", fmt.Sprint("user-", key))
			return r, nil
		}, 40},
		{"query", "{httpQueryParameterName: user, maglev: {tableSize: 1009}}", func(key int) (*http.Request, *net.TCPAddr) {
			return get(t, fmt.Sprintf("http://a.example/?x=1&user=u%d", key))(), nil
		}, 40},
		{"cookie", "{httpCookie: {name: user, ttl: 0s}}", func(key int) (*http.Request, *net.TCPAddr) {
			r := get(t, "http://a.example/")()
			r.AddCookie(&http.Cookie{Name: "user", Value: fmt.Sprint("c", key)})
			return r, nil
		}, 40},
		{"source", "{useSourceIp: true}", func(key int) (*http.Request, *net.TCPAddr) {
			return get(t, "http://a.example/")(), &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(key+1))}
		}, 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			policy := "{loadBalancer: {consistentHash: " + tt.policy + "}}"
			p, file, _ := meshOf(t, entry(t, policy, endpoints...))
			proxy := p.listener("virtualOutbound")
			const keys, requests = 100, 200
			before := whoServes(t, proxy, keys, tt.make)
			for i := range requests {
				if got := whoServes(t, proxy, 1, tt.make)[0]; got != before[0] {
					t.Fatalf("request %d of a key went to %s, others to %s", i, got, before[0])
				}
			}
			counts := map[string]int{}
			for _, n := range before {
				counts[n]++
			}
			for _, n := range names {
				if counts[n] < keys/20 {
					t.Errorf("%s has %d of %d keys: %v", n, counts[n], keys, counts)
				}
			}
			replace(t, file, entry(t, policy, endpoints[:3]...))
			p.find(&p.err, `msg="(configuration reloaded)"`)
			moved, others := 0, 0
			for key, now := range whoServes(t, proxy, keys, tt.make) {
				switch {
				case now == "d":
					t.Errorf("key %d goes to an endpoint that is not there", key)
				case before[key] != "d":
					others++
					if now != before[key] {
						moved++
					}
				}
			}
			if moved*100 > tt.moved*others {
				t.Errorf("%d of %d keys moved though their endpoint stayed", moved, others)
			}
			p.stop()
		})
	}
}

// whoServes asks once for each key, and returns the names of the services.
func whoServes(t *testing.T, proxy string, keys int, make func(key int) (*http.Request, *net.TCPAddr)) []string {
	t.Helper()
	var out []string
	shared := client(t, proxy)
	for key := range keys {
		r, from := make(key)
		c := shared
		if from != nil {
			c = client(t, proxy)
			c.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: from}).DialContext
		}
		status, body, err := exchange(c, r)
		if err != nil || status != 200 {
			t.Fatalf("key %d: %d, %v", key, status, err)
		}
		if from != nil {
			c.CloseIdleConnections()
		}
		out = append(out, body)
	}
	return out
}

// A client without the cookie gets one, and stays where it has been.
func TestHashCookieIsMade(t *testing.T) {
	var endpoints []string
	for i := range 4 {
		endpoints = append(endpoints, serve(t, string(rune('a'+i))).address)
	}
	p, _, _ := meshOf(t, entry(t, "{loadBalancer: {consistentHash: {httpCookie: {name: session, path: /, ttl: 600s}}}}", endpoints...))
	seen := map[string]bool{}
	for range 20 {
		c := client(t, p.listener("virtualOutbound"))
		jar, err := cookiejar.New(nil)
		must(t, err)
		c.Jar = jar
		_, first, err := exchange(c, get(t, "http://a.example/")())
		must(t, err)
		if cookies := jar.Cookies(&url.URL{Scheme: "http", Host: "a.example", Path: "/"}); len(cookies) != 1 || cookies[0].Name != "session" {
			t.Fatalf("cookies %v", cookies)
		}
		for range 10 {
			if _, body, err := exchange(c, get(t, "http://a.example/")()); err != nil || body != first {
				t.Fatalf("went to %s after %s, %v", body, first, err)
			}
		}
		seen[first] = true
		c.CloseIdleConnections()
	}
	if len(seen) < 2 {
		t.Errorf("all clients went to %v", seen)
	}
	p.stop()
}

// Endpoints nearby serve alone until they are ejected, then those elsewhere.
func TestLocalityFailover(t *testing.T) {
	var bad atomic.Bool
	near := handle(t, func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(503)
		}
		_, _ = w.Write([]byte("near"))
	})
	far := handle(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("far")) })
	other := handle(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other")) })
	yaml := example(t, "resilience.md", "localities", "interval: 10s", "interval: 50ms", "baseEjectionTime: 30s", "baseEjectionTime: 500ms")
	p, _, _ := meshOf(t, entry(t, policyOf(yaml), near+" , locality: eu/z1", far+" , locality: us/z1", other+" , locality: ap/z1"),
		"--locality", "eu/z1")
	c, request := client(t, p.listener("virtualOutbound")), get(t, "http://a.example/")
	send(t, c, 200, "near", request)
	bad.Store(true)
	eventually(t, "those nearby are ejected", func() bool {
		_, _, _ = exchange(c, request())
		return p.stat("outlier_detection.ejections_active") == 1
	})
	_, body, err := exchange(c, request())
	if err != nil || body != "far" && p.stat("outlier_detection.ejections_active") == 1 {
		t.Errorf("%s answers, %v", body, err)
	}
	bad.Store(false)
	eventually(t, "they are back", func() bool { _, body, _ := exchange(c, request()); return body == "near" })
	p.stop()
}

// A try that takes too long is given up for another one.
func TestPerTryTimeout(t *testing.T) {
	var tries atomic.Int64
	primary := handle(t, func(w http.ResponseWriter, r *http.Request) {
		if tries.Add(1) == 1 {
			<-r.Context().Done()
			return
		}
		_, _ = w.Write([]byte("try " + r.Header.Get("X-Envoy-Attempt-Count")))
	})
	p, _, _ := meshOf(t, entry(t, "", primary)+"---\n"+example(t, "resilience.md", "retries", "perTryTimeout: 2s", "perTryTimeout: 200ms"))
	status, body, err := exchange(client(t, p.listener("virtualOutbound")), get(t, "http://a.example/")())
	if err != nil || status != 200 || body != "try 2" {
		t.Errorf("%d %q, %v", status, body, err)
	}
	if n, late := p.stat("upstream_rq_retry_success"), p.stat("upstream_rq_per_try_timeout"); n != 1 || late != 1 {
		t.Errorf("upstream_rq_retry_success is %d, upstream_rq_per_try_timeout %d", n, late)
	}
	p.stop()
}

// With Istio's default policy no request fails because an endpoint is dead.
func TestRetriesPassADeadEndpoint(t *testing.T) {
	primary := serve(t, "alive")
	p, _, _ := meshOf(t, entry(t, "", primary.address, refused(t)))
	c := client(t, p.listener("virtualOutbound"))
	send(t, c, 500, "alive", get(t, "http://a.example/"))
	post := get(t, "http://a.example/")
	send(t, c, 100, "alive", func() *http.Request {
		r := post()
		r.Method, r.Body, r.ContentLength = http.MethodPost, http.NoBody, 0
		return r
	})
	if n := p.stat("upstream_rq_retry"); n == 0 {
		t.Error("no request was tried again")
	}
	p.stop()
}

// An endpoint that is new among old ones gets few requests at first, and its
// share when it is warm.
func TestWarmup(t *testing.T) {
	old, fresh := serve(t, "old"), serve(t, "fresh")
	const policy = "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 2s, minimumPercent: 10}}}"
	p, file, _ := meshOf(t, entry(t, policy, old.address))
	c, request := client(t, p.listener("virtualOutbound")), get(t, "http://a.example/")
	begun := time.Now()
	eventually(t, "the first endpoint is warm", func() bool {
		send(t, c, 8, "old", request)
		return time.Since(begun) > 2*time.Second
	})
	replace(t, file, entry(t, policy, old.address, fresh.address))
	eventually(t, "the new endpoint has a request", func() bool {
		send(t, c, 8, "", request)
		return len(fresh.got()) > 0
	})
	share := func() int {
		before := len(fresh.got())
		send(t, c, 200, "", request)
		return len(fresh.got()) - before
	}
	if n := share(); n > 80 {
		t.Errorf("the new endpoint got %d of its first 200 requests", n)
	}
	eventually(t, "the new endpoint has its share", func() bool { return share() >= 95 })
	p.stop()
}
