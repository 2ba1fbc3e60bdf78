//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
)

// latencyRow is a job for all proxies that can do it, and its load.
type latencyRow struct {
	name string
	job  job
	load load
}

// latency compares what clients wait at the same fixed rate, half of what
// the slowest of those that can mirror takes.
func (b *bench) latency(ctx context.Context) (err error) {
	back, err := apart()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back()) }()
	b.report.printf("h2load, the proxy on a core of its own, all proxies at one rate: half of what the slowest of those that can mirror takes at that job. h2load sends on all\n"+
		"connections in the same instant, so these are the latencies of bursts. Unanswered requests count with the least that they waited.\n"+
		"HTTP/1.1 has %d connections, HTTP/2 has 8 with up to 32 streams.\n\n", b.conns)
	b.report.columns("job", "rate", "proxy", "p50, ms", "p99, ms", "failed", "unanswered", "Sundog's p99 ÷ it", "budget")
	err = b.withBackends(ctx, func(small, large, shadow string) error {
		one, h2 := load{conns: b.conns}, load{conns: 8, streams: 32}
		plain := job{primary: small}
		secure := job{wire: wire{key: keyECDSA}, primary: small}
		framed := job{wire: wire{h2: true}, primary: small}
		return b.latencyTable(ctx,
			latencyRow{"plain", plain, one},
			latencyRow{"64 KiB answers", job{primary: large}, one},
			latencyRow{"10 % mirrored", plain.mirroredTo(shadow, 10), one},
			latencyRow{"100 % mirrored", plain.mirroredTo(shadow, 100), one},
			latencyRow{"TLS", secure, one},
			latencyRow{"TLS, 100 % mirrored", secure.mirroredTo(shadow, 100), one},
			latencyRow{"HTTP/2", framed, h2},
			latencyRow{"HTTP/2, 100 % mirrored", framed.mirroredTo(shadow, 100), h2},
		)
	})
	if err != nil {
		return err
	}
	l, err := b.grpcLoad(8, 32)
	if err != nil {
		return err
	}
	return b.withGRPC(ctx, func(primary, shadow string) error {
		plain := job{wire: l.wire, primary: primary}
		return b.latencyTable(ctx, latencyRow{"gRPC", plain, l}, latencyRow{"gRPC, 100 % mirrored", plain.mirroredTo(shadow, 100), l})
	})
}

// latencyTable measures rows. What fails is told in its row; ctx's end is an
// error.
func (b *bench) latencyTable(ctx context.Context, rows ...latencyRow) error {
	for _, row := range rows {
		rate, got := b.atEqualRate(ctx, row)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.latencyCells(row, count(rate)+"/s", got)
	}
	return nil
}

// atEqualRate measures the proxies that are there.
func (b *bench) atEqualRate(ctx context.Context, row latencyRow) (rate float64, got map[string]*series) {
	all, stop := b.contenders(ctx, row.job, b.all()...)
	defer stop()
	l := row.load
	l.wire, l.length = row.job.wire, b.length
	var able []contender
	for _, c := range all {
		l.addr = c.addr
		if err := c.alone(); err != nil {
			b.report.failure("%s: %v", c.name, err)
			continue
		}
		most, err := capacity(ctx, b.ask, l)
		if err != nil {
			b.report.failure("%s: %v", c.name, err)
			continue
		}
		able = append(able, c)
		if c.mirrors && (rate == 0 || most/2 < rate) {
			rate = most / 2
		}
	}
	l.rate = rate
	return rate, b.paced(ctx, able, b.ask, l, b.runs)
}

func (b *bench) latencyCells(row latencyRow, rate string, got map[string]*series) {
	most := budgets{"nginx": 1.0, "envoy": 0.8}
	for _, p := range b.all() {
		if !p.can(row.job) {
			continue
		}
		s := got[p.name]
		if s == nil {
			b.report.missing(9, p, row.name, rate, p.name)
			continue
		}
		against, budget := "", ""
		if own := got["sundog"]; own != nil && p.name != "sundog" {
			r := median(own.p99) / median(s.p99)
			against, budget = ratio(r), verdict(r, most[p.name])
		}
		b.report.row(row.name, rate, p.name, ms(median(s.p50)), ms(median(s.p99)),
			fmt.Sprint(s.failed), fmt.Sprint(s.unanswered), against, budget)
	}
}
