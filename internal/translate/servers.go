package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/gatewayapi"
	istio "istio.io/api/networking/v1alpha3"
)

// A gatewayPort is a port that gateways of this proxy listen on, with the
// servers of all of them: all plain or all HTTPS.
type gatewayPort struct {
	number  uint32
	bind    string // as the gateways say; empty: all interfaces
	secure  bool
	servers []gatewayServer
}

type gatewayServer struct {
	gateway string // "namespace/name"
	object  *gatewayObject
	field   string // "spec.servers[0]"
	server  *istio.Server
	// listener is that of the Gateway API; nil: the server is Istio's own.
	listener *gatewayapi.Listener
}

// at is the path of a field of the server as the user wrote it.
func (s gatewayServer) at(field string) string {
	if s.listener != nil {
		return s.listener.FieldOf(field)
	}
	return s.field + field
}

func (g *gatewayPort) listenerName() string {
	if g.bind == "" {
		return "0.0.0.0_" + portString(g.number)
	}
	return g.bind + "_" + portString(g.number)
}

// routeName is that of the routes of all plain servers of the port.
func (g *gatewayPort) routeName() string { return g.withBind("http." + portString(g.number)) }

// secureRouteName is that of the routes of one HTTPS server.
func (g *gatewayPort) secureRouteName(s gatewayServer) string {
	return g.withBind(strings.Join([]string{
		"https", portString(g.number), s.server.GetPort().GetName(), s.object.Name, s.object.Namespace,
	}, "."))
}

func (g *gatewayPort) withBind(name string) string {
	if g.bind == "" {
		return name
	}
	return name + "." + g.bind
}

// serverNames are the names that clients ask for in the TLS handshake; none:
// whatever they ask for.
func (s gatewayServer) serverNames() []string {
	var out []string
	for _, host := range s.server.GetHosts() {
		if host = serverHost(host); host == "*" {
			return nil
		}
		out = append(out, host)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// addServer takes a server up, if it is one that can be served beside those
// that came before.
func (t *translator) addServer(s gatewayServer) {
	secure, ok := t.servable(s)
	if !ok {
		return
	}
	g := t.gatewayPort(s.server.GetPort().GetNumber(), s.server.GetBind())
	if len(g.servers) == 0 {
		g.secure = secure
	}
	first := func(why string, other gatewayServer, hint string) {
		t.report(s.object.Problem(config.Warning, s.at(".port"),
			fmt.Sprintf("%s %s of %s: this server does not listen", why, other.field, other.object), hint))
	}
	if g.secure != secure {
		first("plain and HTTPS servers cannot share a port, and this is also that of", g.servers[0], "give it a port of its own")
		return
	}
	if secure {
		names := s.handshakeNames()
		for _, other := range g.servers {
			for _, name := range other.handshakeNames() {
				if slices.Contains(names, name) {
					first(fmt.Sprintf("the host %s has its certificate on this port already, from", name), other, "keep one server for each host")
					return
				}
			}
		}
	}
	g.servers = append(g.servers, s)
}

// handshakeNames are the names by which two servers of a port are told apart.
func (s gatewayServer) handshakeNames() []string {
	if names := s.serverNames(); len(names) > 0 {
		return names
	}
	return []string{"*"}
}

// servable reports whether a server is one that can be served so far, and
// whether it speaks TLS.
func (t *translator) servable(s gatewayServer) (secure, ok bool) {
	refuse := func(field, message, hint string) {
		t.report(s.object.Problem(config.Warning, s.at(field), message+": this server does not listen", hint))
	}
	proto := strings.ToUpper(s.server.GetPort().GetProtocol())
	switch proto {
	case "HTTP", "HTTP2", "GRPC", "GRPC-WEB":
		return false, true
	case "HTTPS":
	default:
		refuse(".port.protocol", proto+" servers are understood but not done yet", "add a server with protocol HTTP or HTTPS")
		return false, false
	}
	switch mode := s.server.GetTls().GetMode(); mode {
	case istio.ServerTLSSettings_SIMPLE, istio.ServerTLSSettings_MUTUAL, istio.ServerTLSSettings_OPTIONAL_MUTUAL:
		return true, true
	case istio.ServerTLSSettings_ISTIO_MUTUAL:
		refuse(".tls.mode", "ISTIO_MUTUAL takes the certificates of Istio's own authority, which Sundog has none of",
			"use MUTUAL with credentialName, of a certificate that the clients trust")
	default:
		refuse(".tls.mode", mode.String()+" hands TLS on undecrypted, which is understood but not done yet",
			"use SIMPLE or MUTUAL with a certificate")
	}
	return false, false
}
