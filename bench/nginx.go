//go:build linux

package main

import "context"

const nginxHead = `daemon off; worker_processes 1; pid {{.Dir}}/nginx-{{.Name}}.pid; error_log {{.Dir}}/{{.Name}}.err crit;
events { worker_connections 30000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_max_body_size 0;
client_body_temp_path {{.Dir}}/b-{{.Name}}; proxy_temp_path {{.Dir}}/p-{{.Name}}; fastcgi_temp_path {{.Dir}}/f-{{.Name}};
uwsgi_temp_path {{.Dir}}/u-{{.Name}}; scgi_temp_path {{.Dir}}/s-{{.Name}};
`

// nginxPeer is nginx with pooled connections and, with a shadow, its mirror
// module, adding the same headers as Sundog does. mirror takes no variable:
// for a share, requests that are drawn go to a second location by error_page,
// which costs the others nothing but the draw. The directives of gRPC differ
// in their first word.
const nginxPeer = `{{define "pass"}}{{if .GRPC}}grpc_pass grpc://{{else}}proxy_pass http://{{end}}{{end}}` + nginxHead + `
upstream primary { server {{.Primary}}; keepalive 256; keepalive_requests 1000000000; }
{{if .Shadow}}upstream shadow { server {{.Shadow}}; keepalive 256; keepalive_requests 1000000000; }{{end}}
{{if .Share}}split_clients "$request_id" $drawn { {{.Percent}}% 1; * ""; }{{end}}
server { listen {{.Addr}} backlog=4096{{if .TLS}} ssl{{end}}{{if .H2}} http2{{end}};
 {{if .TLS}}ssl_certificate {{.Cert}}; ssl_certificate_key {{.Key}}; ssl_protocols TLSv1.2 TLSv1.3;{{end}}
 {{if .H2}}http2_max_concurrent_streams 256;{{end}}
 {{$do := "proxy"}}{{if .GRPC}}{{$do = "grpc"}}{{else}}proxy_http_version 1.1; proxy_set_header Connection "";{{end}}
 {{$do}}_set_header Host $http_host;
 {{$do}}_connect_timeout 10s; {{$do}}_read_timeout 15s; {{$do}}_send_timeout 15s;
 {{$do}}_set_header x-request-id $request_id; {{$do}}_set_header x-forwarded-proto $scheme;
 {{$do}}_set_header x-forwarded-for $proxy_add_x_forwarded_for;
 location / {
  {{if .Share}}error_page 418 = @drawn; if ($drawn) { return 418; }{{else if .Shadow}}mirror /mirror;{{end}}
  {{template "pass" .}}primary; }
 {{if .Share}}location @drawn { mirror /mirror; {{template "pass" .}}primary; }{{end}}
 {{if .Shadow}}location = /mirror { internal; {{$do}}_set_header Host $host-shadow; {{if .GRPC}}rewrite ^ $request_uri break;{{end}}
  {{template "pass" .}}shadow{{if not .GRPC}}$request_uri{{end}}; }{{end}}
} }
`

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
