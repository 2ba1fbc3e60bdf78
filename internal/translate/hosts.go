package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
)

// A service is what a host name stands for: a Kubernetes Service, or one host
// of a ServiceEntry.
type service struct {
	host, namespace, name string
	ports                 []*servicePort
	addresses             []string // virtual addresses that clients may use
	resolution            resolution
	// externalName is the DNS name of a Service of type ExternalName.
	externalName string
	// alias is the service that externalName names, if it is a known one.
	alias *service

	kube  *config.Object[*corev1.Service]     // nil for a ServiceEntry
	entry *config.Object[*istio.ServiceEntry] // nil for a Service
}

// resolution is how the endpoints of a service are found.
type resolution int

const (
	listed      resolution = iota // they are in the set
	dnsAll                        // every address that DNS gives
	dnsOne                        // one address that DNS gives
	passthrough                   // where the client was going
)

// A servicePort is a port of a service.
type servicePort struct {
	number     uint32
	name       string
	protocol   string // lower case; empty: not said
	targetPort uint32 // 0: same number, or by targetName
	targetName string // name of a container port
	field      string // "spec.ports[0]"
}

// http reports whether requests to the port are routed as HTTP. A port whose
// protocol is not said is taken for HTTP.
func (p *servicePort) http() bool {
	switch p.protocol {
	case "", "http", "http2", "grpc", "grpc-web", "http_proxy":
		return true
	}
	return false
}

// http2 reports whether the port says that it speaks HTTP/2.
func (p *servicePort) http2() bool {
	return p.protocol == "http2" || p.protocol == "grpc" || p.protocol == "grpc-web"
}

func portField(i int) string { return fmt.Sprintf("spec.ports[%d]", i) }

func (s *service) port(number uint32) *servicePort {
	for _, p := range s.ports {
		if p.number == number {
			return p
		}
	}
	return nil
}

// portList is the ports as a message has them: "8000 (http), 9090 (metrics)".
func (s *service) portList() string {
	var out []string
	for _, p := range s.ports {
		if p.name == "" {
			out = append(out, fmt.Sprint(p.number))
			continue
		}
		out = append(out, fmt.Sprintf("%d (%s)", p.number, p.name))
	}
	return strings.Join(out, ", ")
}

// problem is one about the object that the service was made from.
func (s *service) problem(sev config.Severity, field, message, hint string) config.Problem {
	if s.kube != nil {
		return s.kube.Problem(sev, field, message, hint)
	}
	return s.entry.Problem(sev, field, message, hint)
}

// indexServices fills services and byHost.
func (t *translator) indexServices() {
	t.byHost = make(map[string]*service)
	for _, o := range t.set.Services {
		if t.visible(exportedTo(o.Annotations), o.Namespace) {
			t.addService(t.kubeService(o), "metadata.name")
		}
	}
	for _, o := range t.set.ServiceEntries {
		if !t.visible(o.Spec.GetExportTo(), o.Namespace) {
			continue
		}
		for i, host := range o.Spec.GetHosts() {
			t.addService(t.entryService(o, host), fmt.Sprintf("spec.hosts[%d]", i))
		}
	}
	slices.SortFunc(t.services, func(a, b *service) int { return cmp.Compare(a.host, b.host) })
	for _, s := range t.services {
		if s.externalName != "" {
			if to := t.byHost[s.externalName]; to != nil && to != s && to.externalName == "" {
				s.alias = to
			}
		}
	}
}

// exportedTo reads the annotation by which a Service limits who sees it.
func exportedTo(annotations map[string]string) []string {
	var out []string
	for _, ns := range strings.Split(annotations["networking.istio.io/exportTo"], ",") {
		if ns = strings.TrimSpace(ns); ns != "" {
			out = append(out, ns)
		}
	}
	return out
}

func (t *translator) addService(s *service, field string) {
	if first := t.byHost[s.host]; first != nil {
		t.report(s.problem(config.Warning, field,
			fmt.Sprintf("the host %s is already that of another object (%s); this one is not used for it", s.host, first.objectName()),
			"remove one of the two"))
		return
	}
	t.byHost[s.host] = s
	t.services = append(t.services, s)
}

func (s *service) objectName() string {
	if s.kube != nil {
		return s.kube.String()
	}
	return s.entry.String()
}

func (t *translator) kubeService(o *config.Object[*corev1.Service]) *service {
	spec := &o.Spec.Spec
	s := &service{
		host: t.fqdn(o.Name, o.Namespace), namespace: o.Namespace, name: o.Name, kube: o,
	}
	if strings.Contains(o.Name, ".") { // not a legal name, so not completed by fqdn
		s.host = o.Name + "." + o.Namespace + ".svc." + t.opt.ClusterDomain
	}
	if spec.Type == corev1.ServiceTypeExternalName {
		s.externalName = strings.ToLower(strings.TrimSuffix(spec.ExternalName, "."))
		s.resolution = dnsAll
	}
	for _, ip := range append([]string{spec.ClusterIP}, spec.ClusterIPs...) {
		if ip != "" && ip != corev1.ClusterIPNone && !slices.Contains(s.addresses, ip) {
			s.addresses = append(s.addresses, ip)
		}
	}
	for i, p := range spec.Ports {
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP || p.Port <= 0 {
			continue
		}
		app := ""
		if p.AppProtocol != nil {
			app = *p.AppProtocol
		}
		port := &servicePort{number: uint32(p.Port), name: p.Name, protocol: kubeProtocol(p.Name, app), field: portField(i)}
		if p.TargetPort.StrVal != "" {
			port.targetName = p.TargetPort.StrVal
		} else if p.TargetPort.IntVal > 0 {
			port.targetPort = uint32(p.TargetPort.IntVal)
		}
		if s.port(port.number) == nil {
			s.ports = append(s.ports, port)
		}
	}
	return s
}

// kubeProtocol is what Istio makes of appProtocol or, without one, of the
// port's name up to the first hyphen.
func kubeProtocol(name, app string) string {
	if app != "" {
		switch app = strings.ToLower(app); app {
		case "kubernetes.io/h2c":
			return "http2"
		case "kubernetes.io/ws":
			return "http"
		case "kubernetes.io/wss":
			return "https"
		}
		return app
	}
	name, _, _ = strings.Cut(strings.ToLower(name), "-")
	switch name {
	case "http", "http2", "https", "grpc", "tcp", "tls", "mongo", "mysql", "redis", "udp":
		return name
	}
	return ""
}

func (t *translator) entryService(o *config.Object[*istio.ServiceEntry], host string) *service {
	s := &service{host: strings.ToLower(host), namespace: o.Namespace, name: o.Name, entry: o}
	switch o.Spec.GetResolution() {
	case istio.ServiceEntry_STATIC:
	case istio.ServiceEntry_DNS:
		s.resolution = dnsAll
	case istio.ServiceEntry_DNS_ROUND_ROBIN:
		s.resolution = dnsOne
	default:
		s.resolution = passthrough
	}
	for _, a := range o.Spec.GetAddresses() {
		if p, err := netip.ParsePrefix(a); err == nil {
			if !p.IsSingleIP() {
				continue // a range matches no Host header
			}
			a = p.Addr().String()
		}
		s.addresses = append(s.addresses, a)
	}
	for i, p := range o.Spec.GetPorts() {
		port := &servicePort{
			number: p.GetNumber(), name: p.GetName(), field: portField(i),
			protocol: strings.ToLower(p.GetProtocol()), targetPort: p.GetTargetPort(),
		}
		if port.number != 0 && s.port(port.number) == nil {
			s.ports = append(s.ports, port)
		}
	}
	return s
}

// wildcard reports whether the host is "*" or begins with "*.".
func wildcard(host string) bool { return strings.HasPrefix(host, "*") }

// covers reports whether the wildcard or host a matches the host or wildcard b:
// every name that b stands for is one of a's.
func covers(a, b string) bool {
	if !wildcard(a) {
		return a == b
	}
	suffix := a[1:]
	return len(b) >= len(suffix) && strings.HasSuffix(b, suffix) && (wildcard(b) || len(b) > len(suffix))
}

// compareHosts orders plain hosts before wildcards and longer wildcards before
// shorter ones.
func compareHosts(a, b string) int {
	if wa, wb := wildcard(a), wildcard(b); wa != wb {
		if wb {
			return -1
		}
		return 1
	} else if wa && len(a) != len(b) {
		return cmp.Compare(len(b), len(a))
	}
	return cmp.Compare(a, b)
}
