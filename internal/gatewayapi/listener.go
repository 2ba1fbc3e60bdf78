package gatewayapi

import (
	"fmt"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// secretPrefix is Istio's for the Secret of a Gateway's own namespace, or of
// one that grants it.
const secretPrefix = "kubernetes-gateway://"

// server is a listener as Istio has it; nil if it cannot be served.
func (c *converter) server(p *place, l *gatewayv1.Listener) *istio.Server {
	field := fmt.Sprintf("spec.listeners[%d]", p.index)
	refuse := func(field, message, hint string) *istio.Server {
		c.problems = append(c.problems, p.gateway.Problem(config.Warning, field, message+": this listener does not listen", hint))
		return nil
	}
	out := &istio.Server{
		Port:  &istio.Port{Number: uint32(l.Port), Protocol: string(l.Protocol), Name: "listener-" + string(l.Name)},
		Hosts: []string{hostname(l)},
	}
	switch t := p.gateway.Spec.TLS; {
	case l.Protocol == gatewayv1.HTTPProtocolType:
		return out
	case l.Protocol != gatewayv1.HTTPSProtocolType:
		return refuse(field+".protocol", string(l.Protocol)+" listeners are understood but not done yet", "add a listener with protocol HTTP or HTTPS")
	case t != nil && validatesClients(t, l.Port):
		return refuse("spec.tls.frontend", "checking clients' certificates is understood but not done yet", "use an Istio Gateway with tls.mode MUTUAL")
	case l.TLS == nil:
		return nil // the loader reports it
	}
	if len(l.TLS.Options) > 0 {
		c.problems = append(c.problems, p.gateway.Problem(config.Warning, field+".tls.options", "is understood but not done yet: it has no effect", ""))
	}
	names := c.certificates(p, field+".tls.certificateRefs", l.TLS.CertificateRefs)
	out.Tls = &istio.ServerTLSSettings{Mode: istio.ServerTLSSettings_SIMPLE}
	switch len(names) {
	case 0:
		return refuse(field+".tls", "there is no certificate to use", "name a Secret that has one in certificateRefs")
	case 1:
		out.Tls.CredentialName = names[0]
	default:
		out.Tls.CredentialNames = names
	}
	return out
}

// certificates are the Secrets that the Gateway names and may use.
func (c *converter) certificates(p *place, field string, refs []gatewayv1.SecretObjectReference) []string {
	var out []string
	for i, ref := range refs {
		leave := func(part, message, hint string) {
			c.problems = append(c.problems, p.gateway.Problem(config.Warning, fmt.Sprintf("%s[%d]%s", field, i, part), message+": the certificate is left out", hint))
		}
		namespace := string(or(ref.Namespace, gatewayv1.Namespace(p.gateway.Namespace)))
		switch {
		case or(ref.Group, "") != "" || or(ref.Kind, "Secret") != "Secret":
			leave(".kind", "only Secrets are read", "name a Secret of type kubernetes.io/tls")
		case !c.allowed("Gateway", p.gateway.Namespace, "Secret", namespace, string(ref.Name)):
			leave(".namespace", fmt.Sprintf("no ReferenceGrant in %s lets Gateways of %s name the Secret %s", namespace, p.gateway.Namespace, ref.Name),
				grantHint("Gateway", p.gateway.Namespace, "Secret", namespace))
		default:
			out = append(out, secretPrefix+namespace+"/"+string(ref.Name))
		}
	}
	return out
}

// validatesClients reports whether clients on the port must show certificates.
func validatesClients(t *gatewayv1.GatewayTLSConfig, port gatewayv1.PortNumber) bool {
	if t.Frontend == nil {
		return false
	}
	for _, p := range t.Frontend.PerPort {
		if p.Port == port {
			return p.TLS.Validation != nil
		}
	}
	return t.Frontend.Default.Validation != nil
}

// grantHint says which ReferenceGrant is needed.
func grantHint(kind, from, to, namespace string) string {
	return fmt.Sprintf("add a ReferenceGrant to the namespace %s: from kind %s of namespace %s, to kind %s", namespace, kind, from, to)
}
