package main

import (
	"context"
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

// saturate sends as many requests as the proxy takes and returns how many were
// answered.
func (b *bench) saturate(ctx context.Context, addr string) (requests float64, err error) {
	out, err := exec.CommandContext(ctx, "wrk", "-t", "1", "-c", strconv.Itoa(b.conns),
		"-d", fmt.Sprintf("%dms", b.length.Milliseconds()), "http://"+addr+"/some/path").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if bad := regexp.MustCompile(`(?m)^\s*(Non-2xx.*|Socket errors.*)$`).Find(out); bad != nil {
		return 0, fmt.Errorf("wrk: %s", bad)
	}
	m := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk says nothing of its requests: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// uploads sends the body as often as the proxy takes it and returns how often
// a second that was.
func (b *bench) uploads(ctx context.Context, addr string, conns int, body string) (perSecond float64, err error) {
	out, err := exec.CommandContext(ctx, "h2load", "--h1", "-t", "1", "-c", strconv.Itoa(conns),
		"-D", "2", "-d", body, "http://"+addr+"/some/path").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("h2load: %w: %s", err, out)
	}
	m := regexp.MustCompile(`([\d.]+) req/s`).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("h2load says nothing of its rate: %s", out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// latency is what a client measured at a fixed rate.
type latency struct {
	p50, p99 time.Duration
	failed   int
	requests int
}

// atRate sends requests at a fixed rate over HTTP/1.1 for the bench's length.
func (b *bench) atRate(ctx context.Context, addr string, perSecond, conns int, body string) (latency, error) {
	log := filepath.Join(b.dir, "h2load.log")
	_ = os.Remove(log)
	each := max(perSecond/conns, 1)
	args := []string{"--h1", "-t", "1", "-c", strconv.Itoa(conns), "--rps", strconv.Itoa(each),
		"-D", fmt.Sprintf("%.0f", b.length.Seconds()), "--log-file", log}
	if body != "" {
		args = append(args, "-d", body)
	}
	out, err := exec.CommandContext(ctx, "h2load", append(args, "http://"+addr+"/some/path")...).CombinedOutput()
	if err != nil {
		return latency{}, fmt.Errorf("h2load: %w: %s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return latency{}, err
	}
	var l latency
	var times []int
	for line := range strings.Lines(string(text)) { // start, status, microseconds
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		l.requests++
		if f[1] != "200" {
			l.failed++
		}
		us, _ := strconv.Atoi(f[2])
		times = append(times, us)
	}
	if len(times) == 0 {
		return l, fmt.Errorf("h2load made no request: %s", out)
	}
	slices.Sort(times)
	l.p50 = time.Duration(times[len(times)/2]) * time.Microsecond
	l.p99 = time.Duration(times[len(times)*99/100]) * time.Microsecond
	return l, nil
}
