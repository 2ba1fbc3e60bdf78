//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// soakOptions are what the soak part's flags say.
type soakOptions struct {
	requests int
	h2       bool // HTTP/2 from the client
}

const (
	reloadEvery  = 3 * time.Second
	restartEvery = 4 * time.Second
	tellEvery    = 15 * time.Second
)

// soak sends millions of requests through one Sundog, at full speed, all
// mirrored to a shadow that is well and one that hangs, while its configuration
// is replaced and its upstreams are restarted.
func (b *bench) soak(ctx context.Context) error {
	s, err := b.startSoak(ctx)
	defer s.stop()
	if err != nil {
		return err
	}
	l := load{wire: wire{h2: b.soaked.h2}, addr: s.proxy.addr, conns: b.conns}
	if l.h2 {
		l.conns, l.streams = 8, 32
	}
	b.report.printf("%d requests (GET) as fast as h2load gets them through one Sundog, %s, %d connections × %d. Each is copied to a shadow that is well and\n"+
		"to one that accepts and never reads. The file of the configuration is replaced every %v; of two upstreams each in turn is told to end (SIGQUIT:\n"+
		"nginx answers what it has begun) and started again, every %v. Retries: `connect-failure,refused-stream,reset`, up to 2.\n\n",
		b.soaked.requests, map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[l.h2], l.conns, max(l.streams, 1), reloadEvery, restartEvery)
	b.report.columns("when", "RSS, MiB", "heap, MiB", "goroutines", "descriptors", "ledger")
	start, err := b.soakRow(ctx, s, "at the start")
	if err != nil {
		return err
	}
	first, err := b.soakUnderChanges(ctx, s, l, max(b.soaked.requests/20, 100))
	if err != nil {
		return err
	}
	warm, err := b.soakRow(ctx, s, "after a twentieth more to warm up")
	if err != nil {
		return err
	}
	got, err := b.soakUnderChanges(ctx, s, l, b.soaked.requests)
	if err != nil {
		return err
	}
	under, err := b.soakRow(ctx, s, "at the end")
	if err != nil {
		return err
	}
	if err := wait(ctx, soakRest); err != nil {
		return err
	}
	end, err := b.soakRow(ctx, s, fmt.Sprintf("%v later", soakRest))
	if err != nil {
		return err
	}
	if first.failed > 0 {
		got.failed += first.failed
		got.codes += "; while warming up " + first.codes
	}
	b.soakVerdicts(s, got, []footprint{start, warm, under, end})
	return nil
}

// soakRest is longer than a shadow may take: copies that hang are over.
const soakRest = 17 * time.Second

// soaking is what runs in the soak part.
type soaking struct {
	proxy     *process
	file      string     // the configuration
	upstreams []*process // the primary's endpoints
	shadow    *process
	hung      server

	reloads, restarts int
}

func (b *bench) startSoak(ctx context.Context) (*soaking, error) {
	s := &soaking{}
	for range 2 {
		p, err := b.backend(ctx, false)
		if err != nil {
			return s, err
		}
		s.upstreams = append(s.upstreams, p)
	}
	var err error
	if s.shadow, err = b.backend(ctx, false); err != nil {
		return s, err
	}
	if s.hung, err = b.playShadow(ctx, hungShadow); err != nil {
		return s, err
	}
	if s.file, err = b.scratch("soak.yaml", soakYAML(0)); err != nil {
		return s, err
	}
	s.proxy, err = b.startRun(ctx, 1, s.file, "app="+s.upstreams[0].addr, "app="+s.upstreams[1].addr,
		"well="+s.shadow.addr, "hung="+s.hung.addr)
	if err != nil {
		return s, err
	}
	return s, probe(ctx, s.proxy.addr, wire{h2: b.soaked.h2})
}

func (s *soaking) stop() {
	s.proxy.stop()
	s.shadow.stop()
	for _, p := range s.upstreams {
		p.stop()
	}
	if s.hung.stop != nil {
		s.hung.stop()
	}
}

// soakUnderChanges is the load, and what changes meanwhile.
func (b *bench) soakUnderChanges(ctx context.Context, s *soaking, l load, requests int) (summary, error) {
	changing, stop := context.WithCancel(ctx)
	defer stop()
	var failed errorBox
	var all sync.WaitGroup
	for _, change := range []struct {
		every time.Duration
		do    func() error
	}{
		{reloadEvery, func() error { return b.soakReload(changing, s) }},
		{restartEvery, func() error { return s.restart(ctx) }},
		{tellEvery, func() error { return s.tell(changing) }},
	} {
		all.Go(func() {
			for wait(changing, change.every) == nil {
				if err := change.do(); err != nil && changing.Err() == nil {
					failed.put(err)
					return
				}
			}
		})
	}
	got, err := b.soakLoad(ctx, l, requests)
	stop()
	all.Wait()
	return got, errors.Join(err, failed.get())
}

// soakLoad sends so many requests, in a day at most.
func (b *bench) soakLoad(ctx context.Context, l load, requests int) (summary, error) {
	out, err := h2load(ctx, 24*time.Hour, append(l.h2loadArgs(), "-n", strconv.Itoa(requests), l.url(l.addr))...)
	if err != nil {
		return summary{}, err
	}
	got, err := parseH2loadSummary(out)
	if err == nil { // also those that were never sent
		got.failed = max(got.failed, requests-int(got.requests))
	}
	return got, err
}

// soakReload replaces the configuration and waits until the new one answers.
func (b *bench) soakReload(ctx context.Context, s *soaking) error {
	generation := s.reloads + 1
	if _, err := b.scratch("soak.yaml", soakYAML(generation)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := answersTo(ctx, s.proxy.addr, soakMarker(generation)); err != nil {
		return err
	}
	s.reloads = generation
	return nil
}

// restart ends one of the upstreams gracefully, and starts it again.
func (s *soaking) restart(ctx context.Context) error {
	i := s.restarts % len(s.upstreams)
	if err := s.upstreams[i].quit(); err != nil {
		return fmt.Errorf("restarting an upstream: %w", err)
	}
	again, err := s.upstreams[i].again(ctx)
	if err != nil {
		return fmt.Errorf("restarting an upstream: %w", err)
	}
	s.upstreams[i] = again
	s.restarts++
	return nil
}

// tell shows on stderr that the part goes on, and looks at the ledger.
func (s *soaking) tell(ctx context.Context) error {
	book, err := s.proxy.ledger(ctx)
	if err != nil {
		return err
	}
	if !book.balances() {
		return fmt.Errorf("in the middle of the load the ledger %s", book)
	}
	fmt.Fprintf(os.Stderr, "bench: soak: RSS %s MiB, %s\n", mib(s.proxy.rss()), book)
	return nil
}
