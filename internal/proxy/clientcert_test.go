package proxy_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// TestForwardedClientCert looks at what the primary is told of the client's
// certificate, in every mode, with one and without.
func TestForwardedClientCert(t *testing.T) {
	ca := certtest.NewCA()
	own := ca.Issue("client.test", "other.test", "spiffe://test/ns/a/sa/b")
	block, _ := pem.Decode([]byte(own.Cert))
	hash := fmt.Sprintf("Hash=%x", sha256.Sum256(block.Bytes))
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		v, ok := r.Header["X-Forwarded-Client-Cert"]
		if !ok {
			_, _ = io.WriteString(w, "none")
			return
		}
		_, _ = io.WriteString(w, strings.Join(v, "|"))
	})
	for _, tt := range []struct {
		mode           hcmv3.HttpConnectionManager_ForwardClientCertDetails
		shown, without string // what becomes of the client's own field
	}{
		{hcmv3.HttpConnectionManager_SANITIZE, "none", "none"},
		{hcmv3.HttpConnectionManager_FORWARD_ONLY, "sent", "none"},
		{hcmv3.HttpConnectionManager_APPEND_FORWARD, "sent," + hash, "none"},
		{hcmv3.HttpConnectionManager_SANITIZE_SET, hash, "none"},
		{hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY, "sent", "sent"},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			s := newScene(primary)
			s.hcm.ForwardClientCertDetails = tt.mode
			ctx := terminating(ca.Issue("127.0.0.1"))
			trusting(ctx.CommonTlsContext, ca, nil)
			_, addr := run(t, s.secure(t, ctx), proxy.Options{Concurrency: 1})
			for _, down := range []protocol{h1, h2c} {
				for _, shown := range []bool{true, false} {
					cfg := &tls.Config{RootCAs: ca.Pool()}
					want := tt.without
					if shown {
						cfg.Certificates = []tls.Certificate{own.TLS()}
						want = tt.shown
					}
					c := secureClient(t, cfg, down)
					for range 2 {
						req, _ := http.NewRequest("GET", "https://"+addr, nil)
						req.Header.Set("X-Forwarded-Client-Cert", "sent")
						resp, err := c.Do(req)
						if err != nil {
							t.Fatal(err)
						}
						got, _ := io.ReadAll(resp.Body)
						resp.Body.Close()
						if string(got) != want {
							t.Errorf("%s, shown %v: %q, want %q", down, shown, got, want)
						}
					}
				}
			}
		})
	}
}

// TestClientCertDetails asks for all details, and changes them while the
// client's connection stays.
func TestClientCertDetails(t *testing.T) {
	ca := certtest.NewCA()
	own := ca.Issue("client.test", "other.test", "spiffe://test/ns/a/sa/b")
	block, _ := pem.Decode([]byte(own.Cert))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Client-Cert"))
	}))
	s.hcm.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	s.hcm.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
		Subject: wrapperspb.Bool(true), Cert: true, Dns: true, Uri: true,
	}
	ctx := terminating(ca.Issue("127.0.0.1"))
	trusting(ctx.CommonTlsContext, ca, nil)
	p, addr := run(t, s.secure(t, ctx), proxy.Options{Concurrency: 1})
	c := secureClient(t, &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{own.TLS()}}, h1)
	ask := func() string {
		t.Helper()
		resp, err := c.Get("https://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		return string(got)
	}
	got := ask()
	parts := strings.Split(got, ";")
	if len(parts) != 6 {
		t.Fatalf("%q", got)
	}
	hash := fmt.Sprintf("Hash=%x", sha256.Sum256(block.Bytes))
	if parts[0] != hash || parts[2] != `Subject="`+leaf.Subject.String()+`"` || parts[3] != "URI=spiffe://test/ns/a/sa/b" ||
		parts[4] != "DNS=client.test" || parts[5] != "DNS=other.test" {
		t.Errorf("%q", parts)
	}
	escaped := strings.TrimSuffix(strings.TrimPrefix(parts[1], `Cert="`), `"`)
	for name, decode := range map[string]func(string) (string, error){"path": url.PathUnescape, "query": url.QueryUnescape} {
		if back, err := decode(escaped); back != own.Cert || err != nil {
			t.Errorf("the certificate, decoded as a %s: %v\n%s", name, err, back)
		}
	}
	if strings.ContainsAny(escaped, "\n +/=\",;") {
		t.Errorf("the certificate is not wholly escaped: %s", escaped)
	}
	s.hcm.SetCurrentClientCertDetails = nil
	if err := p.Apply(s.secure(t, ctx)); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != hash {
		t.Errorf("after a reload: %q", got)
	}
	if n := stat(p, "listener.ssl.handshake"); n != 1 {
		t.Errorf("%d connections", n)
	}
}
