//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// mostHarm is how much longer clients may wait with a broken shadow.
const mostHarm = 1.05

// upload is what clients of the harm part send.
type upload struct {
	name   string
	size   int
	conns  []int
	length time.Duration // of a run
}

// uploads are the bodies and connections of the matrix. Of 16 MiB a proxy takes
// some tens a second: over 256 connections each would carry one, and harm shows
// at the next.
func (b *bench) uploads() []upload {
	short, long := b.length/2, b.length*3/4
	if b.quick {
		return []upload{{"1 KiB", 1 << 10, []int{16}, short}, {"16 MiB", 16 << 20, []int{4}, short}}
	}
	return []upload{
		{"1 KiB", 1 << 10, []int{1, 16, 256}, short},
		{"64 KiB", 64 << 10, []int{1, 16, 256}, short},
		{"16 MiB", 16 << 20, []int{1, 4, 16}, long},
	}
}

// harmRuns is how often a proxy runs in each cell: there are many.
func (b *bench) harmRuns(proxy string) int {
	if b.quick || proxy != "sundog" {
		return max(1, b.runs/4)
	}
	return (b.runs + 1) / 2
}

// subject is a proxy in the harm part.
type subject struct {
	proxy

	plain *process // without a mirror; nil: to be started
	rate  float64  // half of what that takes
	tally tally
}

// harmed is what a broken shadow did to the clients of one proxy.
type harmed struct {
	failed, unanswered int
	r50, r99           float64 // with the mirror against without
	peak               float64 // bytes
	ledger             ledger  // Sundog's
}

// harm compares what clients see with a broken shadow against no mirror at
// all, at half of the rate that the proxy takes without a mirror.
func (b *bench) harm(ctx context.Context) (err error) {
	back, err := apart()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back()) }()
	primary, err := b.play(ctx, wellShadow)
	if err != nil {
		return err
	}
	defer primary.stop()
	b.harmIntro()
	subjects := []*subject{{proxy: b.sundogProxy()}, {proxy: b.envoyProxy()}, {proxy: b.nginxProxy()}}
	b.harmColumns(subjects)
	for _, u := range b.uploads() {
		body, err := b.file("body-"+strconv.Itoa(u.size), u.size)
		if err != nil {
			return err
		}
		for _, conns := range u.conns {
			l := load{
				conns: conns, body: body, length: u.length,
				warm: 300 * time.Millisecond, patience: time.Second,
			}
			if err := b.harmGroup(ctx, subjects, u.name, l, primary.addr); err != nil {
				return err
			}
		}
	}
	b.report.printf("\n")
	b.harmSummary(subjects)
	b.report.printf("\n")
	b.harmByShadow(subjects)
	return nil
}

func (b *bench) harmIntro() {
	b.report.printf(`Clients POST at a fixed rate, evenly over time and connections: half of what each proxy takes without a mirror. In each cell, runs without a mirror and with a mirror of
all requests alternate: %d of Sundog, %d of each peer, %v long (%v for 16 MiB, which has at most 16
connections: of so large bodies, 256 would carry one each, and harm shows at a connection's next). A cell of a proxy has: requests that failed + requests without an answer a second after the run; p50 and p99 with the mirror against
without; the peak of resident memory. The budget is for Sundog's ratios. What is due while its connection still waits counts from when it was due.
The first row of each load has no mirror on either side: by how much it is off 1, figures differ by themselves. The first shadow is well: it shows what
the copies cost by themselves. Primary, shadow and proxy are processes of their own; the proxy has a core for itself, and the shadow a low priority
(nice 15), since it would be on another machine.

`, b.harmRuns("sundog"), b.harmRuns("nginx"), b.length/2, b.length*3/4)
}

func (b *bench) harmColumns(subjects []*subject) {
	columns := []string{"body", "connections", "shadow"}
	for _, s := range subjects {
		columns = append(columns, s.name+": failed", "p50 ×", "p99 ×", "MiB")
	}
	b.report.columns(append(columns, "failures", "budget", "most copies", "ledger")...)
}

// harmGroup is one load with all shadows, for all proxies.
func (b *bench) harmGroup(ctx context.Context, subjects []*subject, body string, l load, primary string) error {
	defer func() {
		for _, s := range subjects {
			s.plain.stop()
			s.plain = nil
		}
	}()
	for _, shadow := range harmRows() {
		if b.quick && shadow == wellShadow {
			continue
		}
		cells := []string{body, strconv.Itoa(l.conns), shadow}
		verdicts := []string{"", "", "", ""}
		for _, s := range subjects {
			got, err := b.harmCell(ctx, s, shadow, l, primary)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			cells = append(cells, b.harmCells(s, got, err, cells[:3])...)
			if s.name == "sundog" && err == nil && shadow != noShadow {
				verdicts = []string{
					none(got.failed + got.unanswered), verdict(max(got.r50, got.r99), mostHarm), got.ledger.dominant(), got.ledger.String(),
				}
			}
		}
		b.report.row(append(cells, verdicts...)...)
	}
	return nil
}

// harmCells are a proxy's columns, which it counts for the summary.
func (b *bench) harmCells(s *subject, got harmed, err error, where []string) []string {
	switch {
	case s.missing:
		return []string{"missing", "", "", ""}
	case err != nil:
		b.report.failure("%s: %s: %v", s.name, strings.Join(where, ", "), err)
		s.plain.stop() // the next cell has a new one
		s.plain = nil
		s.tally.broken++
		return []string{"FAILED", "", "", ""}
	}
	s.tally.add(where[2], got)
	return []string{fmt.Sprintf("%d + %d", got.failed, got.unanswered), ratio(got.r50), ratio(got.r99), fmt.Sprintf("%.0f", got.peak/(1<<20))}
}

// harmCell measures one proxy with one shadow, beside the same without.
func (b *bench) harmCell(ctx context.Context, s *subject, shadow string, l load, primary string) (harmed, error) {
	if s.missing {
		return harmed{}, nil
	}
	if err := b.ready(ctx, s, l, primary); err != nil {
		return harmed{}, err
	}
	mirrors := job{primary: primary}
	if shadow != noShadow {
		bad, err := b.playShadow(ctx, shadow)
		if err != nil {
			return harmed{}, err
		}
		defer bad.stop()
		mirrors = mirrors.mirroredTo(bad.addr, 100)
	}
	mirrored, err := s.start(ctx, mirrors)
	if err != nil {
		return harmed{}, err
	}
	defer mirrored.stop()
	if err := errors.Join(probe(ctx, mirrored.addr, wire{}), mirrored.alone()); err != nil {
		return harmed{}, err
	}
	l.rate = s.rate
	got := b.paced(ctx, []contender{{name: "without", process: s.plain}, {name: "with", process: mirrored}}, b.upload, l, b.harmRuns(s.name))
	with, without := got["with"], got["without"]
	if with == nil || without == nil {
		return harmed{}, errors.New("the load broke")
	}
	h := harmed{
		failed: with.failed, unanswered: with.unanswered, peak: mirrored.peak(),
		r50: median(with.p50) / median(without.p50), r99: median(with.p99) / median(without.p99),
	}
	if mirrored.admin != "" && shadow != noShadow {
		h.ledger, err = mirrored.ledger(ctx)
	}
	return h, err
}

// ready starts the proxy without a mirror, and finds its rate.
func (b *bench) ready(ctx context.Context, s *subject, l load, primary string) (err error) {
	if s.plain != nil {
		return nil
	}
	if s.plain, err = s.start(ctx, job{primary: primary}); err != nil {
		return err
	}
	if err := errors.Join(probe(ctx, s.plain.addr, wire{}), s.plain.alone()); err != nil {
		return err
	}
	l.addr = s.plain.addr
	most, err := capacity(ctx, b.upload, l)
	s.rate = most / 2
	return err
}
