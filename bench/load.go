//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// load is what clients send.
type load struct {
	wire

	addr     string
	rate     float64 // requests per second over all connections; 0: as many as it can
	conns    int
	streams  int      // of each connection at once, over HTTP/2; 0: 1
	body     string   // file to POST; empty: GET
	headers  []string // "name: value"
	length   time.Duration
	warm     time.Duration // length of the run before the measured ones; 0: 1 s
	patience time.Duration // how long the last answers may take; 0: 2 s
	wrk      []string      // more arguments to wrk
}

// throughput is what a load generator got through at saturation.
type throughput struct {
	requests  float64
	perSecond float64
}

// saturate sends as many requests as the proxy takes; one that fails is an
// error. wrk takes less of the machine than h2load, but speaks HTTP/1.1 alone.
func (b *bench) saturate(ctx context.Context, l load) (throughput, error) {
	if l.h2 {
		out, err := h2load(ctx, l.length+generous, append(l.h2loadArgs(), "-D", millis(l.length), l.url(l.addr))...)
		if err != nil {
			return throughput{}, err
		}
		got, err := parseH2loadSummary(out)
		if err == nil && got.failed > 0 {
			err = fmt.Errorf("h2load: %d requests failed", got.failed)
		}
		return got.throughput, err
	}
	args := append([]string{"-t", "1", "-c", strconv.Itoa(l.conns), "-d", fmt.Sprintf("%.0fs", max(l.length.Seconds(), 1))}, l.wrk...)
	out, err := exec.CommandContext(ctx, "wrk", append(args, l.url(l.addr))...).CombinedOutput()
	if err != nil {
		return throughput{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	return parseWrk(string(out))
}

// h2loadArgs are connections, streams, headers and body.
func (l load) h2loadArgs() []string {
	args := []string{"-t", "1", "-c", strconv.Itoa(l.conns)}
	if l.h2 {
		args = append(args, "-m", strconv.Itoa(max(l.streams, 1)))
	} else {
		args = append(args, "--h1")
	}
	for _, h := range l.headers {
		args = append(args, "-H", h)
	}
	if l.body != "" {
		args = append(args, "-d", l.body)
	}
	return args
}

// h2load runs h2load to its end and returns what it prints. A client of h2load
// that is not yet connected when a timed run begins can wait for ever: what
// takes longer than most is tried once more.
func h2load(ctx context.Context, most time.Duration, args ...string) (string, error) {
	var out []byte
	var err error
	for range 2 {
		limited, cancel := context.WithTimeout(ctx, most)
		out, err = exec.CommandContext(limited, "h2load", args...).CombinedOutput()
		expired := limited.Err() != nil
		cancel()
		if err == nil {
			return string(out), nil
		}
		if !expired || ctx.Err() != nil {
			break
		}
	}
	return "", fmt.Errorf("h2load: %w: %s", errors.Join(err, ctx.Err()), out)
}

func millis(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// latency is what a client measured. Requests that were due in the run and had
// no answer at its end count with the least that they can have waited, as if
// they had been the last to be due: without them a proxy that stalls would look
// fast, since its clients cannot even ask. What is due in startup does not
// count: h2load begins that late.
type latency struct {
	p50, p99   time.Duration
	answered   int
	failed     int // answered with another status than 200, or broken
	unanswered int // due in the run, and never answered
	took       time.Duration
}

// startup is how much of a run h2load may spend before its first request.
const startup = 20 * time.Millisecond

// generous is what h2load may take beyond its run.
const generous = 10 * time.Second

// ask runs h2load. It waits for an answer only for a while after the run; a
// client whose upload is stuck would never end.
func (b *bench) ask(ctx context.Context, l load) (latency, error) {
	file, err := os.CreateTemp(b.dir, "h2load-*.log")
	if err != nil {
		return latency{}, err
	}
	defer os.Remove(file.Name())
	if err := file.Close(); err != nil {
		return latency{}, err
	}
	patience := l.patience
	if patience == 0 {
		patience = 2 * time.Second
	}
	args := append(l.h2loadArgs(), "-D", millis(l.length), "--log-file", file.Name(), "-N", millis(l.length+patience))
	if l.rate > 0 { // h2load wants the rate of one client, and takes fractions
		args = append(args, "--rps", strconv.FormatFloat(l.rate/float64(l.conns), 'f', 4, 64))
	}
	out, err := h2load(ctx, l.length+patience+generous, append(args, l.url(l.addr))...)
	if err != nil {
		return latency{}, err
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		return latency{}, err
	}
	times, failed, err := parseH2load(string(text))
	if err != nil {
		return latency{}, err
	}
	got := latency{answered: len(times), failed: failed, took: l.length}
	if l.rate > 0 {
		got.unanswered = l.unanswered(len(times))
	}
	for i := range got.unanswered {
		times = append(times, time.Duration(float64(i+1)/l.rate*float64(time.Second)))
	}
	if len(times) == 0 {
		return got, fmt.Errorf("h2load made no request: %s", out)
	}
	return got.percentiles(times), nil
}

// percentiles is l with those of the times of all requests.
func (l latency) percentiles(times []time.Duration) latency {
	if len(times) > 0 {
		slices.Sort(times)
		l.p50, l.p99 = times[len(times)/2], times[len(times)*99/100]
	}
	return l
}

// asker is a client: it sends a load and measures what it waits.
type asker func(context.Context, load) (latency, error)

// unanswered is how many requests were due in a run, and are not among the
// answered. One for each connection may be under way at the end, unless there
// was no answer at all.
func (l load) unanswered(answered int) int {
	due := int(l.rate * (l.length - startup).Seconds())
	if answered == 0 {
		return max(1, due)
	}
	return max(0, due-l.conns-answered)
}

// capacity is how many requests a second the proxy answers, as that client sees it.
func capacity(ctx context.Context, ask asker, l load) (float64, error) {
	l.rate = 0
	got, err := ask(ctx, l)
	return float64(got.answered) / max(got.took.Seconds(), 0.001), err
}

// series collects the runs of one proxy.
type series struct {
	p50, p99 []float64 // seconds

	answered, failed, unanswered int
}

func (s *series) add(l latency) {
	s.p50 = append(s.p50, l.p50.Seconds())
	s.p99 = append(s.p99, l.p99.Seconds())
	s.answered += l.answered
	s.failed += l.failed
	s.unanswered += l.unanswered
}

// paced runs all contenders in turn under the same load at a fixed rate, after
// a short run to warm up. One that fails is told, and has no series.
func (b *bench) paced(ctx context.Context, all []contender, ask asker, l load, runs int) map[string]*series {
	got := map[string]*series{}
	for _, c := range all {
		got[c.name] = &series{}
	}
	for i := range runs + 1 {
		turn := l
		if i == 0 {
			turn.length = warmUp(l)
		}
		for _, c := range all {
			if got[c.name] == nil || ctx.Err() != nil {
				continue
			}
			turn.addr = c.addr
			measured, err := ask(ctx, turn)
			switch {
			case err != nil:
				b.report.failure("%s: %v", c.name, err)
				delete(got, c.name)
			case i > 0:
				got[c.name].add(measured)
			}
		}
	}
	return got
}

func warmUp(l load) time.Duration {
	if l.warm > 0 {
		return l.warm
	}
	return time.Second
}
