package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// lifetime is how long before and after now a certificate is valid, unless its
// template says otherwise.
const lifetime = 24 * time.Hour

// ECDSA is a new key on P-256, which costs some microseconds.
func ECDSA() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// RSA is a key of 2048 bits. One costs a good part of a second, so each call
// gives the same.
func RSA() crypto.Signer { return modular() }

var modular = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// Template is a certificate for names: DNS names, IP addresses and URIs. The
// first is its common name, too. Servers and clients may use it.
func Template(names ...string) x509.Certificate {
	t := x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if strings.Contains(n, "://") {
			t.URIs = append(t.URIs, must(url.Parse(n)))
		} else if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	return t
}

// CA is an authority with an ECDSA key. Any number of goroutines may use it.
type CA struct {
	Cert *x509.Certificate
	PEM  string // Cert
	Key  crypto.Signer
}

// NewCA makes an authority that nobody else has.
func NewCA() *CA {
	key := ECDSA()
	own := SelfSigned(x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of tests"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key)
	return &CA{own.Leaf(), own.Cert, key}
}

// Pool holds the authority alone.
func (a *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// Issue makes a certificate for names (see [Template]) with an ECDSA key.
func (a *CA) Issue(names ...string) Pair { return a.Sign(Template(names...), ECDSA()) }

// IssueRSA is Issue with the key that [RSA] gives.
func (a *CA) IssueRSA(names ...string) Pair { return a.Sign(Template(names...), RSA()) }

// Sign makes a certificate of key. A template without a serial number gets a
// random one, and one without times is valid since a day, for a day.
func (a *CA) Sign(template x509.Certificate, key crypto.Signer) Pair {
	return sign(template, a.Cert, key, a.Key)
}

// SelfSigned is a certificate that key itself signs. What the template lacks
// is as in [CA.Sign].
func SelfSigned(template x509.Certificate, key crypto.Signer) Pair {
	return sign(template, nil, key, key)
}

func sign(template x509.Certificate, parent *x509.Certificate, key, by crypto.Signer) Pair {
	if template.SerialNumber == nil {
		template.SerialNumber = must(rand.Int(rand.Reader, big.NewInt(1<<62)))
	}
	now := time.Now()
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-lifetime)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.Add(lifetime)
	}
	if parent == nil {
		parent = &template
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), by))
	return Pair{PEM("CERTIFICATE", der), KeyPEM(key)}
}

// Pair is a certificate with its key (PKCS #8), both as PEM.
type Pair struct{ Cert, Key string }

// TLS is the pair as crypto/tls wants it.
func (p Pair) TLS() tls.Certificate { return must(tls.X509KeyPair([]byte(p.Cert), []byte(p.Key))) }

// Leaf is the parsed certificate.
func (p Pair) Leaf() *x509.Certificate {
	block, _ := pem.Decode([]byte(p.Cert))
	return must(x509.ParseCertificate(block.Bytes))
}

// KeyPEM is a private key as PKCS #8.
func KeyPEM(key crypto.Signer) string {
	return PEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
}

// PEM is one block of this type.
func PEM(kind string, data []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("certtest: " + err.Error())
	}
	return v
}
