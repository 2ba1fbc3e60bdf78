//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// job is what a proxy under measurement does.
type job struct {
	primary, shadow string // host:port; no shadow: no mirroring
	percent         int    // share that is mirrored, with a shadow
	loops           int    // of Sundog; 0: 1
}

// proxy is a program that may do jobs.
type proxy struct {
	name    string
	mirrors bool // has mirroring
	missing bool // is not on this machine
	start   func(context.Context, job) (*process, error)
}

func (b *bench) sundogProxy() proxy { return proxy{"sundog", true, false, b.startSundog} }
func (b *bench) nginxProxy() proxy  { return proxy{"nginx", true, false, b.startNginx} }
func (b *bench) envoyProxy() proxy {
	return proxy{"envoy", true, b.peers.envoy == "", b.startEnvoy}
}

func (b *bench) haproxyProxy() proxy {
	return proxy{"haproxy", false, b.peers.haproxy == "", b.startHAProxy}
}

func (b *bench) caddyProxy() proxy {
	return proxy{"caddy", false, b.peers.caddy == "", b.startCaddy}
}

// startSundog runs sundog mirror.
func (b *bench) startSundog(ctx context.Context, j job) (*process, error) {
	percent, shadow := j.percent, j.shadow
	if shadow == "" {
		percent, shadow = 0, j.primary
	}
	return b.serveSundog(ctx, max(j.loops, 1), func(addr string) []string {
		return []string{
			"mirror", "--listen", addr, "--primary", "http://" + j.primary,
			"--shadow", "http://" + shadow, "--percent", strconv.Itoa(percent),
		}
	})
}

// serveSundog runs sundog with the arguments that make it serve at addr.
func (b *bench) serveSundog(ctx context.Context, loops int, args func(addr string) []string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, addr, nil, b.sundog, append(args(addr),
		"--concurrency", strconv.Itoa(loops), "--admin", admin, "--drain-time", "0s", "--log-level", "warn")...)
	if err != nil {
		return nil, err
	}
	p.admin = admin
	return p, nil
}

// ledger is what Sundog says of its copies, over all routes.
type ledger struct {
	Routes []struct {
		Forwarded uint64 `json:"forwarded"`
		Mirrors   []struct {
			Outcomes map[string]uint64 `json:"outcomes"`
		} `json:"mirrors"`
	} `json:"routes"`
}

// ledger asks the admin interface of a sundog.
func (p *process) ledger(ctx context.Context) (ledger, error) {
	var l ledger
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/ledger", nil)
	if err != nil {
		return l, err
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return l, fmt.Errorf("asking for the ledger: %w", err)
	}
	defer resp.Body.Close()
	return l, json.NewDecoder(resp.Body).Decode(&l)
}

const nginxHead = `daemon off; worker_processes 1; pid {{.Dir}}/nginx-{{.Name}}.pid; error_log {{.Dir}}/{{.Name}}.err crit;
events { worker_connections 30000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_max_body_size 0;
client_body_temp_path {{.Dir}}/b-{{.Name}}; proxy_temp_path {{.Dir}}/p-{{.Name}}; fastcgi_temp_path {{.Dir}}/f-{{.Name}};
uwsgi_temp_path {{.Dir}}/u-{{.Name}}; scgi_temp_path {{.Dir}}/s-{{.Name}};
`

// nginxPeer is nginx with pooled connections and, with a shadow, its mirror
// module, adding the same headers as Sundog does. mirror takes no variable:
// for a share, requests that are drawn go to a second location by error_page,
// which costs the others nothing but the draw.
const nginxPeer = nginxHead + `
upstream primary { server {{.Primary}}; keepalive 256; keepalive_requests 1000000000; }
{{if .Shadow}}upstream shadow { server {{.Shadow}}; keepalive 256; keepalive_requests 1000000000; }{{end}}
{{if .Share}}split_clients "$request_id" $drawn { {{.Percent}}% 1; * ""; }{{end}}
server { listen {{.Addr}} backlog=4096;
 proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
 proxy_connect_timeout 10s; proxy_read_timeout 15s; proxy_send_timeout 15s;
 proxy_set_header x-request-id $request_id; proxy_set_header x-forwarded-proto $scheme;
 proxy_set_header x-forwarded-for $proxy_add_x_forwarded_for;
 location / {
  {{if .Share}}error_page 418 = @drawn; if ($drawn) { return 418; }{{else if .Shadow}}mirror /mirror;{{end}}
  proxy_pass http://primary; }
 {{if .Share}}location @drawn { mirror /mirror; proxy_pass http://primary; }{{end}}
 {{if .Shadow}}location = /mirror { internal; proxy_set_header Host $host-shadow; proxy_pass http://shadow$request_uri; }{{end}}
} }
`

// site is what the configurations of peers and backends are made from.
type site struct {
	job

	Name, Dir, Addr string
}

func (c site) Primary() string { return c.primary }
func (c site) Shadow() string  { return c.shadow }
func (c site) Percent() int    { return c.percent }
func (c site) Share() bool     { return c.shadow != "" && c.percent < 100 }

// configure writes a configuration into a file of its own, with a free address
// to serve on.
func (b *bench) configure(text string, j job) (file, addr string, err error) {
	if addr, err = freeAddr(); err != nil {
		return "", "", err
	}
	parsed, err := template.New("").Parse(text)
	if err != nil {
		return "", "", err
	}
	name := strings.NewReplacer(".", "-", ":", "-").Replace(addr)
	var s strings.Builder
	if err := parsed.Execute(&s, site{job: j, Name: name, Dir: b.dir, Addr: addr}); err != nil {
		return "", "", err
	}
	file = filepath.Join(b.dir, name+".yaml") // the name matters to Envoy only
	return file, addr, os.WriteFile(file, []byte(s.String()), 0o600)
}

func (b *bench) startNginx(ctx context.Context, j job) (*process, error) {
	return b.runNginx(ctx, nginxPeer, j)
}

// runNginx runs nginx with a configuration of its own.
func (b *bench) runNginx(ctx context.Context, text string, j job) (*process, error) {
	conf, addr, err := b.configure(text, j)
	if err != nil {
		return nil, err
	}
	return launch(ctx, addr, nil, "nginx", "-c", conf, "-p", b.dir)
}
