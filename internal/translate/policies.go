package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/api/v1alpha1"
	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
)

// A policyObject is a ShadowPolicy as the user wrote it, with its defaults.
type policyObject = config.Object[*v1alpha1.ShadowPolicySpec]

// A policyTarget is what a policy is attached to: a VirtualService or an
// HTTPRoute, or its routes of one name.
type policyTarget struct{ kind, namespace, name, section string }

// targets are the objects that policies can be attached to, with the names of
// their routes.
type targets map[policyTarget][]string

func (t *translator) targets() targets {
	out := make(targets, len(t.set.VirtualServices)+len(t.set.HTTPRoutes))
	for _, v := range t.set.VirtualServices {
		var names []string
		for _, h := range v.Spec.GetHttp() {
			names = append(names, h.GetName())
		}
		out[policyTarget{"VirtualService", v.Namespace, v.Name, ""}] = named(names)
	}
	for _, o := range t.set.HTTPRoutes {
		var names []string
		for _, rule := range o.Spec.Rules {
			names = append(names, string(or(rule.Name, "")))
		}
		out[policyTarget{"HTTPRoute", o.Namespace, o.Name, ""}] = named(names)
	}
	return out
}

func named(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// An attachment is a policy at one of its targets.
type attachment struct {
	object *policyObject
	field  string // "spec.targetRefs[0]"
}

// indexPolicies finds the policy of each target: the oldest, and among equals
// the first by name, as the Gateway API wants it.
func (t *translator) indexPolicies() {
	t.policies = make(map[policyTarget]*attachment)
	if len(t.set.ShadowPolicies) == 0 {
		return
	}
	known := t.targets()
	for _, o := range t.set.ShadowPolicies {
		for i, ref := range o.Spec.TargetRefs {
			a := &attachment{o, fmt.Sprintf("spec.targetRefs[%d]", i)}
			target := policyTarget{ref.Kind, o.Namespace, ref.Name, ref.SectionName}
			switch first := t.policies[target]; {
			case ref.Kind != "VirtualService" && ref.Kind != "HTTPRoute" || !t.checkTarget(a, target, known):
			case first == nil:
				t.policies[target] = a
			case first.object != o: // twice in one object is the loader's
				t.report(o.Problem(config.Warning, a.field,
					fmt.Sprintf("the target already has %s: this policy has no effect there", first.object),
					"keep one of the two, or name another route with sectionName"))
			}
		}
	}
}

// checkTarget reports whether the target is there, and warns if it is not.
func (t *translator) checkTarget(a *attachment, target policyTarget, known targets) bool {
	whole := target
	whole.section = ""
	sections, ok := known[whole]
	if !ok {
		t.report(a.object.Problem(config.Warning, a.field+".name",
			fmt.Sprintf("there is no %s %s/%s: the policy has no effect there", target.kind, target.namespace, target.name), known.hint(target)))
		return false
	}
	if target.section == "" || slices.Contains(sections, target.section) {
		return true
	}
	what, hint := "http route", "give the route a name in spec.http[].name"
	if target.kind == "HTTPRoute" {
		what, hint = "rule", "give the rule a name in spec.rules[].name"
	}
	if len(sections) > 0 {
		hint = fmt.Sprintf("its named %ss are %s", strings.TrimPrefix(what, "http "), someOf(sections))
	}
	t.report(a.object.Problem(config.Warning, a.field+".sectionName",
		fmt.Sprintf("%s %s/%s has no %s named %s: the policy has no effect there", target.kind, target.namespace, target.name, what, target.section), hint))
	return false
}

func (known targets) hint(target policyTarget) string {
	var names []string
	for other := range known {
		if other.kind == target.kind && other.namespace == target.namespace {
			names = append(names, other.name)
		}
	}
	if len(names) == 0 {
		return "a target is in the policy's own namespace: give its file with -f"
	}
	slices.Sort(names)
	return "in the policy's namespace there are " + someOf(names)
}

// policyFor is the policy of a route of o, or of the route of root that
// delegates to it: one for a single route before one for the whole object, and
// the delegate's own before the root's.
func (t *translator) policyFor(o *routeObject, section string, root *routeObject, rootSection string) *attachment {
	if len(t.policies) == 0 {
		return nil
	}
	targets := []policyTarget{{o.Kind, o.Namespace, o.Name, section}, {o.Kind, o.Namespace, o.Name, ""}}
	if root != nil {
		targets = slices.Insert(targets, 1, policyTarget{root.Kind, root.Namespace, root.Name, rootSection})
		targets = append(targets, policyTarget{root.Kind, root.Namespace, root.Name, ""})
	}
	for _, target := range targets {
		if a := t.policies[target]; a != nil {
			return a
		}
	}
	return nil
}

// A policyUse is where an attached policy has come into force.
type policyUse struct {
	mirrored bool // one of the routes has a mirror
	compared bool // one of the routes has a mirror besides the baseline
	primary  bool // the baseline answers clients, too
}

// checkPolicies warns of policies that have nothing to act on, and looks up
// their baselines.
func (t *translator) checkPolicies() {
	uses, ports := make(map[*attachment]*policyUse), make(map[*policyObject][]uint32)
	for _, r := range t.routers {
		if !slices.ContainsFunc(r.rules, func(rule routeRule) bool { return rule.policy != nil }) {
			continue
		}
		in := t.portsOf(r)
		for _, rule := range r.rules {
			a := rule.policy
			if a == nil || rule.http.GetRedirect() != nil || rule.http.GetDirectResponse() != nil {
				continue
			}
			if uses[a] == nil {
				uses[a] = &policyUse{}
			}
			baseline := t.baseline(a.object)
			if baseline != nil && slices.ContainsFunc(rule.http.GetRoute(), func(d *istio.HTTPRouteDestination) bool {
				return t.destinationCluster(d.GetDestination(), rule.object.Namespace, 0) == t.destinationCluster(baseline, a.object.Namespace, 0)
			}) {
				uses[a].primary = true
			}
			for _, m := range t.mirrorsOf(rule.http) {
				uses[a].mirrored = true
				uses[a].compared = uses[a].compared || baseline == nil ||
					t.destinationCluster(m.to, rule.object.Namespace, 0) != t.destinationCluster(baseline, a.object.Namespace, 0)
			}
			if uses[a].mirrored {
				ports[a.object] = append(ports[a.object], in...)
			}
		}
	}
	for a, u := range uses {
		switch {
		case !u.mirrored:
			t.report(a.object.Problem(config.Warning, a.field, "no route here has a mirror: the policy has no effect there", mirrorHint(a)))
		case comparing(a.object) && !u.compared:
			t.report(a.object.Problem(config.Warning, a.field, "the only mirror of the route is the baseline: there is nothing to compare", "add a mirror to the version that is tried"))
		}
	}
	for a, u := range uses {
		if u.primary && u.compared {
			t.report(a.object.Problem(config.Warning, "spec.compare.baseline", "it is the destination of the route itself, so its copies may reach the instance that answered: the name of an instance then looks like a difference",
				"name a subset or a service of its own, or use again"))
		}
	}
	for o, p := range ports {
		t.checkBaseline(o, p)
	}
}

// mirrorHint says how the target gets a mirror.
func mirrorHint(a *attachment) string {
	for i, ref := range a.object.Spec.TargetRefs {
		if ref.Kind == "HTTPRoute" && a.field == fmt.Sprintf("spec.targetRefs[%d]", i) {
			return "add a RequestMirror filter to the rule"
		}
	}
	return "add mirror or mirrors to the route"
}

func comparing(o *policyObject) bool {
	c := o.Spec.Compare
	return c != nil && (c.Enabled == nil || *c.Enabled)
}

// baseline is the service that the policy compares with; nil: it names none.
func (t *translator) baseline(o *policyObject) *istio.Destination {
	if !comparing(o) || o.Spec.Compare.Baseline == nil {
		return nil
	}
	switch b := o.Spec.Compare.Baseline; {
	case b.Destination != nil:
		d := &istio.Destination{Host: t.fqdn(b.Destination.Host, o.Namespace), Subset: b.Destination.Subset}
		if b.Destination.Port != nil {
			d.Port = &istio.PortSelector{Number: uint32(b.Destination.Port.Number)}
		}
		return d
	case b.BackendRef != nil:
		namespace := b.BackendRef.Namespace
		if namespace == "" {
			namespace = o.Namespace
		}
		return &istio.Destination{
			Host: strings.ToLower(b.BackendRef.Name) + "." + namespace + ".svc." + t.opt.ClusterDomain,
			Port: &istio.PortSelector{Number: uint32(b.BackendRef.Port)},
		}
	}
	return nil
}

// checkBaseline looks up the baseline of a policy.
func (t *translator) checkBaseline(o *policyObject, ports []uint32) {
	d := t.baseline(o)
	if d == nil {
		return
	}
	const field = "spec.compare.baseline"
	if o.Spec.Compare.Baseline.Destination != nil {
		t.checkDestination(o, o.Namespace, field+".destination", d, ports)
		return
	}
	switch s := t.byHost[d.Host]; {
	case s == nil:
		t.report(o.Problem(config.Error, field+".backendRef.name", "no service has the host "+d.Host, t.hostHint(d.Host)))
	case s.alias == nil && s.port(d.Port.Number) == nil:
		t.report(o.Problem(config.Error, field+".backendRef.port", fmt.Sprintf("%s has no port %d", s.host, d.Port.Number), "its ports are "+s.portList()))
	}
}
