package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// StatusSource is what Collector reads the proxy through.
type StatusSource interface {
	Status() proxy.Status
}

// LogSource is what Collector reads the access log's counters through.
type LogSource interface {
	Stats() LogStats
}

// Collector is a prometheus.Collector over the proxy's status.
//
// Envoy's stats have Envoy's names. Ours begin with sundog_. A request that is
// in flight will leave that outcome, so it is in the gauge
// sundog_mirror_in_flight and not in sundog_mirror_outcomes_total; for each
// mirror, the two and nothing else sum to sundog_forwarded_total.
type Collector struct {
	status StatusSource
	log    LogSource
}

// NewCollector returns a collector; log may be nil.
func NewCollector(status StatusSource, log LogSource) *Collector {
	return &Collector{status: status, log: log}
}

// Describe sends nothing: which metrics there are depends on the configuration.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the status once and sends all metrics.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	st := c.status.Status()
	for _, s := range st.Stats {
		m := prometheusName(s.Name)
		kind := prometheus.CounterValue
		if s.Gauge {
			kind = prometheus.GaugeValue
		}
		desc := prometheus.NewDesc(m.name, "Envoy's stat of this name.", m.labels, nil)
		send(ch, desc, kind, float64(s.Value), m.values...)
	}
	collectLedger(ch, st.Ledger)
	collectBrakes(ch, st.Ledger)
	if c.log != nil {
		collectLog(ch, c.log.Stats())
	}
}

func collectLedger(ch chan<- prometheus.Metric, ledger mirror.Report) {
	forwarded := prometheus.NewDesc("sundog_forwarded_total",
		"Requests for which an endpoint of the primary was picked.", []string{"route"}, nil)
	share := prometheus.NewDesc("sundog_mirror_share",
		"Fraction of the requests that is copied; 0.5 is half of them.", []string{"route", "cluster"}, nil)
	inForce := prometheus.NewDesc("sundog_mirror_share_in_force",
		"Fraction of the requests that is copied now, as the control share and the brakes leave it.", []string{"route", "cluster"}, nil)
	outcomes := prometheus.NewDesc("sundog_mirror_outcomes_total",
		"Forwarded requests by what became of their copy.", []string{"route", "cluster", "outcome"}, nil)
	inFlight := prometheus.NewDesc("sundog_mirror_in_flight",
		"Forwarded requests whose copy has no outcome yet.", []string{"route", "cluster"}, nil)
	for _, r := range ledger.Routes {
		send(ch, forwarded, prometheus.CounterValue, float64(r.Forwarded), r.Route)
		for _, m := range r.Mirrors {
			send(ch, share, prometheus.GaugeValue, m.Share, r.Route, m.Cluster)
			send(ch, inForce, prometheus.GaugeValue, m.InForce, r.Route, m.Cluster)
			send(ch, inFlight, prometheus.GaugeValue, float64(m.Outcomes[traffic.InFlight.String()]), r.Route, m.Cluster)
			for o := traffic.InFlight + 1; o < traffic.NumOutcomes; o++ {
				send(ch, outcomes, prometheus.CounterValue, float64(m.Outcomes[o.String()]), r.Route, m.Cluster, o.String())
			}
		}
	}
}

func collectLog(ch chan<- prometheus.Metric, s LogStats) {
	counter := func(name, help string, v uint64) {
		send(ch, prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, float64(v))
	}
	counter("sundog_access_log_lines_total", "Access log lines taken.", s.Lines)
	counter("sundog_access_log_dropped_total", "Access log lines dropped, since too much waited to be written.", s.Dropped)
	counter("sundog_access_log_failed_total", "Writes to an access log that failed.", s.Failed)
}

// send sends one metric, or the reason why it could not be made.
func send(ch chan<- prometheus.Metric, d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, kind, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	ch <- m
}

// Handler serves the collector's metrics, and those of more, with those of the
// Go runtime and of the process, in Prometheus's formats.
func Handler(c *Collector, more ...prometheus.Collector) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(more...)
	reg.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
