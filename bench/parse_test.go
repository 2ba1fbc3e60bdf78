//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	const stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 25 7 8 20 0 1 0 100 1000 10"
	got, err := parseStat(stat)
	if want := 1750 * time.Millisecond; err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "42 (x) S 1 2", "42 (x) S 1 42 42 0 -1 4194560 100 0 0 0 many 25"} {
		if got, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) is %v, want an error", bad, got)
		}
	}
}

func TestParseWrk(t *testing.T) {
	const out = `Running 1s test @ http://127.0.0.1:1/some/path
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  339.84us   9.71ms   87.35%
    Req/Sec    30.92k     2.16k   35.06k    81.82%
  33876 requests in 1.10s, 6.98MB read
Requests/sec:  30786.55
Transfer/sec:      6.34MB
`
	got, err := parseWrk(out)
	if want := (throughput{33876, 30786.55}); err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{
		"",
		strings.Replace(out, "requests in", "in", 1),
		strings.Replace(out, "Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec", 1),
		strings.Replace(out, "Requests/sec", "  Non-2xx or 3xx responses: 7\nRequests/sec", 1),
	} {
		if got, err := parseWrk(bad); err == nil {
			t.Errorf("%v, want an error, of:\n%s", got, bad)
		}
	}
}

func TestParseH2load(t *testing.T) {
	const log = "1795392489642268\t200\t701\n1795392489722732\t503\t1116\n1795392489722733\t-1\t9000000\n"
	times, failed, err := parseH2load(log)
	want := []time.Duration{701 * time.Microsecond, 1116 * time.Microsecond, 9 * time.Second}
	if diff := cmp.Diff(want, times); err != nil || failed != 2 || diff != "" {
		t.Errorf("%d failed, want 2; %v\n%s", failed, err, diff)
	}
	for _, bad := range []string{"1795392489642268\t200\n", "1\t200\tsoon\n"} {
		if got, _, err := parseH2load(bad); err == nil {
			t.Errorf("%v, want an error, of %q", got, bad)
		}
	}
}

func TestParseH2loadSummary(t *testing.T) {
	const out = `starting benchmark...
Application protocol: h2c

finished in 1.50s, 20066.67 req/s, 2.13MB/s
requests: 30100 total, 30356 started, 30100 done, 30100 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 30100 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 3.20MB (3353148) total, 500.55KB (512563) headers (space savings 73.02%), 1.93MB (2020080) data
`
	got, err := parseH2loadSummary(out)
	if want := (summary{throughput{30100, 20066.67}, 0, 1500 * time.Millisecond, "30100 2xx, 0 3xx, 0 4xx, 0 5xx"}); err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, test := range []struct {
		name, from, to string
		failed         int
	}{
		{"broken requests", "30100 succeeded, 0 failed, 0 errored", "30096 succeeded, 4 failed, 3 errored", 4},
		{"another status", "30100 2xx, 0 3xx, 0 4xx, 0 5xx", "30095 2xx, 0 3xx, 2 4xx, 3 5xx", 5},
		{"done without a status", "30100 2xx", "30090 2xx", 10},
	} {
		got, err := parseH2loadSummary(strings.Replace(out, test.from, test.to, 1))
		if err != nil || got.failed != test.failed {
			t.Errorf("%s: %d failed, %v, want %d", test.name, got.failed, err, test.failed)
		}
	}
	for _, line := range []string{"finished in", "requests:", "status codes:"} {
		if got, err := parseH2loadSummary(strings.Replace(out, line, "", 1)); err == nil {
			t.Errorf("%v, want an error, without %q", got, line)
		}
	}
	minutes, err := parseH2loadSummary(strings.Replace(out, "1.50s", "10.50min", 1))
	if want := 630 * time.Second; err != nil || minutes.took != want {
		t.Errorf("took %v, %v, want %v", minutes.took, err, want)
	}
}

// What was due and not answered counts; a connection may have one under way.
func TestUnanswered(t *testing.T) {
	l := load{rate: 1000, conns: 16, length: 1020 * time.Millisecond}
	for answered, want := range map[int]int{1000: 0, 984: 0, 983: 1, 1: 983, 0: 1000} {
		if got := l.unanswered(answered); got != want {
			t.Errorf("%d answered: %d are not, want %d", answered, got, want)
		}
	}
}

// A message ends where its content-length says, however its bytes arrive.
func TestReadMessage(t *testing.T) {
	const text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789"
	slow := iotest.OneByteReader(strings.NewReader(text + text))
	for i := range 2 {
		if err := readMessage(slow, make([]byte, 64)); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if err := readMessage(slow, make([]byte, 64)); !errors.Is(err, io.EOF) {
		t.Errorf("after both messages: %v, want EOF", err)
	}
	if err := readMessage(strings.NewReader(text), make([]byte, 256)); err != nil {
		t.Errorf("in one piece: %v", err)
	}
	if err := readMessage(strings.NewReader(text[:len(text)-1]), make([]byte, 256)); err == nil {
		t.Error("a message that is cut is read as if it were whole")
	}
	chunked := strings.NewReader("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if err := readMessage(chunked, make([]byte, 256)); err == nil {
		t.Error("a chunked message is read as if it had no body")
	}
}

func TestReplace(t *testing.T) {
	page := emptyPage() + "\nby hand\n"
	for _, text := range []string{"first\n", "second"} {
		var err error
		if page, err = replace(page, "cpu", text); err != nil {
			t.Fatal(err)
		}
	}
	begin, end := markers("cpu")
	if !strings.Contains(page, begin+"\nsecond\n"+end) || strings.Contains(page, "first") {
		t.Errorf("not the second text alone:\n%s", page)
	}
	if !strings.HasSuffix(page, "\nby hand\n") {
		t.Errorf("what was written by hand is gone:\n%s", page)
	}
	if _, err := replace("no markers", "cpu", "x"); err == nil {
		t.Error("a page without markers is replaced in silence")
	}
}

// A page from before a part has room for it, in the parts' order.
func TestAddMarkers(t *testing.T) {
	whole := emptyPage()
	old := whole
	for _, name := range []string{"tls", "h2", "soak"} {
		old = strings.Replace(old, notMeasured(name), "", 1)
	}
	if old == whole {
		t.Fatal("nothing was removed")
	}
	got, err := addMarkers(old)
	if diff := cmp.Diff(whole, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := addMarkers("no markers"); err == nil {
		t.Error("a page without any marker gets some")
	}
}

func TestLedgerString(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{"forwarded":9,"routes":[{"forwarded":5,"mirrors":[{"outcomes":{"completed":3,"reset":2}}]},{"forwarded":4,"mirrors":[]}]}`, "completed 3, reset 2, balances"},
		{`{"routes":[{"forwarded":5,"mirrors":[{"outcomes":{"completed":5}},{"outcomes":{"completed":4}}]}]}`, "completed 9, **does NOT balance**: 9 outcomes, 10 forwarded"},
	} {
		var l ledger
		if err := json.Unmarshal([]byte(test.in), &l); err != nil {
			t.Fatal(err)
		}
		if got := l.String(); got != test.want {
			t.Errorf("%s\nis  %q\nnot %q", test.in, got, test.want)
		}
	}
}
