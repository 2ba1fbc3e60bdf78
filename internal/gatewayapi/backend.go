package gatewayapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	istio "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// destination is the Service that a backendRef names; nil if it cannot be had,
// with the reason in a word. What follows from that is consequence.
func (c *converter) destination(r *route, field string, b *gatewayv1.BackendObjectReference, consequence string) (*istio.Destination, string) {
	if group, kind := or(b.Group, ""), or(b.Kind, "Service"); group != "" || kind != "Service" {
		of := ""
		if group != "" {
			of = " of " + string(group)
		}
		c.warn(r.Object, field+".kind", "name a Service", "%s%s is no backend that Sundog knows: %s", kind, of, consequence)
		return nil, "kind"
	}
	namespace := string(or(b.Namespace, gatewayv1.Namespace(r.Namespace)))
	key := namespace + "/" + string(b.Name)
	if !c.allowed("HTTPRoute", r.Namespace, "Service", namespace, string(b.Name)) {
		c.warn(r.Object, field+".namespace", grantHint("HTTPRoute", r.Namespace, "Service", namespace),
			"no ReferenceGrant in %s lets HTTPRoutes of %s name the Service %s: %s", namespace, r.Namespace, b.Name, consequence)
		return nil, "not-permitted"
	}
	s := c.services[key]
	if s == nil {
		c.warn(r.Object, field+".name", c.serviceHint(namespace), "there is no Service %s: %s", key, consequence)
		return nil, "no-service"
	}
	port := or(b.Port, 0)
	if !hasPort(s, port) {
		c.warn(r.Object, field+".port", "its ports are "+ports(s), "the Service %s has no port %d: %s", key, port, consequence)
		return nil, "no-port"
	}
	return &istio.Destination{Host: c.host(namespace, string(b.Name)), Port: &istio.PortSelector{Number: uint32(port)}}, ""
}

func (c *converter) serviceHint(namespace string) string {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(c.services)) {
		if ns, name, _ := strings.Cut(key, "/"); ns == namespace {
			names = append(names, name)
		}
	}
	const few = 5
	switch {
	case len(names) == 0:
		return "give its file with -f"
	case len(names) > few:
		return "in the namespace there are " + strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return "in the namespace there are " + strings.Join(names, ", ")
}

// tcp reports whether a port is one that requests can go to.
func tcp(p *corev1.ServicePort) bool { return p.Protocol == "" || p.Protocol == corev1.ProtocolTCP }

func hasPort(s *corev1.Service, port int32) bool {
	return slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port && tcp(&p) })
}

func ports(s *corev1.Service) string {
	var out []string
	for _, p := range s.Spec.Ports {
		if tcp(&p) {
			out = append(out, fmt.Sprint(p.Port))
		}
	}
	return strings.Join(out, ", ")
}
