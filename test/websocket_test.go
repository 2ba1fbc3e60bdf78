package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// echoSocket is a service that switches to WebSocket and sends back the bytes
// that it gets. What is in the frames does not matter on the way.
func echoSocket(t *testing.T) (address string) {
	return handle(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Sec-Websocket-Key") == "" {
			http.Error(w, fmt.Sprint("no upgrade: ", r.Header), http.StatusBadRequest)
			return
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw)
	})
}

// A WebSocket passes through a gateway, plain and over TLS, and is not
// mirrored: the ledger says so.
func TestWebSocket(t *testing.T) {
	ca := newAuthority(t)
	api, key := ca.issue("api.example").files(t, t.TempDir(), "api")
	plain := `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: plain}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
`
	secure := example(t, "tls.md", "gateway", "/etc/sundog/api.pem", api, "/etc/sundog/api.key", key)
	primary, shadow := echoSocket(t), serve(t, "next")
	run := func(files map[string]string) *gateway {
		g := &gateway{t: t, ca: ca, dir: t.TempDir(), next: shadow}
		files["services.yaml"] = services("shop", "shop-next")
		for name, text := range files {
			write(t, filepath.Join(g.dir, name), text)
		}
		g.process = sundog(t, "run", "-f", g.dir, "--outbound", "", "--admin", "127.0.0.1:0", "--publish", "127.0.0.1:0:443", "--publish", "127.0.0.1:0:80",
			"--endpoint", "shop="+primary, "--endpoint", "shop-next="+shadow.address)
		return g
	}
	t.Run("plain", func(t *testing.T) {
		g := run(map[string]string{"gateway.yaml": plain, "routes.yaml": fmt.Sprintf(shopRoutes, "plain")})
		conn, err := net.Dial("tcp", g.listener("0.0.0.0_80"))
		must(t, err)
		talk(t, conn)
		g.unsupported(t)
	})
	t.Run("TLS", func(t *testing.T) {
		g := run(map[string]string{"gateway.yaml": secure, "secret.yaml": ca.issue("shop.example").secret("shop-tls", nil)})
		conn, err := g.dial("shop.example")
		must(t, err)
		talk(t, conn)
		g.unsupported(t)
	})
	if n := len(shadow.got()); n != 0 {
		t.Errorf("the shadow got %d requests", n)
	}
}

// unsupported wants one request in the ledger, an upgrade.
func (g *gateway) unsupported(t *testing.T) {
	t.Helper()
	if l, o := g.outcomes(); l.Forwarded != 1 || o["unsupported"] != 1 || o.sum() != 1 {
		t.Errorf("the ledger has %d forwarded, %v", l.Forwarded, o)
	}
	g.stop()
}

// talk upgrades the connection and gets back what it sends, in pieces that are
// complete at once and in one that is larger than any buffer.
func talk(t *testing.T, conn net.Conn) {
	t.Helper()
	defer func() { _ = conn.Close() }()
	_, err := io.WriteString(conn, "GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	must(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-Websocket-Accept") == "" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	data, _ := body(1 << 20)
	for _, frame := range [][]byte{[]byte("\x81\x85\x01\x02\x03\x04ignmn"), []byte("\x89\x80\x01\x02\x03\x04"), data} {
		go func() { _, _ = conn.Write(frame) }()
		got := make([]byte, len(frame))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != string(frame) {
			t.Fatalf("%d bytes came back otherwise, %v", len(frame), err)
		}
	}
}

// The mesh listener is a proxy for tunnels, too: to services that the YAML
// names, in TLS of the client's own or plain.
func TestConnect(t *testing.T) {
	nginx := needProgram(t, "nginx", "nginx-core")
	ca := newAuthority(t)
	cert, key := ca.issue("a.example").files(t, t.TempDir(), "a")
	secure := nginxServer(t, nginx, fmt.Sprintf("ssl http2; ssl_certificate %s; ssl_certificate_key %s", cert, key))
	plain := serve(t, "plain")
	yaml := entry(t, "", secure) + "---\n" + services("b")
	p, _, _ := meshOf(t, yaml, "--endpoint", "b="+plain.address)
	proxy := "http://" + p.listener("virtualOutbound")

	out, code := curl(t, "-x", proxy, "--cacert", ca.file, "-w", " %{http_connect} %{http_version}", "--data-binary", "secret", "https://a.example:80/")
	if out != "secret 200 2" || code != 0 {
		t.Errorf("TLS in a tunnel: exit code %d, %q", code, out)
	}
	out, code = curl(t, "-p", "-x", proxy, "-w", " %{http_connect}", "http://b:80/x")
	if out != "plain 200" || code != 0 {
		t.Errorf("HTTP in a tunnel: exit code %d, %q", code, out)
	}
	if got := plain.got(); len(got) != 1 || got[0].header.Get("X-Request-Id") != "" {
		t.Errorf("the service got %+v: what is in a tunnel is not touched", got)
	}
	if out, code = curl(t, "-p", "-x", proxy, "-w", " %{http_connect}", "http://nowhere:80/"); code == 0 || !strings.HasSuffix(out, " 404") {
		t.Errorf("a host that nobody named: exit code %d, %q", code, out)
	}
	if n := p.settled().Forwarded; n != 2 {
		t.Errorf("the ledger has %d forwarded, want 2", n)
	}
	p.stop()

	mesh := filepath.Join(t.TempDir(), "mesh.yaml")
	write(t, mesh, "outboundTrafficPolicy: {mode: ALLOW_ANY}\n")
	p, _, _ = meshOf(t, yaml, "--endpoint", "b="+plain.address, "--mesh-config", mesh)
	out, code = curl(t, "-p", "-x", "http://"+p.listener("virtualOutbound"), "-w", " %{http_connect}", "http://"+plain.address+"/")
	if out != "plain 200" || code != 0 {
		t.Errorf("any address: exit code %d, %q", code, out)
	}
	p.stop()
}

// A tunnel to a dead endpoint is refused with a reason.
func TestConnectToADeadEndpoint(t *testing.T) {
	p, _, _ := meshOf(t, entry(t, "", refused(t)))
	out, code := curl(t, "-p", "-x", "http://"+p.listener("virtualOutbound"), "-w", " %{http_connect}", "http://a.example:80/")
	if code == 0 || !strings.HasSuffix(out, " 503") {
		t.Errorf("exit code %d, %q", code, out)
	}
	p.stop()
}
