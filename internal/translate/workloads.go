package translate

import (
	"net/netip"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	istio "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// kubeAddresses is the union of a Service's EndpointSlices (or, without any,
// its Endpoints) and of the Pods and WorkloadEntries that its selector picks.
func (t *translator) kubeAddresses(s *service, p *servicePort) []address {
	var out []address
	key := s.namespace + "/" + s.name
	if list := t.workloads.slices[key]; len(list) > 0 {
		for _, o := range list {
			out = append(out, t.sliceAddresses(s, p, o.Spec)...)
		}
	} else if o := t.workloads.endpoints[key]; o != nil {
		out = append(out, t.endpointsAddresses(s, p, o.Spec)...)
	}
	selector := s.kube.Spec.Spec.Selector
	if len(selector) == 0 {
		return out
	}
	notReady := s.kube.Spec.Spec.PublishNotReadyAddresses
	out = append(out, t.podAddresses(s.namespace, selector, notReady, func(pod *corev1.Pod) uint32 {
		return podPort(pod, p)
	})...)
	return append(out, t.workloadAddresses(s.namespace, selector, p, false)...)
}

func (t *translator) sliceAddresses(s *service, p *servicePort, slice *discoveryv1.EndpointSlice) []address {
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		return nil
	}
	var port uint32
	for _, sp := range slice.Ports {
		name := ""
		if sp.Name != nil {
			name = *sp.Name
		}
		if name == p.name && sp.Port != nil && *sp.Port > 0 {
			port = uint32(*sp.Port)
		}
	}
	if port == 0 {
		return nil
	}
	var out []address
	for _, e := range slice.Endpoints {
		if e.Conditions.Ready != nil && !*e.Conditions.Ready && !s.kube.Spec.Spec.PublishNotReadyAddresses {
			continue
		}
		pod := t.targetPod(e.TargetRef, s.namespace)
		for _, ip := range e.Addresses {
			a := address{host: ip, port: port}
			if e.Zone != nil && *e.Zone != "" {
				a.locality = "/" + *e.Zone
			}
			out = append(out, withPod(a, pod))
		}
	}
	return out
}

func (t *translator) endpointsAddresses(s *service, p *servicePort, e *corev1.Endpoints) []address {
	var out []address
	for _, sub := range e.Subsets {
		addrs := sub.Addresses
		if s.kube.Spec.Spec.PublishNotReadyAddresses {
			addrs = append(addrs[:len(addrs):len(addrs)], sub.NotReadyAddresses...)
		}
		for _, sp := range sub.Ports {
			if sp.Name != p.name || sp.Port <= 0 {
				continue
			}
			for _, a := range addrs {
				pod := t.targetPod(a.TargetRef, s.namespace)
				out = append(out, withPod(address{host: a.IP, port: uint32(sp.Port)}, pod))
			}
		}
	}
	return out
}

func (t *translator) targetPod(ref *corev1.ObjectReference, namespace string) *config.Object[*corev1.Pod] {
	if ref == nil || ref.Kind != "Pod" {
		return nil
	}
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	return t.workloads.pods[namespace+"/"+ref.Name]
}

// podAddresses are the pods of the namespace that the selector picks and that
// are ready; port gives 0 for a pod that lacks the port.
func (t *translator) podAddresses(namespace string, selector map[string]string, notReady bool, port func(*corev1.Pod) uint32) []address {
	var out []address
	for _, o := range t.workloads.podsIn[namespace] {
		if o.Spec.Status.PodIP == "" || !selects(selector, o.Labels) || !(notReady || ready(o.Spec)) {
			continue
		}
		if number := port(o.Spec); number != 0 {
			out = append(out, withPod(address{host: o.Spec.Status.PodIP, port: number}, o))
		}
	}
	return out
}

// ready takes a pod whose status says nothing of readiness for ready: files
// written by hand have no conditions.
func ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return true
}

// podPort is the number of the pod's port behind a service port, 0 if a named
// one is not there.
func podPort(pod *corev1.Pod, p *servicePort) uint32 {
	if p.targetName == "" {
		return p.target()
	}
	for _, c := range pod.Spec.Containers {
		for _, cp := range c.Ports {
			if cp.Name == p.targetName && cp.ContainerPort > 0 {
				return uint32(cp.ContainerPort)
			}
		}
	}
	return 0
}

// target is the numeric port behind the service port.
func (p *servicePort) target() uint32 {
	if p.targetPort != 0 {
		return p.targetPort
	}
	return p.number
}

// workloadAddresses are the WorkloadEntries of the namespace that the selector
// picks, those with a name for an address only where names are looked up.
func (t *translator) workloadAddresses(namespace string, selector map[string]string, p *servicePort, names bool) []address {
	var out []address
	for _, o := range t.workloads.entriesIn[namespace] {
		labels := o.Spec.GetLabels()
		if len(labels) == 0 {
			labels = o.Labels
		}
		if selects(selector, labels) && o.Spec.GetAddress() != "" {
			a := workloadAddress(o.Spec, labels, p, o.Name, namespace)
			if !names && !isIP(a.host) {
				t.report(o.Problem(config.Warning, "spec.address",
					a.host+" is not an IP address: the services that pick it do not look names up, so it is left out",
					"give its IP address, or use a ServiceEntry with resolution DNS"))
				continue
			}
			out = append(out, a)
		}
	}
	return out
}

// workloadAddress prefers the entry's own port of the service port's name.
func workloadAddress(e *istio.WorkloadEntry, labels map[string]string, p *servicePort, name, namespace string) address {
	port := e.GetPorts()[p.name]
	if port == 0 {
		port = p.target()
	}
	return address{
		host: e.GetAddress(), port: port, labels: labels, weight: e.GetWeight(), locality: e.GetLocality(),
		workload: workloadName(name, namespace, labels),
	}
}

// entryAddresses are the endpoints of a ServiceEntry: those that its selector
// picks, else those it lists, else, for DNS, the host itself.
func (t *translator) entryAddresses(s *service, p *servicePort) []address {
	spec := s.entry.Spec
	if sel := spec.GetWorkloadSelector().GetLabels(); len(sel) > 0 {
		out := t.podAddresses(s.namespace, sel, false, func(*corev1.Pod) uint32 { return p.target() })
		return append(out, t.workloadAddresses(s.namespace, sel, p, s.resolution != listed)...)
	}
	if s.resolution == passthrough {
		return nil
	}
	var out []address
	for _, e := range spec.GetEndpoints() {
		if strings.HasPrefix(e.GetAddress(), "unix://") {
			continue // checkEntry tells
		}
		out = append(out, workloadAddress(e, e.GetLabels(), p, s.name, s.namespace))
	}
	if len(spec.GetEndpoints()) == 0 && s.resolution != listed && !wildcard(s.host) {
		out = []address{{host: s.host, port: p.target()}}
	}
	return out
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func withPod(a address, pod *config.Object[*corev1.Pod]) address {
	if pod == nil {
		return a
	}
	a.labels = pod.Labels
	if a.locality == "" {
		a.locality = strings.ReplaceAll(pod.Labels["istio-locality"], ".", "/")
	}
	name := pod.Name
	if prefix := pod.Spec.GenerateName; prefix != "" {
		name = strings.TrimSuffix(prefix, "-")
		if hash := pod.Labels["pod-template-hash"]; hash != "" { // of a Deployment's ReplicaSet
			name = strings.TrimSuffix(name, "-"+hash)
		}
	}
	a.workload = workloadName(name, pod.Namespace, pod.Labels)
	return a
}

// workloadName is how Istio names an endpoint's workload in its metadata.
func workloadName(name, namespace string, labels map[string]string) string {
	pick := func(keys []string, otherwise string) string {
		for _, k := range keys {
			if v := labels[k]; v != "" {
				return v
			}
		}
		return otherwise
	}
	canonical := pick([]string{"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}, name)
	revision := pick([]string{"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}, "latest")
	return strings.Join([]string{name, namespace, canonical, revision, "Kubernetes"}, ";")
}
