package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	istio "istio.io/api/networking/v1alpha3"
)

func checkServiceEntry(r *reporter, o *Object[*istio.ServiceEntry]) {
	s := o.Spec
	if len(s.Hosts) == 0 {
		r.missing("spec", "", "a service entry must have at least one host")
	}
	seen := map[string]int{}
	for i, host := range s.Hosts {
		field := fmt.Sprintf("spec.hosts[%d]", i)
		if host == "*" {
			r.errorf(field, "name the host", "a service entry cannot have the wildcard host *")
			continue
		}
		checkHost(r, field, host, true)
		checkUnique(r, field, "host", "spec.hosts", seen, strings.ToLower(host), i)
	}
	for i, a := range s.Addresses {
		checkAddress(r, fmt.Sprintf("spec.addresses[%d]", i), a, s.Resolution)
	}
	checkServicePorts(r, s)
	checkExportTo(r, s.ExportTo)
	if s.WorkloadSelector != nil {
		if len(s.Endpoints) > 0 {
			r.errorf("spec.workloadSelector", "keep one of the two", "only one of workloadSelector and endpoints can be set")
		}
		checkLabels(r, "spec.workloadSelector.labels", s.WorkloadSelector.Labels)
	}
	ports := map[string]bool{}
	for _, p := range s.Ports {
		ports[p.Name] = true
	}
	for i, e := range s.Endpoints {
		path := fmt.Sprintf("spec.endpoints[%d]", i)
		for name := range sorted(e.Ports) {
			if !ports[name] {
				r.errorf(KeyPath(path+".ports", name), "use the name of a port in spec.ports", "the service entry has no port %q", strict.Shorten(name))
			}
		}
		checkWorkload(r, path, e, s.Resolution)
	}
	checkResolution(r, s)
}

func checkAddress(r *reporter, field, address string, resolution istio.ServiceEntry_Resolution) {
	if strings.Contains(address, "/") {
		if _, err := netip.ParsePrefix(address); err != nil {
			r.errorf(field, "", "%q is not an IP address or a range of them", strict.Shorten(address))
		} else if resolution != istio.ServiceEntry_NONE && resolution != istio.ServiceEntry_STATIC {
			r.errorf(field, "", "ranges of addresses (CIDR) are allowed for resolution NONE and STATIC only")
		}
		return
	}
	if _, err := netip.ParseAddr(address); err != nil {
		r.errorf(field, "", "%q is not an IP address or a range of them", strict.Shorten(address))
	}
}

func checkServicePorts(r *reporter, s *istio.ServiceEntry) {
	if len(s.Ports) == 0 {
		r.missing("spec", "", "a service entry must have at least one port")
	}
	names, numbers := map[string]int{}, map[uint32]int{}
	for i, p := range s.Ports {
		path := fmt.Sprintf("spec.ports[%d]", i)
		if p.Number == 0 && r.source.At(path+".number") == r.source.At(path) {
			r.missing(path, "", "number is required")
		} else {
			checkPort(r, path+".number", int64(p.Number))
			checkUnique(r, path+".number", "port number", "spec.ports", numbers, p.Number, i)
		}
		if p.Name == "" {
			r.missing(path, "", "name is required")
		} else {
			checkUnique(r, path+".name", "port name", "spec.ports", names, p.Name, i)
		}
		checkProtocol(r, path, p.Protocol, false)
		if p.TargetPort != 0 {
			checkPort(r, path+".targetPort", int64(p.TargetPort))
		}
	}
}

// checkResolution checks what each resolution asks of the endpoints.
func checkResolution(r *reporter, s *istio.ServiceEntry) {
	switch s.Resolution {
	case istio.ServiceEntry_NONE:
		if len(s.Endpoints) > 0 {
			r.errorf("spec.endpoints", "write resolution: STATIC for IP addresses, or DNS for names", "resolution NONE cannot have endpoints")
		}
	case istio.ServiceEntry_STATIC:
		if len(s.Endpoints) == 0 && s.WorkloadSelector == nil {
			r.warnf("spec", "add endpoints with IP addresses, or a workloadSelector", "resolution STATIC without endpoints: requests to it fail")
		}
	case istio.ServiceEntry_DNS, istio.ServiceEntry_DNS_ROUND_ROBIN:
		if len(s.Endpoints) == 0 {
			for i, host := range s.Hosts {
				if strings.HasPrefix(host, "*") && host != "*" {
					r.errorf(fmt.Sprintf("spec.hosts[%d]", i), "add endpoints, or write the host out", "a wildcard host cannot be looked up: resolution %s needs a full name", s.Resolution)
				}
			}
		}
		if s.Resolution == istio.ServiceEntry_DNS_ROUND_ROBIN && len(s.Endpoints) > 1 {
			r.errorf("spec.endpoints", "use resolution DNS", "resolution DNS_ROUND_ROBIN takes at most one endpoint")
		}
	case istio.ServiceEntry_DYNAMIC_DNS:
		if len(s.Addresses) > 0 || len(s.Endpoints) > 0 {
			r.errorf("spec.resolution", "", "resolution DYNAMIC_DNS cannot have addresses or endpoints")
		}
		for i, host := range s.Hosts {
			if !strings.HasPrefix(host, "*") {
				r.errorf(fmt.Sprintf("spec.hosts[%d]", i), "use resolution DNS", "resolution DYNAMIC_DNS is for wildcard hosts only")
			}
		}
	}
}

// checkWorkload checks one endpoint of a service entry.
func checkWorkload(r *reporter, path string, e *istio.WorkloadEntry, resolution istio.ServiceEntry_Resolution) {
	field := path + ".address"
	switch {
	case e.Address == "" && e.Network == "":
		r.missing(path, "", "address is required")
	case e.Address == "":
	case strings.HasPrefix(e.Address, "unix://"):
		checkSocket(r, path, e)
	case !isIP(e.Address):
		switch {
		case resolution == istio.ServiceEntry_STATIC && looksLikeIP(e.Address):
			r.errorf(field, "replace it by the real address, for another cluster that of its ingress gateway, like 203.0.113.7", "%q is not an IP address", strict.Shorten(e.Address))
		case resolution == istio.ServiceEntry_STATIC:
			r.errorf(field, "write an IP address, or set resolution: DNS", "%q is not an IP address, and resolution STATIC takes nothing else", strict.Shorten(e.Address))
		default:
			checkHost(r, field, e.Address, false)
		}
	}
	for name, port := range sorted(e.Ports) {
		at := KeyPath(path+".ports", name)
		checkPort(r, at, int64(port))
		if !isSubsetName(name) {
			r.errorf(at, "", "%q is not the name of a port", strict.Shorten(name))
		}
	}
	checkLabels(r, path+".labels", e.Labels)
}

func checkSocket(r *reporter, path string, e *istio.WorkloadEntry) {
	socket := strings.TrimPrefix(e.Address, "unix://")
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") || strings.HasSuffix(socket, "/") {
		r.errorf(path+".address", "", "%q is not a socket: write an absolute path or an abstract name (@name)", strict.Shorten(e.Address))
	}
	if len(e.Ports) > 0 {
		r.errorf(path+".ports", "", "a Unix socket has no ports")
	}
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// looksLikeIP reports whether somebody blotted out parts of an address, as
// articles do: 47.95.xx.xx.
func looksLikeIP(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) == 4 && allDigits.MatchString(parts[0])
}

func checkWorkloadEntry(r *reporter, o *Object[*istio.WorkloadEntry]) {
	e := o.Spec
	resolution := istio.ServiceEntry_DNS
	if looksLikeIP(e.Address) {
		resolution = istio.ServiceEntry_STATIC
	}
	checkWorkload(r, "spec", e, resolution)
}
