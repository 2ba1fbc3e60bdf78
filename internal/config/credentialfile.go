package config

import (
	"os"
	"slices"

	istio "istio.io/api/networking/v1alpha3"
)

// CredentialFile is a file with a certificate, a key or a revocation list, or
// the plain words why it could not be read.
type CredentialFile struct {
	Data   []byte
	Reason string // empty: it was read
}

// CredentialFiles lists the paths of all certificates, keys and revocation
// lists that Gateways and DestinationRules of the set name, each once, sorted.
// Relative paths start at the working directory.
func (s *Set) CredentialFiles() []string {
	var out []string
	add := func(paths ...string) {
		for _, p := range paths {
			if p != "" && p != "system" {
				out = append(out, p)
			}
		}
	}
	for _, g := range s.Gateways {
		for _, server := range g.Spec.GetServers() {
			t := server.GetTls()
			add(t.GetServerCertificate(), t.GetPrivateKey(), t.GetCaCertificates(), t.GetCaCrl())
			for _, c := range t.GetTlsCertificates() {
				add(c.GetServerCertificate(), c.GetPrivateKey(), c.GetCaCertificates())
			}
		}
	}
	for _, d := range s.DestinationRules {
		policies := []*istio.TrafficPolicy{d.Spec.GetTrafficPolicy()}
		for _, sub := range d.Spec.GetSubsets() {
			policies = append(policies, sub.GetTrafficPolicy())
		}
		for _, p := range policies {
			settings := []*istio.ClientTLSSettings{p.GetTls()}
			for _, l := range p.GetPortLevelSettings() {
				settings = append(settings, l.GetTls())
			}
			for _, t := range settings {
				add(t.GetClientCertificate(), t.GetPrivateKey(), t.GetCaCertificates(), t.GetCaCrl())
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// readCredentials fills Files and SystemRoots.
func (s *Set) readCredentials() {
	for _, path := range s.CredentialFiles() {
		if s.Files == nil {
			s.Files = map[string]CredentialFile{}
		}
		s.Files[path] = readCredential(path)
	}
	s.SystemRoots = systemRoots()
}

// maxCredential bounds a file that is taken for a certificate, in bytes.
const maxCredential = 1 << 20

func readCredential(path string) CredentialFile {
	info, err := os.Stat(path) // or a pipe would be waited for
	switch {
	case err != nil:
		return CredentialFile{Reason: unreadable(path, err).Message}
	case !info.Mode().IsRegular():
		return CredentialFile{Reason: "is not a file"}
	case info.Size() > maxCredential:
		return CredentialFile{Reason: "is larger than 1 MiB"}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return CredentialFile{Reason: unreadable(path, err).Message}
	}
	return CredentialFile{Data: data}
}

// systemRoots is where this machine keeps the certificate authorities that it
// trusts, as OpenSSL and Istio's agent look for them; empty if in none of these.
func systemRoots() string {
	for _, path := range []string{
		os.Getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
		"/etc/ssl/cert.pem",                                 // macOS, Alpine
	} {
		if info, err := os.Stat(path); path != "" && err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
