package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
)

func TestSecrets(t *testing.T) {
	set, _ := config.Load([]string{"testdata/good/secrets.yaml"}, nil, config.Options{})
	got := map[string]map[string]string{}
	for _, o := range set.Secrets {
		data := map[string]string{}
		for k, v := range o.Spec.Data {
			data[k] = string(v)
		}
		got[o.String()] = data
		if o.Spec.StringData != nil {
			t.Errorf("%s keeps its stringData", o)
		}
	}
	want := map[string]map[string]string{
		"Secret default/generic": {"key": "new", "cert": "-----BEGIN CERTIFICATE-----\n", "cacert": ""},
		"Secret default/nothing": {},
		"Secret default/tls":     {"tls.crt": "-----BEGIN", "tls.key": "-----BEGIN"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// TestCredentialFiles reads the files that gateways and rules name, wherever
// they name them, and says why one could not be read.
func TestCredentialFiles(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there.pem")
	if err := os.WriteFile(there, []byte("a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d.ca"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {a: b}
  servers:
  - {port: {number: 1, name: a, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, serverCertificate: DIR/there.pem, privateKey: DIR/a.key, caCrl: DIR/a.crl}}
  - port: {number: 2, name: b, protocol: HTTPS}
    hosts: [a]
    tls: {mode: MUTUAL, caCertificates: DIR/b.ca, tlsCertificates: [{serverCertificate: DIR/b.pem, privateKey: DIR/b.key, caCertificates: DIR/c.ca}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dr}
spec:
  host: a
  trafficPolicy:
    tls: {mode: SIMPLE, caCertificates: system, caCrl: DIR/d.crl}
    portLevelSettings: [{port: {number: 1}, tls: {mode: MUTUAL, clientCertificate: DIR/there.pem, privateKey: DIR/d.key}}]
  subsets: [{name: v1, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: DIR/d.ca}}}]
`, "DIR", dir)
	file := filepath.Join(t.TempDir(), "in.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, problems := config.Load([]string{file}, nil, config.Options{})
	if len(problems) > 0 {
		t.Error(list(problems))
	}
	var names []string
	for _, path := range set.CredentialFiles() {
		names = append(names, strings.TrimPrefix(path, dir+"/"))
		want := config.CredentialFile{Reason: "no such file or folder"}
		switch filepath.Base(path) {
		case "there.pem":
			want = config.CredentialFile{Data: []byte("a certificate")}
		case "d.ca":
			want.Reason = "is not a file"
		}
		if diff := cmp.Diff(want, set.Files[path]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	want := []string{"a.crl", "a.key", "b.ca", "b.key", "b.pem", "c.ca", "d.ca", "d.crl", "d.key", "there.pem"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
