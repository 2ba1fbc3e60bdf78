package translate_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/config"
)

// made are certificates and keys under the words that golden cases have for
// them: CERT-A and KEY-A fit each other, as CERT-B and KEY-B do, ROOTS are
// authorities, CRL revokes nothing and JUNK is none of these.
type made map[string][]byte

func newCredentials(t testing.TB) made {
	t.Helper()
	out := made{"JUNK": []byte("no PEM at all")}
	for _, name := range []string{"A", "B"} {
		pair := certtest.SelfSigned(x509.Certificate{
			Subject: pkix.Name{CommonName: name}, NotBefore: epoch(), NotAfter: epoch().Add(24 * time.Hour),
			BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}, certtest.ECDSA())
		crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: epoch(), NextUpdate: epoch().Add(time.Hour)},
			pair.Leaf(), pair.TLS().PrivateKey.(crypto.Signer))
		if err != nil {
			t.Fatal(err)
		}
		out["CERT-"+name] = []byte(pair.Cert)
		out["KEY-"+name] = []byte(pair.Key)
		out["ROOTS"] = append(out["ROOTS"], pair.Cert...)
		out["CRL"] = []byte(certtest.PEM("X509 CRL", crl))
	}
	return out
}

// base64 puts the credentials in the places of their words.
func (m made) base64(text string) string {
	for word, data := range m {
		text = strings.ReplaceAll(text, "<"+word+">", base64.StdEncoding.EncodeToString(data))
	}
	return text
}

// files are those of the lines "PATH WORD".
func (m made) files(text string) map[string]config.CredentialFile {
	out := map[string]config.CredentialFile{}
	for _, line := range strings.Split(text, "\n") {
		path, word, ok := strings.Cut(line, " ")
		switch {
		case !ok:
		case m[word] != nil:
			out[path] = config.CredentialFile{Data: m[word]}
		default:
			out[path] = config.CredentialFile{Reason: word}
		}
	}
	return out
}
