//go:build linux

package main

import "context"

// haproxyPeer is HAProxy, which cannot mirror by itself. It takes as many
// connections as nginx, or what the limit of open files leaves.
const haproxyPeer = `
global
  nbthread 1
  maxconn 30000
  no strict-limits
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  http-reuse always
frontend in
  bind {{.Addr}} backlog 4096{{if .TLS}} ssl crt {{.Both}} alpn {{.ALPN}} ssl-min-ver TLSv1.2{{else if .H2}} proto h2{{end}}
  option forwardfor
  http-request set-header x-request-id %[uuid()]
  http-request set-header x-forwarded-proto {{if .TLS}}https{{else}}http{{end}}
  default_backend primary
backend primary
  server primary {{.Primary}} pool-max-conn 256{{if .GRPC}} proto h2{{end}}
`

func (b *bench) startHAProxy(ctx context.Context, j job) (*process, error) {
	conf, addr, err := b.configure(haproxyPeer, j)
	if err != nil {
		return nil, err
	}
	return launch(ctx, addr, nil, b.peers.haproxy, "-db", "-f", conf)
}

// caddyPeer is one server for every host, without an admin endpoint, certificates
// of its own and an access log; Caddy adds the x-forwarded headers by itself.
const caddyPeer = `{
	admin off
	auto_https off
	persist_config off
	servers {
		protocols {{if not .H2}}h1{{else if .TLS}}h1 h2{{else}}h1 h2c{{end}}
	}
}
{{if .TLS}}https{{else}}http{{end}}://:{{.Port}} {
	bind 127.0.0.1
	{{if .TLS}}tls {{.Cert}} {{.Key}}{{end}}
	reverse_proxy {{if .GRPC}}h2c://{{end}}{{.Primary}} {
		header_up x-request-id {http.request.uuid}
		transport http {
			compression off
			dial_timeout 10s
			response_header_timeout 15s
			keepalive_idle_conns_per_host 256
			{{if .GRPC}}versions h2c{{end}}
		}
	}
}
`

func (b *bench) startCaddy(ctx context.Context, j job) (*process, error) {
	conf, addr, err := b.configure(caddyPeer, j)
	if err != nil {
		return nil, err
	}
	env := []string{"GOMAXPROCS=1", "HOME=" + b.dir, "XDG_CONFIG_HOME=" + b.dir, "XDG_DATA_HOME=" + b.dir}
	return launch(ctx, addr, env, b.peers.caddy, "run", "--adapter", "caddyfile", "--config", conf)
}
