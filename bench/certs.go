//go:build linux

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keyKind is what a certificate's key is.
type keyKind string

const (
	keyECDSA keyKind = "ECDSA P-256"
	keyRSA   keyKind = "RSA-2048"
)

// keyPair are the files of a certificate, all in PEM.
type keyPair struct {
	cert, key string
	both      string // one after the other, as HAProxy wants them
}

// makeCerts makes a self-signed certificate of each kind for 127.0.0.1.
func makeCerts(dir string) (map[keyKind]keyPair, error) {
	onCurve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	modular, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	pairs := map[keyKind]keyPair{}
	for _, c := range []struct {
		kind keyKind
		name string
		key  crypto.Signer
	}{{keyECDSA, "ecdsa", onCurve}, {keyRSA, "rsa", modular}} {
		pair, err := writeCert(filepath.Join(dir, c.name), c.key)
		if err != nil {
			return nil, fmt.Errorf("making an %s certificate: %w", c.kind, err)
		}
		pairs[c.kind] = pair
	}
	return pairs, nil
}

func writeCert(base string, key crypto.Signer) (keyPair, error) {
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return keyPair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	pair := keyPair{base + ".crt", base + ".key", base + ".pem"}
	for file, text := range map[string][]byte{pair.cert: certPEM, pair.key: keyPEM, pair.both: append(certPEM, keyPEM...)} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return keyPair{}, err
		}
	}
	return pair, nil
}
