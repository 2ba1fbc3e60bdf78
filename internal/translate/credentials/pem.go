package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

func inline(data []byte) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: data}}
}

func pair(cert, key []byte) *tlsv3.Secret {
	return &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(cert), PrivateKey: inline(key),
	}}}
}

func authorities(roots *core.DataSource, crl []byte) *tlsv3.Secret {
	c := &tlsv3.CertificateValidationContext{TrustedCa: roots}
	if len(crl) > 0 {
		c.Crl = inline(crl)
	}
	return &tlsv3.Secret{Type: &tlsv3.Secret_ValidationContext{ValidationContext: c}}
}

// checkPair wants a chain whose every certificate parses, and the key of the
// first one.
func checkPair(cert, key []byte) error {
	chain, err := certificates(cert)
	if err != nil {
		return fmt.Errorf("the certificate %w", err)
	}
	leaf := chain[0]
	if leaf.PublicKeyAlgorithm != x509.RSA && leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		// BoringSSL, and with it Envoy and browsers, refuses it.
		return errors.New("the certificate's key usage does not have digitalSignature, which TLS needs")
	}
	if block, _ := pem.Decode(key); block == nil {
		return errors.New("the key is not PEM")
	} else if strings.HasPrefix(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return errors.New("the key is encrypted: only plain keys can be used")
	}
	_, err = tls.X509KeyPair(cert, key)
	if err == nil {
		return nil
	}
	// The library's own words name its functions; these are for users.
	if strings.Contains(err.Error(), "does not match") {
		return errors.New("the key is not that of the certificate")
	}
	return errors.New("the key does not parse: it must be RSA, ECDSA or Ed25519, in PKCS #8, PKCS #1 or SEC 1")
}

func checkRoots(data []byte) error {
	_, err := certificates(data)
	return err
}

// certificates parses all certificates of a PEM text, of which there must be one.
func certificates(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("does not parse: %s", strings.TrimPrefix(err.Error(), "x509: "))
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("is not PEM with a CERTIFICATE")
	}
	return out, nil
}

func checkRevocations(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	found := false
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
			return fmt.Errorf("does not parse: %s", strings.TrimPrefix(err.Error(), "x509: "))
		}
		found = true
	}
	if !found {
		return errors.New("is not PEM with an X509 CRL")
	}
	return nil
}
