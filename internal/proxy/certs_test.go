package proxy_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sundog-mesh/sundog/internal/certtest"
)

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func certificate(p certtest.Pair) *tlsv3.TlsCertificate {
	return &tlsv3.TlsCertificate{CertificateChain: inline(p.Cert), PrivateKey: inline(p.Key)}
}

// terminating is a server's context that offers both protocols.
func terminating(certs ...certtest.Pair) *tlsv3.DownstreamTlsContext {
	ctx := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}}}
	for _, p := range certs {
		ctx.CommonTlsContext.TlsCertificates = append(ctx.CommonTlsContext.TlsCertificates, certificate(p))
	}
	return ctx
}

// trusting makes the context verify the peer's certificate.
func trusting(common *tlsv3.CommonTlsContext, a *certtest.CA, edit func(*tlsv3.CertificateValidationContext)) {
	v := &tlsv3.CertificateValidationContext{TrustedCa: inline(a.PEM)}
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
func originating(t testing.TB, c *clusterv3.Cluster, a *certtest.CA, edit func(*tlsv3.UpstreamTlsContext)) {
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
