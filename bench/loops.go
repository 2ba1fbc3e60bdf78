//go:build linux

package main

import "context"

// loops compares the CPU per request of one event loop and two.
func (b *bench) loops(ctx context.Context) error {
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
	b.report.printf("CPU per request of `--concurrency 2` against 1, at saturation. wrk and the backend share the cores with the loops: on two cores,\n" +
		"two loops have less to do at each wake-up than one, and wait more often.\n\n")
	b.report.columns("job", "one loop, µs", "two loops, µs", "one, requests/s", "two, requests/s", "two ÷ one", "budget")
	for _, row := range []struct {
		name string
		job  job
	}{
		{"plain", job{primary: primary.addr}},
		{"100 % mirrored", job{primary: primary.addr}.mirroredTo(shadow.addr, 100)},
	} {
		if err := b.loopsRow(ctx, row.name, row.job); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) loopsRow(ctx context.Context, name string, j job) error {
	var all []contender
	for i, loops := range []string{"one", "two"} {
		j.loops = i + 1
		p, err := b.startSundog(ctx, j)
		if err != nil {
			return err
		}
		defer p.stop()
		all = append(all, contender{name: loops, process: p})
	}
	got := b.saturated(ctx, all, load{conns: b.conns, length: b.length})
	one, two := got["one"], got["two"]
	r := two.cpu / one.cpu
	b.report.row(name, micros(one.cpu), micros(two.cpu), count(one.perSecond), count(two.perSecond), ratio(r), verdict(r, 1.1))
	return nil
}
