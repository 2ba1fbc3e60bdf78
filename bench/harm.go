//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// upload is the request of the harm part.
type upload struct {
	name   string
	file   string
	conns  int
	length time.Duration // of a run
}

// harm compares the latency that clients see with a broken shadow against no
// mirror at all, at half of the rate that the proxy takes without a mirror.
func (b *bench) harm(ctx context.Context) error {
	primary, err := sink()
	if err != nil {
		return err
	}
	defer primary.stop()
	small, err := b.file("body-1k", 1<<10)
	if err != nil {
		return err
	}
	large, err := b.file("body-16m", 16<<20)
	if err != nil {
		return err
	}
	b.report.printf(`Clients POST at a fixed rate (h2load): half of what each proxy takes without a mirror. Runs without a mirror and with a mirror of
all requests alternate, and ratios are with against without. Requests that were due in a run and had no answer at its end are
unanswered, and count with the least that they waited.
The first shadow is well: it shows what the copies cost by themselves, for which that rate does not leave room in every proxy.
Peers run %d times only.

`, b.peerRuns())
	b.report.columns("body", "shadow", "proxy", "rate", "p50, ms", "p99, ms", "p50 ratio", "p99 ratio", "budget",
		"answered", "failed", "unanswered", "RSS before, MiB", "after, MiB", "ledger")
	proxies := []proxy{b.sundogProxy(), b.nginxProxy(), b.envoyProxy()}
	for _, u := range []upload{
		{"1 KiB", small, 16, b.length},
		{"16 MiB", large, 2, b.length},
	} {
		for _, p := range proxies {
			if err := b.harmRows(ctx, p, u, primary.addr); err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, u.name, err)
			}
		}
	}
	b.report.printf("\n")
	return nil
}

// peerRuns is how often a peer runs in the harm part, which is the longest.
func (b *bench) peerRuns() int { return (b.runs + 1) / 2 }

// harmRows is one proxy with all shadows, beside the same without a mirror.
func (b *bench) harmRows(ctx context.Context, p proxy, u upload, primary string) error {
	if p.missing {
		b.report.missing(15, u.name, "all", p.name)
		return nil
	}
	plain, err := p.start(ctx, job{primary: primary})
	if err != nil {
		return err
	}
	defer plain.stop()
	l := load{addr: plain.addr, conns: u.conns, body: u.file, length: u.length}
	most, err := b.capacity(ctx, l)
	if err != nil {
		return err
	}
	l.rate = most / 2
	for _, s := range shadows() {
		if err := b.harmRow(ctx, p, u, s, plain, l, primary); err != nil {
			return fmt.Errorf("the shadow %s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) harmRow(ctx context.Context, p proxy, u upload, s shadow, plain *process, l load, primary string) error {
	bad, err := s.start()
	if err != nil {
		return err
	}
	defer bad.stop()
	mirrored, err := p.start(ctx, job{primary: primary, shadow: bad.addr, percent: 100})
	if err != nil {
		return err
	}
	defer mirrored.stop()
	runs := b.runs
	if p.name != "sundog" {
		runs = b.peerRuns()
	}
	if err := wait(ctx, 200*time.Millisecond); err != nil { // nginx listens before its worker runs
		return err
	}
	before := mirrored.rss()
	got, err := b.paced(ctx, []contender{{"without", plain}, {"with", mirrored}}, l, runs)
	if err != nil {
		return err
	}
	with, without := got["with"], got["without"]
	r50, r99 := median(with.p50)/median(without.p50), median(with.p99)/median(without.p99)
	budget, sums := "", ""
	if p.name == "sundog" {
		book, err := mirrored.ledger(ctx)
		if err != nil {
			return err
		}
		budget, sums = verdict(max(r50, r99), 1.05), book.String()
	}
	b.report.row(u.name, s.name, p.name, fmt.Sprintf("%.1f/s", l.rate), ms(median(with.p50)), ms(median(with.p99)),
		ratio(r50), ratio(r99), budget,
		fmt.Sprint(with.answered), fmt.Sprint(with.failed), fmt.Sprint(with.unanswered), mib(before), mib(mirrored.rss()), sums)
	return nil
}

// String has the outcomes, and whether their sum is, for each mirror, the
// number of forwarded requests.
func (l ledger) String() string {
	sums := map[string]uint64{}
	var outcomes, want uint64
	for _, r := range l.Routes {
		for _, m := range r.Mirrors {
			want += r.Forwarded
			for name, n := range m.Outcomes {
				sums[name] += n
				outcomes += n
			}
		}
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		if sums[name] > 0 {
			text = append(text, fmt.Sprintf("%s %d", name, sums[name]))
		}
	}
	if outcomes != want {
		return strings.Join(append(text, fmt.Sprintf("**does NOT balance**: %d outcomes, %d forwarded", outcomes, want)), ", ")
	}
	return strings.Join(append(text, "balances"), ", ")
}
