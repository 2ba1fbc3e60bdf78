package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"k8s.io/apimachinery/pkg/util/validation"
)

var (
	domainLabel = regexp.MustCompile(`^[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?$`)
	allDigits   = regexp.MustCompile(`^[0-9]+$`)
)

// hostProblem says why a host is not valid; "" if it is. Hosts are short names,
// domain names, IP addresses, and with wildcard also "*" and "*.example.com".
func hostProblem(host string, wildcard bool) string {
	switch {
	case host == "":
		return "the host is empty"
	case len(host) > 255:
		return "the host has more than 255 characters"
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	name := host
	if strings.HasPrefix(host, "*") {
		switch {
		case !wildcard:
			return fmt.Sprintf("%q: a wildcard is not allowed here", strict.Shorten(host))
		case host == "*":
			return ""
		case strings.HasPrefix(host, "*."):
			name = host[2:]
		default:
			name = "x" + host[1:]
		}
	}
	if strings.Contains(name, "://") {
		return fmt.Sprintf("%q is a URL; a host is the name alone", strict.Shorten(host))
	}
	if h, port, ok := strings.Cut(name, ":"); ok && h != "" && allDigits.MatchString(port) {
		return fmt.Sprintf("%q is not a host name: the port does not belong here", strict.Shorten(host))
	}
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	for _, l := range labels {
		if len(l) > 63 || !domainLabel.MatchString(l) {
			return fmt.Sprintf("%q is not a host name", strict.Shorten(host))
		}
	}
	if allDigits.MatchString(labels[len(labels)-1]) {
		return fmt.Sprintf("%q is neither a host name nor an IP address", strict.Shorten(host))
	}
	return ""
}

// isSubsetName reports whether the name of a subset is a DNS label, as it
// becomes part of cluster names and SNI.
func isSubsetName(name string) bool {
	return len(name) <= 63 && subsetName.MatchString(name)
}

var subsetName = regexp.MustCompile(`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`)

// checkHost reports a host that is not valid.
func checkHost(r *reporter, field, host string, wildcard bool) {
	if message := hostProblem(host, wildcard); message != "" {
		r.errorf(field, "", "%s", message)
	}
}

// checkLabels checks labels by the rules of Kubernetes.
func checkLabels(r *reporter, field string, labels map[string]string) {
	for key, value := range sorted(labels) {
		if len(validation.IsQualifiedName(key)) > 0 {
			r.errorf(KeyPath(field, key), "", "%q is not a label name; it takes letters, digits, \"-\", \"_\" and \".\", at most 63, after an optional domain and \"/\"", strict.Shorten(key))
		}
		if len(validation.IsValidLabelValue(value)) > 0 {
			r.errorf(KeyPath(field, key), "", "%q is not a label value; it takes letters, digits, \"-\", \"_\" and \".\", at most 63", strict.Shorten(value))
		}
	}
}

// checkPort checks the number of a port.
func checkPort(r *reporter, field string, number int64) {
	if number < 1 || number > 65535 {
		r.errorf(field, "", "port number %d must be in the range 1..65535", number)
	}
}
