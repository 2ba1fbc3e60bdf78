//go:build linux

package main

import (
	"fmt"
	"strings"
)

const gatewayYAML = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bench}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  selector: {app: app}
  ports: [{name: http, port: 80}]
`

// virtualService starts one; its routes follow.
const virtualService = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %[1]s}
spec:
  hosts: [%[1]s.example]
  gateways: [bench]
  http:
`

const toApp = "  - route: [{destination: {host: app, port: {number: 80}}}]\n"

// hostsYAML has n virtual services of a host each, and the marker, which has
// the host that h2load asks for, too.
func hostsYAML(n int, marker string) string {
	var s strings.Builder
	s.WriteString(gatewayYAML)
	for i := range n {
		fmt.Fprintf(&s, virtualService+toApp, fmt.Sprintf("host-%d", i))
	}
	s.WriteString(strings.Replace(fmt.Sprintf(virtualService+toApp, marker), "hosts: [", `hosts: ["127.0.0.1", `, 1))
	return s.String()
}

const hostsLua = `
local all, i = {}, 0
function init(args)
  local n = tonumber(wrk.headers["x-routes"])
  wrk.headers["x-routes"] = nil
  for k = 0, n - 1 do
    wrk.headers["Host"] = "host-" .. (k * 7919) % n .. ".example"
    all[k] = wrk.format("GET", "/some/path")
  end
end
function request()
  i = (i + 1) % (#all + 1)
  return all[i]
end
`

// pathsYAML has one virtual service with n routes by path.
func pathsYAML(n int, marker string) string {
	var s strings.Builder
	fmt.Fprintf(&s, gatewayYAML+strings.Replace(virtualService, "%[1]s.example", `"*"`, 1), marker)
	for i := range n {
		fmt.Fprintf(&s, "  - match: [{uri: {prefix: /some/path-%d/}}]\n    route: [{destination: {host: app, port: {number: 80}}}]\n", i)
	}
	return s.String()
}

const pathsLua = `
local all, i = {}, 0
function init(args)
  local n = tonumber(wrk.headers["x-routes"])
  wrk.headers["x-routes"] = nil
  for k = 0, n - 1 do
    all[k] = wrk.format("GET", "/some/path-" .. (k * 7919) % n .. "/x")
  end
end
function request()
  i = (i + 1) % (#all + 1)
  return all[i]
end
`
