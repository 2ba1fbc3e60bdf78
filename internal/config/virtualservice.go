package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"google.golang.org/protobuf/proto"
	istio "istio.io/api/networking/v1alpha3"
)

// checkVirtualService checks a VirtualService by itself, as Istio's validation
// does. References to other objects are translate's.
func checkVirtualService(r *reporter, o *Object[*istio.VirtualService]) {
	v := o.Spec
	mesh := len(v.Gateways) == 0 || slices.Contains(v.Gateways, "mesh")
	seen := map[string]int{}
	for i, host := range v.Hosts {
		field := fmt.Sprintf("spec.hosts[%d]", i)
		checkHost(r, field, host, true)
		if host == "*" && mesh {
			r.errorf(field, "name the hosts, or name the gateways in spec.gateways", "the wildcard host * is not allowed for a VirtualService bound to the mesh gateway")
		}
		if first, ok := seen[strings.ToLower(host)]; ok {
			r.errorf(field, "keep one of the two", "duplicate host: it is also spec.hosts[%d]", first)
		} else {
			seen[strings.ToLower(host)] = i
		}
	}
	checkGatewayNames(r, "spec.gateways", v.Gateways)
	checkExportTo(r, v.ExportTo)
	if len(v.Http)+len(v.Tls)+len(v.Tcp) == 0 {
		r.missing("spec", "add at least one route", "http, tcp or tls must be provided")
	}
	delegate := len(v.Hosts) == 0
	if delegate {
		for _, f := range []struct {
			name string
			used bool
		}{{"gateways", len(v.Gateways) > 0}, {"tls", len(v.Tls) > 0}, {"tcp", len(v.Tcp) > 0}} {
			if f.used {
				r.errorf("spec."+f.name, "", "a VirtualService without hosts (a delegate) must not have %s", f.name)
			}
		}
	}
	for i, h := range v.Http {
		route := httpRoute{r, fmt.Sprintf("spec.http[%d]", i), h}
		if delegate && h.Delegate != nil {
			r.errorf(route.path+".delegate", "name hosts, or write the routes here", "a delegate must not delegate further")
		}
		route.check()
	}
	checkReached(r, v.Http)
	for i, t := range v.Tls {
		checkTLSRoute(r, fmt.Sprintf("spec.tls[%d]", i), t)
	}
	for i, t := range v.Tcp {
		path := fmt.Sprintf("spec.tcp[%d]", i)
		for j, m := range t.Match {
			at := fmt.Sprintf("%s.match[%d]", path, j)
			checkMatchPort(r, at+".port", m.Port)
			checkGatewayNames(r, at+".gateways", m.Gateways)
		}
		checkRouteDestinations(r, path, t.Route)
	}
}

func checkTLSRoute(r *reporter, path string, t *istio.TLSRoute) {
	if len(t.Match) == 0 {
		r.missing(path, "match says which SNI hosts the route is for", "match is required in a TLS route")
	}
	for i, m := range t.Match {
		at := fmt.Sprintf("%s.match[%d]", path, i)
		if len(m.SniHosts) == 0 {
			r.missing(at, "", "sniHosts is required in a TLS match")
		}
		for j, host := range m.SniHosts {
			checkHost(r, fmt.Sprintf("%s.sniHosts[%d]", at, j), host, true)
		}
		checkMatchPort(r, at+".port", m.Port)
		checkGatewayNames(r, at+".gateways", m.Gateways)
	}
	checkRouteDestinations(r, path, t.Route)
}

func checkRouteDestinations(r *reporter, path string, routes []*istio.RouteDestination) {
	if len(routes) == 0 {
		r.missing(path, "", "route is required")
	}
	weights := make([]int32, len(routes))
	for i, d := range routes {
		at := fmt.Sprintf("%s.route[%d]", path, i)
		checkDestination(r, at, "destination", d.Destination)
		weights[i] = d.Weight
	}
	checkWeights(r, path+".route", weights)
}

func checkWeights(r *reporter, path string, weights []int32) {
	total := int64(0)
	for i, w := range weights {
		if w < 0 {
			r.errorf(fmt.Sprintf("%s[%d].weight", path, i), "", "weight %d is below 0", w)
		}
		total += int64(max(w, 0))
	}
	if len(weights) > 1 && total == 0 {
		r.missing(path, "give the destinations weights, like 90 and 10", "the total destination weight is 0, so no destination gets a request")
	}
}

// checkDestination checks the destination in a field of what stands at path.
func checkDestination(r *reporter, path, name string, d *istio.Destination) {
	if d == nil {
		r.missing(path, "", "%s is required", name)
		return
	}
	field := path + "." + name
	switch {
	case d.Host == "":
		r.missing(field, "host is the name of a Service or of a ServiceEntry's host", "host is required")
	case d.Host == "*":
		r.errorf(field+".host", "", "invalid destination host *")
	default:
		checkHost(r, field+".host", d.Host, false)
	}
	if d.Subset != "" && !isSubsetName(d.Subset) {
		r.errorf(field+".subset", `it takes letters, digits and "-", at most 63`, "subset name is invalid: %q", strict.Shorten(d.Subset))
	}
	if d.Port != nil {
		checkPort(r, field+".port.number", int64(d.Port.Number))
	}
}

func checkMatchPort(r *reporter, field string, port uint32) {
	if port > 65535 {
		checkPort(r, field, int64(port))
	}
}

// checkGatewayNames checks "mesh", "name" and "namespace/name".
func checkGatewayNames(r *reporter, field string, names []string) {
	for i, name := range names {
		namespace, short, ok := strings.Cut(name, "/")
		if !ok {
			namespace, short = "x", name
		}
		if namespace != "." && hostProblem(namespace, false) != "" || hostProblem(short, false) != "" {
			r.errorf(fmt.Sprintf("%s[%d]", field, i), `write "name", "namespace/name" or "mesh"`, "%q is not the name of a Gateway", strict.Shorten(name))
		}
	}
}

func checkExportTo(r *reporter, to []string) {
	for i, t := range to {
		if t != "." && t != "*" && t != "~" && (strings.Contains(t, ".") || hostProblem(t, false) != "") {
			r.errorf(fmt.Sprintf("spec.exportTo[%d]", i), `write "." for this namespace, "*" for all, or a namespace`, "%q is not a namespace", strict.Shorten(t))
		}
	}
}

// checkReached warns of routes that an earlier one leaves nothing for.
func checkReached(r *reporter, routes []*istio.HTTPRoute) {
	catchAll := -1
	seen := map[string]string{}
	for i, h := range routes {
		path := fmt.Sprintf("spec.http[%d]", i)
		if catchAll >= 0 {
			r.warnf(path, "put the route that matches everything last", "the route is not used: spec.http[%d] matches every request before it", catchAll)
			continue
		}
		if r.broken(path) {
			continue // what it matches is not known
		}
		if len(h.Match) == 0 {
			catchAll = i
		}
		for j, m := range h.Match {
			at := fmt.Sprintf("%s.match[%d]", path, j)
			m = proto.CloneOf(m)
			m.Name, m.StatPrefix = "", ""
			key, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				continue
			}
			if first, ok := seen[string(key)]; ok {
				r.warnf(at, "", "the match is not used: it is the same as %s", first)
				continue
			}
			seen[string(key)] = at
			if matchesAll(m) {
				catchAll = i
			}
		}
	}
}

// matchesAll reports whether a match without its name leaves nothing out.
func matchesAll(m *istio.HTTPMatchRequest) bool {
	switch {
	case m.Uri.GetPrefix() == "/", m.Uri.GetRegex() == ".*":
		rest := proto.CloneOf(m)
		rest.Uri, rest.IgnoreUriCase = nil, false
		return proto.Size(rest) == 0
	}
	return proto.Size(m) == 0
}

// checkDelegates refuses a VirtualService that has no hosts and that no other
// one delegates to: it would do nothing.
func (p *parser) checkDelegates() {
	wanted := map[string]bool{}
	for _, v := range p.set.VirtualServices {
		for _, h := range v.Spec.Http {
			if d := h.Delegate; d != nil {
				namespace := d.Namespace
				if namespace == "" {
					namespace = v.Namespace
				}
				wanted[namespace+"/"+d.Name] = true
			}
		}
	}
	for _, v := range p.set.VirtualServices {
		if len(v.Spec.Hosts) > 0 || wanted[v.Namespace+"/"+v.Name] {
			continue
		}
		broken := slices.ContainsFunc(p.problems, func(q Problem) bool {
			return q.Severity == Error && q.Object == v.String() && strings.HasPrefix(q.Field, "spec.host")
		})
		if !broken {
			p.report(v.Problem(Error, "spec.hosts", "at least one host is required", "only a VirtualService that another one delegates to may have no hosts"))
		}
	}
}
