//go:build linux

package main

import "context"

// envoyPeer has the filters, headers and limits of Sundog, and breakers that do
// not stand in the way. Shadows keep Envoy's 1,024 requests, which are
// Sundog's, too. An upgrade beyond HTTP/1.1 is not on offer.
const envoyPeer = `
{{- define "upstream"}}{{if .GRPC}}typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}{{end}}{{end -}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: {{.Port}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: {{if .H2}}HTTP2{{else}}HTTP1{{end}}
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
      {{if .TLS}}transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [{{.ALPN}}]
            tls_params: {tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}
            tls_certificates: [{certificate_chain: {filename: {{.Cert}}}, private_key: {filename: {{.Key}}}}]{{end}}
  clusters:
  - name: primary
    connect_timeout: 10s
    {{template "upstream" .}}
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    load_assignment: {cluster_name: primary, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {{.Socket .Primary}}}}}]}]}
  {{if .Shadow}}- name: shadow
    connect_timeout: 10s
    {{template "upstream" .}}
    load_assignment: {cluster_name: shadow, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {{.Socket .Shadow}}}}}]}]}{{end}}
`

func (b *bench) startEnvoy(ctx context.Context, j job) (*process, error) {
	conf, addr, err := b.configure(envoyPeer, j)
	if err != nil {
		return nil, err
	}
	return launch(ctx, addr, nil, b.peers.envoy, "--config-path", conf, "--concurrency", "1",
		"--disable-hot-restart", "--log-level", "error")
}
