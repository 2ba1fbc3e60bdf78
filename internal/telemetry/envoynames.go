package telemetry

import "strings"

// metric is one of Envoy's stats as its /stats/prometheus shows it: the parts
// of the name that vary have become labels.
type metric struct {
	name           string
	labels, values []string
}

// prometheusName turns Envoy's dotted name of a stat into that of its
// Prometheus output (the default tag extraction of Envoy): the names of
// clusters, connection managers and listeners, and response codes, are labels.
func prometheusName(stat string) metric {
	kind, rest, _ := strings.Cut(stat, ".")
	label := ""
	switch kind {
	case "cluster":
		label = "envoy_cluster_name"
	case "http":
		label = "envoy_http_conn_manager_prefix"
	case "listener":
		label = "envoy_listener_address"
	}
	owner, leaf := splitOwner(rest)
	if label == "" || owner == "" {
		return metric{name: "envoy_" + sanitize(stat)}
	}
	m := metric{labels: []string{label}, values: []string{owner}}
	if kind == "listener" {
		// A connection manager's counters are also kept per listener.
		if address, prefix, ok := strings.Cut(owner, ".http."); ok {
			m.values[0] = address
			m.labels, m.values = append(m.labels, "envoy_http_conn_manager_prefix"), append(m.values, prefix)
			leaf = "http." + leaf
		}
	}
	leaf = m.responseCode(leaf)
	m.name = "envoy_" + kind + "_" + sanitize(leaf)
	return m
}

// splitOwner splits "outbound|80||a.b.upstream_rq_total" before its last part.
// Some stats have two or three parts.
func splitOwner(s string) (owner, leaf string) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", s
	}
	owner, leaf = s[:i], s[i+1:]
	for _, group := range []string{".internal", ".external", ".canary"} {
		if o, ok := strings.CutSuffix(owner, group); ok {
			return o, group[1:] + "." + leaf
		}
	}
	for _, group := range []string{".circuit_breakers.default", ".circuit_breakers.high"} {
		if o, ok := strings.CutSuffix(owner, group); ok {
			return o, group[1:] + "." + leaf
		}
	}
	return owner, leaf
}

// responseCode moves a response code, or its class, from the name to a label.
func (m *metric) responseCode(leaf string) string {
	base, code, ok := cutLast(leaf, "rq_")
	switch {
	case !ok || len(code) != 3 || code[0] < '1' || code[0] > '5':
	case code[1:] == "xx":
		m.labels, m.values = append(m.labels, "envoy_response_code_class"), append(m.values, code[:1])
		return base + "rq_xx"
	case isDigit(code[1]) && isDigit(code[2]):
		m.labels, m.values = append(m.labels, "envoy_response_code"), append(m.values, code)
		return base + "rq"
	}
	return leaf
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// sanitize makes s fit for a metric name.
func sanitize(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
}
