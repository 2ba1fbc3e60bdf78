package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sundog-mesh/sundog/examples"
	"github.com/sundog-mesh/sundog/internal/mirror"
)

const (
	meshRequests    = 400
	gatewayRequests = 200
)

// inCluster sends requests through the mesh, as a program in the cluster would.
func (w *world) inCluster(ctx context.Context, s *show) error {
	s.title("In one cluster: half of the requests to httpbin:8000 also go to v1-mirroring")
	s.line("%d times: http_proxy=http://%s curl http://httpbin:8000/headers", meshRequests, w.a.address("virtualOutbound"))
	proxyURL := &url.URL{Scheme: "http", Host: w.a.address("virtualOutbound")}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxyURL)}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for range meshRequests {
		status, _, err := get(ctx, client, "http://httpbin:8000/headers")
		if err != nil {
			return err
		}
		s.check(status == http.StatusOK, "a request through the mesh got %d", status)
	}
	if err := w.settled(ctx); err != nil {
		return err
	}
	primary, shadow := w.v1.take(), w.mirroring.take()
	s.received(w.v1.name, primary)
	s.received(w.mirroring.name, shadow)
	s.check(len(primary) == meshRequests, "v1 got %d requests of %d", len(primary), meshRequests)
	s.check(near(len(shadow), meshRequests/2), "v1-mirroring got %d shadows of %d requests", len(shadow), meshRequests)
	s.check(all(primary, func(r seen) bool { return r.host == "httpbin:8000" && !r.internal }), "v1 got a Host other than httpbin:8000")
	s.check(all(shadow, func(r seen) bool { return r.host == "httpbin-shadow:8000" && r.internal }), "v1-mirroring got a Host other than httpbin-shadow:8000")
	return w.lines(ctx, s, "httpbin:8000")
}

// crossCluster sends requests to A's gateway, half of which reach B through
// B's gateway.
func (w *world) crossCluster(ctx context.Context, s *show) error {
	gateway := w.a.address("0.0.0.0_80")
	s.title("To another cluster: half of /headers at A's gateway also goes to B's gateway")
	s.line("%d times: curl http://%s/headers, and as often /status/200, which no route has", gatewayRequests, gateway)
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var body string
	for range gatewayRequests {
		status, text, err := get(ctx, client, "http://"+gateway+"/headers")
		if err != nil {
			return err
		}
		body = text
		s.check(status == http.StatusOK, "a request through the gateway got %d", status)
		if status, _, err = get(ctx, client, "http://"+gateway+"/status/200"); err != nil {
			return err
		}
		s.check(status == http.StatusNotFound, "a request without a route got %d", status)
	}
	if err := w.settled(ctx); err != nil {
		return err
	}
	primary, test := w.v1.take(), w.test.take()
	s.received(w.v1.name, primary)
	s.received(w.test.name, test)
	s.check(len(primary) == gatewayRequests, "v1 got %d requests of %d", len(primary), gatewayRequests)
	s.check(near(len(test), gatewayRequests/2), "cluster B got %d shadows of %d requests", len(test), gatewayRequests)
	host, port, _ := net.SplitHostPort(gateway)
	shadowHost := host + "-shadow:" + port
	s.check(all(test, func(r seen) bool { return r.host == shadowHost && r.path == "/headers" }), "cluster B got what is no shadow of /headers")
	s.check(all(test, func(r seen) bool { return strings.Count(r.forwardedFor, ",") == 2 }), "a shadow did not come to B through both gateways")
	s.check(strings.Contains(body, gateway) && !strings.Contains(body, "-shadow"), "the client did not get A's answer: %s", body)
	s.line("The client got the primary's answer, Host %s. B saw the shadows come through two proxies: x-forwarded-for %s", gateway, first(test).forwardedFor)
	return w.lines(ctx, s, gateway)
}

// lines shows the access log of A, which is written behind the requests: a
// request that was mirrored, and its shadow.
func (w *world) lines(ctx context.Context, s *show, host string) error {
	var both []string
	if err := until(ctx, "the access log of "+host, func() bool {
		both = pair(w.a.log.String(), host)
		return len(both) == 2
	}); err != nil {
		return err
	}
	s.line("")
	s.line("The access log has a line for the primary and, what Envoy cannot do, one for the shadow:")
	for _, l := range both {
		s.line("  %s", l)
	}
	return nil
}

// route shows the route of the config dump beside the article's.
func (w *world) route(s *show) {
	s.title("The route in A's config dump, and every field of the article's")
	want, err := examples.Files.ReadFile("cross-cluster/expected-route.json")
	s.check(err == nil, "reading the expected route: %v", err)
	for _, rc := range w.a.snapshot.Routes {
		if rc.GetName() != "http.80" {
			continue
		}
		got, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(rc.GetVirtualHosts()[0].GetRoutes()[0])
		s.check(err == nil, "writing the route: %v", err)
		s.beside(want, got)
		return
	}
	s.check(false, "the config dump has no http.80")
}

// ledger shows and checks what became of every request, and that the services
// saw the same.
func (w *world) ledger(s *show) {
	s.title("The ledger of cluster A: every request, every mirror, one outcome")
	rep := w.a.proxy.Status().Ledger
	forwarded := uint64(meshRequests + gatewayRequests)
	s.check(rep.Forwarded == forwarded, "%d requests were forwarded, the ledger has %d", forwarded, rep.Forwarded)
	s.check(w.v1.count() == meshRequests+gatewayRequests, "v1 got %d requests, forwarded were %d", w.v1.count(), forwarded)
	shadows := map[string]*service{
		"outbound|8000|v1-mirroring|httpbin.default.svc.cluster.local": w.mirroring,
		"outbound|80||httpbin.mirror.cluster-b":                        w.test,
	}
	for _, r := range rep.Routes {
		for _, m := range r.Mirrors {
			got, ok := shadows[m.Cluster]
			s.check(ok, "the ledger has %s, twice or by mistake", m.Cluster)
			if ok {
				s.balances(r, m, got)
			}
			delete(shadows, m.Cluster)
		}
	}
	s.check(len(shadows) == 0, "the ledger lacks mirrors: %v", slices.Sorted(maps.Keys(shadows)))
}

// balances shows one mirror's outcomes, which sum to the forwarded requests
// and agree with what the shadow's service got.
func (s *show) balances(r mirror.RouteReport, m mirror.MirrorReport, to *service) {
	sum := uint64(0)
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m.Outcomes)) {
		sum += m.Outcomes[name]
		parts = append(parts, fmt.Sprintf("%d %s", m.Outcomes[name], name))
	}
	s.line("%s", r.Route)
	s.line("  to %s, share %.2f", m.Cluster, m.Share)
	s.line("  %s = %d of %d forwarded; %s received %d", strings.Join(parts, " + "), sum, r.Forwarded, to.name, to.count())
	s.check(sum == r.Forwarded, "the outcomes of %s sum to %d, forwarded were %d", m.Cluster, sum, r.Forwarded)
	s.check(m.Outcomes["completed"]+m.Outcomes["not_sampled"] == sum, "not every shadow of %s was completed: %v", m.Cluster, m.Outcomes)
	s.check(m.Outcomes["completed"] == uint64(to.count()), "%s received %d shadows, the ledger has %d completed", to.name, to.count(), m.Outcomes["completed"])
}

// settled waits until no shadow is in flight.
func (w *world) settled(ctx context.Context) error {
	return until(ctx, "the shadows", func() bool { return inFlight(w.a.proxy.Status().Ledger) == 0 })
}

// until waits until the condition holds.
func until(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-look.C:
		}
	}
	return nil
}

func inFlight(rep mirror.Report) (n uint64) {
	for _, r := range rep.Routes {
		for _, m := range r.Mirrors {
			n += m.Outcomes["in_flight"]
		}
	}
	return n
}

func get(ctx context.Context, c *http.Client, address string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// near allows for five standard deviations of a fair draw of twice as many.
func near(got, want int) bool {
	d := got - want
	return d*d <= 25*want/2
}

func all(rs []seen, ok func(seen) bool) bool {
	return !slices.ContainsFunc(rs, func(r seen) bool { return !ok(r) })
}

func first(rs []seen) seen {
	if len(rs) == 0 {
		return seen{}
	}
	return rs[0]
}

// pair finds a request that was mirrored in the access log, and its shadow.
func pair(log, host string) []string {
	lines := strings.Split(log, "\n")
	for _, shadow := range lines {
		if !strings.Contains(shadow, "shadow outcome=") {
			continue
		}
		id := requestID(shadow)
		for _, l := range lines {
			if id != "" && requestID(l) == id && strings.Contains(l, `"`+host+`"`) {
				return []string{l, shadow}
			}
		}
	}
	return nil
}

// requestID is the request id in a line of Istio's access log format.
func requestID(line string) string {
	for _, f := range strings.Split(line, `"`) {
		if len(f) == 36 && strings.Count(f, "-") == 4 {
			return f
		}
	}
	return ""
}
