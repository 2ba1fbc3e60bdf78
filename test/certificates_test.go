package test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/certtest"
)

// authority issues certificates; file is its own.
type authority struct {
	*certtest.CA
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{certtest.NewCA(), filepath.Join(t.TempDir(), "ca.pem")}
	write(t, a.file, a.PEM)
	return a
}

func (a *authority) issue(names ...string) pair { return pair{a.Issue(names...)} }

// pair is a certificate with its key, in the forms that Sundog reads.
type pair struct{ certtest.Pair }

// secret is the pair as an object of Kubernetes, with the authority ca if that
// is not nil.
func (p pair) secret(name string, ca *authority) string {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	out := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: %s\n  tls.key: %s\n", name, b64(p.Cert), b64(p.Key))
	if ca != nil {
		out += "  ca.crt: " + b64(ca.PEM) + "\n"
	}
	return out
}

// files writes the pair into a folder.
func (p pair) files(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	write(t, cert, p.Cert)
	write(t, key, p.Key)
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
