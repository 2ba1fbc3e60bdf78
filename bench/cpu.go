//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// contender is a proxy under measurement, running.
type contender struct {
	name string
	*process
}

// contenders starts the proxies that are there, all with the same job. stop
// ends them, also after an error.
func (b *bench) contenders(ctx context.Context, j job, proxies ...proxy) (all []contender, stop func(), err error) {
	stop = func() {
		for _, c := range all {
			c.stop()
		}
	}
	for _, p := range proxies {
		if p.missing || j.shadow != "" && !p.mirrors {
			continue
		}
		started, err := p.start(ctx, j)
		if err != nil {
			return all, stop, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, contender{p.name, started})
	}
	return all, stop, nil
}

// figures are medians of runs at saturation.
type figures struct {
	cpu       float64 // microseconds per request
	perSecond float64
	rss       float64 // bytes, after the last run
}

// saturated runs all contenders in turn, as fast as they can.
func (b *bench) saturated(ctx context.Context, all []contender) (map[string]figures, error) {
	cpu, rate := map[string][]float64{}, map[string][]float64{}
	for i := range b.runs + 1 { // the first warms up, for a second
		for _, c := range all {
			us, perSecond, err := b.cpuOf(ctx, c, b.turn(i))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if i > 0 {
				cpu[c.name] = append(cpu[c.name], us)
				rate[c.name] = append(rate[c.name], perSecond)
			}
		}
	}
	medians := map[string]figures{}
	for _, c := range all {
		medians[c.name] = figures{median(cpu[c.name]), median(rate[c.name]), c.rss()}
	}
	return medians, nil
}

// turn is the length of the i-th run; the first only warms up.
func (b *bench) turn(i int) time.Duration {
	if i == 0 {
		return time.Second
	}
	return b.length
}

// cpuOf is one run of a contender as fast as it can.
func (b *bench) cpuOf(ctx context.Context, c contender, length time.Duration, more ...string) (micros, perSecond float64, err error) {
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	got, err := b.saturate(ctx, c.addr, length, more...)
	if err != nil {
		return 0, 0, err
	}
	after, err := c.cpu()
	return float64((after - before).Microseconds()) / max(got.requests, 1), got.perSecond, err
}

// cpu compares the CPU per request of Sundog and its peers.
func (b *bench) cpu(ctx context.Context) error {
	backends := map[bool]*process{}
	for _, large := range []bool{false, true} {
		backend, err := b.backend(ctx, large)
		if err != nil {
			return err
		}
		defer backend.stop()
		backends[large] = backend
	}
	shadow, err := b.backend(ctx, false)
	if err != nil {
		return err
	}
	defer shadow.stop()
	b.report.printf("HTTP/1.1 without TLS, %d keep-alive connections, wrk, at saturation.\n\n", b.conns)
	b.report.columns("job", "proxy", "CPU, µs per request", "requests/s", "RSS, MiB", "Sundog ÷ it", "budget")
	plain := job{primary: backends[false].addr}
	large := job{primary: backends[true].addr}
	mirrored := func(percent int) job { return job{primary: plain.primary, shadow: shadow.addr, percent: percent} }
	for _, row := range []struct {
		name    string
		job     job
		budgets map[string]float64 // CPU against a peer
	}{
		{"plain, small answers", plain, map[string]float64{"nginx": 1.0, "envoy": 0.5}},
		{"plain, 64 KiB answers", large, map[string]float64{"nginx": 1.0, "envoy": 0.5}},
		{"10 % mirrored", mirrored(10), nil},
		{"100 % mirrored", mirrored(100), map[string]float64{"nginx": 0.40, "envoy": 0.45}},
	} {
		if err := b.cpuRows(ctx, row.name, row.job, row.budgets); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	b.report.printf("\nHAProxy and Caddy have no mirror of their own. nginx draws 10 %% with split_clients and error_page, since mirror takes no variable.\n\n")
	return nil
}

func (b *bench) cpuRows(ctx context.Context, name string, j job, budgets map[string]float64) error {
	proxies := []proxy{b.sundogProxy(), b.nginxProxy(), b.envoyProxy(), b.haproxyProxy(), b.caddyProxy()}
	all, stop, err := b.contenders(ctx, j, proxies...)
	defer stop()
	if err != nil {
		return err
	}
	got, err := b.saturated(ctx, all)
	if err != nil {
		return err
	}
	for _, p := range proxies {
		f, ran := got[p.name]
		switch {
		case !ran && j.shadow != "" && !p.mirrors:
		case !ran:
			b.report.missing(7, name, p.name)
		case p.name == "sundog":
			b.report.row(name, p.name, micros(f.cpu), count(f.perSecond), mib(f.rss), "", "")
		default:
			r := got["sundog"].cpu / f.cpu
			b.report.row(name, p.name, micros(f.cpu), count(f.perSecond), mib(f.rss), ratio(r), verdict(r, budgets[p.name]))
		}
	}
	return nil
}
