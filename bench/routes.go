//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	fewRoutes  = 10
	manyRoutes = 10_000
)

// routes compares ten virtual services with ten thousand, ten routes of one
// with ten thousand, and measures what a reload of ten thousand does to the
// clients.
func (b *bench) routes(ctx context.Context) error {
	primary, err := b.backend(ctx, false)
	if err != nil {
		return err
	}
	defer primary.stop()
	b.report.printf("`sundog run -f` with a Gateway; wrk asks for all hosts or paths in turn. (The budget of 2 × is for the match alone, which a Go\n"+
		"benchmark of internal/route measures; these are whole requests, with %d different ones against %d for the caches, too.)\n\n", manyRoutes, fewRoutes)
	b.report.columns("what", fmt.Sprintf("CPU of %d, µs", fewRoutes), fmt.Sprintf("CPU of %d, µs", manyRoutes), "ratio",
		"budget", fmt.Sprintf("RSS of %d, MiB", fewRoutes), fmt.Sprintf("RSS of %d, MiB", manyRoutes))
	if err := b.routesRow(ctx, "virtual services, a host each", primary.addr, hostsYAML, hostsLua); err != nil {
		return err
	}
	if err := b.routesRow(ctx, "routes of one virtual service, by path", primary.addr, pathsYAML, pathsLua); err != nil {
		return err
	}
	b.report.printf("\n")
	return b.reloads(ctx, primary.addr)
}

func (b *bench) routesRow(ctx context.Context, what, primary string, yaml func(n int, marker string) string, lua string) error {
	var all []contender
	sizes := map[string]int{"few": fewRoutes, "many": manyRoutes}
	for _, name := range []string{"few", "many"} {
		n := sizes[name]
		p, _, err := b.runYAML(ctx, "routes-"+name, yaml(n, "marker"), primary)
		if err != nil {
			return fmt.Errorf("%d %s: %w", n, what, err)
		}
		defer p.stop()
		all = append(all, contender{name: name, process: p})
	}
	script, err := b.scratch("routes.lua", lua)
	if err != nil {
		return err
	}
	cpu := map[string][]float64{}
	for i := range b.runs + 1 {
		for _, c := range all {
			n := sizes[c.name]
			l := load{conns: b.conns, length: b.length, wrk: []string{"-s", script, "-H", fmt.Sprintf("x-routes: %d", n)}}
			us, _, err := b.cpuOf(ctx, c, l)
			if err != nil {
				return fmt.Errorf("%d %s: %w", n, what, err)
			}
			if i > 0 {
				cpu[c.name] = append(cpu[c.name], us)
			}
		}
	}
	rss := map[string]float64{}
	for _, c := range all {
		rss[c.name] = c.rss()
	}
	few, many := median(cpu["few"]), median(cpu["many"])
	b.report.row(what, micros(few), micros(many), ratio(many/few), verdict(many/few, 2), mib(rss["few"]), mib(rss["many"]))
	return nil
}

// runYAML runs sundog with YAML from a file, which may be replaced.
func (b *bench) runYAML(ctx context.Context, name, yaml, primary string) (p *process, file string, err error) {
	if file, err = b.scratch(name+".yaml", yaml); err != nil {
		return nil, "", err
	}
	p, err = b.startRun(ctx, 1, file, "app="+primary)
	return p, file, err
}

// scratch writes a file at once, so that nobody sees half of it.
func (b *bench) scratch(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}

// reloads measures clients of one route while ten thousand are replaced.
func (b *bench) reloads(ctx context.Context, primary string) error {
	p, file, err := b.runYAML(ctx, "reloads", generationYAML(0), primary)
	if err != nil {
		return err
	}
	defer p.stop()
	l := load{addr: p.addr, conns: b.conns, length: b.length}
	most, err := capacity(ctx, b.ask, l)
	if err != nil {
		return err
	}
	l.rate, l.length = most/2, max(2*b.length, 6*time.Second)
	var quiet, busy series
	var took []float64
	for i := range b.runs + 1 { // the first warms up
		without, err := b.ask(ctx, l)
		if err != nil {
			return err
		}
		applied := make(chan error, 1)
		var after time.Duration
		go func() {
			var err error
			after, err = b.reload(ctx, p.addr, filepath.Base(file), i+1)
			applied <- err
		}()
		with, err := b.ask(ctx, l)
		if err := errors.Join(err, <-applied); err != nil {
			return err
		}
		if i > 0 {
			quiet.add(without)
			busy.add(with)
			took = append(took, after.Seconds())
		}
	}
	r := median(busy.p99) / median(quiet.p99)
	b.report.printf("A file of %d virtual services is replaced under load at %.0f requests/s; the time is from the file's rename to the first answer of a\n"+
		"new virtual service, Sundog's wait for more changes included.\n\n", manyRoutes, l.rate)
	b.report.columns("time to apply, s", "p99 without, ms", "p99 with, ms", "ratio", "budget", "failed", "budget", "unanswered")
	b.report.row(ratio(median(took)), ms(median(quiet.p99)), ms(median(busy.p99)), ratio(r), verdict(r, 1.1),
		fmt.Sprint(busy.failed), none(busy.failed), fmt.Sprint(busy.unanswered))
	return nil
}

// generationYAML differs from others in the name of its marker.
func generationYAML(generation int) string {
	return hostsYAML(manyRoutes, fmt.Sprintf("marker-%d", generation))
}

// reload replaces the file half a second into the load, and waits until the
// new generation answers.
func (b *bench) reload(ctx context.Context, addr, name string, generation int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	text := generationYAML(generation)
	if err := wait(ctx, 500*time.Millisecond); err != nil {
		return 0, err
	}
	if _, err := b.scratch(name, text); err != nil {
		return 0, err
	}
	return answersTo(ctx, addr, fmt.Sprintf("marker-%d.example", generation))
}

// answersTo waits until a proxy has a route for a host, and returns how long
// that took.
func answersTo(ctx context.Context, addr, host string) (time.Duration, error) {
	began := time.Now()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, wire{}.url(addr), nil)
		if err != nil {
			return 0, err
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil {
			return 0, fmt.Errorf("waiting for %s: %w", host, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return time.Since(began), nil
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return 0, fmt.Errorf("waiting for %s: %w", host, err)
		}
	}
}
