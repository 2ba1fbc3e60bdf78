package telemetry

import "github.com/sundog-mesh/sundog/internal/traffic"

// Line formats one line: the primary's, or with shadow >= 0 that of a shadow.
func (f *Format) Line(dst []byte, e *traffic.Exchange, shadow int, altNames map[string]string) []byte {
	r := record{e: e, a: &e.Primary, altNames: altNames}
	if shadow >= 0 {
		r.a, r.shadow = &e.Shadows[shadow], true
	}
	return f.append(dst, &r)
}

// PrometheusName exposes prometheusName.
func PrometheusName(stat string) (name string, labels, values []string) {
	m := prometheusName(stat)
	return m.name, m.labels, m.values
}
