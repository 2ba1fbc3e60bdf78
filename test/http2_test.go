package test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// peer builds a program of the module in peers, which holds what speaks HTTP/2
// to sundog: h2spec, and gRPC's interoperability client and server. Other
// versions of what is in it have a -modfile.
func peer(t *testing.T, pkg string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := append([]string{"build", "-o", binary}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, pkg)...)
	cmd.Dir = "peers"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	return binary
}

// TestH2Spec: over TLS every case of h2spec passes, those about HPACK and
// generic ones included. Without TLS one listener speaks both protocols: there
// a wrong connection preface is a wrong request of HTTP/1.1, and answered.
func TestH2Spec(t *testing.T) {
	spec := peer(t, "github.com/summerwind/h2spec/cmd/h2spec")
	ca := newAuthority(t)
	cert := ca.issue("any.example")
	g := newGateway(t, ca, map[string]string{"secret.yaml": cert.secret("any", ca), "gateway.yaml": specGateway})
	for _, test := range []struct {
		listener string
		flags    []string
		failing  string // the case that does not apply
	}{
		{"0.0.0.0_443", []string{"--tls", "--insecure"}, ""},
		{"0.0.0.0_80", nil, "Sends invalid connection preface"},
	} {
		t.Run(test.listener, func(t *testing.T) {
			host, port, err := net.SplitHostPort(g.listener(test.listener))
			must(t, err)
			args := append([]string{"--strict", "-h", host, "-p", port, "--timeout", "5"}, test.flags...)
			out, _ := exec.CommandContext(t.Context(), spec, args...).CombinedOutput()
			summary := regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`).FindStringSubmatch(string(out))
			if summary == nil {
				t.Fatalf("h2spec has no summary\n%s", tail(string(out), 8000))
			}
			_, failures, _ := strings.Cut(string(out), "Failures:")
			excused := test.failing != "" && summary[4] == "1" && strings.Contains(failures, test.failing)
			if summary[1] != summary[2] && !excused {
				t.Errorf("h2spec: %s\n%s", summary[0], tail(failures, 8000))
			}
			t.Log(summary[0])
		})
	}
}

const specGateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: any}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: any}
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: any}
spec:
  hosts: ["*"]
  gateways: [any]
  http:
  - route: [{destination: {host: shop}}]
    mirror: {host: shop-next}
`

// interop are the cases of gRPC's interoperability suite that need neither
// credentials nor a special server (grpc/doc/interop-test-descriptions.md).
var interop = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
	"special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service",
}

// TestGRPCInterop: gRPC's own client and server agree on everything through
// sundog, while all of it is mirrored to another server.
func TestGRPCInterop(t *testing.T) {
	client := peer(t, "google.golang.org/grpc/interop/client")
	server := peer(t, "google.golang.org/grpc/interop/server")
	primary, shadow := grpcServer(t, server), grpcServer(t, server)
	p := sundog(t, "mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--primary", "h2c://"+primary, "--shadow", "h2c://"+shadow)
	host, port, err := net.SplitHostPort(p.listener("127.0.0.1_0"))
	must(t, err)
	for _, name := range interop {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), client, "--server_host="+host, "--server_port="+port, "--test_case="+name).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, tail(string(out), 2000))
			}
		})
	}
	l := p.settled()
	if o := l.only(t); o.sum() != l.Forwarded || o["completed"] == 0 {
		t.Errorf("the ledger is %+v", l)
	}
}

// grpcServer starts gRPC's interoperability server and returns its address.
func grpcServer(t *testing.T, binary string) string {
	t.Helper()
	return listening(t, func(address string) *exec.Cmd {
		_, port, err := net.SplitHostPort(address)
		must(t, err)
		return exec.Command(binary, "--port="+port)
	})
}

// curlProtocols is what curl calls the versions of HTTP.
var curlProtocols = map[string]string{"--http1.1": "1.1", "--http2-prior-knowledge": "2", "--http2": "2"}

// TestConversion: whatever protocol the client and the services speak, the
// client gets the answer and the shadow its copy.
func TestConversion(t *testing.T) {
	curl := needProgram(t, "curl", "curl")
	nginx := needProgram(t, "nginx", "nginx-core")
	h1, h2 := nginxServer(t, nginx, ""), nginxServer(t, nginx, "http2")
	for _, primary := range []string{"http://" + h1, "h2c://" + h2} {
		for _, shadow := range []string{"http://" + h1, "h2c://" + h2} {
			p := sundog(t, "mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--primary", primary, "--shadow", shadow)
			for _, flag := range []string{"--http1.1", "--http2-prior-knowledge"} {
				out, err := exec.CommandContext(t.Context(), curl, "-sS", flag, "-w", " %{http_version} %{http_code}",
					"--data-binary", "some body", p.url("/echo")).CombinedOutput()
				want := fmt.Sprintf("some body %s 200", curlProtocols[flag])
				if err != nil || string(out) != want {
					t.Errorf("%s to %s: %v, %q, want %q", flag, primary, err, out, want)
				}
			}
			if o := p.settled().only(t); o["completed"] != 2 {
				t.Errorf("shadow %s: the ledger is %v", shadow, o)
			}
			p.stop()
		}
	}
}

// nginxServer starts an nginx that answers with the request's body.
func nginxServer(t *testing.T, binary, listen string) string {
	t.Helper()
	dir := t.TempDir()
	const config = `
daemon off; master_process off; pid DIR/pid; error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
  server {
    listen LISTEN;
    location / { client_body_in_single_buffer on; proxy_pass http://unix:DIR/none; error_page 502 =200 @echo; }
    location @echo { return 200 $request_body; }
  }
}
`
	return listening(t, func(address string) *exec.Cmd {
		file := filepath.Join(dir, "nginx.conf")
		write(t, file, strings.NewReplacer("DIR", dir, "LISTEN", strings.TrimSpace(address+" "+listen)).Replace(config))
		return exec.Command(binary, "-p", dir, "-c", file)
	})
}
