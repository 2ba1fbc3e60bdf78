//go:build linux

package main

import (
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sundog-mesh/sundog/internal/certtest"
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
	pairs := map[keyKind]keyPair{}
	for _, c := range []struct {
		kind keyKind
		name string
		key  crypto.Signer
	}{{keyECDSA, "ecdsa", certtest.ECDSA()}, {keyRSA, "rsa", certtest.RSA()}} {
		pair, err := writeCert(filepath.Join(dir, c.name), c.key)
		if err != nil {
			return nil, fmt.Errorf("making an %s certificate: %w", c.kind, err)
		}
		pairs[c.kind] = pair
	}
	return pairs, nil
}

func writeCert(base string, key crypto.Signer) (keyPair, error) {
	template := certtest.Template("localhost", "127.0.0.1")
	template.NotAfter = time.Now().Add(7 * 24 * time.Hour) // a soak takes long
	made := certtest.SelfSigned(template, key)
	pair := keyPair{base + ".crt", base + ".key", base + ".pem"}
	for file, text := range map[string]string{pair.cert: made.Cert, pair.key: made.Key, pair.both: made.Cert + made.Key} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return keyPair{}, err
		}
	}
	return pair, nil
}
