package tlsconn

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// verifier is a compiled CertificateValidationContext. It looks at resumed
// sessions, too.
type verifier struct {
	roots    *x509.CertPool // nil: pins only
	usage    x509.ExtKeyUsage
	sans     []san
	wanted   []string // sans, for errors
	hashes   map[[32]byte]bool
	spkis    map[[32]byte]bool
	maxDepth int // intermediates; negative: any number
	expired  bool
	rsaUsage bool
	hideCAs  bool
}

// check verifies the peer's certificate. Without one there is nothing to check:
// whether there must be one, ClientAuth says. Name, if not "", replaces the
// configured names (auto_sni_san_validation).
func (v *verifier) check(st *tls.ConnectionState, name string) error {
	if len(st.PeerCertificates) == 0 {
		return nil
	}
	leaf := st.PeerCertificates[0]
	if v.roots != nil {
		if err := v.chain(st.PeerCertificates); err != nil {
			return err
		}
	}
	if v.rsaUsage && leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		if _, ok := leaf.PublicKey.(*rsa.PublicKey); ok {
			return errors.New("the key usage of the peer's RSA certificate does not allow signatures (enforce_rsa_key_usage)")
		}
	}
	if len(v.hashes)+len(v.spkis) > 0 && !v.hashes[sha256.Sum256(leaf.Raw)] && !v.spkis[sha256.Sum256(leaf.RawSubjectPublicKeyInfo)] {
		return fmt.Errorf("the peer's certificate %s has none of the hashes of verify_certificate_hash and verify_certificate_spki", title(leaf))
	}
	switch {
	case name != "":
		if err := leaf.VerifyHostname(name); err != nil {
			return fmt.Errorf("the peer's certificate is not for %q: %w", name, err)
		}
	case len(v.sans) > 0 && !slices.ContainsFunc(v.sans, func(s san) bool { return s.matches(leaf) }):
		return fmt.Errorf("the peer's certificate %s has no name that match_typed_subject_alt_names allows: it has %q; wanted: %s",
			title(leaf), namesOf(leaf), strings.Join(v.wanted, ", "))
	}
	return nil
}

func (v *verifier) chain(peer []*x509.Certificate) error {
	opts := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{v.usage}}
	for _, c := range peer[1:] {
		opts.Intermediates.AddCert(c)
	}
	if v.expired && time.Now().After(peer[0].NotAfter) {
		opts.CurrentTime = peer[0].NotAfter
	}
	chains, err := peer[0].Verify(opts)
	if err != nil {
		return fmt.Errorf("the peer's certificate %s: %w", title(peer[0]), err)
	}
	if v.maxDepth >= 0 && !slices.ContainsFunc(chains, func(c []*x509.Certificate) bool { return len(c)-2 <= v.maxDepth }) {
		return fmt.Errorf("the peer's certificate %s: the chain is longer than max_verify_depth allows", title(peer[0]))
	}
	return nil
}

func title(c *x509.Certificate) string { return fmt.Sprintf("%q", c.Subject.String()) }

func namesOf(c *x509.Certificate) []string {
	names := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// validation compiles the context's rules for the peer; nil if there are none.
func (c *compiler) validation(at string, ctx *tlsv3.CommonTlsContext, ofClients bool) *verifier {
	var m *tlsv3.CertificateValidationContext
	bySDS := func(at string, s *tlsv3.SdsSecretConfig) *tlsv3.CertificateValidationContext {
		secret := c.secret(at, s)
		if secret != nil && secret.GetValidationContext() == nil {
			c.fail(fmt.Sprintf("secret %q", s.GetName()), "has no validation_context")
		}
		return secret.GetValidationContext()
	}
	switch t := ctx.GetValidationContextType().(type) {
	case *tlsv3.CommonTlsContext_ValidationContext:
		at, m = at+".validation_context", t.ValidationContext
	case *tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig:
		m = bySDS(at+".validation_context_sds_secret_config", t.ValidationContextSdsSecretConfig)
		at = fmt.Sprintf("secret %q", t.ValidationContextSdsSecretConfig.GetName())
	case *tlsv3.CommonTlsContext_CombinedValidationContext:
		at += ".combined_validation_context"
		both := t.CombinedValidationContext
		c.only(at, both, only{"default_validation_context", "validation_context_sds_secret_config"}, nil)
		m = &tlsv3.CertificateValidationContext{}
		proto.Merge(m, both.GetDefaultValidationContext())
		if other := bySDS(at+".validation_context_sds_secret_config", both.GetValidationContextSdsSecretConfig()); other != nil {
			proto.Merge(m, other)
		}
	}
	if m == nil {
		return nil
	}
	return c.verifier(at, m, ofClients)
}

func (c *compiler) verifier(at string, m *tlsv3.CertificateValidationContext, ofClients bool) *verifier {
	c.only(at, m, only{
		"trusted_ca", "system_root_certs", "verify_certificate_spki", "verify_certificate_hash", "match_typed_subject_alt_names",
		"match_subject_alt_names", "allow_expired_certificate", "max_verify_depth", "suppress_client_ca_list",
	}, only{"watched_directory", "trust_chain_verification", "only_verify_leaf_cert_crl"})
	c.noteProto(m)
	v := &verifier{usage: x509.ExtKeyUsageServerAuth, maxDepth: -1, expired: m.GetAllowExpiredCertificate(), hideCAs: m.GetSuppressClientCaList()}
	if ofClients {
		v.usage = x509.ExtKeyUsageClientAuth
	}
	if d := m.GetMaxVerifyDepth(); d != nil {
		v.maxDepth = int(min(d.GetValue(), 1000))
	}
	if m.GetTrustedCa() != nil {
		v.roots = c.pool(at+".trusted_ca", m)
	} else if m.GetSystemRootCerts() != nil {
		var err error
		if v.roots, err = x509.SystemCertPool(); err != nil {
			c.fail(at+".system_root_certs", "cannot be loaded: %w", err)
		}
	}
	v.hashes = c.pins(at+".verify_certificate_hash", m.GetVerifyCertificateHash(), func(s string) ([]byte, error) {
		return hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	}, "64 hexadecimal digits")
	v.spkis = c.pins(at+".verify_certificate_spki", m.GetVerifyCertificateSpki(), base64.StdEncoding.DecodeString, "the base64 form of 32 bytes")
	c.sans(at, m, v)
	if len(v.sans) > 0 && v.roots == nil {
		c.fail(at+".match_typed_subject_alt_names", "needs trusted_ca: names in a certificate that nobody vouches for prove nothing")
	}
	if v.roots == nil && len(v.hashes)+len(v.spkis) == 0 {
		return nil
	}
	return v
}

// pool reads the trusted CAs.
func (c *compiler) pool(at string, m *tlsv3.CertificateValidationContext) *x509.CertPool {
	pool := x509.NewCertPool()
	p := c.data(at, m.GetTrustedCa())
	at = from(at, m.GetTrustedCa())
	if p == nil || !c.isPEM(at, p, "CERTIFICATE") {
		return pool
	}
	var expired []string // worth telling if they are all
	valid := false
	for n := 1; ; n++ {
		var b *pem.Block
		if b, p = pem.Decode(p); b == nil {
			if !valid {
				c.ignored = append(c.ignored, expired...)
			}
			return pool
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			c.fail(at, "has a certificate (the %d. PEM block) that cannot be understood: %w", n, err)
			return pool
		}
		if time.Now().After(cert.NotAfter) {
			expired = append(expired, fmt.Sprintf("%s: the CA %s expired on %s", at, title(cert), cert.NotAfter.Format(time.DateTime)))
		} else {
			valid = true
		}
		pool.AddCert(cert)
	}
}

func (c *compiler) pins(at string, list []string, decode func(string) ([]byte, error), form string) map[[32]byte]bool {
	if len(list) == 0 {
		return nil
	}
	pins := map[[32]byte]bool{}
	for i, s := range list {
		p, err := decode(s)
		if err != nil || len(p) != sha256.Size {
			c.fail(fmt.Sprintf("%s[%d]", at, i), "is %q; it must be %s, a SHA-256 sum", s, form)
			continue
		}
		pins[[32]byte(p)] = true
	}
	return pins
}
