//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
)

// memory compares the resident memory of Sundog with a hung shadow and with a
// healthy one, under the same load for a minute.
func (b *bench) memory(ctx context.Context) error {
	primary, err := b.play(ctx, wellShadow)
	if err != nil {
		return err
	}
	defer primary.stop()
	body, err := b.file("body-64k", 64<<10)
	if err != nil {
		return err
	}
	b.report.printf("Sundog with every request mirrored, POSTs of 64 KiB at half of saturation for %v. Flat: what the last third grows by.\n\n", b.long)
	b.report.columns("shadow", "rate", "RSS at start, MiB", "after a third", "after two", "at the end", "against healthy", "budget", "flat", "failed", "unanswered", "ledger")
	var healthy, rate float64
	for _, name := range []string{wellShadow, hungShadow} {
		grown, used, err := b.memoryRow(ctx, name, primary.addr, body, healthy, rate)
		if err != nil {
			return fmt.Errorf("the shadow %s: %w", name, err)
		}
		if healthy == 0 {
			healthy, rate = grown, used
		}
	}
	return nil
}

// memoryRow loads one sundog and returns its memory at the end, and the rate:
// the given one, or half of saturation for 0.
func (b *bench) memoryRow(ctx context.Context, shadow, primary, body string, healthy, rate float64) (end, used float64, err error) {
	dest, err := b.playShadow(ctx, shadow)
	if err != nil {
		return 0, 0, err
	}
	defer dest.stop()
	p, err := b.startSundog(ctx, job{primary: primary}.mirroredTo(dest.addr, 100))
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	l := load{addr: p.addr, conns: 16, body: body, length: b.length, rate: rate}
	rss := []float64{p.rss()}
	if rate == 0 {
		most, err := capacity(ctx, b.ask, l)
		if err != nil {
			return 0, 0, err
		}
		l.rate = most / 2
	}
	l.length = b.long / 3
	failed, unanswered := 0, 0
	for range 3 {
		got, err := b.ask(ctx, l)
		if err != nil {
			return 0, 0, err
		}
		failed += got.failed
		unanswered += got.unanswered
		rss = append(rss, p.rss())
	}
	book, err := p.ledger(ctx)
	if err != nil {
		return 0, 0, err
	}
	if rss[3] == 0 {
		return 0, 0, errors.New("sundog is gone")
	}
	against, budget := "", ""
	if healthy > 0 {
		against, budget = ratio(rss[3]/healthy), verdict(rss[3]/healthy, 1.2)
	}
	flat := verdict(rss[3]/rss[2], 1.05)
	b.report.row(shadow, count(l.rate)+"/s", mib(rss[0]), mib(rss[1]), mib(rss[2]), mib(rss[3]), against, budget, flat,
		fmt.Sprint(failed), fmt.Sprint(unanswered), book.String())
	return rss[3], l.rate, nil
}
