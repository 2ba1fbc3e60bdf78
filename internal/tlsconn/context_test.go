package tlsconn_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// roundTrip sends a few bytes through nc and back.
func roundTrip(nc *tls.Conn) error {
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := nc.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(nc, make([]byte, 4))
	return err
}

func requireClients(s *tlsv3.DownstreamTlsContext, a *certtest.CA) *tlsv3.DownstreamTlsContext {
	s.RequireClientCertificate = wrapperspb.Bool(true)
	s.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(a.PEM)},
	}
	return s
}

func TestMutual(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		ca, other := certtest.NewCA(), certtest.NewCA()
		l := start(t)
		addr := echoTLS(t, l, compileServer(t, requireClients(downstream(ca.Issue("a.example")), ca)), nil)
		for name, c := range map[string]struct {
			certs []tls.Certificate
			ok    bool
		}{
			"ours":         {[]tls.Certificate{ca.Issue("client").TLS()}, true},
			"ours, RSA":    {[]tls.Certificate{ca.IssueRSA("client").TLS()}, true},
			"of others":    {[]tls.Certificate{other.Issue("client").TLS()}, false},
			"expired":      {[]tls.Certificate{expired(ca, "client").TLS()}, false},
			"without any":  {nil, false},
			"CA as client": {[]tls.Certificate{{Certificate: [][]byte{other.Cert.Raw}, PrivateKey: other.Key}}, false},
		} {
			nc, err := tls.Dial("tcp", addr.String(), &tls.Config{
				RootCAs: ca.Pool(), ServerName: "a.example", MaxVersion: version,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(c.certs) == 0 {
						return &tls.Certificate{}, nil
					}
					return &c.certs[0], nil
				},
			})
			if err == nil {
				err = roundTrip(nc)
				_ = nc.Close()
			}
			if (err == nil) != c.ok {
				t.Errorf("a client certificate %s: %v", name, err)
			}
		}
	})
}

// try makes one connection as ctx says, to a server with cert, and tells how
// that went, a byte forth and back included.
func try(t *testing.T, ctx *tlsv3.UpstreamTlsContext, name string, server *tls.Config) error {
	t.Helper()
	addr := goEcho(t, server)
	l, cl := start(t), compileClient(t, ctx)
	var err error
	on(t, l, func(task *loop.Task) {
		var c *loop.Conn
		if c, err = connect(task, cl, addr, name); err != nil {
			return
		}
		defer c.Close()
		c.Write([]byte("x"))
		err = read(task, c)
	})
	return err
}

func TestClientCertificate(t *testing.T) {
	ca := certtest.NewCA()
	for name, key := range map[string]certtest.Pair{"EC": ca.Issue("client"), "RSA": ca.IssueRSA("client")} {
		for _, sent := range []bool{true, false} {
			ctx := upstream(ca, nil)
			if sent {
				ctx.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{certificate(key)}
			}
			err := try(t, ctx, "a.example", &tls.Config{
				Certificates: []tls.Certificate{ca.Issue("a.example").TLS()},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
			})
			if (err == nil) != sent {
				t.Errorf("%s, sent %v: %v", name, sent, err)
			}
		}
	}
}

func exact(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

func typed(kind tlsv3.SubjectAltNameMatcher_SanType, m *matcherv3.StringMatcher) func(*tlsv3.CertificateValidationContext) {
	return func(v *tlsv3.CertificateValidationContext) {
		v.MatchTypedSubjectAltNames = append(v.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: m})
	}
}

func TestNamesOfServers(t *testing.T) {
	const (
		uri = tlsv3.SubjectAltNameMatcher_URI
		dns = tlsv3.SubjectAltNameMatcher_DNS
		ip  = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	)
	ca := certtest.NewCA()
	cert := ca.Issue("a.example", "*.wild.example", "spiffe://cluster.local/ns/a/sa/b", "10.1.2.3").TLS()
	addr := goEcho(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	l := start(t)
	for _, c := range []struct {
		about string
		edit  func(*tlsv3.CertificateValidationContext)
		ok    bool
	}{
		{"no names wanted", nil, true},
		{"uri", typed(uri, exact("spiffe://cluster.local/ns/a/sa/b")), true},
		{"other uri", typed(uri, exact("spiffe://cluster.local/ns/a/sa/c")), false},
		{"uri as dns", typed(dns, exact("spiffe://cluster.local/ns/a/sa/b")), false},
		{"prefix", typed(uri, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://cluster.local/"}}), true},
		{"other prefix", typed(uri, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://other/"}}), false},
		{"suffix", typed(uri, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: "/sa/b"}}), true},
		{"contains", typed(uri, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: "/ns/a/"}}), true},
		{"case matters", typed(uri, exact("spiffe://cluster.local/ns/A/sa/b")), false},
		{"case does not", typed(uri, &matcherv3.StringMatcher{IgnoreCase: true, MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "spiffe://cluster.local/ns/A/sa/b"}}), true},
		{"dns", typed(dns, exact("a.example")), true},
		{"wildcard", typed(dns, exact("x.wild.example")), true},
		{"wildcard, two labels", typed(dns, exact("x.y.wild.example")), false},
		{"wildcard, none", typed(dns, exact("wild.example")), false},
		{"ip", typed(ip, exact("10.1.2.3")), true},
		{"other ip", typed(ip, exact("10.1.2.4")), false},
		{"untyped", func(v *tlsv3.CertificateValidationContext) {
			v.MatchSubjectAltNames = []*matcherv3.StringMatcher{exact("nope"), exact("spiffe://cluster.local/ns/a/sa/b")} //nolint:staticcheck // still sent
		}, true},
		{"hash", func(v *tlsv3.CertificateValidationContext) {
			sum := sha256.Sum256(cert.Certificate[0])
			v.VerifyCertificateHash = []string{strings.Repeat("ab:", 31) + "ab", hex.EncodeToString(sum[:])}
		}, true},
		{"other hash", func(v *tlsv3.CertificateValidationContext) {
			v.VerifyCertificateHash = []string{strings.Repeat("ab", 32)}
		}, false},
		{"spki instead of CA", func(v *tlsv3.CertificateValidationContext) {
			sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
			v.TrustedCa, v.VerifyCertificateSpki = nil, []string{base64.StdEncoding.EncodeToString(sum[:])}
		}, true},
		{"other spki", func(v *tlsv3.CertificateValidationContext) {
			v.TrustedCa, v.VerifyCertificateSpki = nil, []string{base64.StdEncoding.EncodeToString(make([]byte, 32))}
		}, false},
		{"depth", func(v *tlsv3.CertificateValidationContext) { v.MaxVerifyDepth = wrapperspb.UInt32(0) }, true},
	} {
		cl := compileClient(t, upstream(ca, c.edit))
		on(t, l, func(task *loop.Task) {
			conn, err := connect(task, cl, addr, "a.example")
			if err == nil {
				conn.Close()
			}
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", c.about, err)
			}
		})
	}
	for name, ok := range map[string]bool{"a.example": true, "b.example": false, "": false, "q.wild.example": true} {
		ctx := upstream(ca, nil)
		ctx.AutoSniSanValidation = true
		if err := try(t, ctx, name, &tls.Config{Certificates: []tls.Certificate{cert}}); (err == nil) != ok {
			t.Errorf("auto_sni_san_validation, %q: %v", name, err)
		}
	}
}

func TestUnverifiedIsSaid(t *testing.T) {
	ca := certtest.NewCA()
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("a.example").TLS()}}
	if err := try(t, &tlsv3.UpstreamTlsContext{}, "", server); err != nil {
		t.Error(err)
	}
	cl := compileClient(t, &tlsv3.UpstreamTlsContext{})
	if !slices.ContainsFunc(cl.Ignored, func(s string) bool { return strings.Contains(s, "not verified") }) {
		t.Errorf("Ignored = %q does not say that nothing is verified", cl.Ignored)
	}
}

func TestCertificateBySNIAndKey(t *testing.T) {
	ca := certtest.NewCA()
	ctx := downstream(ca.IssueRSA("a.example"), ca.Issue("a.example"), ca.Issue("*.b.example"))
	ctx.CommonTlsContext.AlpnProtocols = []string{"h2", "http/1.1"}
	l := start(t)
	addr := echoTLS(t, l, compileServer(t, ctx), nil)
	rsaOnly := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	ecOnly := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		name   string
		suites []uint16
		cn     string
		key    x509.PublicKeyAlgorithm
	}{
		{"a.example", nil, "a.example", x509.RSA},
		{"A.Example", rsaOnly, "a.example", x509.RSA},
		{"a.example", ecOnly, "a.example", x509.ECDSA},
		{"x.b.example", nil, "*.b.example", x509.ECDSA},
		{"unknown", nil, "a.example", x509.RSA},
		{"", ecOnly, "a.example", x509.ECDSA},
	} {
		cfg := &tls.Config{ServerName: c.name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
		if c.suites != nil {
			cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, c.suites
		}
		nc, err := tls.Dial("tcp", addr.String(), cfg)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		st := nc.ConnectionState()
		if leaf := st.PeerCertificates[0]; leaf.Subject.CommonName != c.cn || leaf.PublicKeyAlgorithm != c.key || st.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%+v: got %s %s %q", c, leaf.Subject.CommonName, leaf.PublicKeyAlgorithm, st.NegotiatedProtocol)
		}
		_ = nc.Close()
	}
	nc, err := tls.Dial("tcp", addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"other"}})
	if err != nil {
		t.Fatalf("a client with other protocols: %v", err)
	}
	if p := nc.ConnectionState().NegotiatedProtocol; p != "" {
		t.Errorf("agreed on %q", p)
	}
	_ = nc.Close()
}

func TestParams(t *testing.T) {
	ca := certtest.NewCA()
	ctx := downstream(ca.Issue("a.example"))
	ctx.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{
		TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
		CipherSuites:              []string{"[ECDHE-ECDSA-AES256-GCM-SHA384|DHE-RSA-AES128-SHA]"},
		EcdhCurves:                []string{"P-384"},
	}
	s := compileServer(t, ctx)
	if len(s.Ignored) != 1 || !strings.Contains(s.Ignored[0], "DHE-RSA-AES128-SHA") {
		t.Errorf("Ignored = %q", s.Ignored)
	}
	addr := echoTLS(t, start(t), s, nil)
	nc, err := tls.Dial("tcp", addr.String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	st := nc.ConnectionState()
	if st.Version != tls.VersionTLS12 || st.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 || st.CurveID != tls.CurveP384 {
		t.Errorf("got %s, %s, %s", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite), st.CurveID)
	}
}

func TestSecretsAndFiles(t *testing.T) {
	ca := certtest.NewCA()
	p := ca.Issue("a.example")
	dir := t.TempDir()
	file := func(name, content string) *corev3.DataSource {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: at}}
	}
	secrets := func(name string) *tlsv3.Secret {
		switch name {
		case "cert":
			return &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
				CertificateChain: file("cert.pem", p.Cert), PrivateKey: file("key.pem", p.Key),
			}}}
		case "ca":
			return &tlsv3.Secret{Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
				TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte(ca.PEM)}},
			}}}
		}
		return nil
	}
	s, err := tlsconn.CompileServer(&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "cert"}},
	}}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := tlsconn.CompileClient(&tlsv3.UpstreamTlsContext{Sni: "a.example", CommonTlsContext: &tlsv3.CommonTlsContext{
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext: &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
					SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: exact("a.example"),
				}}},
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: "ca"},
			},
		},
	}}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	l := start(t)
	addr := echoTLS(t, l, s, nil)
	on(t, l, func(task *loop.Task) {
		c, err := connect(task, cl, addr, "")
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	})
}
