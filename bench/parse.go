//go:build linux

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

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

// summary is the end of what h2load prints.
type summary struct {
	throughput

	failed int // not answered, or with another status than 2xx
	took   time.Duration
	codes  string // how many answers of each class of status
}

// parseH2loadSummary reads how many requests were answered, and how.
func parseH2loadSummary(out string) (summary, error) {
	finished := regexp.MustCompile(`(?m)^finished in ([\d.]+)(us|ms|s|min|h|m), ([\d.]+) req/s`).FindStringSubmatch(out)
	requests := regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed,`).FindStringSubmatch(out)
	status := regexp.MustCompile(`(?m)^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`).FindStringSubmatch(out)
	if finished == nil || requests == nil || status == nil {
		return summary{}, fmt.Errorf("h2load says nothing of its requests: %s", out)
	}
	took, err := time.ParseDuration(finished[1] + strings.Replace(finished[2], "min", "m", 1))
	if err != nil {
		return summary{}, fmt.Errorf("h2load: %w", err)
	}
	rate, err := strconv.ParseFloat(finished[3], 64)
	if err != nil {
		return summary{}, fmt.Errorf("h2load: %w", err)
	}
	var n [6]int
	for i, digits := range append(requests[1:], status[1:]...) {
		if n[i], err = strconv.Atoi(digits); err != nil {
			return summary{}, fmt.Errorf("h2load: %w", err)
		}
	}
	done, failed, good, bad := n[0], n[1], n[2], n[3]+n[4]+n[5]
	return summary{throughput{float64(good), rate}, max(failed, bad, done-good), took, strings.TrimPrefix(status[0], "status codes: ")}, nil
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
