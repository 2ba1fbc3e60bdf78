package translate

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// An address is one endpoint of a service port.
type address struct {
	host     string // IP address, or a DNS name
	port     uint32
	labels   map[string]string
	weight   uint32 // 0: one
	locality string // "region/zone/subzone"
	priority uint32 // 0 first
	workload string // Istio's "name;namespace;canonical name;revision;cluster"
	// subset, when set, keeps the endpoint from every other subset.
	subset string
}

// workloads are the objects of the set that can be endpoints, by what they are
// looked up with.
type workloads struct {
	slices    map[string][]*config.Object[*discoveryv1.EndpointSlice] // namespace/service
	endpoints map[string]*config.Object[*corev1.Endpoints]            // namespace/service
	pods      map[string]*config.Object[*corev1.Pod]                  // namespace/pod
	podsIn    map[string][]*config.Object[*corev1.Pod]                // namespace
	entriesIn map[string][]*config.Object[*istio.WorkloadEntry]       // namespace
}

// An override is what --endpoint gives for a service.
type override struct {
	subset string // empty: all
	labels map[string]string
	port   uint32 // of the service; 0: every
	addr   netip.AddrPort
}

func (t *translator) indexEndpoints() {
	w := &workloads{
		slices:    make(map[string][]*config.Object[*discoveryv1.EndpointSlice]),
		endpoints: make(map[string]*config.Object[*corev1.Endpoints]),
		pods:      make(map[string]*config.Object[*corev1.Pod]),
		podsIn:    make(map[string][]*config.Object[*corev1.Pod]),
		entriesIn: make(map[string][]*config.Object[*istio.WorkloadEntry]),
	}
	for _, o := range t.set.EndpointSlices {
		if name := o.Labels[discoveryv1.LabelServiceName]; name != "" {
			key := o.Namespace + "/" + name
			w.slices[key] = append(w.slices[key], o)
		}
	}
	for _, o := range t.set.Endpoints {
		w.endpoints[o.Namespace+"/"+o.Name] = o
	}
	for _, o := range t.set.Pods {
		w.pods[o.Namespace+"/"+o.Name] = o
		w.podsIn[o.Namespace] = append(w.podsIn[o.Namespace], o)
	}
	for _, o := range t.set.WorkloadEntries {
		w.entriesIn[o.Namespace] = append(w.entriesIn[o.Namespace], o)
	}
	t.workloads = w
	t.indexOverrides()
}

// indexOverrides resolves what --endpoint was given, and reports what it names
// that is not there.
func (t *translator) indexOverrides() {
	t.overrides = make(map[*service][]override)
	for _, o := range t.set.Overrides {
		field := "--endpoint " + overrideName(o)
		bad := func(message, hint string) {
			t.report(config.Problem{Severity: config.Error, Field: field, Message: message, Hint: hint})
		}
		host := t.fqdn(o.Host, t.opt.Namespace)
		s := t.byHost[host]
		if s == nil {
			bad("no service has the host "+host, t.hostHint(host))
			continue
		}
		if o.Port != 0 && s.port(uint32(o.Port)) == nil {
			bad(fmt.Sprintf("%s has no port %d", host, o.Port), "its ports are "+s.portList())
			continue
		}
		v := override{subset: o.Subset, port: uint32(o.Port), addr: o.Addr}
		if o.Subset != "" {
			sub := t.rule(s).subset(o.Subset)
			if sub == nil {
				bad(fmt.Sprintf("%s has no subset %s", host, o.Subset), t.subsetHint(s))
				continue
			}
			v.labels = sub.labels
		}
		t.overrides[s] = append(t.overrides[s], v)
	}
}

func overrideName(o config.EndpointOverride) string {
	name := o.Host
	if o.Port != 0 {
		name += fmt.Sprintf(":%d", o.Port)
	}
	if o.Subset != "" {
		name += "/" + o.Subset
	}
	return name + "=" + o.Addr.String()
}

// addresses are the endpoints of a service port, each once, in a fixed order.
func (t *translator) addresses(s *service, p *servicePort) []address {
	if given, ok := t.overrides[s]; ok {
		return overridden(given, p)
	}
	var out []address
	switch {
	case s.kube != nil && s.externalName != "":
		out = []address{{host: s.externalName, port: p.number}}
	case s.kube != nil:
		out = t.kubeAddresses(s, p)
	default:
		out = t.entryAddresses(s, p)
	}
	if s.resolution == listed { // the loader reports what it has let through
		out = slices.DeleteFunc(out, func(a address) bool { return !isIP(a.host) })
	}
	return sortAddresses(out)
}

func overridden(given []override, p *servicePort) []address {
	var out []address
	for _, v := range given {
		if v.port == 0 || v.port == p.number {
			out = append(out, address{
				host: v.addr.Addr().String(), port: uint32(v.addr.Port()), labels: v.labels, subset: v.subset,
			})
		}
	}
	return out
}

// inSubset are those endpoints that a subset picks; all of them for nil. An
// override without a subset serves each subset that has no override of its own.
func inSubset(all []address, sub *subset, given []override) []address {
	if sub == nil {
		return all
	}
	if len(given) > 0 {
		own := func(a address) bool { return a.subset == sub.name }
		if slices.ContainsFunc(all, own) {
			return slices.DeleteFunc(slices.Clone(all), func(a address) bool { return !own(a) })
		}
		if free := slices.DeleteFunc(slices.Clone(all), func(a address) bool { return a.subset != "" }); len(free) > 0 {
			return free
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(a address) bool { return !selects(sub.labels, a.labels) })
}

// selects reports whether the labels hold every pair of the selector.
func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// sortAddresses orders endpoints by locality and address and drops doubles. Of
// doubles it keeps the one that has labels: a Pod is known by its own object
// and by the EndpointSlice that targets it.
func sortAddresses(in []address) []address {
	slices.SortStableFunc(in, func(a, b address) int {
		return cmp.Or(compareAddresses(a, b), cmp.Compare(len(b.labels), len(a.labels)),
			cmp.Compare(labelString(a.labels), labelString(b.labels)))
	})
	in = slices.CompactFunc(in, func(a, b address) bool { return compareAddresses(a, b) == 0 })
	slices.SortStableFunc(in, func(a, b address) int { return cmp.Compare(a.locality, b.locality) })
	return in
}

func compareAddresses(a, b address) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port))
}

func labelString(labels map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(k + "=" + labels[k] + ",")
	}
	return b.String()
}
