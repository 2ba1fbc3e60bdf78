package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// job is what a proxy under measurement does.
type job struct {
	primary, shadow string // host:port; no shadow: no mirroring
}

// startSundog runs sundog with one loop.
func (b *bench) startSundog(ctx context.Context, j job) (*process, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	percent, shadow := "100", j.shadow
	if shadow == "" {
		percent, shadow = "0", j.primary
	}
	p, err := start(ctx, addr, b.sundog, "mirror", "--listen", addr, "--primary", "http://"+j.primary,
		"--shadow", "http://"+shadow, "--percent", percent, "--concurrency", "1", "--admin", "")
	return p, addr, err
}

const nginxHead = `daemon off; worker_processes 1; pid {{.Dir}}/nginx-{{.Name}}.pid; error_log {{.Dir}}/{{.Name}}.err crit;
events { worker_connections 20000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_max_body_size 0;
client_body_temp_path {{.Dir}}/b-{{.Name}}; proxy_temp_path {{.Dir}}/p-{{.Name}}; fastcgi_temp_path {{.Dir}}/f-{{.Name}};
uwsgi_temp_path {{.Dir}}/u-{{.Name}}; scgi_temp_path {{.Dir}}/s-{{.Name}};
`

// nginxProxy is nginx with pooled connections and, with a shadow, its mirror
// module, adding the same headers as Sundog does.
const nginxProxy = nginxHead + `
upstream primary { server {{.Primary}}; keepalive 256; keepalive_requests 1000000000; }
{{if .Shadow}}upstream shadow { server {{.Shadow}}; keepalive 256; keepalive_requests 1000000000; }{{end}}
server { listen {{.Addr}};
 proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
 proxy_set_header x-request-id $request_id; proxy_set_header x-forwarded-proto $scheme;
 location / { {{if .Shadow}}mirror /mirror;{{end}} proxy_pass http://primary; }
 {{if .Shadow}}location = /mirror { internal; proxy_set_header Host $host-shadow; proxy_pass http://shadow$request_uri; }{{end}}
} }
`

// nginxBackend answers every request with the same few bytes.
const nginxBackend = nginxHead + `server { listen {{.Addr}}; location / { return 200 "ok: a small answer of some sixty bytes, to have a body at all\n"; } } }
`

// nginxSink reads the whole body of every request before it answers.
const nginxSink = nginxHead + `server { listen {{.Addr}}; client_body_buffer_size 64k; location / { return 200 "ok\n"; } } }
`

type nginxConfig struct{ Name, Dir, Addr, Primary, Shadow string }

func (b *bench) startNginx(ctx context.Context, name, text string, j job) (*process, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(b.dir, name+".conf")
	f, err := os.Create(path)
	if err != nil {
		return nil, "", err
	}
	c := nginxConfig{Name: name, Dir: b.dir, Addr: addr, Primary: j.primary, Shadow: j.shadow}
	if err := template.Must(template.New(name).Parse(text)).Execute(f, c); err != nil {
		return nil, "", err
	}
	if err := f.Close(); err != nil {
		return nil, "", err
	}
	p, err := start(ctx, addr, "nginx", "-c", path, "-p", b.dir)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	return p, addr, nil
}
