package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// automatic makes ALPN decide what a cluster speaks.
func automatic(t testing.TB, c *clusterv3.Cluster, ca *certtest.CA, edit func(*tlsv3.UpstreamTlsContext)) {
	t.Helper()
	originating(t, c, ca, edit)
	c.ConnectTimeout = durationpb.New(patience) // for many handshakes at once
	options(t, c, &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_AutoConfig{
		AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{},
	}})
}

// choosing is a server that knows these protocols in ALPN, or no ALPN at all.
func choosing(t testing.TB, ca *certtest.CA, h http.HandlerFunc, protocols *atomic.Pointer[[]string]) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert := ca.Issue("127.0.0.1").TLS()
	cfg := &tls.Config{NextProtos: []string{"h2", "http/1.1"}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: *protocols.Load()}, nil
	}}
	srv := &http.Server{Handler: h, TLSConfig: cfg, ErrorLog: discarded()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.ServeTLS(ln, "", "")
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return ln.Addr().String()
}

func protocolsOf(names ...string) *atomic.Pointer[[]string] {
	p := &atomic.Pointer[[]string]{}
	p.Store(&names)
	return p
}

// TestAutoProtocol has endpoints, and shadows, that choose.
func TestAutoProtocol(t *testing.T) {
	ca := certtest.NewCA()
	tell := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
		echo(w, r)
	}
	for _, tt := range []struct {
		name      string
		protocols []string
		offer     []string // by the context; nil: what Sundog offers
		proto     string
	}{
		{"both", []string{"h2", "http/1.1"}, nil, "HTTP/2.0"},
		{"HTTP/2 only", []string{"h2"}, nil, "HTTP/2.0"},
		{"HTTP/1.1 only", []string{"http/1.1"}, nil, "HTTP/1.1"},
		{"no ALPN", nil, nil, "HTTP/1.1"},
		{"of what the context offers", []string{"h2", "http/1.1"}, []string{"http/1.1"}, "HTTP/1.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(choosing(t, ca, tell, protocolsOf(tt.protocols...)), choosing(t, ca, tell, protocolsOf(tt.protocols...)))
			for _, c := range s.clusters {
				automatic(t, c, ca, func(ctx *tlsv3.UpstreamTlsContext) { ctx.CommonTlsContext.AlpnProtocols = tt.offer })
			}
			p, addr := serve(t, s, proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Buffer: 32 << 20}})
			c := client(t)
			ask := func(body string) {
				resp, err := c.Post("http://"+addr+"/x", "", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(got) != "POST /x "+body || err != nil || resp.Header.Get("X-Proto") != tt.proto {
					t.Errorf("%d: %d bytes over %s, %v", resp.StatusCode, len(got), resp.Header.Get("X-Proto"), err)
				}
			}
			ask(string(payload(1 << 20))) // before it is known
			ask("")
			ask("short")
			if n := p.Status().Clusters[0].Endpoints[0].CxTotal; n != 1 {
				t.Errorf("%d connections for requests one by one", n)
			}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() { ask("short") })
			}
			all.Wait()
			e := p.Status().Clusters[0].Endpoints[0]
			if e.RqTotal != 53 || tt.proto == "HTTP/2.0" && e.CxTotal != 1 {
				t.Errorf("%d requests over %d connections", e.RqTotal, e.CxTotal)
			}
			wantCompleted(t, p, 53)
			wantQuiet(t, p)
		})
	}
}

// TestAutoProtocolChanges has an endpoint that chooses otherwise from some
// moment on, and loses its connections.
func TestAutoProtocolChanges(t *testing.T) {
	ca := certtest.NewCA()
	protocols := protocolsOf("h2")
	s := newScene(choosing(t, ca, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Proto", r.Proto)
	}, protocols))
	automatic(t, s.clusters[0], ca, nil)
	s.clusters[0].MaxRequestsPerConnection = uint32Of(1) //nolint:staticcheck // still sent
	s.action.RetryPolicy = retries("connect-failure", 1)
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	for i, want := range []string{"HTTP/2.0", "HTTP/1.1", "HTTP/1.1", "HTTP/2.0", "HTTP/2.0", "HTTP/1.1"} {
		protocols.Store(&[]string{map[string]string{"HTTP/2.0": "h2", "HTTP/1.1": "http/1.1"}[want]})
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, body := c.response("GET"); resp.StatusCode != 200 || resp.Header.Get("X-Proto") != want {
			t.Errorf("%d: %d %q over %s, want %s", i, resp.StatusCode, body, resp.Header.Get("X-Proto"), want)
		}
	}
	wantQuiet(t, p)
	wantNoConnections(t, p)
}

// TestAutoProtocolFails has an endpoint that is not trusted, one that is not
// there, and a client that goes before it is known.
func TestAutoProtocolFails(t *testing.T) {
	ca, other := certtest.NewCA(), certtest.NewCA()
	for _, addr := range []string{choosing(t, other, echo, protocolsOf("h2")), refused(t)} {
		s := newScene(addr)
		automatic(t, s.clusters[0], ca, nil)
		p, addr := serve(t, s, proxy.Options{Concurrency: 1})
		get(t, addr, 0)
		wantQuiet(t, p)
		wantNoConnections(t, p)
	}
	begun := make(chan bool)
	s := newScene(peer(t, func(w *wire) {
		close(begun)
		_, _ = w.rest()
	}))
	automatic(t, s.clusters[0], ca, nil)
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	c.reset()
	wantQuiet(t, p)
	wantNoConnections(t, p)
}

// TestUpgradeOverTLS upgrades where the endpoint would rather speak HTTP/2.
func TestUpgradeOverTLS(t *testing.T) {
	ca := certtest.NewCA()
	upgrade := func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.Header.Get("Upgrade") == "" {
			return
		}
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, switching+"hello\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(nc, "got "+line)
	}
	for name, configure := range map[string]func(c *clusterv3.Cluster){
		"auto": func(c *clusterv3.Cluster) { automatic(t, c, ca, nil) },
		"HTTP/2": func(c *clusterv3.Cluster) {
			options(t, c, &httpv3.HttpProtocolOptions{})
			originating(t, c, ca, func(ctx *tlsv3.UpstreamTlsContext) { ctx.CommonTlsContext.AlpnProtocols = []string{"h2"} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(choosing(t, ca, upgrade, protocolsOf("h2", "http/1.1")))
			configure(s.clusters[0])
			p, addr := serve(t, s, proxy.Options{Concurrency: 1})
			for range 2 {
				get(t, addr, 1)
				c := dial(t, addr)
				c.send(upgradeRequest + "early\n")
				if resp, _ := c.response("GET"); resp.StatusCode != 101 {
					t.Fatalf("%d", resp.StatusCode)
				}
				if all, err := c.rest(); all != "hello\ngot early\n" {
					t.Errorf("%q %v", all, err)
				}
				_ = c.Close()
			}
			wantQuiet(t, p)
		})
	}
}
