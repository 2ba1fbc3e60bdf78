package proxy_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func discarded() *log.Logger { return log.New(io.Discard, "", 0) }

// saying is a route configuration that answers by itself.
func saying(name, text string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
		Name: name, Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match: prefix("/"),
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
				Status: 200, Body: inline(text),
			}},
		}},
	}}}
}

func with(hcm *hcmv3.HttpConnectionManager, routes string) *hcmv3.HttpConnectionManager {
	m := proto.Clone(hcm).(*hcmv3.HttpConnectionManager)
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: routes}}
	return m
}

// TestServerNames has chains with certificates and routes of their own.
func TestServerNames(t *testing.T) {
	ca := certtest.NewCA()
	s := newScene("127.0.0.1:1")
	snap := s.snapshot(t)
	snap.Routes = append(snap.Routes, saying("r-exact", "exact"), saying("r-deep", "deep"), saying("r-wild", "wild"), saying("r-rest", "rest"))
	chains := []*listenerv3.FilterChain{
		chainOf(t, with(s.hcm, "r-wild"), terminating(ca.Issue("*.example.com")), "*.example.com"),
		chainOf(t, with(s.hcm, "r-exact"), terminating(ca.Issue("a.example.com")), "a.example.com", "b.test"),
		chainOf(t, with(s.hcm, "r-deep"), terminating(ca.Issue("x.deep.example.com")), "*.deep.example.com"),
	}
	snap.Listeners[0].FilterChains = chains
	p, addr := run(t, snap, proxy.Options{Concurrency: 1})
	ask := func(name string) (string, error) {
		c := secureClient(t, &tls.Config{ServerName: name, InsecureSkipVerify: true}, h1)
		resp, err := c.Get("https://" + addr)
		if err != nil {
			return "", err
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		return string(body) + " " + resp.TLS.PeerCertificates[0].DNSNames[0], nil
	}
	for name, want := range map[string]string{
		"a.example.com":      "exact a.example.com",
		"A.Example.com":      "exact a.example.com",
		"b.test":             "exact a.example.com",
		"c.example.com":      "wild *.example.com",
		"c.d.example.com":    "wild *.example.com",
		"x.deep.example.com": "deep x.deep.example.com",
	} {
		if got, err := ask(name); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"other.test", "example.com", ""} {
		if got, err := ask(name); err == nil {
			t.Errorf("%q, which nobody serves: %q", name, got)
		}
	}
	if n := stat(p, "listener.no_filter_chain_match"); n != 3 {
		t.Errorf("%d without a chain", n)
	}
	// A chain for all names takes the rest, with or without a name.
	again := *snap
	again.Listeners = []*listenerv3.Listener{proto.Clone(snap.Listeners[0]).(*listenerv3.Listener)}
	again.Listeners[0].FilterChains = append(chains, chainOf(t, with(s.hcm, "r-rest"), terminating(ca.Issue("rest"))))
	if err := p.Apply(&again); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"other.test": "rest rest", "": "rest rest", "a.example.com": "exact a.example.com"} {
		if got, err := ask(name); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
}

// secure is the scene's snapshot behind TLS.
func (s *scene) secure(t testing.TB, ctx *tlsv3.DownstreamTlsContext) *envoy.Snapshot {
	snap := s.snapshot(t)
	snap.Listeners[0].FilterChains = []*listenerv3.FilterChain{chainOf(t, s.hcm, ctx)}
	return snap
}

// TestTLSBothSides forwards and mirrors between encrypted connections, and
// what was agreed on decides the protocol.
func TestTLSBothSides(t *testing.T) {
	ca := certtest.NewCA()
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("127.0.0.1", "up.test").TLS()}}
	var names [2]atomic.Pointer[string]
	echoing := func(i int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			names[i].Store(&r.TLS.ServerName)
			w.Header().Set("X-Proto", r.Proto+" "+r.Header.Get("X-Forwarded-Proto"))
			echo(w, r)
		}
	}
	for _, up := range []protocol{h1, h2c} {
		s := newScene(secureBackend(t, server.Clone(), echoing(0)), secureBackend(t, server.Clone(), echoing(1))).over(t, up, up)
		alpn := map[protocol]string{h1: "http/1.1", h2c: "h2"}[up]
		for i, c := range s.clusters {
			originating(t, c, ca, func(ctx *tlsv3.UpstreamTlsContext) {
				ctx.Sni = []string{"up.test", "shadow.test"}[i]
				ctx.CommonTlsContext.AlpnProtocols = []string{alpn}
			})
		}
		p, addr := run(t, s.secure(t, terminating(ca.Issue("127.0.0.1"))), proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Buffer: 32 << 20}})
		for i, tt := range []struct {
			offer []protocol
			proto string
		}{{[]protocol{h1}, "HTTP/1.1"}, {[]protocol{h2c}, "HTTP/2.0"}, {[]protocol{h1, h2c}, "HTTP/2.0"}} {
			c := secureClient(t, &tls.Config{RootCAs: ca.Pool()}, tt.offer...)
			body := string(payload(1 << 20))
			resp, err := c.Post("https://"+addr+"/x", "", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != "POST /x "+body || err != nil || resp.Proto != tt.proto {
				t.Errorf("offering %v: %d bytes in %s, %v", tt.offer, len(got), resp.Proto, err)
			}
			if want := map[protocol]string{h1: "HTTP/1.1", h2c: "HTTP/2.0"}[up] + " https"; resp.Header.Get("X-Proto") != want {
				t.Errorf("the primary saw %s, want %s", resp.Header.Get("X-Proto"), want)
			}
			wantCompleted(t, p, uint64(i+1))
		}
		if a, b := *names[0].Load(), *names[1].Load(); a != "up.test" || b != "shadow.test" {
			t.Errorf("server names %q and %q", a, b)
		}
		wantQuiet(t, p)
	}
}

// TestServerNameOfRequest takes the name from each request.
func TestServerNameOfRequest(t *testing.T) {
	ca := certtest.NewCA()
	primary := secureBackend(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("one.test", "two.test").TLS()}},
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.TLS.ServerName) })
	for _, up := range []protocol{h1, h2c} {
		s := newScene(primary)
		o := &httpv3.HttpProtocolOptions{UpstreamHttpProtocolOptions: &corev3.UpstreamHttpProtocolOptions{AutoSni: true, AutoSanValidation: true}}
		originating(t, s.clusters[0], ca, nil)
		if up == h1 {
			o.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
			}}
		} else {
			originating(t, s.clusters[0], ca, func(ctx *tlsv3.UpstreamTlsContext) { ctx.CommonTlsContext.AlpnProtocols = []string{"h2"} })
		}
		options(t, s.clusters[0], o)
		sink := &recorder{}
		p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
		c := dial(t, addr)
		for _, host := range []string{"one.test", "two.test:8443", "one.test", "two.test"} {
			c.send("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
			if _, body := c.response("GET"); body != strings.TrimSuffix(host, ":8443") {
				t.Errorf("%s over %s: the server name was %q", host, up, body)
			}
		}
		// The portable driver may hear of an answer before it hears that the request was written, and then closes.
		if n := p.Status().Clusters[0].Endpoints[0].CxTotal; n < 2 || n > 3 {
			t.Errorf("%d connections for two names and four requests", n)
		}
		c.send("GET / HTTP/1.1\r\nHost: three.test\r\n\r\n")
		resp, body := c.response("GET")
		if resp.StatusCode != 503 || !strings.Contains(body, "three.test") {
			t.Errorf("a name that the certificate is not for: %d %q", resp.StatusCode, body)
		}
		if got := sink.wait(t, traffic.Answered, 4); got.primary.Flags != "UF" || got.primary.Failure == "" {
			t.Errorf("recorded %+v", got.primary)
		}
		wantQuiet(t, p)
	}
}

// TestUpstreamThatIsNotTrusted has servers with a wrong certificate, or none.
func TestUpstreamThatIsNotTrusted(t *testing.T) {
	ca, other := certtest.NewCA(), certtest.NewCA()
	wrong := secureBackend(t, &tls.Config{Certificates: []tls.Certificate{other.Issue("up.test").TLS()}}, echo)
	plain := backend(t, echo)
	for _, addr := range []string{wrong, plain} {
		for _, up := range []protocol{h1, h2c} {
			s := newScene(addr, addr).over(t, up, up)
			originating(t, s.clusters[0], ca, nil)
			originating(t, s.clusters[1], ca, nil)
			sink := &recorder{}
			p, at := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, at)
			for i := range 2 {
				c.send("GET / HTTP/1.1\r\nHost: up.test\r\n\r\n")
				resp, body := c.response("GET")
				if resp.StatusCode != 503 || !strings.Contains(body, "transport failure reason: ") {
					t.Errorf("%d %q", resp.StatusCode, body)
				}
				got := sink.wait(t, traffic.Settled, i)
				if got.primary.Flags != "UF" || got.primary.Failure == "" || got.shadows[0].Outcome != "connect_failed" {
					t.Errorf("recorded %+v", got)
				}
			}
			wantQuiet(t, p)
			wantNoConnections(t, p)
		}
	}
}

// TestMutualTLS asks clients for certificates, and shows its own.
func TestMutualTLS(t *testing.T) {
	ca, other := certtest.NewCA(), certtest.NewCA()
	own := ca.Issue("client.test")
	primary := secureBackend(t, &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("up.test").TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	s := newScene(primary)
	originating(t, s.clusters[0], ca, func(ctx *tlsv3.UpstreamTlsContext) {
		ctx.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{certificate(ca.Issue("proxy.test"))}
	})
	for _, required := range []bool{true, false} {
		ctx := terminating(ca.Issue("127.0.0.1"))
		ctx.RequireClientCertificate = wrapperspb.Bool(required)
		trusting(ctx.CommonTlsContext, ca, nil)
		_, addr := run(t, s.secure(t, ctx), proxy.Options{Concurrency: 1})
		for _, tt := range []struct {
			name  string
			certs []tls.Certificate
			ok    bool
		}{
			{"right", []tls.Certificate{own.TLS()}, true},
			{"none", nil, !required},
			{"wrong", []tls.Certificate{other.Issue("client.test").TLS()}, false},
		} {
			show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(tt.certs) == 0 {
					return &tls.Certificate{}, nil
				}
				return &tt.certs[0], nil
			}
			resp, err := secureClient(t, &tls.Config{RootCAs: ca.Pool(), GetClientCertificate: show}, h1).Get("https://" + addr)
			if (err == nil) != tt.ok {
				t.Errorf("required %v, certificate %s: %v", required, tt.name, err)
			}
			if err == nil {
				if body, _ := io.ReadAll(resp.Body); string(body) != "proxy.test" {
					t.Errorf("the primary was shown %q", body)
				}
				resp.Body.Close()
			}
		}
	}
}

// TestCertificateReload replaces a certificate while clients are there.
func TestCertificateReload(t *testing.T) {
	ca := certtest.NewCA()
	s := newScene(backend(t, echo))
	first, second := terminating(ca.Issue("127.0.0.1", "first")), terminating(ca.Issue("127.0.0.1", "second"))
	p, addr := run(t, s.secure(t, first), proxy.Options{Concurrency: 1})
	sessions := tls.NewLRUClientSessionCache(8)
	ask := func(c *http.Client) *tls.ConnectionState {
		t.Helper()
		resp, err := c.Get("https://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.TLS
	}
	fresh := func() *tls.ConnectionState {
		t.Helper()
		c := secureClient(t, &tls.Config{RootCAs: ca.Pool(), ClientSessionCache: sessions}, h1)
		defer c.CloseIdleConnections()
		return ask(c)
	}
	stays := map[protocol]*http.Client{}
	for _, down := range []protocol{h1, h2c} {
		stays[down] = secureClient(t, &tls.Config{RootCAs: ca.Pool()}, down)
		ask(stays[down])
	}
	fresh()
	s.hcm.ServerName = "other" // a new configuration with the same TLS
	if err := p.Apply(s.secure(t, first)); err != nil {
		t.Fatal(err)
	}
	if !fresh().DidResume {
		t.Error("the session was not resumed after a reload")
	}
	before := stat(p, "listener.ssl.handshake")
	if err := p.Apply(s.secure(t, second)); err != nil {
		t.Fatal(err)
	}
	for down, c := range stays {
		if got := ask(c).PeerCertificates[0].DNSNames[0]; got != "first" {
			t.Errorf("%s: the old connection has the certificate %s", down, got)
		}
	}
	if n := stat(p, "listener.ssl.handshake"); n != before {
		t.Errorf("%d connections were made anew", n-before)
	}
	if st := fresh(); st.DidResume || st.PeerCertificates[0].DNSNames[0] != "second" {
		t.Errorf("a new connection has %v, resumed %v", st.PeerCertificates[0].DNSNames, st.DidResume)
	}
}

// TestPlainTextOnTLSPort sends what is no TLS, or not all of it.
func TestPlainTextOnTLSPort(t *testing.T) {
	ca := certtest.NewCA()
	s := newScene(backend(t, echo))
	for _, names := range [][]string{nil, {"a.test"}} {
		snap := s.secure(t, terminating(ca.Issue("a.test")))
		snap.Listeners[0].FilterChains = []*listenerv3.FilterChain{chainOf(t, s.hcm, terminating(ca.Issue("a.test")), names...)}
		p, addr := run(t, snap, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if got, _ := c.rest(); strings.HasPrefix(got, "HTTP") {
			t.Errorf("plain text was answered with %q", got)
		}
		c = dial(t, addr)
		c.send("\x16\x03\x01\x00\x50\x01") // the begin of a hello, and the end
		_ = c.CloseWrite()
		if got, _ := c.rest(); strings.HasPrefix(got, "HTTP") {
			t.Errorf("%q", got)
		}
		eventually(t, "no session", func() bool { return stat(p, "http.test.downstream_cx_active") == 0 })
		if n := stat(p, "server.panics"); n != 0 {
			t.Errorf("%d panics", n)
		}
	}
}
