package tlsconn

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// params sets versions, cipher suites and key exchanges.
func (c *compiler) params(at string, p *tlsv3.TlsParameters, cfg *tls.Config) {
	c.only(at, p, only{"tls_minimum_protocol_version", "tls_maximum_protocol_version", "cipher_suites", "ecdh_curves"}, nil)
	cfg.MinVersion = c.version(at+".tls_minimum_protocol_version", p.GetTlsMinimumProtocolVersion(), tls.VersionTLS12)
	cfg.MaxVersion = c.version(at+".tls_maximum_protocol_version", p.GetTlsMaximumProtocolVersion(), tls.VersionTLS13)
	if cfg.MinVersion > cfg.MaxVersion {
		c.fail(at+".tls_minimum_protocol_version", "is above tls_maximum_protocol_version")
	}
	c.ciphers(at+".cipher_suites", p.GetCipherSuites(), cfg)
	c.curves(at+".ecdh_curves", p.GetEcdhCurves(), cfg)
}

func (c *compiler) version(at string, v tlsv3.TlsParameters_TlsProtocol, auto uint16) uint16 {
	switch v {
	case tlsv3.TlsParameters_TLS_AUTO:
		return auto
	case tlsv3.TlsParameters_TLSv1_2:
		return tls.VersionTLS12
	case tlsv3.TlsParameters_TLSv1_3:
		return tls.VersionTLS13
	}
	c.fail(at, "is %s: only TLSv1_2 and TLSv1_3 are supported, older versions are not safe", v)
	return auto
}

// suite is a cipher suite of TLS 1.2 by OpenSSL's name.
func suite(name string) (uint16, bool) {
	switch strings.ToUpper(name) {
	case "ECDHE-ECDSA-AES128-GCM-SHA256":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, true
	case "ECDHE-RSA-AES128-GCM-SHA256":
		return tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true
	case "ECDHE-ECDSA-AES256-GCM-SHA384":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, true
	case "ECDHE-RSA-AES256-GCM-SHA384":
		return tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true
	case "ECDHE-ECDSA-CHACHA20-POLY1305":
		return tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, true
	case "ECDHE-RSA-CHACHA20-POLY1305":
		return tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, true
	case "ECDHE-ECDSA-AES128-SHA":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, true
	case "ECDHE-RSA-AES128-SHA":
		return tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, true
	case "ECDHE-ECDSA-AES256-SHA":
		return tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, true
	case "ECDHE-RSA-AES256-SHA":
		return tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, true
	case "AES128-GCM-SHA256":
		return tls.TLS_RSA_WITH_AES_128_GCM_SHA256, true
	case "AES256-GCM-SHA384":
		return tls.TLS_RSA_WITH_AES_256_GCM_SHA384, true
	case "AES128-SHA":
		return tls.TLS_RSA_WITH_AES_128_CBC_SHA, true
	case "AES256-SHA":
		return tls.TLS_RSA_WITH_AES_256_CBC_SHA, true
	}
	return 0, false
}

// ciphers leaves out the suites that crypto/tls does not have: to offer less is
// safe. Its own order is used, not the list's.
func (c *compiler) ciphers(at string, names []string, cfg *tls.Config) {
	for i, group := range names {
		for name := range strings.SplitSeq(strings.Trim(group, "[]"), "|") {
			if strings.HasPrefix(strings.ToUpper(name), "TLS_") {
				c.fail(fmt.Sprintf("%s[%d]", at, i), "is %q: the list is for TLS 1.2; the suites of TLS 1.3 cannot be chosen", name)
			} else if id, ok := suite(name); !ok {
				c.ignore(fmt.Sprintf("%s[%d] (%s)", at, i, name))
			} else if !slices.Contains(cfg.CipherSuites, id) {
				cfg.CipherSuites = append(cfg.CipherSuites, id)
			}
		}
	}
	if len(names) > 0 && len(cfg.CipherSuites) == 0 {
		c.fail(at, "has no cipher suite that is supported, as for example ECDHE-RSA-AES128-GCM-SHA256 is")
	}
}

// curves sets the key exchanges. Without a list crypto/tls prefers a hybrid
// with ML-KEM, which costs about half as much again as X25519 alone.
func (c *compiler) curves(at string, names []string, cfg *tls.Config) {
	for i, name := range names {
		var id tls.CurveID
		switch strings.ToUpper(name) {
		case "X25519":
			id = tls.X25519
		case "P-256", "PRIME256V1", "SECP256R1":
			id = tls.CurveP256
		case "P-384", "SECP384R1":
			id = tls.CurveP384
		case "P-521", "SECP521R1":
			id = tls.CurveP521
		case "X25519MLKEM768":
			id = tls.X25519MLKEM768
		default:
			c.ignore(fmt.Sprintf("%s[%d] (%s)", at, i, name))
			continue
		}
		cfg.CurvePreferences = append(cfg.CurvePreferences, id)
	}
	if len(names) > 0 && len(cfg.CurvePreferences) == 0 {
		c.fail(at, "has no key exchange that is supported: X25519, P-256, P-384, P-521 and X25519MLKEM768 are")
	}
}
