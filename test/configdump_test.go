package test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// routeConfigs is GET /config_dump?resource=dynamic_route_configs. Routes are
// left as they are.
type routeConfigs struct {
	Configs []struct {
		Version     string `json:"version_info"`
		RouteConfig struct {
			Name         string
			VirtualHosts []struct {
				Name   string
				Routes []map[string]any
			} `json:"virtual_hosts"`
		} `json:"route_config"`
	}
}

// route returns the first route of a virtual host, and the dump's version.
func (p *process) route(config, host string) (route map[string]any, version string) {
	p.t.Helper()
	var dump routeConfigs
	p.getJSON("/config_dump?resource=dynamic_route_configs", &dump)
	for _, c := range dump.Configs {
		if c.RouteConfig.Name != config {
			continue
		}
		for _, h := range c.RouteConfig.VirtualHosts {
			if h.Name == host && len(h.Routes) > 0 {
				return h.Routes[0], c.Version
			}
		}
	}
	p.t.Fatalf("the config dump has no virtual host %s in %s: %+v", host, config, dump)
	return nil, ""
}

// lacks tells where got has not all that want has. Objects may have more
// fields; lists are of the same length.
func lacks(path string, want, got any) []string {
	var out []string
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, want an object", path, got)}
		}
		for name, field := range w {
			out = append(out, lacks(path+"."+name, field, g[name])...)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s is %v, want %v", path, got, w)}
		}
		for i := range w {
			out = append(out, lacks(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
	default:
		if want != got {
			return []string{fmt.Sprintf("%s is %v, want %v", path, got, want)}
		}
	}
	slices.Sort(out)
	return out
}

// clusterAGateway runs cluster A's gateway on any free port.
func clusterAGateway(t *testing.T, more ...string) *process {
	t.Helper()
	return sundog(t, append([]string{
		"run", "-f", clusterA(t, "127.0.0.2"), "--endpoint", "httpbin/v1=127.0.0.1:9", "--publish", "127.0.0.1:0:80",
		"--outbound", "", "--admin", "127.0.0.1:0",
	}, more...)...)
}

// The config dump of a running sundog shows the route as Envoy showed it under
// Istio when the scenario was written.
func TestConfigDumpShowsTheRoute(t *testing.T) {
	p := clusterAGateway(t, "--mesh-config", filepath.Join(crossCluster, "mesh-config.yaml"))
	var want any
	must(t, json.Unmarshal([]byte(readFile(t, filepath.Join(crossCluster, "expected-route.json"))), &want))
	p.listener("0.0.0.0_80")
	route, version := p.route("http.80", "*:80")
	for _, l := range lacks("route", want, route) {
		t.Error(l)
	}
	if version == "" {
		t.Error("the route has no version")
	}
	p.stop()
}

// Without a mesh config the retries are those of today's Istio.
func TestConfigDumpHasTodaysRetries(t *testing.T) {
	p := clusterAGateway(t)
	p.listener("0.0.0.0_80")
	route, _ := p.route("http.80", "*:80")
	action, _ := route["route"].(map[string]any)
	retries, _ := action["retry_policy"].(map[string]any)
	want := map[string]any{
		"retry_on":                          "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
		"num_retries":                       2.0,
		"host_selection_retry_max_attempts": "5",
	}
	for _, l := range lacks("retry_policy", want, retries) {
		t.Error(l)
	}
	if codes, ok := retries["retriable_status_codes"]; ok {
		t.Errorf("retriable_status_codes is %v, want none", codes)
	}
	p.stop()
}
