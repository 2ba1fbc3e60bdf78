package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	istio "istio.io/api/networking/v1alpha3"
)

func checkGateway(r *reporter, o *Object[*istio.Gateway]) {
	g := o.Spec
	if len(g.Servers) == 0 {
		r.missing("spec", "a server has a port and hosts", "a gateway must have at least one server")
	}
	if len(g.Selector) == 0 {
		r.warnf("spec", "set selector, like istio: ingressgateway", "without a selector the gateway is for every gateway workload")
	}
	checkLabels(r, "spec.selector", g.Selector)
	names, ports := map[string]int{}, map[string]int{}
	for i, s := range g.Servers {
		path := fmt.Sprintf("spec.servers[%d]", i)
		checkServer(r, path, s)
		if s.Name != "" {
			checkUnique(r, path+".name", "server name", "spec.servers", names, s.Name, i)
		}
		if s.Port.GetName() != "" {
			checkUnique(r, path+".port.name", "port name", "spec.servers", ports, s.Port.Name, i)
		}
	}
}

// checkUnique refuses a value that an earlier entry of the list has.
func checkUnique[K comparable](r *reporter, field, what, list string, seen map[K]int, value K, i int) {
	if first, ok := seen[value]; ok {
		text := fmt.Sprint(value)
		if _, isString := any(value).(string); isString {
			text = strconv.Quote(strict.Shorten(text))
		}
		r.errorf(field, "", "duplicate %s %s: it is also in %s[%d]", what, text, list, first)
		return
	}
	seen[value] = i
}

func checkServer(r *reporter, path string, s *istio.Server) {
	if len(s.Hosts) == 0 {
		r.missing(path, `write hosts: ["*"] for all`, "a server must have at least one host")
	}
	for i, host := range s.Hosts {
		checkServerHost(r, fmt.Sprintf("%s.hosts[%d]", path, i), host)
	}
	if s.Bind != "" && !strings.HasPrefix(s.Bind, "unix://") {
		if _, err := netip.ParseAddr(s.Bind); err != nil {
			r.errorf(path+".bind", "", "%q is not an IP address", strict.Shorten(s.Bind))
		}
	}
	if s.DefaultEndpoint != "" {
		r.warnf(path+".defaultEndpoint", "", "defaultEndpoint has no effect, in Istio neither")
	}
	p := s.Port
	if p == nil {
		r.missing(path, "", "port is required")
		return
	}
	checkPort(r, path+".port.number", int64(p.Number))
	checkProtocol(r, path+".port", p.Protocol, true)
	if p.Name == "" {
		r.missing(path+".port", "", "name is required")
	}
	if p.TargetPort != 0 { //nolint:staticcheck // deprecated by Istio, still in users' files
		r.warnf(path+".port.targetPort", "", "targetPort has no impact on Gateways")
	}
	checkServerTLS(r, path, s, strings.ToUpper(p.Protocol))
}

// checkServerHost checks "host" and "namespace/host".
func checkServerHost(r *reporter, field, host string) {
	namespace, name, ok := strings.Cut(host, "/")
	if !ok {
		checkHost(r, field, host, true)
		return
	}
	if namespace != "." && namespace != "*" && (strings.Contains(namespace, ".") || hostProblem(namespace, false) != "") {
		r.errorf(field, `write "namespace/host", "./host" or "*/host"`, "%q is not a namespace", strict.Shorten(namespace))
	}
	checkHost(r, field, name, true)
}

// protocols are those that Istio knows.
func protocols() []string {
	return []string{"HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "HTTP-PROXY", "TCP", "TLS", "MONGO", "MYSQL", "REDIS", "UDP", "HBONE", "DOUBLE-HBONE"}
}

func checkProtocol(r *reporter, path, protocol string, required bool) {
	switch {
	case protocol == "" && required:
		r.missing(path, "it takes HTTP, HTTPS, HTTP2, GRPC, TCP, TLS", "protocol is required")
	case protocol != "" && !slices.Contains(protocols(), strings.ToUpper(protocol)):
		hint := "it takes " + strings.Join(protocols(), ", ")
		if name := strict.Nearest(protocol, protocols()); name != "" {
			hint = "did you mean " + name + "?"
		}
		r.errorf(path+".protocol", hint, "unsupported protocol %q", strict.Shorten(protocol))
	}
}

func checkServerTLS(r *reporter, path string, s *istio.Server, protocol string) {
	t := s.Tls
	secure := protocol == "HTTPS" || protocol == "TLS"
	switch {
	case t == nil:
		if secure {
			r.missing(path, "", "a server of protocol %s must have tls settings", protocol)
		}
		return
	case !secure && slices.Contains(protocols(), protocol):
		if protocol == "TCP" || !t.HttpsRedirect || t.Mode != istio.ServerTLSSettings_PASSTHROUGH || t.CredentialName != "" || t.ServerCertificate != "" {
			r.errorf(path+".tls", "use protocol HTTPS or TLS, or keep tls.httpsRedirect alone", "a server of protocol %s cannot have tls settings other than httpsRedirect", protocol)
		}
		return
	}
	field := path + ".tls"
	if t.HttpsRedirect {
		r.errorf(field+".httpsRedirect", "it belongs to the server of port 80", "httpsRedirect works on plain HTTP servers only")
	}
	if t.Mode != istio.ServerTLSSettings_SIMPLE && t.Mode != istio.ServerTLSSettings_MUTUAL && t.Mode != istio.ServerTLSSettings_OPTIONAL_MUTUAL {
		return
	}
	files := t.ServerCertificate != "" || t.PrivateKey != ""
	sources := 0
	for _, set := range []bool{t.CredentialName != "", len(t.CredentialNames) > 0, len(t.TlsCertificates) > 0, files} {
		if set {
			sources++
		}
	}
	switch {
	case sources > 1:
		r.errorf(field, "keep one of them", "only one of credentialName, credentialNames, tlsCertificates and serverCertificate can be set")
	case sources == 0:
		r.missing(field, "", "mode %s needs credentialName, or serverCertificate and privateKey", t.Mode)
	case files && (t.ServerCertificate == "" || t.PrivateKey == ""):
		r.missing(field, "", "serverCertificate and privateKey belong together")
	}
}
