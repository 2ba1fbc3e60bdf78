package config

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

func checkService(r *reporter, o *Object[*corev1.Service]) {
	s := o.Spec.Spec
	switch s.Type {
	case "", corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		if len(s.Ports) == 0 && s.ClusterIP != corev1.ClusterIPNone {
			r.missing("spec", "", "a service must have at least one port")
		}
	case corev1.ServiceTypeExternalName:
		if s.ExternalName == "" {
			r.missing("spec", "", "externalName is required for a service of type ExternalName")
		} else {
			checkHost(r, "spec.externalName", s.ExternalName, false)
		}
	default:
		r.errorf("spec.type", "it takes ClusterIP, NodePort, LoadBalancer or ExternalName", "there is no service type %q", strict.Shorten(string(s.Type)))
	}
	checkLabels(r, "spec.selector", s.Selector)
	if s.ClusterIP != "" && s.ClusterIP != corev1.ClusterIPNone && !isIP(s.ClusterIP) {
		r.errorf("spec.clusterIP", "", "%q is not an IP address", strict.Shorten(s.ClusterIP))
	}
	type key struct {
		port     int32
		protocol corev1.Protocol
	}
	names, numbers := map[string]int{}, map[key]int{}
	for i, p := range s.Ports {
		path := fmt.Sprintf("spec.ports[%d]", i)
		if p.Port == 0 && r.source.At(path+".port") == r.source.At(path) {
			r.missing(path, "", "port is required")
			continue
		}
		checkPort(r, path+".port", int64(p.Port))
		checkTransport(r, path+".protocol", p.Protocol)
		checkTargetPort(r, path+".targetPort", p.TargetPort)
		k := key{p.Port, p.Protocol}
		if k.protocol == "" {
			k.protocol = corev1.ProtocolTCP
		}
		if first, ok := numbers[k]; ok {
			r.errorf(path+".port", "", "duplicate port %d: it is also in spec.ports[%d]", p.Port, first)
		} else {
			numbers[k] = i
		}
		switch {
		case p.Name == "" && len(s.Ports) > 1:
			r.missing(path, "", "name is required when a service has several ports")
		case p.Name != "":
			if len(validation.IsDNS1123Label(p.Name)) > 0 {
				r.errorf(path+".name", "", `%q is not a port name; it takes lower-case letters, digits and "-", at most 63`, strict.Shorten(p.Name))
			}
			checkUnique(r, path+".name", "port name", "spec.ports", names, p.Name, i)
		}
	}
}

func checkTransport(r *reporter, field string, p corev1.Protocol) {
	if !slices.Contains([]corev1.Protocol{"", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, p) {
		r.errorf(field, "it takes TCP, UDP or SCTP; HTTP is told by the port's name or appProtocol", "unsupported protocol %q", strict.Shorten(string(p)))
	}
}

func checkTargetPort(r *reporter, field string, p intstr.IntOrString) {
	switch {
	case p.Type == intstr.Int && p.IntVal != 0:
		checkPort(r, field, int64(p.IntVal))
	case p.Type == intstr.String && len(validation.IsValidPortName(p.StrVal)) > 0:
		hint := ""
		if allDigits.MatchString(p.StrVal) {
			hint = "remove the quotes"
		}
		r.errorf(field, hint, "%q is not the name of a container port", strict.Shorten(p.StrVal))
	}
}

func checkEndpoints(r *reporter, o *Object[*corev1.Endpoints]) { //nolint:staticcheck // deprecated by Kubernetes, still in users' files
	for i, s := range o.Spec.Subsets {
		path := fmt.Sprintf("subsets[%d]", i)
		for j, a := range s.Addresses {
			checkEndpointIP(r, fmt.Sprintf("%s.addresses[%d].ip", path, j), a.IP)
		}
		for j, a := range s.NotReadyAddresses {
			checkEndpointIP(r, fmt.Sprintf("%s.notReadyAddresses[%d].ip", path, j), a.IP)
		}
		for j, p := range s.Ports {
			checkPort(r, fmt.Sprintf("%s.ports[%d].port", path, j), int64(p.Port))
			checkTransport(r, fmt.Sprintf("%s.ports[%d].protocol", path, j), p.Protocol)
		}
	}
}

func checkEndpointIP(r *reporter, field, ip string) {
	if !isIP(ip) {
		r.missing(field, "", "%q is not an IP address", strict.Shorten(ip))
	}
}

func checkEndpointSlice(r *reporter, o *Object[*discoveryv1.EndpointSlice]) {
	s := o.Spec
	if o.Labels[discoveryv1.LabelServiceName] == "" {
		r.warnf("metadata", "add the label "+discoveryv1.LabelServiceName+" with the name of the Service", "the endpoint slice belongs to no service")
	}
	switch s.AddressType {
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN:
	case "":
		r.missing("", "write addressType: IPv4", "addressType is required")
	default:
		r.errorf("addressType", "", "%q is not one of IPv4, IPv6, FQDN", strict.Shorten(string(s.AddressType)))
	}
	for i, e := range s.Endpoints {
		path := fmt.Sprintf("endpoints[%d]", i)
		if len(e.Addresses) == 0 {
			r.missing(path, "", "an endpoint must have at least one address")
		}
		for j, a := range e.Addresses {
			field := fmt.Sprintf("%s.addresses[%d]", path, j)
			ip, err := netip.ParseAddr(a)
			switch {
			case s.AddressType == discoveryv1.AddressTypeFQDN:
				checkHost(r, field, a, false)
			case err != nil:
				r.errorf(field, "", "%q is not an IP address", strict.Shorten(a))
			case s.AddressType == discoveryv1.AddressTypeIPv4 && !ip.Is4(), s.AddressType == discoveryv1.AddressTypeIPv6 && !ip.Is6():
				r.errorf(field, "", "%s is not an %s address, which addressType says", a, s.AddressType)
			}
		}
	}
	names := map[string]int{}
	for i, p := range s.Ports {
		path := fmt.Sprintf("ports[%d]", i)
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		at := path
		if name != "" {
			at = path + ".name"
		}
		checkUnique(r, at, "port name", "ports", names, name, i)
		if p.Port != nil {
			checkPort(r, path+".port", int64(*p.Port))
		}
		if p.Protocol != nil {
			checkTransport(r, path+".protocol", *p.Protocol)
		}
	}
}

func checkPod(r *reporter, o *Object[*corev1.Pod]) {
	if ip := o.Spec.Status.PodIP; ip != "" && !isIP(ip) {
		r.errorf("status.podIP", "", "%q is not an IP address", strict.Shorten(ip))
	}
	checkContainers(r, "spec", o.Spec.Spec.Containers)
}

func checkContainers(r *reporter, path string, containers []corev1.Container) {
	for i, c := range containers {
		for j, p := range c.Ports {
			at := fmt.Sprintf("%s.containers[%d].ports[%d]", path, i, j)
			checkPort(r, at+".containerPort", int64(p.ContainerPort))
			checkTransport(r, at+".protocol", p.Protocol)
		}
	}
}

func checkDeployment(r *reporter, o *Object[*appsv1.Deployment]) {
	s := o.Spec.Spec
	if s.Selector == nil {
		r.missing("spec", "selector picks the pods of the template", "selector is required")
	} else if picks, err := metav1.LabelSelectorAsSelector(s.Selector); err != nil {
		r.errorf("spec.selector", "", "the selector is not valid: %v", err)
	} else if picks.Empty() {
		r.missing("spec.selector", "", "the selector is empty")
	} else if !picks.Matches(labels.Set(s.Template.Labels)) {
		r.missing("spec.template", "give the template the labels of spec.selector", "the selector does not match the labels of the template")
	}
	checkLabels(r, "spec.template.metadata.labels", s.Template.Labels)
	checkContainers(r, "spec.template.spec", s.Template.Spec.Containers)
}
