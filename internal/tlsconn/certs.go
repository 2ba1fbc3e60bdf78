package tlsconn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// certificate is one with its key.
type certificate struct {
	tls  *tls.Certificate
	slow crypto.Signer // the key, if using it takes long; nil else
}

// certificates are those of one context, in its order.
type certificates struct {
	all    []*certificate
	byName map[string][]*certificate // lower case; "*.example.com" as it is written
}

// pick chooses as Envoy does: by exact name, then by wildcard, else any; of
// those the first whose key the client can use.
func (s *certificates) pick(h *tls.ClientHelloInfo) *certificate {
	name := strings.ToLower(h.ServerName)
	among := s.byName[name]
	if _, rest, ok := strings.Cut(name, "."); ok && len(among) == 0 {
		among = s.byName["*."+rest]
	}
	if len(among) == 0 {
		among = s.all
	}
	if len(among) > 1 {
		anyName := *h
		anyName.ServerName = ""
		for _, c := range among {
			if anyName.SupportsCertificate(c.tls) == nil {
				return c
			}
		}
	}
	return among[0]
}

// keyed is the certificate for the handshake of a.
func (c *certificate) keyed(a *conn) *tls.Certificate {
	if c.slow == nil {
		return c.tls
	}
	own := *c.tls
	own.PrivateKey = &offLoop{c.slow, a}
	return &own
}

// offLoop uses a key away from the loop, while the task of the handshake is
// parked.
type offLoop struct {
	key crypto.Signer
	a   *conn
}

// Public is the public key.
func (o *offLoop) Public() crypto.PublicKey { return o.key.Public() }

// Sign signs for crypto/tls.
func (o *offLoop) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return o.run(func() ([]byte, error) { return o.key.Sign(rand, digest, opts) })
}

// Decrypt is for the key exchanges of TLS 1.2 that use the key itself.
func (o *offLoop) Decrypt(rand io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	key, ok := o.key.(crypto.Decrypter)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot decrypt", o.key)
	}
	return o.run(func() ([]byte, error) { return key.Decrypt(rand, msg, opts) })
}

func (o *offLoop) run(f func() ([]byte, error)) ([]byte, error) {
	var got struct {
		p   []byte
		err error
	}
	if err := o.a.task.Compute(func() { got.p, got.err = f() }); err != nil {
		return nil, err // got may still be written to
	}
	return got.p, got.err
}

// slowKey reports whether using the key takes longer than passing the work to
// another goroutine is worth: RSA 1.5 ms, the large curves 0.2 ms and more;
// P-256 and Ed25519 take some 30 us.
func slowKey(key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return true
	case *ecdsa.PublicKey:
		return key.Curve != elliptic.P256()
	}
	return false
}

// certificates compiles the context's own and its SDS ones.
func (c *compiler) certificates(ctx *tlsv3.CommonTlsContext) *certificates {
	s := &certificates{byName: map[string][]*certificate{}}
	for i, m := range ctx.GetTlsCertificates() {
		s.add(c.certificate(fmt.Sprintf("common_tls_context.tls_certificates[%d]", i), m))
	}
	for i, sds := range ctx.GetTlsCertificateSdsSecretConfigs() {
		secret := c.secret(fmt.Sprintf("common_tls_context.tls_certificate_sds_secret_configs[%d]", i), sds)
		if secret == nil {
			continue
		}
		at := fmt.Sprintf("secret %q", sds.GetName())
		if m := secret.GetTlsCertificate(); m == nil {
			c.fail(at, "has no tls_certificate")
		} else {
			s.add(c.certificate(at, m))
		}
	}
	return s
}

func (s *certificates) add(c *certificate) {
	if c == nil {
		return
	}
	s.all = append(s.all, c)
	names := c.tls.Leaf.DNSNames
	if len(names) == 0 && c.tls.Leaf.Subject.CommonName != "" {
		names = []string{c.tls.Leaf.Subject.CommonName}
	}
	for _, name := range names {
		name = strings.ToLower(name)
		s.byName[name] = append(s.byName[name], c)
	}
}

// certificate compiles one; nil after a failure.
func (c *compiler) certificate(at string, m *tlsv3.TlsCertificate) *certificate {
	c.only(at, m, only{"certificate_chain", "private_key", "ocsp_staple"}, only{"watched_directory", "signed_certificate_timestamp"})
	if len(m.ProtoReflect().GetUnknown()) > 0 || m.GetPkcs12() != nil || m.GetPrivateKeyProvider() != nil {
		return nil // told by only
	}
	chain := c.data(at+".certificate_chain", m.GetCertificateChain())
	key := c.data(at+".private_key", m.GetPrivateKey())
	if chain == nil || key == nil {
		return nil
	}
	chainAt, keyAt := from(at+".certificate_chain", m.GetCertificateChain()), from(at+".private_key", m.GetPrivateKey())
	if !c.isPEM(chainAt, chain, "CERTIFICATE") || !c.isPEM(keyAt, key, "PRIVATE KEY") {
		return nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		c.fail(chainAt, "and %s do not make a pair: %s", keyAt, strings.TrimPrefix(err.Error(), "tls: "))
		return nil
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			c.fail(chainAt, "cannot be understood: %w", err)
			return nil
		}
	}
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		c.ignored = append(c.ignored, fmt.Sprintf("%s expired on %s", chainAt, pair.Leaf.NotAfter.Format(time.DateTime)))
	case now.Before(pair.Leaf.NotBefore):
		c.ignored = append(c.ignored, fmt.Sprintf("%s is not valid before %s", chainAt, pair.Leaf.NotBefore.Format(time.DateTime)))
	}
	if m.GetOcspStaple() != nil {
		pair.OCSPStaple = c.data(at+".ocsp_staple", m.GetOcspStaple())
	}
	cert := &certificate{tls: &pair}
	if signer, ok := pair.PrivateKey.(crypto.Signer); ok && slowKey(signer.Public()) {
		cert.slow = signer
	}
	return cert
}

// isPEM fails with what is there instead of the PEM block that is wanted.
func (c *compiler) isPEM(at string, p []byte, kind string) bool {
	var other string
	for {
		var b *pem.Block
		if b, p = pem.Decode(p); b == nil {
			break
		}
		switch {
		case kind == "PRIVATE KEY" && (b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != ""):
			c.fail(at, "is an encrypted private key, which is not supported; decrypt it first")
			return false
		case strings.HasSuffix(b.Type, kind):
			return true
		}
		other = b.Type
	}
	if other != "" {
		c.fail(at, "holds a PEM block of type %q, not %q", other, kind)
	} else {
		c.fail(at, "is not PEM: no block \"-----BEGIN %s-----\" in it", kind)
	}
	return false
}
