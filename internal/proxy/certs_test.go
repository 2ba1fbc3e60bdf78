package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// authority signs the certificates of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
	next int64
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), next: 1}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = encoded("CERTIFICATE", der)
	return a
}

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// pair is a certificate with its key, as PEM.
type pair struct{ cert, key string }

func (p pair) tls(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair([]byte(p.cert), []byte(p.key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue makes a certificate for names: DNS names, addresses, URIs.
func (a *authority) issue(names ...string) pair {
	a.t.Helper()
	key := newKey(a.t)
	a.next++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: names[0], Organization: []string{"test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if strings.Contains(n, "://") {
			u, err := url.Parse(n)
			if err != nil {
				a.t.Fatal(err)
			}
			tmpl.URIs = append(tmpl.URIs, u)
		} else if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair{encoded("CERTIFICATE", der), encoded("PRIVATE KEY", k)}
}

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func (p pair) proto() *tlsv3.TlsCertificate {
	return &tlsv3.TlsCertificate{CertificateChain: inline(p.cert), PrivateKey: inline(p.key)}
}

// terminating is a server's context that offers both protocols.
func terminating(certs ...pair) *tlsv3.DownstreamTlsContext {
	ctx := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}}}
	for _, p := range certs {
		ctx.CommonTlsContext.TlsCertificates = append(ctx.CommonTlsContext.TlsCertificates, p.proto())
	}
	return ctx
}

// trusting makes the context verify the peer's certificate.
func trusting(common *tlsv3.CommonTlsContext, a *authority, edit func(*tlsv3.CertificateValidationContext)) {
	v := &tlsv3.CertificateValidationContext{TrustedCa: inline(a.pem)}
	if edit != nil {
		edit(v)
	}
	common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
}

func secured(t testing.TB, ctx proto.Message) *corev3.TransportSocket {
	t.Helper()
	m, err := anypb.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: m}}
}

// chainOf is a filter chain for these server names, none for all.
func chainOf(t testing.TB, hcm *hcmv3.HttpConnectionManager, ctx *tlsv3.DownstreamTlsContext, names ...string) *listenerv3.FilterChain {
	t.Helper()
	m, err := anypb.New(hcm)
	if err != nil {
		t.Fatal(err)
	}
	fc := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: m}}}}
	if len(names) > 0 {
		fc.FilterChainMatch = &listenerv3.FilterChainMatch{ServerNames: names}
	}
	if ctx != nil {
		fc.TransportSocket = secured(t, ctx)
	}
	return fc
}

// originating makes a cluster speak TLS, trusting a.
func originating(t testing.TB, c *clusterv3.Cluster, a *authority, edit func(*tlsv3.UpstreamTlsContext)) {
	t.Helper()
	ctx := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{}}
	trusting(ctx.CommonTlsContext, a, nil)
	if edit != nil {
		edit(ctx)
	}
	c.TransportSocket = secured(t, ctx)
}

// secureBackend is a server with TLS that speaks both protocols.
func secureBackend(t testing.TB, cfg *tls.Config, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = cfg
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = discarded()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// secureClient asks the proxy at addr for any host, by these rules.
func secureClient(t testing.TB, cfg *tls.Config, protocols ...protocol) *http.Client {
	c := client(t)
	tr := c.Transport.(*http.Transport)
	tr.TLSClientConfig = cfg
	tr.Protocols = &http.Protocols{}
	for _, p := range protocols {
		if p == h1 {
			tr.Protocols.SetHTTP1(true)
		} else {
			tr.Protocols.SetHTTP2(true)
		}
	}
	return c
}
