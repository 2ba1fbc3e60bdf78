package telemetry

import (
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sundog-mesh/sundog/internal/report"
)

// Reporter is what Comparisons reads the judge through.
type Reporter interface {
	Report() report.Report
}

// Comparisons is a prometheus.Collector over what comparing has found. Labels
// are routes and clusters, which the configuration names, and words of ours;
// neither paths nor fields, of which traffic could make any number.
type Comparisons struct{ source Reporter }

// NewComparisons returns a collector for Handler.
func NewComparisons(source Reporter) *Comparisons { return &Comparisons{source} }

// Describe sends nothing: which metrics there are depends on the configuration.
func (c *Comparisons) Describe(chan<- *prometheus.Desc) {}

// Collect reads the report once and sends all metrics.
func (c *Comparisons) Collect(ch chan<- prometheus.Metric) {
	for _, one := range latest(c.source.Report().Comparisons) {
		collectComparison(ch, one)
	}
}

// latest keeps the younger of two comparisons of a route with a candidate, whose
// labels would be the same; the baseline was another then, say.
func latest(all []report.Comparison) []*report.Comparison {
	type key struct{ route, candidate string }
	at := map[key]int{}
	var kept []*report.Comparison
	for i := range all {
		c := &all[i]
		k := key{c.Route, c.Candidate}
		if n, ok := at[k]; !ok {
			at[k] = len(kept)
			kept = append(kept, c)
		} else if c.Since.After(kept[n].Since) {
			kept[n] = c
		}
	}
	return kept
}

// comparisonMetrics sends metrics that have the labels of one comparison.
type comparisonMetrics struct {
	ch     chan<- prometheus.Metric
	values []string
}

func (m comparisonMetrics) send(kind prometheus.ValueType, name, help string, v float64, labels ...string) {
	names, values := []string{"route", "candidate"}, slices.Clone(m.values)
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	send(m.ch, prometheus.NewDesc(name, help, names, nil), kind, v, values...)
}

func (m comparisonMetrics) count(name, help string, v uint64, labels ...string) {
	m.send(prometheus.CounterValue, name, help, float64(v), labels...)
}

func (m comparisonMetrics) gauge(name, help string, v float64, labels ...string) {
	m.send(prometheus.GaugeValue, name, help, v, labels...)
}

func collectComparison(ch chan<- prometheus.Metric, c *report.Comparison) {
	m := comparisonMetrics{ch, []string{c.Route, c.Candidate}}
	exchanges := func(n uint64, result, reason string) {
		m.count("sundog_compare_exchanges_total", "Exchanges by what became of comparing them; those that differ by noise alone are different, too.", n, "result", result, "reason", reason)
	}
	exchanges(c.Account.Equal, "equal", "")
	exchanges(c.Account.Different, "different", "")
	for _, why := range bounded(c.Account.NotComparable) {
		exchanges(why.n, "not_comparable", why.reason)
	}
	for _, why := range bounded(c.Account.Dropped) {
		exchanges(why.n, "dropped", why.reason)
	}
	m.gauge("sundog_compare_waiting", "Exchanges that wait to be compared.", float64(c.Account.Waiting))
	m.count("sundog_compare_with_baseline_total", "Compared exchanges that had a baseline's answer, too.", c.Account.WithBaseline)
	for _, r := range []struct {
		result string
		n      uint64
	}{{"stable", c.Account.Confirmed.Stable}, {"transient", c.Account.Confirmed.Transient}, {"noisy", c.Account.Confirmed.Noisy}} {
		m.count("sundog_compare_confirmations_total", "Differences that were asked about again, by what became of them.", r.n, "result", r.result)
	}
	for _, s := range []report.State{report.Equivalent, report.Different, report.Undecided} {
		m.gauge("sundog_compare_verdict", "1 for the verdict, 0 for the others.", truth(c.Verdict.State == s), "state", string(s))
	}
	m.gauge("sundog_compare_needed_exchanges", "About how many more exchanges would settle the verdict; 0 if it is settled or nobody knows.", float64(c.Verdict.Needed))
	m.gauge("sundog_compare_excess_upper_ratio", "Share of answers that differ more than the baseline's, at most.", c.Verdict.Upper)
	found := map[report.DifferenceState]int{}
	for i := range c.Differences {
		found[c.Differences[i].State]++
	}
	for _, s := range []report.DifferenceState{report.Proven, report.Suspected, report.Identity} {
		m.gauge("sundog_compare_differences", "Differences that the report lists, by how sure they are.", float64(found[s]), "state", string(s))
	}
	m.latency(c.Latency)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (m comparisonMetrics) latency(l report.Latency) {
	for _, s := range []report.LatencyState{report.LatencySame, report.LatencySlower, report.LatencyFaster, report.LatencyUndecided} {
		m.gauge("sundog_compare_latency_verdict", "1 for the verdict on latency, 0 for the others.", truth(l.Verdict == s), "state", string(s))
	}
	bounds := func(name, help string, unit float64, i report.Interval, labels ...string) {
		labels = slices.Clip(labels)
		m.gauge(name, help, i.Estimate*unit, append(labels, "bound", "value")...)
		m.gauge(name, help, i.Low*unit, append(labels, "bound", "low")...)
		if i.Bounded() {
			m.gauge(name, help, i.High*unit, append(labels, "bound", "high")...)
		}
	}
	const milliseconds = 1e-3
	for _, q := range l.Quantiles {
		quantile := strconv.FormatFloat(q.Q, 'g', -1, 64)
		latency, ratio := "sundog_compare_latency_seconds", "sundog_compare_latency_ratio"
		help := "Latency of both sides, with bounds."
		bounds(latency, help, milliseconds, q.Candidate, "side", "candidate", "quantile", quantile)
		bounds(latency, help, milliseconds, q.Reference, "side", "reference", "quantile", quantile)
		bounds(ratio, "Latency of the candidate divided by that of what it is compared with, with bounds.", 1, q.Ratio, "quantile", quantile)
	}
}

// reasonCount is how often something was so.
type reasonCount struct {
	reason string
	n      uint64
}

// mostReasons bounds the values of a label.
const mostReasons = 32

// bounded sorts by name, and adds what is beyond the most into one.
func bounded(m map[string]uint64) []reasonCount {
	var all []reasonCount
	for _, name := range slices.Sorted(maps.Keys(m)) {
		switch n := len(all); {
		case n < mostReasons:
			all = append(all, reasonCount{name, m[name]})
		case n == mostReasons:
			all = append(all, reasonCount{"other", m[name]})
		default:
			all[n-1].n += m[name]
		}
	}
	return all
}
