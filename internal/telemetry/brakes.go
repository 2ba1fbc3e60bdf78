package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sundog-mesh/sundog/internal/mirror"
)

// collectBrakes sends what the brakes do and have measured. All mirrors of a
// route have one brake.
func collectBrakes(ch chan<- prometheus.Metric, ledger mirror.Report) {
	factor := prometheus.NewDesc("sundog_mirror_process_factor",
		"Part of every mirror's share that the brake of the process leaves; 1 is released.", nil, nil)
	dropped := prometheus.NewDesc("sundog_mirror_unmeasured_total",
		"Requests whose latency was not measured, since more came in a second than an event loop notes.", nil, nil)
	left := 1.0
	if ledger.Process != nil {
		left = ledger.Process.Factor
	}
	send(ch, factor, prometheus.GaugeValue, left)
	send(ch, dropped, prometheus.CounterValue, float64(ledger.DroppedNotes))
	for _, r := range ledger.Routes {
		for _, m := range r.Mirrors {
			if m.Brake != nil {
				collectBrake(ch, r.Route, m.Brake)
				break
			}
		}
	}
}

func collectBrake(ch chan<- prometheus.Metric, route string, b *mirror.BrakeReport) {
	steps := prometheus.NewDesc("sundog_mirror_brake_steps_total",
		"Steps down that the brake of the route has taken.", []string{"route"}, nil)
	latency := prometheus.NewDesc("sundog_mirror_latency_seconds",
		"Latency of mirrored and of unmirrored requests at the last look, with bounds.", []string{"route", "mirrored", "quantile", "bound"}, nil)
	ratio := prometheus.NewDesc("sundog_mirror_latency_ratio",
		"Latency of mirrored requests divided by that of unmirrored ones at the last look, with bounds.", []string{"route", "quantile", "bound"}, nil)
	send(ch, steps, prometheus.CounterValue, float64(b.StepsDown), route)
	bounds := func(d *prometheus.Desc, unit, value, low, high float64, labels ...string) {
		labels = labels[:len(labels):len(labels)]
		send(ch, d, prometheus.GaugeValue, value*unit, append(labels, "value")...)
		send(ch, d, prometheus.GaugeValue, low*unit, append(labels, "low")...)
		if high > 0 { // else there is too little data for one
			send(ch, d, prometheus.GaugeValue, high*unit, append(labels, "high")...)
		}
	}
	const milliseconds = 1e-3
	for mirrored, l := range map[string]*mirror.LatencyReport{"true": b.Mirrored, "false": b.Control} {
		if l != nil {
			bounds(latency, milliseconds, l.P50.Value, l.P50.Low, l.P50.High, route, mirrored, "0.5")
			bounds(latency, milliseconds, l.P99.Value, l.P99.Low, l.P99.High, route, mirrored, "0.99")
		}
	}
	for quantile, r := range map[string]*mirror.RatioReport{"0.5": b.RatioP50, "0.99": b.RatioP99} {
		if r != nil {
			bounds(ratio, 1, r.Value, r.Low, r.High, route, quantile)
		}
	}
}
