package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

func named(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }
}

// says wants a new connection to be answered with the body.
func says(t testing.TB, addr, want string) {
	t.Helper()
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if resp, body := c.response("GET"); resp.StatusCode != 200 || body != want {
		t.Errorf("%d %q, want %q", resp.StatusCode, body, want)
	}
}

// at makes the snapshot's listeners those of the names, on the addresses.
func at(t testing.TB, s *scene, addrs map[string]string) *envoy.Snapshot {
	snap := s.snapshot(t)
	base := snap.Listeners[0]
	snap.Listeners = nil
	for name, addr := range addrs {
		l := proto.CloneOf(base)
		l.Name, l.Address = name, socket(netip.MustParseAddrPort(addr))
		snap.Listeners = append(snap.Listeners, l)
	}
	return snap
}

func bound(p *proxy.Proxy) map[string]string {
	all := map[string]string{}
	for _, l := range p.Status().Listeners {
		all[l.Name] = l.Address.String()
	}
	return all
}

func TestListenersComeAndGo(t *testing.T) {
	s := newScene(backend(t, named("v1")))
	p, first := serve(t, s, proxy.Options{Concurrency: 2})
	old := dial(t, first)
	old.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	old.response("GET")

	free := refused(t)
	if err := p.Apply(at(t, s, map[string]string{"test": "127.0.0.1:0", "second": free})); err != nil {
		t.Fatal(err)
	}
	if got := bound(p); got["test"] != first || got["second"] != free {
		t.Fatalf("bound %v, want %s and %s", got, first, free)
	}
	says(t, free, "v1")
	old.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") // its listener has not changed
	old.response("GET")

	if err := p.Apply(at(t, s, map[string]string{"second": free})); err != nil {
		t.Fatal(err)
	}
	old.wantEnd("an idle connection of a listener that has gone")
	eventually(t, "the first socket closed", func() bool {
		nc, err := net.Dial("tcp", first)
		if err == nil {
			_ = nc.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})

	moved := refused(t)
	if err := p.Apply(at(t, s, map[string]string{"second": moved})); err != nil {
		t.Fatal(err)
	}
	says(t, moved, "v1")
	if err := p.Apply(at(t, s, map[string]string{"renamed": moved})); err != nil {
		t.Fatalf("the same address under another name: %v", err)
	}
	says(t, moved, "v1")
	swap := refused(t)
	for _, addrs := range []map[string]string{{"a": moved, "b": swap}, {"a": swap, "b": moved}} {
		if err := p.Apply(at(t, s, addrs)); err != nil {
			t.Fatalf("two listeners, then with each other's address: %v", err)
		}
		says(t, moved, "v1")
		says(t, swap, "v1")
	}
}

func TestBadSnapshotsChangeNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p, addr := serve(t, newScene(backend(t, named("v1"))), proxy.Options{Concurrency: 1})
	before := p.Status()
	v2, free := newScene(backend(t, named("v2"))), refused(t)
	unknown := v2.snapshot(t)
	unknown.Routes = nil
	badRegex := newScene(backend(t, named("v2")))
	badRegex.match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}}}
	badCluster := newScene(backend(t, named("v2")))
	badCluster.clusters[0].ConnectTimeout = durationpb.New(-time.Second)
	twice := v2.snapshot(t)
	twice.Listeners = append(twice.Listeners, twice.Listeners[0])
	for name, snap := range map[string]*envoy.Snapshot{
		"unknown routes": unknown, "bad regex": badRegex.snapshot(t), "bad cluster": badCluster.snapshot(t), "listener twice": twice,
		"port taken": at(t, v2, map[string]string{"test": "127.0.0.1:0", "free": free, "taken": taken.Addr().String()}),
	} {
		err := p.Apply(snap)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		var b *proxy.BindError
		if errors.As(err, &b) != (name == "port taken") {
			t.Errorf("%s: %v", name, err)
		} else if b != nil && (b.Listener != "taken" || b.Address != taken.Addr().String() || !errors.Is(err, syscall.EADDRINUSE)) {
			t.Errorf("%+v", b)
		}
		says(t, addr, "v1")
		if st := p.Status(); st.Snapshot != before.Snapshot || len(st.Listeners) != 1 {
			t.Errorf("%s: the snapshot or its listeners have changed", name)
		}
	}
	if nc, err := net.Dial("tcp", free); err == nil {
		_ = nc.Close()
		t.Error("the other listener of a snapshot with a port that is taken is bound")
	}
}

// TestIdleConnectionSeesNewRoutes reloads while a client's connection rests.
func TestIdleConnectionSeesNewRoutes(t *testing.T) {
	v1, v2 := newScene(backend(t, named("v1"))), newScene(backend(t, named("v2")))
	p, addr := serve(t, v1, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	// The route that a resting connection knew must not be mixed with the new
	// generation's numbers.
	v2.routes = []*routev3.Route{{Name: "more", Match: prefix("/more"), Action: &routev3.Route_Route{Route: v2.action}}}
	for i := range 10 {
		want, s := "v1", v1
		if i%2 == 1 {
			want, s = "v2", v2
		}
		if err := p.Apply(s.snapshot(t)); err != nil {
			t.Fatal(err)
		}
		c.send("GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", map[string]string{"v1": "", "v2": "more"}[want])
		if resp, body := c.response("GET"); resp.StatusCode != 200 || body != want {
			t.Fatalf("%d %q, want %q", resp.StatusCode, body, want)
		}
	}
}

// TestReloadsUnderLoad applies 200 snapshots, good and bad, while clients ask.
// No request fails, unchanged endpoints keep their connections, and the ledger
// balances all the time.
func TestReloadsUnderLoad(t *testing.T) {
	var conns atomic.Int32
	primary := peer(t, func(w *wire) {
		conns.Add(1)
		for r, _ := w.request(); r != nil; r, _ = w.request() {
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	shadows := []string{backend(t, echo), refused(t), backend(t, echo)}
	base := newScene(primary, shadows...)
	mirrors := base.action.RequestMirrorPolicies
	p, addr := serve(t, base, proxy.Options{Concurrency: 2})
	const clients = 3
	var all sync.WaitGroup
	var stop atomic.Bool
	var asked atomic.Uint64
	for range clients {
		c := dial(t, addr)
		all.Go(func() {
			for !stop.Load() {
				c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, err := http.ReadResponse(c.r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "ok" || err != nil {
					t.Errorf("%s %q %v", resp.Status, body, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	broken := base.snapshot(t)
	broken.Routes = nil
	for i := range 200 {
		s := newScene(primary, shadows...)
		s.action.RequestMirrorPolicies = mirrors[:i%4] // from none to all
		if i%3 == 0 {
			s.share(uint32(i) * 5000)
		}
		if err := p.Apply(s.snapshot(t)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 && p.Apply(broken) == nil {
			t.Fatal("a broken snapshot was applied")
		}
		if i%5 == 0 {
			balanced(t, p)
			n := asked.Load()
			eventually(t, "requests between reloads", func() bool { return asked.Load() > n || t.Failed() })
		}
	}
	stop.Store(true)
	all.Wait()
	if l := balanced(t, p); l.Forwarded != asked.Load() || len(l.Routes) != 1 || len(l.Routes[0].Mirrors) != 3 {
		t.Errorf("%d asked, ledger %+v", asked.Load(), l)
	}
	if n := conns.Load(); n > clients && loop.Driver == "epoll" { // the other may learn late that a request is out
		t.Errorf("%d connections to the primary for %d clients", n, clients)
	}
}

// TestOldGenerationIsBooked lets requests that came before a reload be
// forwarded after it, when mirrors have gone and come.
func TestOldGenerationIsBooked(t *testing.T) {
	primary := backend(t, named("ok"))
	one := newScene(primary, backend(t, echo), backend(t, echo))
	all := one.action.RequestMirrorPolicies
	one.action.RequestMirrorPolicies = all[:1]
	// A delay that ends only after the reload.
	one.fault = faulty(t, &faultv3.HTTPFault{Delay: fixedDelay(300 * time.Millisecond)})
	p, addr := serve(t, one, proxy.Options{Concurrency: 1})
	for i := range 4 {
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		n := uint64(i + 1)
		eventually(t, "the request to wait", func() bool { return stat(p, "http.test.downstream_rq_total") == n })
		two := newScene(primary, backend(t, echo), backend(t, echo))
		two.fault = one.fault
		two.action.RequestMirrorPolicies = [][]*routev3.RouteAction_RequestMirrorPolicy{all[1:], all, nil, all[:1]}[i]
		if err := p.Apply(two.snapshot(t)); err != nil {
			t.Fatal(err)
		}
		if l := balanced(t, p); l.Forwarded != n-1 {
			t.Fatalf("%d forwarded before the delay was over", l.Forwarded)
		}
		c.response("GET")
		if l := balanced(t, p); l.Forwarded != n {
			t.Errorf("%d forwarded", l.Forwarded)
		}
	}
}

// TestDNSCluster reloads to clusters whose names nobody has looked up before:
// no request comes too early for them.
func TestDNSCluster(t *testing.T) {
	primary := backend(t, named("by name"))
	p, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	eventually(t, "the proxy to run", func() bool { return stat(p, "server.concurrency") == 1 })
	for i := range 5 {
		s := newScene(primary)
		c := s.clusters[0]
		c.Name = fmt.Sprintf("named%d", i)
		c.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Address.GetSocketAddress().Address = "localhost"
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_V4_ONLY
		s.action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: c.Name}
		if err := p.Apply(s.snapshot(t)); err != nil {
			t.Fatal(err)
		}
		says(t, addr, "by name")
		if err := p.Apply(s.snapshot(t)); err != nil {
			t.Fatal(err)
		}
		says(t, addr, "by name")
		e := p.Status().Clusters[0].Endpoints
		if len(e) != 1 || e[0].Hostname != "localhost" || !strings.HasPrefix(e[0].Address.String(), "127.0.0.1:") || e[0].RqSuccess != 2 {
			t.Errorf("endpoints %+v", e)
		}
	}
}

// TestDrain ends Run while one request is under way, another client rests, and
// a copy has not been answered.
func TestDrain(t *testing.T) {
	came, may := make(chan bool), make(chan bool)
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			came <- true
			<-may
		}
		fmt.Fprint(w, "ok")
	})
	p, err := proxy.New(proxy.Options{Concurrency: 2, DrainTime: patience})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if err := p.Apply(newScene(primary).snapshot(t)); err != nil {
		t.Fatal(err)
	}
	addr := p.Status().Listeners[0].Address.String()
	idle, slow := dial(t, addr), dial(t, addr)
	idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := idle.response("GET"); resp.Close {
		t.Error("told to close before draining")
	}
	slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	cancel()
	idle.wantEnd("a resting connection")
	if !p.Draining() {
		t.Error("not draining")
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		_ = nc.Close()
		t.Error("the listener still takes connections")
	}
	select {
	case err := <-done:
		t.Fatalf("Run ended with a request under way: %v", err)
	default:
	}
	close(may)
	if resp, body := slow.response("GET"); body != "ok" || !resp.Close {
		t.Errorf("%q, close %v", body, resp.Close)
	}
	slow.wantEnd("after the last answer")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := p.Apply(newScene(primary).snapshot(t)); err == nil {
		t.Error("Apply after the end")
	}
}

// TestDrainTimeEnds has a request that never ends.
func TestDrainTimeEnds(t *testing.T) {
	came := make(chan bool, 1)
	primary := peer(t, func(w *wire) { w.request(); came <- true; _, _ = w.rest() })
	p, err := proxy.New(proxy.Options{Concurrency: 1, DrainTime: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if err := p.Apply(newScene(primary).snapshot(t)); err != nil {
		t.Fatal(err)
	}
	c := dial(t, p.Status().Listeners[0].Address.String())
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := c.rest(); got != "" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}
