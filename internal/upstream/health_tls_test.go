package upstream_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// securely is a server with TLS that speaks HTTP/1.1 and HTTP/2, as ALPN says.
func securely(t *testing.T, cfg *tls.Config, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = cfg
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// securedBy is a cluster's TLS. The words after are fields of the context, and
// common those of its common_tls_context beside the CA and SANs.
func securedBy(ca *certtest.CA, san, common, fields string) string {
	return fmt.Sprintf(`
transport_socket:
  name: tls
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context: {validation_context: {trusted_ca: {inline_string: %q}, match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: %q}}]}, %s}
    %s
`, ca.PEM, san, common, fields)
}

func showing(p certtest.Pair) string {
	return fmt.Sprintf("tls_certificates: [{certificate_chain: {inline_string: %q}, private_key: {inline_string: %q}}]", p.Cert, p.Key)
}

// autoSNI takes the server name from the request.
const autoSNI = `
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    upstream_http_protocol_options: {auto_sni: true}
    explicit_http_config: {http_protocol_options: {}}
`

// secureHealth is a cluster with TLS, and checks with a timeout of 5 s.
func secureHealth(addr, check, more string) string {
	return static(addr) + "health_checks: [{timeout: 5s, unhealthy_threshold: 3, healthy_threshold: 1, " + hourly + check + "}]" + more
}

// TestChecksOverTLS looks at what a server with TLS sees of its checks.
func TestChecksOverTLS(t *testing.T) {
	ca := certtest.NewCA()
	own := showing(ca.Issue("client.test"))
	serving := health("", func(w io.Writer) { _, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, 1}) }, "0")
	h1, h2 := own, own+", alpn_protocols: [h2]"
	tests := []struct{ name, check, common, fields, more, want string }{
		{"HTTP/1.1", "http_health_check: {path: /}", h1, "sni: up.test", "", "HTTP/1.1 sni=up.test alpn= client.test"},
		{"HTTP/1.1 by ALPN", "http_health_check: {path: /}, tls_options: {alpn_protocols: [http/1.1]}", h2, "sni: up.test", "", "HTTP/1.1 sni=up.test alpn=http/1.1 client.test"},
		{"HTTP/2", "http_health_check: {path: /, codec_client_type: HTTP2}", h2, "sni: up.test", "", "HTTP/2.0 sni=up.test alpn=h2 client.test"},
		{"HTTP/2 by the check's ALPN", "http_health_check: {path: /, codec_client_type: HTTP2}, tls_options: {alpn_protocols: [h2]}", h1, "", "", "HTTP/2.0 sni= alpn=h2 client.test"},
		{"gRPC", "grpc_health_check: {}", h2, "sni: up.test", "", "HTTP/2.0 sni=up.test alpn=h2 client.test"},
		{"the request's name", "http_health_check: {path: /, host: 'other.test:1'}", h1, "sni: up.test", autoSNI, "HTTP/1.1 sni=other.test alpn= client.test"},
		{"the request has none", "http_health_check: {path: /}", h1, "sni: up.test", autoSNI, "HTTP/1.1 sni=up.test alpn= client.test"},
		{"the endpoint's name", "http_health_check: {path: /}", h1, "auto_host_sni: true", "", "HTTP/1.1 sni=host.test alpn= client.test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got atomic.Value
			server := &tls.Config{
				Certificates: []tls.Certificate{ca.Issue("up.test").TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
				NextProtos: []string{"h2", "http/1.1"},
			}
			addr := securely(t, server, func(w http.ResponseWriter, r *http.Request) {
				if r.TLS == nil { // over HTTP/2, net/http goes by :scheme
					got.Store("the scheme is not https")
				} else {
					got.Store(fmt.Sprintf("%s sni=%s alpn=%s %s", r.Proto, r.TLS.ServerName, r.TLS.NegotiatedProtocol, r.TLS.PeerCertificates[0].Subject.CommonName))
				}
				serving(w, r)
			})
			text := secureHealth(addr, tt.check, securedBy(ca, "up.test", tt.common, tt.fields)+tt.more)
			text = strings.Replace(text, "{endpoint: {", "{endpoint: {hostname: host.test, ", 1)
			p := monitor(t, compile(t, upstream.NewSlots(nil), nil, text), upstream.MonitorOptions{})
			p.concluded(1)
			if diff := cmp.Diff(tt.want, got.Load()); diff != "" || !p.healthy() {
				t.Errorf("healthy %v, %+v %s", p.healthy(), p.c.Checks.Stats(), diff)
			}
		})
	}
}

// TestChecksRefuseServers: an endpoint that shows no right certificate, or
// wants another from us, fails, and the log says why.
func TestChecksRefuseServers(t *testing.T) {
	ca, other := certtest.NewCA(), certtest.NewCA()
	kinds := map[string]string{"http": "http_health_check: {path: /}", "grpc": "grpc_health_check: {}", "tcp": "tcp_health_check: {}"}
	plain := answers(t, func(http.ResponseWriter, *http.Request) {})
	with := func(p certtest.Pair) string {
		return securely(t, &tls.Config{Certificates: []tls.Certificate{p.TLS()}}, func(http.ResponseWriter, *http.Request) {})
	}
	tests := []struct{ name, addr, why string }{
		{"of another authority", with(other.Issue("up.test")), "unknown authority"},
		{"of another name", with(ca.Issue("down.test")), "down.test"},
		{"no TLS", plain, "does not look like a TLS handshake"},
	}
	for _, tt := range tests {
		for kind, check := range kinds {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				var log notes
				slots := upstream.NewSlots(nil)
				compile(t, slots, nil, static(tt.addr)) // so it begins well
				text := strings.Replace(secureHealth(tt.addr, check, securedBy(ca, "up.test", "alpn_protocols: [h2, http/1.1]", "")), hourly, often, 1)
				p := monitor(t, compile(t, slots, nil, text), upstream.MonitorOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				p.until("end", func(upstream.CheckStats) bool { return !p.healthy() })
				p.end()
				if s := p.c.Checks.Stats(); s.Success > 0 || s.Failure < 3 || s.NetworkFailure != s.Failure {
					t.Errorf("%+v", s)
				}
				if !strings.Contains(log.String(), tt.why) {
					t.Errorf("the log has no %q: %s", tt.why, log.String())
				}
			})
		}
	}
}

// TestHandshakeOfCheckEnds: one that hangs ends with the check, and leaves no
// connection behind.
func TestHandshakeOfCheckEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	text := secureHealth(ln.Addr().String(), "tcp_health_check: {}", securedBy(certtest.NewCA(), "up.test", "", ""))
	p := monitor(t, compile(t, upstream.NewSlots(nil), nil, text), upstream.MonitorOptions{})
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err) // the handshake is under way
	}
	begun := time.Now()
	p.end()
	if d := time.Since(begun); d > 4*time.Second || p.healthy() {
		t.Errorf("Run took %v to end", d)
	}
	_ = c.SetReadDeadline(begun.Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
}

// TestChecksFollowTheirTLS: when a reload changes what the cluster's TLS is,
// the checks go over new connections at once, and else over those they have.
func TestChecksFollowTheirTLS(t *testing.T) {
	for kind, check := range map[string]string{
		"HTTP/1.1": "http_health_check: {path: /}", "HTTP/2": "http_health_check: {path: /, codec_client_type: HTTP2}, tls_options: {alpn_protocols: [h2]}",
		"gRPC": "grpc_health_check: {}, tls_options: {alpn_protocols: [h2]}",
	} {
		t.Run(kind, func(t *testing.T) {
			ca := certtest.NewCA()
			var seen notes
			var dialled atomic.Int64
			serving := health("", func(w io.Writer) { _, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, 1}) }, "0")
			server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("up.test").TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
			addr := securely(t, server, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(&seen, r.TLS.PeerCertificates[0].Subject.CommonName)
				serving(w, r)
			})
			one, two := showing(ca.Issue("one.test")), showing(ca.Issue("two.test"))
			slots := upstream.NewSlots(nil)
			made := func(old *upstream.Cluster, own string) *upstream.Cluster {
				return compile(t, slots, old, strings.Replace(secureHealth(addr, check, securedBy(ca, "up.test", own, "")), hourly, often, 1))
			}
			c := made(nil, one)
			p := monitor(t, c, upstream.MonitorOptions{Control: func(string, string, syscall.RawConn) error { dialled.Add(1); return nil }})
			p.concluded(3)
			c = made(c, one)
			p.m.Serve([]*upstream.Cluster{c})
			p.concluded(6)
			if n := dialled.Load(); n != 1 {
				t.Errorf("%d connections for one TLS", n)
			}
			c = made(c, two)
			p.m.Serve([]*upstream.Cluster{c})
			p.until("other certificate", func(upstream.CheckStats) bool { return strings.HasSuffix(seen.String(), "two.testtwo.test") })
			p.end()
			if n := dialled.Load(); n != 2 {
				t.Errorf("%d connections for two TLS", n)
			}
			if s := c.Checks.Stats(); s.Failure > 0 || c.Endpoints().All[0].Ailments() != 0 {
				t.Errorf("%+v", s)
			}
			// The server may be late with the one check that was under way.
			if text := seen.String(); strings.Count(text, "two.testone.test") > 1 {
				t.Error("a connection of the old TLS was used again")
			}
		})
	}
}

// notes keeps what many goroutines write.
type notes struct {
	mu sync.Mutex
	b  strings.Builder
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}
