package certtest_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/certtest"
)

func TestPairs(t *testing.T) {
	ca, other := certtest.NewCA(), certtest.NewCA()
	names := []string{"a.test", "10.1.2.3", "spiffe://test/ns/a"}
	for kind, p := range map[string]certtest.Pair{"ECDSA": ca.Issue(names...), "RSA": ca.IssueRSA(names...)} {
		leaf := p.Leaf()
		if p.TLS().Leaf.PublicKeyAlgorithm.String() != kind || leaf.Subject.CommonName != "a.test" {
			t.Errorf("%s: %s of %s", kind, leaf.PublicKeyAlgorithm, leaf.Subject)
		}
		if len(leaf.DNSNames) != 1 || len(leaf.IPAddresses) != 1 || len(leaf.URIs) != 1 || leaf.URIs[0].String() != names[2] {
			t.Errorf("%s: the names are %v, %v, %v", kind, leaf.DNSNames, leaf.IPAddresses, leaf.URIs)
		}
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			opts := x509.VerifyOptions{Roots: ca.Pool(), DNSName: "a.test", KeyUsages: []x509.ExtKeyUsage{usage}}
			if _, err := leaf.Verify(opts); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			if opts.Roots = other.Pool(); func() error { _, err := leaf.Verify(opts); return err }() == nil {
				t.Errorf("%s: another authority's pool has it", kind)
			}
		}
	}
}

func TestTemplateIsKept(t *testing.T) {
	tmpl := certtest.Template("a.test")
	tmpl.NotAfter = time.Now().Add(-time.Minute)
	tmpl.KeyUsage = x509.KeyUsageCRLSign
	p := certtest.SelfSigned(tmpl, certtest.ECDSA())
	leaf := p.Leaf()
	if !leaf.NotAfter.Equal(tmpl.NotAfter.UTC().Truncate(time.Second)) || leaf.KeyUsage != tmpl.KeyUsage || leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("until %s, usage %b, serial %d", leaf.NotAfter, leaf.KeyUsage, leaf.SerialNumber)
	}
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		t.Error(err)
	}
	if p.TLS().PrivateKey == nil {
		t.Error("the key is not there")
	}
}
