//go:build linux

package main

import (
	"context"
	"fmt"
)

// latency compares what clients wait at the same fixed rate, half of what the
// slowest takes.
func (b *bench) latency(ctx context.Context) error {
	primary, err := b.backend(ctx, false)
	if err != nil {
		return err
	}
	defer primary.stop()
	shadow, err := b.backend(ctx, false)
	if err != nil {
		return err
	}
	defer shadow.stop()
	b.report.printf("h2load, %d connections, all proxies at one rate: half of what the slowest of them takes at that job. h2load sends on all\n"+
		"connections in the same instant, so these are the latencies of bursts. Unanswered requests count with the least that they waited.\n\n", b.conns)
	b.report.columns("job", "rate", "proxy", "p50, ms", "p99, ms", "failed", "unanswered", "Sundog's p99 ÷ it", "budget")
	for _, row := range []struct {
		name    string
		job     job
		budgets map[string]float64
	}{
		{"plain", job{primary: primary.addr}, map[string]float64{"nginx": 1.0, "envoy": 0.8}},
		{"100 % mirrored", job{primary: primary.addr, shadow: shadow.addr, percent: 100}, map[string]float64{"nginx": 1.0, "envoy": 0.8}},
	} {
		if err := b.latencyRows(ctx, row.name, row.job, row.budgets); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	b.report.printf("\n")
	return nil
}

func (b *bench) latencyRows(ctx context.Context, name string, j job, budgets map[string]float64) error {
	proxies := []proxy{b.sundogProxy(), b.nginxProxy(), b.envoyProxy()}
	all, stop, err := b.contenders(ctx, j, proxies...)
	defer stop()
	if err != nil {
		return err
	}
	rate := 0.0
	for _, c := range all {
		most, err := b.capacity(ctx, load{addr: c.addr, conns: b.conns, length: b.length})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if rate == 0 || most/2 < rate {
			rate = most / 2
		}
	}
	got, err := b.paced(ctx, all, load{rate: rate, conns: b.conns, length: b.length}, b.runs)
	if err != nil {
		return err
	}
	for _, p := range proxies {
		s := got[p.name]
		if s == nil {
			b.report.missing(9, name, count(rate)+"/s", p.name)
			continue
		}
		r, budget := "", ""
		if p.name != "sundog" {
			v := median(got["sundog"].p99) / median(s.p99)
			r, budget = ratio(v), verdict(v, budgets[p.name])
		}
		b.report.row(name, count(rate)+"/s", p.name, ms(median(s.p50)), ms(median(s.p99)),
			fmt.Sprint(s.failed), fmt.Sprint(s.unanswered), r, budget)
	}
	return nil
}

// paced runs all contenders in turn under the same load at a fixed rate, after
// a second to warm up.
func (b *bench) paced(ctx context.Context, all []contender, l load, runs int) (map[string]*series, error) {
	got := map[string]*series{}
	for i := range runs + 1 {
		turn := l
		turn.length = b.turn(i)
		for _, c := range all {
			turn.addr = c.addr
			measured, err := b.ask(ctx, turn)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			if got[c.name] == nil || i == 1 {
				got[c.name] = &series{}
			}
			got[c.name].add(measured)
		}
	}
	return got, nil
}
