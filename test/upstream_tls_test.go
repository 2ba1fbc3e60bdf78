package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A tlsCase is a service that an nginx with TLS stands for, and how sundog is
// told to reach it.
type tlsCase struct {
	name   string // its host is name.example
	listen string // of nginx, after the address
	// protocol is the port's; tls and pool are of the DestinationRule.
	protocol, tls, pool string
	version             string // of HTTP that nginx is to see
	status              int    // what a client gets, if it is the primary
	outcome             string // what becomes of a copy to it
}

// tlsCases speak to servers that have a certificate of ca for bank.example and
// want one of a client of it where they are "mutual".
func tlsCases(t *testing.T, ca *authority) []tlsCase {
	dir := t.TempDir()
	file := func(p pair, name string) (cert, key string) { return p.files(t, dir, name) }
	cert, key := file(ca.issue("bank.example"), "bank")
	clientCert, clientKey := file(ca.issue("client.example"), "client")
	stranger := newAuthority(t)
	foreignCert, foreignKey := file(stranger.issue("client.example"), "foreign")
	simple := fmt.Sprintf("ssl; ssl_certificate %s; ssl_certificate_key %s", cert, key)
	mutual := simple + fmt.Sprintf("; ssl_verify_client on; ssl_client_certificate %s", ca.file)
	h2 := func(s string) string { return strings.Replace(s, "ssl;", "ssl http2;", 1) }
	checked := "sni: bank.example, caCertificates: " + ca.file
	named := checked + ", subjectAltNames: [bank.example]"
	own := fmt.Sprintf(", clientCertificate: %s, privateKey: %s", clientCert, clientKey)
	foreign := fmt.Sprintf(", clientCertificate: %s, privateKey: %s", foreignCert, foreignKey)
	const upgrade = "{http: {h2UpgradePolicy: UPGRADE}}"
	return []tlsCase{
		{"simple", simple, "HTTP", "{mode: SIMPLE, " + named + "}", "", "HTTP/1.1", 200, "completed"},
		{"mutual", mutual, "HTTP", "{mode: MUTUAL, " + named + own + "}", "", "HTTP/1.1", 200, "completed"},
		{"unchecked", simple, "HTTP", "{mode: SIMPLE, insecureSkipVerify: true}", "", "HTTP/1.1", 200, "completed"},
		{"upgraded", h2(simple), "HTTP", "{mode: SIMPLE, " + named + "}", upgrade, "HTTP/2.0", 200, "completed"},
		{"upgraded-mutual", h2(mutual), "HTTP", "{mode: MUTUAL, " + named + own + "}", upgrade, "HTTP/2.0", 200, "completed"},
		{"grpc", "http2", "GRPC", "", "", "HTTP/2.0", 200, "completed"},
		{"http2", "http2", "HTTP2", "", "", "HTTP/2.0", 200, "completed"},
		{"http2-tls", h2(simple), "HTTP2", "{mode: SIMPLE, " + named + "}", "", "HTTP/2.0", 200, "completed"},
		{"wrong-san", simple, "HTTP", "{mode: SIMPLE, " + checked + ", subjectAltNames: [other.example]}", "", "", 503, "connect_failed"},
		{"wrong-ca", simple, "HTTP", "{mode: SIMPLE, sni: bank.example, caCertificates: " + stranger.file + "}", "", "", 503, "connect_failed"},
		{"no-tls-there", "", "HTTP", "{mode: SIMPLE, " + named + "}", "", "", 503, "connect_failed"},
		{"not-h2-there", simple, "HTTP", "{mode: SIMPLE, " + named + "}", upgrade, "", 503, "connect_failed"},
		// nginx shakes hands with anybody, and then answers 400.
		{"foreign-client", mutual, "HTTP", "{mode: MUTUAL, " + named + foreign + "}", "", "HTTP/1.1", 400, "completed"},
	}
}

// yaml declares the service at the address.
func (c tlsCase) yaml(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	out := fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s}
spec:
  hosts: [%[1]s.example]
  ports: [{number: 80, name: port, protocol: %[2]s, targetPort: %[3]s}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
`, c.name, c.protocol, port)
	if c.tls == "" {
		return out
	}
	out += fmt.Sprintf("---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: %[1]s}\nspec:\n  host: %[1]s.example\n  trafficPolicy:\n    tls: %[2]s\n", c.name, c.tls)
	if c.pool != "" {
		out += "    connectionPool: " + c.pool + "\n"
	}
	return out
}

// Primaries and shadows behind TLS and HTTP/2: those that are who they ought
// to be get their requests, others do not, and no shadow harms the client.
func TestUpstreamTLS(t *testing.T) {
	nginx := needProgram(t, "nginx", "nginx-core")
	ca := newAuthority(t)
	cases := tlsCases(t, ca)
	primary := serve(t, "primary")
	yaml := services("plain") + `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: plain}
spec:
  hosts: [plain]
  http:
  - route: [{destination: {host: plain}}]
    mirrors:
`
	servers := map[string]string{} // address by what nginx listens with
	more := ""
	for _, c := range cases {
		if servers[c.listen] == "" {
			servers[c.listen] = nginxServer(t, nginx, c.listen+"; add_header x-http $server_protocol always")
		}
		yaml += fmt.Sprintf("    - {destination: {host: %s.example}}\n", c.name)
		more += c.yaml(t, servers[c.listen])
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "all.yaml"), yaml+more)
	log := filepath.Join(dir, "access.log")
	p := sundog(t, "run", "-f", dir, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--gateway", "", "--access-log", log, "--endpoint", "plain="+primary.address)
	proxy := "http://" + p.listener("virtualOutbound")
	for _, c := range cases {
		t.Run("primary "+c.name, func(t *testing.T) {
			out, code := curl(t, "-x", proxy, "-w", " %header{x-http} %{http_code}", "--data-binary", "some body", "http://"+c.name+".example/x")
			want := fmt.Sprintf("some body %s 200", c.version)
			switch {
			case code != 0:
				t.Fatalf("exit code %d, %q", code, out)
			case c.status == 200 && out != want:
				t.Errorf("%q, want %q", out, want)
			case c.status != 200 && !strings.HasSuffix(out, fmt.Sprint(" ", c.status)):
				t.Errorf("%q, want the status %d", out, c.status)
			case c.status == 503 && !strings.Contains(out, "transport failure reason"):
				t.Errorf("%q does not tell why", out)
			}
		})
	}
	const many = 50
	send(t, client(t, p.listener("virtualOutbound")), many, "primary", get(t, "http://plain/"))
	copied := map[string]outcomes{}
	for _, r := range p.settled().Routes {
		for _, m := range r.Mirrors {
			copied[m.Cluster] = m.Outcomes
		}
	}
	for _, c := range cases {
		if o := copied["outbound|80||"+c.name+".example"]; o[c.outcome] != many || o.sum() != many {
			t.Errorf("%s: %v, want %d %s", c.name, o, many, c.outcome)
		}
	}
	p.stop()
	text, err := os.ReadFile(log)
	must(t, err)
	if n := strings.Count(string(text), `" 503 UF`); n != 4 {
		t.Errorf("the access log has %d lines with 503 UF, want 4:\n%s", n, tail(string(text), 3000))
	}
}

// The service of docs/tls.md: mutual TLS and HTTP/2, with a Secret as well as
// with files, and another certificate of the client without a restart.
func TestUpstreamTLSFromTheDocument(t *testing.T) {
	nginx := needProgram(t, "nginx", "nginx-core")
	ca, dir, conf := newAuthority(t), t.TempDir(), t.TempDir()
	serverCert, serverKey := ca.issue("bank.example").files(t, dir, "server")
	clientCert, clientKey := ca.issue("one.example").files(t, dir, "client")
	address := nginxServer(t, nginx, fmt.Sprintf(
		"ssl http2; ssl_certificate %s; ssl_certificate_key %s; ssl_verify_client on; ssl_client_certificate %s; "+
			"add_header x-client $ssl_client_s_dn always; add_header x-sni $ssl_server_name always", serverCert, serverKey, ca.file))
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	file := filepath.Join(conf, "bank.yaml")
	yaml := example(t, "tls.md", "upstream", "443", port, "10.0.0.1", "127.0.0.1",
		"/etc/sundog/ca.pem", ca.file, "/etc/sundog/client.pem", clientCert, "/etc/sundog/client.key", clientKey)
	write(t, file, yaml)
	p := sundog(t, "run", "-f", conf, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--gateway", "")
	seen := func() string {
		out, _ := curl(t, "-x", "http://"+p.listener("virtualOutbound"), "-o", "/dev/null", "-D", "-", "http://bank.example/")
		var values []string
		for line := range strings.Lines(out) {
			if name, value, ok := strings.Cut(line, ": "); ok && (name == "x-client" || name == "x-sni") {
				values = append(values, strings.TrimSpace(value))
			}
		}
		return strings.Join(values, " ")
	}
	if got := seen(); got != "CN=one.example bank.example" {
		t.Errorf("nginx saw %q", got)
	}
	two := ca.issue("two.example")
	replace(t, clientKey, two.Key)
	replace(t, clientCert, two.Cert)
	eventually(t, "the client's new certificate is used", func() bool { return seen() == "CN=two.example bank.example" })

	three := ca.issue("three.example")
	write(t, filepath.Join(conf, "secret.yaml"), three.secret("bank-client", ca))
	replace(t, file, yaml[:strings.Index(yaml, "      caCertificates:")]+"      credentialName: bank-client\n")
	eventually(t, "that of the Secret is used", func() bool { return seen() == "CN=three.example bank.example" })
	p.stop()
}
