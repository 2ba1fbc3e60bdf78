package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/admin"
	"github.com/sundog-mesh/sundog/internal/cli"
	"github.com/sundog-mesh/sundog/internal/evidence"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/report"
)

// comparison is one whose candidate has differed in so many of n answers.
func comparison(route string, n, candidate uint64) report.Comparison {
	c := report.Comparison{
		Route: route, Primary: "v1", Candidate: "v2", Baseline: "v1-again", Alpha: 0.05, Epsilon: 0.001,
		Verdict: report.Verdict{State: report.Undecided, Why: "too few"},
		Account: report.Account{Compared: n, Equal: n - candidate, Different: candidate, WithBaseline: n},
		Counts:  report.Counts{Paired: evidence.Excess{Exchanges: n, Candidate: candidate}},
	}
	c.Verdict.Upper = c.Counts.Paired.Upper(c.Alpha)
	switch {
	case candidate > 0:
		c.Verdict.State = report.Different
		c.Differences = []report.Difference{{
			Method: "GET", Path: "/a", Field: "body.b", Aspect: report.AspectValue, State: report.Proven, Order: 1,
			LogE: evidence.Coin{Candidate: candidate}.LogE(), Exchanges: n, Candidate: candidate, OnlyCandidate: candidate,
		}}
	case c.Verdict.Upper <= c.Epsilon:
		c.Verdict.State = report.Equivalent
	}
	return c
}

// reports is a Reporter that goes on with each look, and stays at its last.
type reports struct {
	all   []report.Report
	looks atomic.Int64
}

func (r *reports) Report() report.Report {
	n := int(r.looks.Add(1))
	return r.all[min(n, len(r.all))-1]
}

func of(all ...report.Comparison) report.Report { return report.Report{Comparisons: all} }

type noProxy struct{}

func (noProxy) Status() proxy.Status { return proxy.Status{} }

// adminOf serves reports as a running sundog does; nil: it compares nothing.
func adminOf(t *testing.T, r admin.Reporter) string {
	t.Helper()
	state := admin.NewState(noProxy{}, time.Now())
	srv := httptest.NewServer(admin.New(state, nil, admin.Options{Reporter: r}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// sundog runs a command, whole.
func sundog(ctx context.Context, in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = cli.Main(ctx, args, cli.Streams{In: strings.NewReader(in), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestReport(t *testing.T) {
	address := adminOf(t, &reports{all: []report.Report{of(comparison("r", 1000, 40), comparison("s", 20000, 0))}})
	for format, want := range map[string]string{
		"text":     "different: 1 of 2 comparisons; route r: body.b of GET /a is wrong in 4.0 % of the answers (proven, false-alarm rate 0.05)\n",
		"markdown": "**different**: 1 of 2 comparisons",
		"html":     "<!DOCTYPE html>",
		"json":     "{\n  \"generated\":",
	} {
		code, out, errs := sundog(t.Context(), "", "report", "--admin", address, "--format", format)
		if code != 0 || !strings.HasPrefix(out, want) || errs != "" {
			t.Errorf("%s: %d %q %.300s", format, code, errs, out)
		}
	}
	if code, out, _ := sundog(t.Context(), "", "report", "--admin", "http://"+address+"/", "--route", "s"); code != 0 || !strings.HasPrefix(out, "equivalent: at most 0.018 % of the answers") {
		t.Errorf("%d %s", code, out)
	}
	// A report that was saved says the same.
	file := filepath.Join(t.TempDir(), "report.json")
	if code, out, errs := sundog(t.Context(), "", "report", "--admin", address, "--format", "json", "--out", file); code != 0 || out+errs != "" {
		t.Errorf("%d %q %q", code, out, errs)
	}
	_, live, _ := sundog(t.Context(), "", "report", "--admin", address)
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if code, out, _ := sundog(t.Context(), "", "report", "--file", file); code != 0 || out != live {
		t.Errorf("%d %s", code, out)
	}
	if code, out, _ := sundog(t.Context(), string(saved), "report", "--file", "-"); code != 0 || out != live {
		t.Errorf("%d %s", code, out)
	}
}

func TestReportErrors(t *testing.T) {
	nothing := adminOf(t, nil)
	some := adminOf(t, &reports{all: []report.Report{of(comparison("r", 0, 0))}})
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello")) }))
	defer other.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	gone := strings.TrimPrefix(closed.URL, "http://")
	for _, tt := range []struct {
		args string
		code int
		errs string
	}{
		{"report --format pdf", 2, `--format "pdf" is not known`},
		{"report --admin x:1 --file y", 2, "--admin and --file are both given"},
		{"report --admin " + nothing, 1, "404 Not Found: nothing is compared here: to turn it on, attach a ShadowPolicy with spec.compare"},
		{"report --admin " + gone, 1, "hint: is sundog running there?"},
		{"report --admin " + other.URL, 1, "hint: is that the admin interface of sundog?"},
		{"report --admin " + some + " --route x", 1, "hint: routes that are: r\n"},
		{"report --file /nowhere/report.json", 1, "no such file"},
		{"verdict --max-diff lots", 2, `"lots" is no share`},
		{"verdict --max-diff 100%", 2, "max-diff 1 is no share"},
		{"verdict --confidence 99", 2, "confidence 99 is out of range"},
		{"verdict --max-latency-ratio nan", 2, "max-latency-ratio NaN is no ratio"},
		{"verdict --format xml", 2, `--format "xml" is not known`},
		{"verdict --wait 1m --file x", 2, "--wait with --file"},
		{"verdict --admin x:1 --file y", 2, "--admin and --file are both given"},
		{"verdict --wait=-1m", 2, "a duration is negative"},
		{"verdict 0.1%", 2, `unexpected argument "0.1%"`},
		{"verdict --admin " + nothing, 4, "nothing is compared here"},
		{"verdict --wait 1h --admin " + gone, 4, "hint: is sundog running there?"},
		{"verdict --admin " + some + " --wait 1h --route x", 4, "hint: routes that are: r\n"},
		{"verdict --file /nowhere/report.json", 4, "no such file"},
	} {
		code, out, errs := sundog(t.Context(), "", strings.Fields(tt.args)...)
		if code != tt.code || out != "" || !strings.Contains(errs, tt.errs) {
			t.Errorf("%s: %d %q %q, want %d %q", tt.args, code, out, errs, tt.code, tt.errs)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		name  string
		looks []report.Report
		args  string
		code  int
		out   string
		told  string // on stderr
	}{
		{"equivalent", []report.Report{of(comparison("r", 20000, 0))}, "", 0, "equivalent: at most 0.018 % of the answers differ more than the baseline's\n", ""},
		{"different", []report.Report{of(comparison("r", 1000, 40))}, "", 1, "different: body.b of GET /a is wrong in 4.0 % of the answers (proven, false-alarm rate 0.05)\n", ""},
		{"within a wide limit", []report.Report{of(comparison("r", 1000, 40))}, "--max-diff 10%", 0, "equivalent: at most 6.", ""},
		{"surer", []report.Report{of(comparison("r", 20000, 0))}, "--max-diff 0.03% --confidence 0.99", 0, "equivalent: at most 0.027 %", ""},
		{"too sure", []report.Report{of(comparison("r", 20000, 0))}, "--max-diff 0.02% --confidence 0.9999", 3, "undecided: up to 0.05", ""},
		{"undecided, one look", []report.Report{of(comparison("r", 1000, 0))}, "", 3, "undecided: up to 0.36 % of the answers may differ more than the baseline's, 0.1 % is allowed; about 2,600 more exchanges needed\n", ""},
		{"waits until it is equivalent", []report.Report{{}, of(comparison("r", 1000, 0)), of(comparison("r", 2000, 0)), of(comparison("r", 9000, 0))}, "--wait 1h --every 1ms", 0, "equivalent: at most 0.04", "waiting up to 1h0m0s; undecided: nothing is compared yet\n"},
		{"waits until it is different", []report.Report{of(comparison("r", 1000, 0)), of(comparison("r", 2000, 80))}, "--wait 1h --every 1ms", 1, "different: ", "waiting up to 1h0m0s; undecided: up to 0.36 %"},
		{"the wait is over", []report.Report{of(comparison("r", 1000, 0))}, "--wait 20ms --every 1ms", 3, "undecided: ", "waiting up to 20ms; "},
		{"waiting does not help", []report.Report{of(comparison("r", 1000, 0))}, "--wait 1h --max-diff 0", 3, "undecided: that not one answer differs cannot be shown by counting", ""},
		{"all routes", []report.Report{of(comparison("r", 20000, 0), comparison("s", 1000, 0))}, "", 3, "undecided: up to 0.36 % of the answers may differ more than the baseline's, 0.1 % is allowed; about 2,600 more exchanges needed\n  r, v2: equivalent: at most", ""},
		{"one route", []report.Report{of(comparison("r", 20000, 0), comparison("s", 1000, 0))}, "--route r", 0, "equivalent: ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address := adminOf(t, &reports{all: tt.looks})
			code, out, errs := sundog(t.Context(), "", append([]string{"verdict", "--admin", address}, strings.Fields(tt.args)...)...)
			if code != tt.code || !strings.HasPrefix(out, tt.out) || !strings.HasPrefix(errs, tt.told) || tt.told == "" && errs != "" {
				t.Errorf("%d %q %q", code, out, errs)
			}
		})
	}
}

// The command prints what the admin's /verdict serves.
func TestVerdictJSON(t *testing.T) {
	r := of(comparison("r", 1000, 40))
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	code, out, errs := sundog(t.Context(), b.String(), "verdict", "--file", "-", "--format", "json", "--max-diff", "0.1%", "--confidence", "0.99")
	var mine, served report.Decisions
	if err := json.Unmarshal([]byte(out), &mine); err != nil || code != 1 || errs != "" {
		t.Fatalf("%d %q %q %v", code, out, errs, err)
	}
	resp, err := http.Get("http://" + adminOf(t, &reports{all: []report.Report{r}}) + "/verdict?max-diff=0.001&confidence=0.99")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&served); err != nil {
		t.Fatal(err)
	}
	if mine.Decision != served.Decision || len(mine.Comparisons) != 1 || mine.MaxDiff != 0.001 || !mine.Fail || mine.Value <= 0.04 {
		t.Errorf("%+v\n%+v", mine, served)
	}
}

// Once it has had an answer, it outlasts that sundog is away for a moment; and
// it ends when its context does.
func TestVerdictOutlastsARestart(t *testing.T) {
	var looks atomic.Int64
	r := &reports{all: []report.Report{of(comparison("r", 1000, 0)), of(comparison("r", 9000, 0))}}
	running := admin.New(admin.NewState(noProxy{}, time.Now()), nil, admin.Options{Reporter: r})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if n := looks.Add(1); n > 1 && n < 5 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		running.ServeHTTP(w, req)
	}))
	defer srv.Close()
	code, out, errs := sundog(t.Context(), "", "verdict", "--admin", srv.URL, "--wait", "1h", "--every", "1ms")
	if code != 0 || !strings.HasPrefix(out, "equivalent: ") || looks.Load() != 5 {
		t.Errorf("%d %q %q after %d looks", code, out, errs, looks.Load())
	}

	ctx, cancel := context.WithCancel(t.Context())
	stop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = report.JSON(w, of(comparison("r", 1000, 0)))
		cancel()
	}))
	defer stop.Close()
	if code, out, errs := sundog(ctx, "", "verdict", "--admin", stop.URL, "--wait", "1h"); code != 4 || out != "" || !strings.Contains(errs, "context canceled") {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
