package credentials_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/translate/credentials"
)

func block(kind string, der []byte) []byte { return []byte(certtest.PEM(kind, der)) }

func private(key crypto.Signer) []byte { return []byte(certtest.KeyPEM(key)) }

func certificate(key crypto.Signer, usage x509.KeyUsage) []byte {
	return []byte(certtest.SelfSigned(x509.Certificate{Subject: pkix.Name{CommonName: "a"}, KeyUsage: usage}, key).Cert)
}

func secretObject(namespace, name string, data map[string][]byte) *config.Object[*corev1.Secret] {
	return &config.Object[*corev1.Secret]{Kind: "Secret", Namespace: namespace, Name: name, Spec: &corev1.Secret{Data: data}}
}

func TestPairsOfAllKindsOfKeys(t *testing.T) {
	ec := certtest.ECDSA().(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := certtest.RSA().(*rsa.PrivateKey)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(ec, x509.KeyUsageDigitalSignature)
	for name, c := range map[string]struct {
		cert, key []byte
		want      string // part of the error; empty: none
	}{
		"ECDSA, PKCS 8":       {cert, private(ec), ""},
		"ECDSA, SEC 1":        {cert, block("EC PRIVATE KEY", sec1), ""},
		"parameters first":    {cert, append(block("EC PARAMETERS", []byte{1}), block("EC PRIVATE KEY", sec1)...), ""},
		"RSA, PKCS 1":         {certificate(rsaKey, x509.KeyUsageKeyEncipherment), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), ""},
		"Ed25519":             {certificate(ed, 0), private(ed), ""},
		"a chain":             {append(slices.Clone(cert), certificate(rsaKey, 0)...), private(ec), ""},
		"text around":         {append([]byte("subject=a\n"), cert...), private(ec), ""},
		"a broken chain":      {append(slices.Clone(cert), block("CERTIFICATE", []byte("x"))...), private(ec), "the certificate does not parse"},
		"of another":          {cert, private(certtest.ECDSA()), "the key is not that of the certificate"},
		"of another kind":     {cert, private(ed), "the key is not that of the certificate"},
		"no key":              {cert, cert, "the key does not parse"},
		"an encrypted key":    {cert, block("ENCRYPTED PRIVATE KEY", []byte("x")), "the key is encrypted"},
		"no PEM":              {cert, []byte("x"), "the key is not PEM"},
		"not for signing":     {certificate(ec, x509.KeyUsageCertSign), private(ec), "does not have digitalSignature"},
		"the other way round": {private(ec), cert, "is not PEM with a CERTIFICATE"},
	} {
		t.Run(name, func(t *testing.T) {
			s := credentials.New(&config.Set{Secrets: []*config.Object[*corev1.Secret]{
				secretObject("ns", "a", map[string][]byte{"tls.crt": c.cert, "tls.key": c.key}),
			}}, "ns")
			got, err := s.Pair("a")
			if c.want == "" {
				if err != nil || got != "kubernetes://a" {
					t.Fatalf("got %q, %v", got, err)
				}
				pair := s.Secrets()[0].GetTlsCertificate()
				if !bytes.Equal(pair.GetCertificateChain().GetInlineBytes(), c.cert) || !bytes.Equal(pair.GetPrivateKey().GetInlineBytes(), c.key) {
					t.Error("the secret is not what was given")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got the error %v, not one of %q", err, c.want)
			}
			if len(s.Secrets()) > 0 {
				t.Error("there is a secret beside the error")
			}
		})
	}
}

// TestRootsAreLookedUpAsInIstio prefers the Secret with -cacert, and cacert to
// ca.crt.
func TestRootsAreLookedUpAsInIstio(t *testing.T) {
	first, second := certificate(certtest.ECDSA(), 0), certificate(certtest.ECDSA(), 0)
	set := &config.Set{SystemRoots: "/roots.pem", Secrets: []*config.Object[*corev1.Secret]{
		secretObject("ns", "own", map[string][]byte{"cacert": first, "ca.crt": second}),
		secretObject("ns", "apart", map[string][]byte{"ca.crt": first}),
		secretObject("ns", "apart-cacert", map[string][]byte{"ca.crt": second}),
		secretObject("other", "far", map[string][]byte{"ca.crt": second}),
		secretObject("ns", "bad", map[string][]byte{"ca.crt": first, "ca.crl": []byte("x")}),
	}}
	s := credentials.New(set, "ns")
	for _, name := range []string{"own", "apart", "apart-cacert", "ns/own"} {
		if _, err := s.Roots(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"far", "other/far", "bad", "none"} {
		if got, err := s.Roots(name); err == nil {
			t.Errorf("%s gives %s", name, got)
		}
	}
	if _, err := s.RootsOfFile(credentials.SystemRoots); err != nil {
		t.Error(err)
	}
	got := map[string]string{}
	for _, m := range s.Secrets() {
		ca := m.GetValidationContext().GetTrustedCa()
		got[m.GetName()] = ca.GetFilename() + string(ca.GetInlineBytes())
	}
	want := map[string]string{
		"kubernetes://own-cacert": string(first), "kubernetes://ns/own-cacert": string(first),
		"kubernetes://apart-cacert": string(second), "kubernetes://apart-cacert-cacert": string(second),
		"file-root:system": "/roots.pem",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}
