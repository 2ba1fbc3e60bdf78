package main

import (
	"context"
	"fmt"
)

// cpu compares the CPU per request of Sundog and nginx, plain and with every
// request mirrored.
func (b *bench) cpu(ctx context.Context) error {
	primary, paddr, err := b.startNginx(ctx, "primary", nginxBackend, job{})
	if err != nil {
		return err
	}
	defer primary.stop()
	shadow, saddr, err := b.startNginx(ctx, "shadow", nginxBackend, job{})
	if err != nil {
		return err
	}
	defer shadow.stop()
	fmt.Printf("CPU per request, HTTP/1.1, %d keep-alive connections, medians of %d runs of %v\n\n", b.conns, b.runs, b.length)
	fmt.Printf("| job | sundog, µs | nginx, µs | ratio | budget |\n| --- | --- | --- | --- | --- |\n")
	for _, row := range []struct {
		name   string
		job    job
		budget float64
	}{
		{"plain", job{primary: paddr}, 1.0},
		{"100 % mirrored", job{primary: paddr, shadow: saddr}, 0.40},
	} {
		ours, theirs, err := b.besideNginx(ctx, row.job)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.1f | %.1f | %.2f | %.2f |\n", row.name, ours, theirs, ours/theirs, row.budget)
	}
	fmt.Println()
	return nil
}

// besideNginx runs the job on both proxies in turn and returns the medians in
// microseconds per request.
func (b *bench) besideNginx(ctx context.Context, j job) (sundog, nginx float64, err error) {
	s, saddr, err := b.startSundog(ctx, j)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	n, naddr, err := b.startNginx(ctx, "peer", nginxProxy, j)
	if err != nil {
		return 0, 0, err
	}
	defer n.stop()
	var ours, theirs []float64
	for i := range b.runs + 1 { // the first warms up
		o, err := b.perRequest(ctx, s, saddr)
		if err != nil {
			return 0, 0, err
		}
		t, err := b.perRequest(ctx, n, naddr)
		if err != nil {
			return 0, 0, err
		}
		if i > 0 {
			ours, theirs = append(ours, o), append(theirs, t)
		}
	}
	return median(ours), median(theirs), nil
}

func (b *bench) perRequest(ctx context.Context, p *process, addr string) (float64, error) {
	before := p.cpu()
	n, err := b.saturate(ctx, addr)
	if err != nil {
		return 0, err
	}
	return float64((p.cpu() - before).Microseconds()) / n, nil
}
