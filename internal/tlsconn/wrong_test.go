package tlsconn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

func TestWrongContexts(t *testing.T) {
	ca := certtest.NewCA()
	a, b := ca.Issue("a.example"), ca.Issue("b.example")
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	withParams := func(p *tlsv3.TlsParameters) *tlsv3.DownstreamTlsContext {
		ctx := downstream(a)
		ctx.CommonTlsContext.TlsParams = p
		return ctx
	}
	missing := downstream(a)
	missing.CommonTlsContext.TlsCertificates[0].PrivateKey = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: "/nonexistent/key.pem"}}
	crl := downstream(a)
	crl.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(ca.PEM), Crl: inline("x")},
	}
	sds := &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "gone"}}}}
	block := func(kind string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte("x")}))
	}
	for about, c := range map[string]struct {
		ctx  *tlsv3.DownstreamTlsContext
		want []string
	}{
		"nothing":         {nil, []string{"tls_certificates", "a server needs a certificate"}},
		"wrong key":       {downstream(certtest.Pair{Cert: a.Cert, Key: b.Key}), []string{"tls_certificates[0].certificate_chain", "private_key", "does not match"}},
		"other kind":      {downstream(certtest.Pair{Cert: a.Cert, Key: ca.Sign(certtest.Template("x"), p521).Key}), []string{"private_key", "do not make a pair"}},
		"not PEM":         {downstream(certtest.Pair{Cert: "hello", Key: a.Key}), []string{"certificate_chain", "is not PEM", "BEGIN CERTIFICATE"}},
		"key as cert":     {downstream(certtest.Pair{Cert: a.Key, Key: a.Key}), []string{"certificate_chain", `of type "PRIVATE KEY", not "CERTIFICATE"`}},
		"bad certificate": {downstream(certtest.Pair{Cert: block("CERTIFICATE"), Key: a.Key}), []string{"certificate_chain"}},
		"encrypted":       {downstream(certtest.Pair{Cert: a.Cert, Key: block("ENCRYPTED PRIVATE KEY")}), []string{"private_key", "encrypted", "decrypt it first"}},
		"empty":           {downstream(certtest.Pair{Cert: "", Key: a.Key}), []string{"certificate_chain is empty"}},
		"no file":         {missing, []string{"private_key", "/nonexistent/key.pem"}},
		"no secret":       {sds, []string{`secret "gone"`, "does not exist"}},
		"CRL":             {crl, []string{"validation_context.crl is not supported"}},
		"TLS 1.1":         {withParams(&tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_1}), []string{"tls_minimum_protocol_version", "TLSv1_1", "only TLSv1_2 and TLSv1_3"}},
		"no suite":        {withParams(&tlsv3.TlsParameters{CipherSuites: []string{"RC4-SHA"}}), []string{"cipher_suites"}},
		"no curve":        {withParams(&tlsv3.TlsParameters{EcdhCurves: []string{"X448"}}), []string{"ecdh_curves"}},
		"algorithms":      {withParams(&tlsv3.TlsParameters{SignatureAlgorithms: []string{"x"}}), []string{"signature_algorithms is not supported"}},
	} {
		_, err := tlsconn.CompileServer(c.ctx, nil)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in the error: %v", about, want, err)
			}
		}
		if err != nil && (strings.Contains(err.Error(), a.Key) || strings.Contains(err.Error(), b.Key)) {
			t.Errorf("%s: the error shows a private key", about)
		}
	}
	old := compileServer(t, downstream(expired(ca, "a.example")))
	if len(old.Ignored) != 1 || !strings.Contains(old.Ignored[0], "expired") {
		t.Errorf("an expired certificate is not told of: %q", old.Ignored)
	}
}

func TestWrongClientContexts(t *testing.T) {
	ca := certtest.NewCA()
	auto := &tlsv3.UpstreamTlsContext{AutoSniSanValidation: true}
	for about, c := range map[string]struct {
		ctx  *tlsv3.UpstreamTlsContext
		want string
	}{
		"names without CA": {upstream(ca, func(v *tlsv3.CertificateValidationContext) {
			v.TrustedCa = nil
			typed(tlsv3.SubjectAltNameMatcher_DNS, exact("a"))(v)
		}), "needs trusted_ca"},
		"regex": {upstream(ca, typed(tlsv3.SubjectAltNameMatcher_DNS, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "a"}},
		})), "regular expression"},
		"no kind": {upstream(ca, typed(0, exact("a"))), "san_type"},
		"hash": {upstream(ca, func(v *tlsv3.CertificateValidationContext) {
			v.VerifyCertificateHash = []string{"abc"}
		}), "verify_certificate_hash[0]"},
		"auto without CA": {auto, "auto_sni_san_validation needs"},
		"CA not PEM":      {upstream(ca, func(v *tlsv3.CertificateValidationContext) { v.TrustedCa = inline("x") }), "trusted_ca is not PEM"},
	} {
		if _, err := tlsconn.CompileClient(c.ctx, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q is not in the error: %v", about, c.want, err)
		}
	}
}
