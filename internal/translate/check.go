package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
)

// check reports what only shows when objects are seen together: names that
// lead nowhere and routes that nothing reaches.
func (t *translator) check() {
	for _, r := range t.routers {
		if r.kube {
			continue // gatewayapi has looked everything up
		}
		t.checkGateways(r)
		ports := t.portsOf(r)
		var last *routeRule // the delegate's rule after which nothing is reached
		for i := range r.rules {
			rule := &r.rules[i]
			if last != nil {
				t.report(rule.object.Problem(config.Warning, rule.field,
					fmt.Sprintf("%s of %s takes every request: this route is never reached", last.field, last.object),
					"put it before that one"))
			} else if rule.object != r.object && takesAll(rule.http) { // in one object the loader reports it
				last = rule
			}
			t.checkRoute(*rule, ports)
		}
	}
}

// takesAll reports whether the route takes every request wherever it applies.
func takesAll(h *istio.HTTPRoute) bool {
	if len(h.GetMatch()) == 0 {
		return true
	}
	return slices.ContainsFunc(h.GetMatch(), func(m *istio.HTTPMatchRequest) bool {
		return m.GetPort() == 0 && len(m.GetGateways()) == 0 && len(m.GetSourceLabels()) == 0 && m.GetSourceNamespace() == "" &&
			catchAll(routeMatch(m))
	})
}

func (t *translator) checkGateways(r *router) {
	names := r.object.Spec.GetGateways()
	for i, name := range gatewayNames(names, r.object.Namespace) {
		if name == mesh {
			continue
		}
		known := slices.ContainsFunc(t.set.Gateways, func(g *gatewayObject) bool { return g.Namespace+"/"+g.Name == name })
		if !known {
			t.report(r.object.Problem(config.Warning, fmt.Sprintf("spec.gateways[%d]", i),
				"there is no Gateway "+name+": through it nothing reaches these routes", t.gatewayHint()))
		}
	}
}

func (t *translator) gatewayHint() string {
	if len(t.set.Gateways) == 0 {
		return "give its file with -f, or write mesh for traffic inside the mesh"
	}
	var names []string
	for _, g := range t.set.Gateways {
		names = append(names, g.Namespace+"/"+g.Name)
	}
	slices.Sort(names)
	return "there are " + someOf(names)
}

// portsOf are the ports on which the router's routes are asked for.
func (t *translator) portsOf(r *router) []uint32 {
	var out []uint32
	if r.bound(mesh) {
		for _, s := range t.meshHosts.served[r] {
			for _, p := range s.ports {
				if p.http() {
					out = append(out, p.number)
				}
			}
		}
		if len(t.meshHosts.extra[r]) > 0 {
			out = append(out, 80)
		}
	}
	for _, g := range t.gateways {
		for _, s := range g.servers {
			if r.bound(s.gateway) && len(intersection(s.hostsFor(r.object.Namespace), r.hosts)) > 0 {
				out = append(out, g.number)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (t *translator) checkRoute(rule routeRule, ports []uint32) {
	o, h, field := rule.object, rule.http, rule.field
	for i, d := range h.GetRoute() {
		t.checkDestination(o, o.Namespace, fmt.Sprintf("%s.route[%d].destination", field, i), d.GetDestination(), ports)
	}
	if h.GetMirror() != nil {
		t.checkDestination(o, o.Namespace, field+".mirror", h.GetMirror(), ports)
	}
	for i, m := range h.GetMirrors() {
		t.checkDestination(o, o.Namespace, fmt.Sprintf("%s.mirrors[%d].destination", field, i), m.GetDestination(), ports)
	}
	for i, m := range h.GetMatch() {
		if !selects(m.GetSourceLabels(), t.opt.Gateway) {
			t.report(o.Problem(config.Warning, fmt.Sprintf("%s.match[%d].sourceLabels", field, i),
				"the match never applies: this proxy has no labels besides those of --gateway", "remove the labels"))
		}
	}
}

// written is an object whose fields Problems can be about.
type written interface {
	Problem(s config.Severity, field, message, hint string) config.Problem
}

// checkDestination looks up host, port and subset, which Istio does not: there
// a wrong one shows only in requests that fail, and for a mirror not at all.
func (t *translator) checkDestination(o written, namespace, field string, d *istio.Destination, ports []uint32) {
	if d.GetHost() == "" || wildcard(d.GetHost()) {
		return // the loader reports it
	}
	host := t.fqdn(d.GetHost(), namespace)
	s := t.byHost[host]
	if s == nil {
		t.report(o.Problem(config.Error, field+".host", "no service has the host "+host, t.hostHint(host)))
		return
	}
	if s.alias != nil {
		s = s.alias
	}
	t.checkPort(o, field, d, s, ports)
	if name := d.GetSubset(); name != "" && t.rule(s).subset(name) == nil {
		t.report(o.Problem(config.Error, field+".subset", fmt.Sprintf("%s has no subset %s", s.host, name), t.subsetHint(s)))
	}
}

func (t *translator) checkPort(o written, field string, d *istio.Destination, s *service, ports []uint32) {
	number := d.GetPort().GetNumber()
	switch {
	case len(s.ports) == 0:
		t.report(o.Problem(config.Error, field+".host", s.host+" has no ports", "give "+s.objectName()+" a port"))
	case number != 0:
		if s.port(number) == nil {
			t.report(o.Problem(config.Error, field+".port.number", fmt.Sprintf("%s has no port %d", s.host, number),
				"its ports are "+s.portList()))
		}
	case len(s.ports) > 1:
		for _, p := range ports {
			if s.port(p) == nil {
				t.report(o.Problem(config.Error, field+".port",
					fmt.Sprintf("is needed: %s has several ports, and none of them is %d, on which the request comes in", s.host, p),
					"its ports are "+s.portList()))
				return
			}
		}
	}
}

// hostHint says what a host that is not there may have been meant to be.
func (t *translator) hostHint(host string) string {
	suffix := ".svc." + t.opt.ClusterDomain
	short := strings.TrimSuffix(strings.TrimSuffix(host, suffix), ".svc")
	if full := short + suffix; full != host && t.byHost[full] != nil {
		return "write " + full + ": a name that holds a dot is not completed"
	}
	name, _, _ := strings.Cut(short, ".")
	var similar []string
	for _, s := range t.services {
		if s.name == name && s.kube != nil {
			similar = append(similar, s.host)
		}
	}
	switch {
	case len(similar) > 0:
		return "did you mean " + someOf(similar) + "?"
	case len(t.services) == 0:
		return "there is no Service and no ServiceEntry: give their files with -f"
	}
	for _, s := range t.services {
		similar = append(similar, s.host)
	}
	return "add a Service or a ServiceEntry for it; known hosts are " + someOf(similar)
}

func (t *translator) subsetHint(s *service) string {
	r := t.rule(s)
	switch {
	case r == nil:
		return "no DestinationRule has the host " + s.host + ": add one with this subset"
	case len(r.subsets) == 0:
		return "add it to " + r.objects[0].String()
	}
	return "its subsets are " + r.subsetList()
}

// someOf lists the first few names.
func someOf(names []string) string {
	const few = 5
	if len(names) > few {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}

// checkValues warns of values that are not done of fields that are.
func (t *translator) checkValues() {
	for _, s := range t.services {
		for _, p := range s.ports {
			if !p.http() {
				t.report(s.problem(config.Note, p.field, p.protocol+" is not HTTP: the mesh has no listener for the port", ""))
			}
		}
	}
	for _, o := range t.set.DestinationRules {
		t.checkPolicy(o, "spec.trafficPolicy", o.Spec.GetTrafficPolicy())
		for i, s := range o.Spec.GetSubsets() {
			t.checkPolicy(o, fmt.Sprintf("spec.subsets[%d].trafficPolicy", i), s.GetTrafficPolicy())
		}
	}
	for _, o := range t.set.ServiceEntries {
		for i, e := range o.Spec.GetEndpoints() {
			if strings.HasPrefix(e.GetAddress(), "unix://") {
				t.report(o.Problem(config.Warning, fmt.Sprintf("spec.endpoints[%d].address", i),
					"unix sockets are understood but not done yet: the endpoint is left out", ""))
			}
		}
		if o.Spec.GetResolution() == istio.ServiceEntry_DYNAMIC_DNS {
			t.report(o.Problem(config.Warning, "spec.resolution", "DYNAMIC_DNS is understood but not done yet: it is taken for NONE", ""))
		}
	}
}

// checkPolicy does the same for a traffic policy and those of its ports.
func (t *translator) checkPolicy(o *ruleObject, field string, p *istio.TrafficPolicy) {
	t.checkLocality(o, field, p.GetLoadBalancer())
	t.checkMode(o, field, p.GetTls())
	for i, s := range p.GetPortLevelSettings() {
		at := fmt.Sprintf("%s.portLevelSettings[%d]", field, i)
		t.checkLocality(o, at, s.GetLoadBalancer())
		t.checkMode(o, at, s.GetTls())
	}
}

func (t *translator) checkMode(o *ruleObject, field string, tls *istio.ClientTLSSettings) {
	if tls.GetMode() == istio.ClientTLSSettings_ISTIO_MUTUAL {
		t.report(o.Problem(config.Warning, field+".tls.mode",
			"ISTIO_MUTUAL takes the certificates of Istio's own authority, which Sundog has none of: requests go out as plain text",
			"use MUTUAL with credentialName or certificate files, of an authority that the servers trust; or DISABLE, if plain text is meant"))
	}
}
