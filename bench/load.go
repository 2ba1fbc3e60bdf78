//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const path = "/some/path"

// throughput is what wrk got through at saturation.
type throughput struct {
	requests  float64
	perSecond float64
}

// saturate sends as many requests as the proxy takes. More arguments go to
// wrk.
func (b *bench) saturate(ctx context.Context, addr string, length time.Duration, more ...string) (throughput, error) {
	args := append([]string{
		"-t", "1", "-c", strconv.Itoa(b.conns),
		"-d", fmt.Sprintf("%.0fs", max(length.Seconds(), 1)),
	}, more...)
	out, err := exec.CommandContext(ctx, "wrk", append(args, "http://"+addr+path)...).CombinedOutput()
	if err != nil {
		return throughput{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	return parseWrk(string(out))
}

// parseWrk reads the requests from what wrk prints; a request that failed is
// an error.
func parseWrk(out string) (throughput, error) {
	if bad := regexp.MustCompile(`(?m)^\s*(Non-2xx.*|Socket errors.*)$`).FindString(out); bad != "" {
		return throughput{}, fmt.Errorf("wrk: %s", strings.TrimSpace(bad))
	}
	n := regexp.MustCompile(`(?m)^\s*(\d+) requests in`).FindStringSubmatch(out)
	rate := regexp.MustCompile(`(?m)^Requests/sec:\s*([\d.]+)`).FindStringSubmatch(out)
	if n == nil || rate == nil {
		return throughput{}, fmt.Errorf("wrk says nothing of its requests: %s", out)
	}
	requests, err1 := strconv.ParseFloat(n[1], 64)
	perSecond, err2 := strconv.ParseFloat(rate[1], 64)
	return throughput{requests, perSecond}, errors.Join(err1, err2)
}

// load is what h2load sends over HTTP/1.1.
type load struct {
	addr   string
	rate   float64 // requests per second over all connections; 0: as many as it can
	conns  int
	body   string // file to POST; empty: GET
	length time.Duration
}

// latency is what a client measured. Requests that were due in the run and had
// no answer at its end count with the least that they can have waited, as if
// they had been the last to be due: without them a proxy that stalls would look
// fast, since its clients cannot even ask. One request for each connection may
// be under way at the end and does not count, nor what is due in startup: h2load
// begins that late.
type latency struct {
	p50, p99   time.Duration
	answered   int
	failed     int // answered with another status than 200, or broken
	unanswered int // due in the run, and never answered
}

// startup is how much of a run h2load may spend before its first request.
const startup = 20 * time.Millisecond

// ask runs h2load. It waits for an answer at most two seconds after the run; a
// client whose upload is stuck would never end.
func (b *bench) ask(ctx context.Context, l load) (latency, error) {
	log := filepath.Join(b.dir, "h2load.log")
	_ = os.Remove(log)
	args := []string{
		"--h1", "-t", "1", "-c", strconv.Itoa(l.conns), "-D", fmt.Sprintf("%dms", l.length.Milliseconds()), "--log-file", log,
		"-N", fmt.Sprintf("%dms", (l.length + 2*time.Second).Milliseconds()),
	}
	if l.rate > 0 { // h2load wants the rate of one client, and takes fractions
		args = append(args, "--rps", strconv.FormatFloat(l.rate/float64(l.conns), 'f', 4, 64))
	}
	if l.body != "" {
		args = append(args, "-d", l.body)
	}
	ctx, cancel := context.WithTimeout(ctx, l.length+30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "h2load", append(args, "http://"+l.addr+path)...).CombinedOutput()
	if err != nil {
		return latency{}, fmt.Errorf("h2load: %w: %s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return latency{}, err
	}
	times, failed, err := parseH2load(string(text))
	if err != nil {
		return latency{}, err
	}
	got := latency{answered: len(times), failed: failed}
	if l.rate > 0 {
		got.unanswered = max(0, int(l.rate*(l.length-startup).Seconds())-l.conns-len(times))
	}
	for i := range got.unanswered {
		times = append(times, time.Duration(float64(i+1)/l.rate*float64(time.Second)))
	}
	if len(times) == 0 {
		return got, fmt.Errorf("h2load made no request: %s", out)
	}
	slices.Sort(times)
	got.p50, got.p99 = times[len(times)/2], times[len(times)*99/100]
	return got, nil
}

// parseH2load reads h2load's log: start, status and microseconds to the end of
// the answer, by tabs; the status of a broken exchange is -1.
func parseH2load(log string) (times []time.Duration, failed int, err error) {
	for line := range strings.Lines(log) {
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, 0, fmt.Errorf("h2load's log: %q has no three columns", line)
		}
		us, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, 0, fmt.Errorf("h2load's log: %q: %w", line, err)
		}
		if f[1] != "200" {
			failed++
		}
		times = append(times, time.Duration(us)*time.Microsecond)
	}
	return times, failed, nil
}

// capacity is how many requests a second the proxy answers, as h2load sees it.
func (b *bench) capacity(ctx context.Context, l load) (float64, error) {
	l.rate = 0
	got, err := b.ask(ctx, l)
	return float64(got.answered) / l.length.Seconds(), err
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
