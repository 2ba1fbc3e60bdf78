//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shakers       = 8  // clients that connect again and again
	settledConns  = 16 // connections that stay
	leastShaken   = 0.8
	mostSlowed    = 1.2
	shakeDeadline = 10 * time.Second
)

// handshakes measures new connections, each with a full TLS handshake and one
// request, and what they do to connections that are there already.
func (b *bench) handshakes(ctx context.Context) error {
	b.report.printf("Each connection: a full handshake (TLS 1.3, X25519, no resumption), one request, closed by the client; %d clients at once.\n"+
		"The clients share the cores with the proxy, so beside handshakes per second stands what a second of the proxy's own CPU would do,\n"+
		"and the budget is for the lesser of both ratios.\n\n", shakers)
	return b.withBackends(ctx, func(small, _, _ string) error {
		b.report.columns("key", "proxy", "handshakes/s", "CPU, µs each", "per CPU second", "Sundog ÷ it", "the same per CPU", "budget")
		for _, key := range []keyKind{keyECDSA, keyRSA} {
			if err := b.handshakeRows(ctx, job{wire: wire{key: key}, primary: small}); err != nil {
				return err
			}
		}
		b.report.printf("\nMeanwhile, for %d other connections over TLS at a fixed rate (h2load), a quarter of what the slowest proxy takes: without handshakes;\n"+
			"with handshakes at a fixed rate, a third of what the slowest proxy takes, of *another* process of the same proxy, which takes CPU only;\n"+
			"and with the same of this process.\n\n", settledConns)
		b.report.columns("key", "requests/s", "handshakes/s", "proxy", "p99 without, ms", "p99, of another, ms", "p99, of this, ms",
			"this ÷ without", "budget", "this ÷ another", "failed + unanswered")
		for _, key := range []keyKind{keyECDSA, keyRSA} {
			if err := b.settledRows(ctx, job{wire: wire{key: key}, primary: small}); err != nil {
				return err
			}
		}
		return nil
	})
}

// handshakeRows is one kind of key for all proxies, in turn.
func (b *bench) handshakeRows(ctx context.Context, j job) error {
	proxies := b.all()
	all, stop := b.contenders(ctx, j, proxies...)
	defer stop()
	rate, cpu := map[string][]float64{}, map[string][]float64{}
	for i := range b.runs + 1 {
		for _, c := range all {
			perSecond, each, err := shakeHands(ctx, c.process, b.length, 0)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				b.report.failure("%s, %s: %v", c.name, j.key, err)
			case i > 0:
				rate[c.name] = append(rate[c.name], perSecond)
				cpu[c.name] = append(cpu[c.name], each)
			}
		}
	}
	for _, p := range proxies {
		if rate[p.name] == nil {
			b.report.missing(8, p, string(j.key), p.name)
			continue
		}
		perSecond, perCPU := median(rate[p.name]), 1e6/median(cpu[p.name])
		against, againstCPU, budget := "", "", ""
		if rate["sundog"] != nil && p.name != "sundog" {
			r, c := median(rate["sundog"])/perSecond, 1e6/median(cpu["sundog"])/perCPU
			against, againstCPU = ratio(r), ratio(c)
			if p.name == "nginx" {
				budget = verdictAtLeast(min(r, c), leastShaken)
			}
		}
		b.report.row(string(j.key), p.name, count(perSecond), micros(median(cpu[p.name])), count(perCPU), against, againstCPU, budget)
	}
	return nil
}

// shakeHands connects again and again for a while, at so many connections a
// second, or at 0 as fast as it can. It returns how many there were in a
// second, and the proxy's CPU for each, in microseconds.
func shakeHands(ctx context.Context, p *process, length time.Duration, rate float64) (perSecond, micros float64, err error) {
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	end := began.Add(length)
	var due, done atomic.Int64
	var failed errorBox
	var all sync.WaitGroup
	for range shakers {
		all.Go(func() {
			for ctx.Err() == nil && failed.get() == nil && time.Now().Before(end) {
				n := due.Add(1) - 1
				if rate > 0 {
					at := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
					if at.After(end) || wait(ctx, time.Until(at)) != nil {
						return
					}
				}
				if err := shakeOnce(p.addr); err != nil {
					failed.put(err)
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	after, err := p.cpu()
	err = errors.Join(err, failed.get(), ctx.Err())
	n := float64(max(done.Load(), 1))
	return n / took.Seconds(), float64((after - before).Microseconds()) / n, err
}

// shakeOnce makes one connection for one request. It resets the connection, so
// that ports do not run out.
func shakeOnce(addr string) error {
	raw, err := net.DialTimeout("tcp", addr, shakeDeadline)
	if err != nil {
		return err
	}
	defer raw.Close()
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	if err := raw.SetDeadline(time.Now().Add(shakeDeadline)); err != nil {
		return err
	}
	return exchangeOnce(tls.Client(raw, clientTLS("http/1.1")))
}

// errorBox keeps the first error of several goroutines.
type errorBox struct {
	mu  sync.Mutex
	err error
}

func (b *errorBox) put(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

func (b *errorBox) get() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// settled is a proxy whose connections stay, another process of it for
// handshakes elsewhere, and what was measured.
type settled struct {
	contender

	other                *process
	without, there, here series
}

// settledRows is one kind of key for all proxies, in turn.
func (b *bench) settledRows(ctx context.Context, j job) error {
	proxies := b.all()
	all, stop := b.contenders(ctx, j, proxies...)
	defer stop()
	others, stopOthers := b.contenders(ctx, j, proxies...)
	defer stopOthers()
	if len(others) != len(all) {
		return errors.New("some proxy started only once")
	}
	l := load{wire: j.wire, conns: settledConns, length: b.length}
	shaken := 0.0
	var measured []*settled
	for i, c := range all {
		l.addr = c.addr
		most, err := capacity(ctx, b.ask, l)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		perSecond, _, err := shakeHands(ctx, c.process, b.length, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if i == 0 {
			l.rate, shaken = most/4, perSecond/3
		}
		l.rate, shaken = min(l.rate, most/4), min(shaken, perSecond/3)
		measured = append(measured, &settled{contender: c, other: others[i].process})
	}
	for i := range b.runs + 1 {
		for _, s := range measured {
			if err := b.settledTurn(ctx, s, l, shaken, i > 0); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	b.settledCells(j.key, l.rate, shaken, measured, proxies)
	return nil
}

// settledTurn measures a proxy three times; kept says whether it counts.
func (b *bench) settledTurn(ctx context.Context, s *settled, l load, shaken float64, kept bool) error {
	l.addr = s.addr
	for _, run := range []struct {
		target *process
		into   *series
	}{{nil, &s.without}, {s.other, &s.there}, {s.process, &s.here}} {
		shaking := make(chan error, 1)
		if run.target == nil {
			shaking <- nil
		} else {
			go func() {
				_, _, err := shakeHands(ctx, run.target, l.length, shaken)
				shaking <- err
			}()
		}
		got, err := b.ask(ctx, l)
		if err := errors.Join(err, <-shaking); err != nil {
			return err
		}
		if kept {
			run.into.add(got)
		}
	}
	return nil
}

func (b *bench) settledCells(key keyKind, rate, shaken float64, measured []*settled, proxies []proxy) {
	for _, p := range proxies {
		var s *settled
		for _, m := range measured {
			if m.name == p.name {
				s = m
			}
		}
		if s == nil {
			b.report.missing(11, p, string(key), count(rate), count(shaken), p.name)
			continue
		}
		without, there, here := median(s.without.p99), median(s.there.p99), median(s.here.p99)
		budget := ""
		if p.name == "sundog" {
			budget = verdict(here/without, mostSlowed)
		}
		failed, unanswered := 0, 0
		for _, run := range []series{s.without, s.there, s.here} {
			failed += run.failed
			unanswered += run.unanswered
		}
		b.report.row(string(key), count(rate), count(shaken), p.name, ms(without), ms(there), ms(here),
			ratio(here/without), budget, ratio(here/there), fmt.Sprintf("%d + %d", failed, unanswered))
	}
}
