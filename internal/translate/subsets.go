package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
)

type ruleObject = config.Object[*istio.DestinationRule]

// hostRules are the DestinationRules of one host, by their namespace.
type hostRules map[string]*rule

// A rule is what the DestinationRules of one namespace say about one host.
type rule struct {
	objects []*ruleObject
	policy  *istio.TrafficPolicy // nil: none
	source  *ruleObject          // that policy was written in
	subsets []*subset
}

// A subset names those endpoints of a host that carry its labels.
type subset struct {
	name   string
	labels map[string]string
	policy *istio.TrafficPolicy
	object *ruleObject
	field  string // "spec.subsets[0]"
}

func (r *rule) subset(name string) *subset {
	if r == nil {
		return nil
	}
	for _, s := range r.subsets {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (r *rule) subsetList() string {
	var names []string
	for _, s := range r.subsets {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// indexRules fills rules. Several rules for a host in one namespace are merged
// as Istio does it: the first traffic policy counts, the subsets add up.
func (t *translator) indexRules() {
	t.rules = make(map[string]hostRules)
	t.ruleCache = make(map[*service]*rule)
	for _, o := range t.set.DestinationRules {
		if !t.visible(o.Spec.GetExportTo(), o.Namespace) {
			continue
		}
		host := t.fqdn(o.Spec.GetHost(), o.Namespace)
		byNamespace := t.rules[host]
		if byNamespace == nil {
			byNamespace = hostRules{}
			t.rules[host] = byNamespace
			if wildcard(host) {
				t.wildRules = append(t.wildRules, host)
			}
		}
		r := byNamespace[o.Namespace]
		if r == nil {
			r = &rule{}
			byNamespace[o.Namespace] = r
		}
		t.mergeRule(r, o)
		t.checkRuleHost(o, host)
	}
	slices.SortFunc(t.wildRules, compareHosts)
}

func (t *translator) mergeRule(r *rule, o *ruleObject) {
	if len(r.objects) > 0 && o.Spec.GetTrafficPolicy() != nil && r.policy != nil {
		t.report(o.Problem(config.Warning, "spec.trafficPolicy",
			fmt.Sprintf("%s has a traffic policy for the same host; this one is not used", r.objects[0]),
			"keep the policies of a host in one DestinationRule"))
	}
	r.objects = append(r.objects, o)
	if r.policy == nil {
		r.policy, r.source = o.Spec.GetTrafficPolicy(), o
	}
	for i, s := range o.Spec.GetSubsets() {
		field := fmt.Sprintf("spec.subsets[%d]", i)
		if first := r.subset(s.GetName()); first != nil {
			if first.object != o { // within one object the loader reports it
				t.report(o.Problem(config.Warning, field+".name",
					fmt.Sprintf("%s has a subset %s for the same host; this one is not used", first.object, s.GetName()),
					"rename one of the two"))
			}
			continue
		}
		r.subsets = append(r.subsets, &subset{
			name: s.GetName(), labels: s.GetLabels(), policy: s.GetTrafficPolicy(), object: o, field: field,
		})
	}
}

// checkRuleHost warns of a rule for a host that nobody has.
func (t *translator) checkRuleHost(o *ruleObject, host string) {
	if !t.covered(host) {
		t.report(o.Problem(config.Warning, "spec.host", "no service has the host "+host+"; the rule has no effect", t.hostHint(host)))
	}
}

// covered reports whether a service has the host, or one that the wildcard
// stands for.
func (t *translator) covered(host string) bool {
	if !wildcard(host) {
		return t.byHost[host] != nil
	}
	return slices.ContainsFunc(t.services, func(s *service) bool { return covers(host, s.host) })
}

// rule is the one that applies to the service: of the proxy's namespace, else
// of the service's own, else of the root namespace; the exact host before
// wildcards. Nil when there is none.
func (t *translator) rule(s *service) *rule {
	r, ok := t.ruleCache[s]
	if !ok {
		r = t.findRule(s)
		t.ruleCache[s] = r
	}
	return r
}

func (t *translator) findRule(s *service) *rule {
	for _, namespace := range []string{t.opt.Namespace, s.namespace, t.rootNamespace()} {
		if r := t.rules[s.host]; r != nil && r[namespace] != nil {
			return r[namespace]
		}
		for _, wild := range t.wildRules {
			if covers(wild, s.host) && t.rules[wild][namespace] != nil {
				return t.rules[wild][namespace]
			}
		}
	}
	return nil
}

func (t *translator) rootNamespace() string {
	if root := t.mesh.GetRootNamespace(); root != "" {
		return root
	}
	return "istio-system"
}

// checkRules warns of rules that another rule, or their namespace, keeps from
// being used. It comes after the clusters, which have looked up every rule.
func (t *translator) checkRules() {
	used := make(map[*rule]bool)
	for _, r := range t.ruleCache {
		used[r] = true
	}
	for host, byNamespace := range t.rules {
		for _, r := range byNamespace {
			if used[r] || !t.covered(host) {
				continue
			}
			for _, o := range r.objects {
				t.report(o.Problem(config.Warning, "spec.host",
					"the rule has no effect: another rule is used for "+host,
					fmt.Sprintf("rules of the namespace %s come first, then those of the service's own namespace, then those of %s",
						t.opt.Namespace, t.rootNamespace())))
			}
		}
	}
}

// settings are what the policies say of one port.
type settings struct {
	balancer *istio.LoadBalancerSettings
	pool     *istio.ConnectionPoolSettings
	outliers *istio.OutlierDetection
	tls      *istio.ClientTLSSettings
	budget   *istio.TrafficPolicy_RetryBudget

	tlsObject *ruleObject // that tls was written in
	tlsField  string      // "spec.trafficPolicy.tls"
}

// settings of one port of a service or of one of its subsets. A later and
// narrower policy wins, and settings for a port stand in for all of the policy
// that has them.
func (r *rule) settings(port uint32, sub *subset) settings {
	var out settings
	if r == nil {
		return out
	}
	out.apply(r.policy, port, r.source, "spec.trafficPolicy")
	if sub != nil {
		out.apply(sub.policy, port, sub.object, sub.field+".trafficPolicy")
	}
	return out
}

func (s *settings) apply(p *istio.TrafficPolicy, port uint32, o *ruleObject, field string) {
	if p.GetLoadBalancer() != nil {
		s.balancer = p.GetLoadBalancer()
	}
	if p.GetConnectionPool() != nil {
		s.pool = p.GetConnectionPool()
	}
	if p.GetOutlierDetection() != nil {
		s.outliers = p.GetOutlierDetection()
	}
	if p.GetTls() != nil {
		s.tls, s.tlsObject, s.tlsField = p.GetTls(), o, field+".tls"
	}
	if p.GetRetryBudget() != nil {
		s.budget = p.GetRetryBudget()
	}
	for i, level := range p.GetPortLevelSettings() {
		if level.GetPort().GetNumber() == port {
			s.balancer, s.pool, s.outliers = level.GetLoadBalancer(), level.GetConnectionPool(), level.GetOutlierDetection()
			s.tls, s.tlsObject, s.tlsField = level.GetTls(), o, fmt.Sprintf("%s.portLevelSettings[%d].tls", field, i)
		}
	}
}
