package proxy

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

const xfcc = "x-forwarded-client-cert"

// certDetails is what x-forwarded-client-cert tells of the client's
// certificate (set_current_client_cert_details).
type certDetails struct{ subject, cert, dns, uri bool }

func compileCertDetails(d *hcmv3.HttpConnectionManager_SetCurrentClientCertDetails) certDetails {
	return certDetails{d.GetSubject().GetValue(), d.GetCert(), d.GetDns(), d.GetUri()}
}

// clientCert does to x-forwarded-client-cert what forward_client_cert_details
// asks for.
func (x *exchange) clientCert() {
	mutual := x.from.secure != nil && x.from.secure.Peer != nil
	switch mode := x.cfg.clientCert; {
	case mode == hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY:
	case !mutual || mode == hcmv3.HttpConnectionManager_SANITIZE:
		x.req.Del(xfcc)
	case mode == hcmv3.HttpConnectionManager_APPEND_FORWARD:
		x.req.Append(xfcc, x.clientCertElement())
	case mode == hcmv3.HttpConnectionManager_SANITIZE_SET:
		x.req.Set(xfcc, x.clientCertElement())
	}
}

// clientCertElement is the connection's element of the field. It is made once
// for each connection and configuration.
func (x *exchange) clientCertElement() []byte {
	d := x.from
	if d.certElement == nil || d.certFrom != x.cfg {
		d.certElement = []byte(x.cfg.certDetails.element(d.secure.Peer))
		d.certFrom = x.cfg
	}
	return d.certElement
}

// element writes what Envoy writes, in its order: By is left out, since the
// proxy has no identity of its own.
func (d certDetails) element(peer *x509.Certificate) string {
	sum := sha256.Sum256(peer.Raw)
	parts := []string{"Hash=" + hex.EncodeToString(sum[:])}
	if d.cert {
		parts = append(parts, `Cert="`+escapedPEM(peer)+`"`)
	}
	if d.subject {
		parts = append(parts, `Subject="`+strings.ReplaceAll(peer.Subject.String(), `"`, `\"`)+`"`)
	}
	if d.uri {
		for _, u := range peer.URIs {
			parts = append(parts, "URI="+u.String())
		}
	}
	if d.dns {
		for _, name := range peer.DNSNames {
			parts = append(parts, "DNS="+name)
		}
	}
	return strings.Join(parts, ";")
}

// escapedPEM escapes what Envoy does, and no more, so that whatever decodes
// URLs, forms included, gets the same certificate.
func escapedPEM(c *x509.Certificate) string {
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").
		Replace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
}
