package test

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gateway is a sundog that serves the Gateways of a folder, ports 80 and 443
// on free ones, with the services shop and shop-next behind it.
type gateway struct {
	*process
	t             *testing.T
	ca            *authority
	dir           string
	primary, next *service
}

// newGateway writes the files, the services among them, and starts sundog.
func newGateway(t *testing.T, ca *authority, files map[string]string, more ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, ca: ca, dir: t.TempDir(), primary: serve(t, "primary"), next: serve(t, "next")}
	write(t, filepath.Join(g.dir, "services.yaml"), services("shop", "shop-next"))
	for name, text := range files {
		write(t, filepath.Join(g.dir, name), text)
	}
	g.process = sundog(t, append([]string{
		"run", "-f", g.dir, "--outbound", "", "--admin", "127.0.0.1:0", "--publish", "127.0.0.1:0:443", "--publish", "127.0.0.1:0:80",
		"--endpoint", "shop=" + g.primary.address, "--endpoint", "shop-next=" + g.next.address,
	}, more...)...)
	return g
}

// curl asks for https://name/path and adds what the protocol was.
func (g *gateway) curl(name, path string, more ...string) (out string, code int) {
	g.t.Helper()
	_, port, err := net.SplitHostPort(g.listener("0.0.0.0_443"))
	must(g.t, err)
	return curl(g.t, append([]string{
		"--cacert", g.ca.file, "--resolve", name + ":" + port + ":127.0.0.1", "-w", " %{http_version} %{http_code}", "https://" + name + ":" + port + path,
	}, more...)...)
}

// dial shakes hands with the gateway, asking for the name.
func (g *gateway) dial(name string) (*tls.Conn, error) {
	roots := g.ca.Pool()
	return tls.Dial("tcp", g.listener("0.0.0.0_443"), &tls.Config{ServerName: name, RootCAs: roots})
}

// serial is that of the certificate that new connections get, 0 without one.
func (g *gateway) serial(name string) int64 {
	c, err := g.dial(name)
	if err != nil {
		return 0
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

const shopRoutes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: ["*.example"]
  gateways: [%s]
  http:
  - route: [{destination: {host: shop}}]
    mirror: {host: shop-next}
`

// outcomes adds those of all routes up, which have a mirror each.
func (g *gateway) outcomes() (ledger, outcomes) {
	g.t.Helper()
	l, sum := g.settled(), outcomes{}
	for _, r := range l.Routes {
		for _, m := range r.Mirrors {
			for name, n := range m.Outcomes {
				sum[name] += n
			}
		}
	}
	return l, sum
}

// balanced wants n requests forwarded, each with a completed copy.
func (g *gateway) balanced(n int) {
	g.t.Helper()
	if l, o := g.outcomes(); l.Forwarded != n || o["completed"] != n || o.sum() != n {
		g.t.Errorf("the ledger has %d forwarded, %v; want %d", l.Forwarded, o, n)
	}
	if p, s := len(g.primary.got()), len(g.next.got()); p != n || s != n {
		g.t.Errorf("the primary got %d requests, the shadow %d, want %d", p, s, n)
	}
}

// The gateway of docs/tls.md: two certificates on one port, from a Secret and
// from files, HTTP/2 and 1.1, and redirects from the plain port.
func TestGatewayTLS(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	certFile, keyFile := ca.issue("api.example").files(t, dir, "api")
	g := newGateway(t, ca, map[string]string{
		"gateway.yaml": example(t, "tls.md", "gateway", "/etc/sundog/api.pem", certFile, "/etc/sundog/api.key", keyFile),
		"secret.yaml":  ca.issue("shop.example").secret("shop-tls", nil),
	})
	requests := 0
	for _, name := range []string{"shop.example", "api.example"} {
		for flag, want := range map[string]string{
			"--http1.1": "primary 1.1 200", "--http2": "primary 2 200", "--tlsv1.3": "primary 2 200", "--tls-max=1.2": "primary 2 200",
		} {
			args := strings.Split(flag, "=")
			if len(args) == 2 {
				args = append(args, "--tlsv1.2")
			}
			out, code := g.curl(name, "/cart", args...)
			if out != want || code != 0 {
				t.Errorf("%s %s: exit code %d, %q, want %q", name, flag, code, out, want)
			}
			requests++
		}
	}
	for _, s := range []*service{g.primary, g.next} {
		eventually(t, s.name+" has all", func() bool { return len(s.got()) == requests })
		if proto := s.got()[0].header.Get("X-Forwarded-Proto"); proto != "https" {
			t.Errorf("%s got x-forwarded-proto %q", s.name, proto)
		}
	}
	g.balanced(requests)

	if out, code := g.curl("other.example", "/"); code == 0 {
		t.Errorf("a name without a certificate got %q", out)
	}
	out, code := curl(t, "-H", "Host: shop.example", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "http://"+g.listener("0.0.0.0_80")+"/cart?n=1")
	if out != "301 https://shop.example/cart?n=1" || code != 0 {
		t.Errorf("the plain port: exit code %d, %q", code, out)
	}
	t.Run("versions", func(t *testing.T) {
		for version, want := range map[string]bool{"-tls1": false, "-tls1_1": false, "-tls1_2": true, "-tls1_3": true} {
			out, ok := openssl(t, g.listener("0.0.0.0_443"), version, "-alpn", "h2,http/1.1")
			switch {
			case want && (!ok || !strings.Contains(out, "ALPN protocol: h2")):
				t.Errorf("%s is refused, or has no ALPN: %s", version, out)
			case !want && (ok || !strings.Contains(out, "alert protocol version")):
				t.Errorf("%s: %v, %s", version, ok, out)
			}
		}
	})
	g.balanced(requests)
	g.stop()
}

// openssl shakes hands as a client that would take any cipher.
func openssl(t *testing.T, address string, more ...string) (out string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needProgram(t, "openssl", "openssl"), append([]string{
		"s_client", "-connect", address, "-servername", "shop.example", "-cipher", "DEFAULT@SECLEVEL=0",
	}, more...)...)
	text, err := cmd.CombinedOutput()
	return string(text), err == nil
}

// The servers of docs/tls.md that ask clients for certificates, and what the
// services hear of those.
func TestGatewayMutualTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	partner := ca.issue("partner.example")
	certificate := func(p pair, name string) []string {
		cert, key := p.files(t, dir, name)
		return []string{"--cert", cert, "--key", key}
	}
	known, unnamed, foreign := certificate(partner, "partner"), certificate(ca.issue("else.example"), "else"), certificate(other.issue("partner.example"), "foreign")
	files := map[string]string{
		"gateway.yaml": example(t, "tls.md", "mutual"),
		"routes.yaml":  fmt.Sprintf(shopRoutes, "partners"),
		"secret.yaml":  ca.issue("strict.example", "lax.example").secret("partners-tls", ca),
	}
	const claimed, shown = `By=me;Hash=00`, `;Subject="CN=partner.example";DNS=partner.example`
	tests := []struct {
		details     string
		with, plain string // what of the header is seen: with a certificate, and without
	}{
		{"", shown, ""},
		{"APPEND_FORWARD", claimed + "," + shown, ""},
		{"FORWARD_ONLY", claimed, ""},
		{"ALWAYS_FORWARD_ONLY", claimed, claimed},
		{"SANITIZE", "", ""},
	}
	for _, tt := range tests {
		t.Run("details "+tt.details, func(t *testing.T) {
			var args []string
			if tt.details != "" {
				file := filepath.Join(t.TempDir(), "mesh.yaml")
				write(t, file, "defaultConfig: {gatewayTopology: {forwardClientCertDetails: "+tt.details+"}}\n")
				args = []string{"--mesh-config", file}
			}
			g := newGateway(t, ca, files, args...)
			good := []struct {
				name string
				args []string
				want string
			}{{"strict.example", known, tt.with}, {"lax.example", known, tt.with}, {"lax.example", nil, tt.plain}}
			for i, c := range good {
				out, code := g.curl(c.name, "/", append(c.args[:len(c.args):len(c.args)], "-H", "x-forwarded-client-cert: "+claimed)...)
				if out != "primary 2 200" || code != 0 {
					t.Fatalf("%s %v: exit code %d, %q", c.name, c.args, code, out)
				}
				for _, s := range []*service{g.primary, g.next} {
					eventually(t, s.name+" has it", func() bool { return len(s.got()) == i+1 })
					if got := withoutCert(t, s.got()[i].header, partner); got != c.want {
						t.Errorf("%s, %s: x-forwarded-client-cert %q, want %q", c.name, s.name, got, c.want)
					}
				}
			}
			if tt.details == "" { // the handshake does not ask for details
				for _, args := range [][]string{nil, unnamed, foreign} {
					if out, code := g.curl("strict.example", "/", args...); code == 0 || !strings.Contains(out, "alert") {
						t.Errorf("strict with %v: exit code %d, %q", args, code, out)
					}
				}
				if out, code := g.curl("lax.example", "/", foreign...); code == 0 || !strings.Contains(out, "alert") {
					t.Errorf("lax with a certificate of others: exit code %d, %q", code, out)
				}
			}
			g.balanced(len(good))
			g.stop()
		})
	}
}

// withoutCert is x-forwarded-client-cert without its hash and certificate,
// which are checked.
func withoutCert(t *testing.T, h http.Header, p pair) string {
	t.Helper()
	v := strings.Join(h["X-Forwarded-Client-Cert"], "|")
	i := strings.LastIndex(v, "Hash=")
	if i < 0 || strings.HasPrefix(v[i:], "Hash=00") {
		return v
	}
	hash, rest, ok := strings.Cut(v[i:], `;Cert="`)
	cert, rest, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 || hash != "Hash="+sha256Hex(p.Leaf().Raw) || cert != urlEncoded(p.Cert) {
		t.Errorf("x-forwarded-client-cert is %q", v)
	}
	return v[:i] + rest
}

// A certificate that changes, in a file or a Secret, is used at once, and a
// download that is under way is not harmed. A broken one changes nothing.
func TestCertificateReload(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	first := ca.issue("api.example")
	certFile, keyFile := first.files(t, dir, "api")
	shop := ca.issue("shop.example")
	g := newGateway(t, ca, map[string]string{
		"gateway.yaml": example(t, "tls.md", "gateway", "/etc/sundog/api.pem", certFile, "/etc/sundog/api.key", keyFile),
		"secret.yaml":  shop.secret("shop-tls", nil),
	})
	secret := filepath.Join(g.dir, "secret.yaml")
	now := map[string]int64{"api.example": first.Leaf().SerialNumber.Int64(), "shop.example": shop.Leaf().SerialNumber.Int64()}
	uses := func(name string, want int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s has the certificate %d", name, want), func() bool { return g.serial(name) == want })
		now[name] = want
		for other, serial := range now {
			if got := g.serial(other); got != serial {
				t.Errorf("%s has the certificate %d, want %d", other, got, serial)
			}
		}
	}
	uses("api.example", now["api.example"])

	done := make(chan error, 1)
	data, sum := body(4 << 20)
	started, goOn := make(chan struct{}), make(chan struct{})
	go func() { done <- upload(g, "shop.example", data, started, goOn) }()
	<-started

	second := ca.issue("api.example")
	replace(t, keyFile, second.Key) // no pair yet
	g.find(&g.err, `(the new configuration has errors; the running one stays)`)
	uses("api.example", now["api.example"])
	replace(t, certFile, second.Cert)
	uses("api.example", second.Leaf().SerialNumber.Int64())

	third := ca.issue("shop.example")
	replace(t, secret, third.secret("shop-tls", nil))
	uses("shop.example", third.Leaf().SerialNumber.Int64())

	before := strings.Count(g.err.String(), "the running one stays")
	replace(t, certFile, second.Cert[:len(second.Cert)/2])
	eventually(t, "the broken certificate is told", func() bool { return strings.Count(g.err.String(), "the running one stays") > before })
	if !strings.Contains(g.err.String(), certFile) {
		t.Errorf("stderr does not name %s", certFile)
	}
	uses("api.example", second.Leaf().SerialNumber.Int64())

	close(goOn)
	must(t, <-done)
	if got := g.primary.got(); len(got) != 1 || got[0].sum != sum || got[0].err != nil {
		t.Errorf("the primary got %+v", got)
	}
	if l, o := g.outcomes(); l.Forwarded != 1 || o.sum() != 1 {
		t.Errorf("the ledger is %+v", l)
	}
	g.stop()
}

// upload sends a body over one connection, and waits in the middle of it.
func upload(g *gateway, name string, data []byte, started chan<- struct{}, goOn <-chan struct{}) error {
	c, err := g.dial(name)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	half := len(data) / 2
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", name, len(data), data[:half]); err != nil {
		return err
	}
	close(started)
	<-goOn
	if _, err := c.Write(data[half:]); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.HasSuffix(string(answer), "primary") {
		return fmt.Errorf("the answer is %q, %w", answer, err)
	}
	return nil
}

// A gateway behind something that speaks the PROXY protocol sees the client's
// address, and takes no connection without it.
func TestProxyProtocol(t *testing.T) {
	ca := newAuthority(t)
	mesh := filepath.Join(t.TempDir(), "mesh.yaml")
	write(t, mesh, example(t, "tls.md", "proxy-protocol"))
	api, key := ca.issue("api.example").files(t, t.TempDir(), "api")
	g := newGateway(t, ca, map[string]string{
		"gateway.yaml": example(t, "tls.md", "gateway", "/etc/sundog/api.pem", api, "/etc/sundog/api.key", key),
		"secret.yaml":  ca.issue("shop.example").secret("shop-tls", nil),
	}, "--mesh-config", mesh)
	if out, code := g.curl("shop.example", "/", "--haproxy-protocol"); out != "primary 2 200" || code != 0 {
		t.Errorf("version 1: exit code %d, %q", code, out)
	}
	if out, code := g.curl("shop.example", "/"); code == 0 {
		t.Errorf("without the header: %q", out)
	}
	conn, err := net.Dial("tcp", g.listener("0.0.0.0_443"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	header := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 192, 0, 2, 7, 127, 0, 0, 1)
	header = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(header, 4711), 443)
	_, err = conn.Write(header)
	must(t, err)
	roots := ca.Pool()
	c := tls.Client(conn, &tls.Config{ServerName: "shop.example", RootCAs: roots})
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
	must(t, err)
	if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "primary") {
		t.Errorf("version 2: %q, %v", answer, err)
	}
	g.balanced(2)
	for i, want := range []string{"127.0.0.1", "192.0.2.7"} {
		if got := g.primary.got()[i].header.Get("X-Forwarded-For"); got != want {
			t.Errorf("x-forwarded-for %q, want %q", got, want)
		}
	}
	g.stop()
}
