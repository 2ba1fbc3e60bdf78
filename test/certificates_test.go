package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	t       *testing.T
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	pem     []byte
	file    string
	serials int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t), serials: 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.file = filepath.Join(t.TempDir(), "ca.pem")
	write(t, a.file, string(a.pem))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// pair is a certificate with its key, both PEM.
type pair struct {
	cert, key string
	leaf      *x509.Certificate
}

// issue makes a certificate for DNS names, of servers and clients alike.
func (a *authority) issue(names ...string) pair {
	a.t.Helper()
	key := newKey(a.t)
	a.serials++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serials), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	must(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	must(a.t, err)
	k, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	return pair{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})), leaf: leaf,
	}
}

// secret is the pair as an object of Kubernetes, with the authority ca if that
// is not nil.
func (p pair) secret(name string, ca *authority) string {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	out := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n", name, b64(p.cert), b64(p.key))
	if ca != nil {
		out += "  ca.crt: " + b64(string(ca.pem)) + "\n"
	}
	return out
}

// files writes the pair into a folder.
func (p pair) files(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	write(t, cert, p.cert)
	write(t, key, p.key)
	return cert, key
}

// replace puts a new file in the place of an old one, all at once.
func replace(t *testing.T, name, text string) {
	t.Helper()
	write(t, name+".new", text)
	must(t, os.Rename(name+".new", name))
}

// example is the YAML of a document that follows a comment with this name.
// Each old string must occur in it, and becomes the new one after it.
func example(t *testing.T, document, name string, oldnew ...string) string {
	t.Helper()
	re := regexp.MustCompile("(?s)<!-- example: " + regexp.QuoteMeta(name) + " -->\n```yaml\n(.*?)```\n")
	m := re.FindStringSubmatch(readFile(t, filepath.Join("../docs", document)))
	if m == nil {
		t.Fatalf("%s has no example %q", document, name)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(m[1], oldnew[i]) {
			t.Fatalf("the example %q of %s has no %q", name, document, oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(m[1])
}

// services are Kubernetes services with port 80, whose endpoints are given
// with --endpoint.
func services(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: 80}]}\n---\n", n)
	}
	return b.String()
}

// curl runs curl and returns what it writes, and its exit code.
func curl(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needProgram(t, "curl", "curl"), append([]string{"-sS", "--max-time", "20"}, args...)...)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("curl: %v", err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// urlEncoded is text as Envoy has it in x-forwarded-client-cert.
func urlEncoded(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
