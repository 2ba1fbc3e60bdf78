//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// figures are medians of runs at saturation.
type figures struct {
	cpu       float64 // microseconds per request
	perSecond float64
	rss       float64 // bytes, after the last run
}

// saturated runs all contenders in turn, as fast as they can. One that fails is
// told, and left out from then on.
func (b *bench) saturated(ctx context.Context, all []contender, l load) map[string]figures {
	cpu, rate := map[string][]float64{}, map[string][]float64{}
	broken := map[string]bool{}
	for i := range b.runs + 1 {
		turn := l
		if i == 0 {
			turn.length = time.Second // the first warms up
		}
		for _, c := range all {
			if broken[c.name] || ctx.Err() != nil {
				continue
			}
			us, perSecond, err := b.cpuOf(ctx, c, turn)
			if err != nil {
				b.report.failure("%s: %v", c.name, err)
				broken[c.name] = true
			}
			if i > 0 {
				cpu[c.name] = append(cpu[c.name], us)
				rate[c.name] = append(rate[c.name], perSecond)
			}
		}
	}
	medians := map[string]figures{}
	for _, c := range all {
		if !broken[c.name] && len(cpu[c.name]) > 0 {
			medians[c.name] = figures{median(cpu[c.name]), median(rate[c.name]), c.rss()}
		}
	}
	return medians
}

// cpuOf is one run of a contender as fast as it can.
func (b *bench) cpuOf(ctx context.Context, c contender, l load) (micros, perSecond float64, err error) {
	l.addr = c.addr
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	got, err := b.saturate(ctx, l)
	if err != nil {
		return 0, 0, err
	}
	after, err := c.cpu()
	return float64((after - before).Microseconds()) / max(got.requests, 1), got.perSecond, err
}

// budgets are the most that Sundog may have of what a peer has, by its name.
type budgets map[string]float64

// cpuRow is a job for all proxies, and its load.
type cpuRow struct {
	name string
	job  job
	load load
	most budgets // of CPU
}

// cpuTable measures rows at saturation. ctx's end is the only error: what
// fails is told in its row.
func (b *bench) cpuTable(ctx context.Context, rows []cpuRow) error {
	b.report.columns("job", "proxy", "CPU, µs per request", "requests/s", "RSS, MiB", "Sundog ÷ it", "budget")
	for _, row := range rows {
		if err := b.cpuRow(ctx, row); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	return nil
}

func (b *bench) cpuRow(ctx context.Context, row cpuRow) error {
	proxies := b.all()
	all, stop := b.contenders(ctx, row.job, proxies...)
	defer stop()
	row.load.wire, row.load.length = row.job.wire, b.length
	got := b.saturated(ctx, all, row.load)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, p := range proxies {
		if !p.can(row.job) {
			continue
		}
		f, ran := got[p.name]
		if !ran {
			b.report.missing(7, p, row.name, p.name)
			continue
		}
		against, budget := "", ""
		if own, ran := got["sundog"]; ran && p.name != "sundog" {
			against, budget = ratio(own.cpu/f.cpu), verdict(own.cpu/f.cpu, row.most[p.name])
		}
		b.report.row(row.name, p.name, micros(f.cpu), count(f.perSecond), mib(f.rss), against, budget)
	}
	return nil
}

// cpu compares the CPU per request of Sundog and its peers over HTTP/1.1.
func (b *bench) cpu(ctx context.Context) error {
	b.report.printf("HTTP/1.1 without TLS, %d keep-alive connections, wrk, at saturation.\n\n", b.conns)
	err := b.withBackends(ctx, func(small, large, shadow string) error {
		plain := job{primary: small}
		l := load{conns: b.conns}
		return b.cpuTable(ctx, []cpuRow{
			{"plain, small answers", plain, l, budgets{"nginx": 1.0, "envoy": 0.5}},
			{"plain, 64 KiB answers", job{primary: large}, l, budgets{"nginx": 1.0, "envoy": 0.5}},
			{"10 % mirrored", plain.mirroredTo(shadow, 10), l, nil},
			{"100 % mirrored", plain.mirroredTo(shadow, 100), l, budgets{"nginx": 0.40, "envoy": 0.45}},
		})
	})
	b.report.printf("\nHAProxy and Caddy have no mirror of their own. nginx draws 10 %% with split_clients and error_page, since mirror takes no variable.\n")
	return err
}

// cpuTLS is cpu with TLS from the client, and without it to the upstreams.
func (b *bench) cpuTLS(ctx context.Context) error {
	b.report.printf("HTTP/1.1 over TLS from the client (1.3, %s), none to the upstreams, %d keep-alive connections, wrk, at saturation.\n\n", keyECDSA, b.conns)
	return b.withBackends(ctx, func(small, large, shadow string) error {
		plain := job{wire: wire{key: keyECDSA}, primary: small}
		l := load{conns: b.conns}
		most := budgets{"nginx": 0.85, "envoy": 0.6}
		return b.cpuTable(ctx, []cpuRow{
			{"plain, small answers", plain, l, most},
			{"plain, 64 KiB answers", job{wire: plain.wire, primary: large}, l, most},
			{"10 % mirrored", plain.mirroredTo(shadow, 10), l, most},
			{"100 % mirrored", plain.mirroredTo(shadow, 100), l, most},
		})
	})
}

// cpuH2 is cpu with HTTP/2 from the client, and HTTP/1.1 to the upstreams.
func (b *bench) cpuH2(ctx context.Context) error {
	b.report.printf("HTTP/2 from the client, HTTP/1.1 to the upstreams, h2load, at saturation; connections × streams.\n\n")
	return b.withBackends(ctx, func(small, _, shadow string) error {
		plain := job{wire: wire{h2: true}, primary: small}
		secure := job{wire: wire{h2: true, key: keyECDSA}, primary: small}
		deep, wide := load{conns: 8, streams: 32}, load{conns: 32, streams: 1}
		mostDeep, mostWide := budgets{"nginx": 0.55, "envoy": 0.5}, budgets{"nginx": 0.8, "envoy": 0.5}
		return b.cpuTable(ctx, []cpuRow{
			{"8 × 32, prior knowledge", plain, deep, mostDeep},
			{"32 × 1, prior knowledge", plain, wide, mostWide},
			{"8 × 32, TLS", secure, deep, mostDeep},
			{"32 × 1, TLS", secure, wide, mostWide},
			{"8 × 32, 100 % mirrored", plain.mirroredTo(shadow, 100), deep, mostDeep},
		})
	})
}

// cpuGRPC is cpu with unary gRPC calls.
func (b *bench) cpuGRPC(ctx context.Context) error {
	b.report.printf("Unary gRPC calls of 32 bytes, answered with 32 bytes and trailers, HTTP/2 without TLS on both sides, h2load, at saturation;\n" +
		"connections × streams. nginx has grpc_pass.\n\n")
	deep, err := b.grpcLoad(8, 32)
	if err != nil {
		return err
	}
	wide := deep
	wide.conns, wide.streams = 32, 1
	return b.withGRPC(ctx, func(primary, shadow string) error {
		plain := job{wire: deep.wire, primary: primary}
		most := budgets{"nginx": 0.45, "envoy": 0.5}
		return b.cpuTable(ctx, []cpuRow{
			{"8 × 32", plain, deep, most},
			{"32 × 1", plain, wide, most},
			{"8 × 32, 10 % mirrored", plain.mirroredTo(shadow, 10), deep, most},
			{"8 × 32, 100 % mirrored", plain.mirroredTo(shadow, 100), deep, most},
		})
	})
}
