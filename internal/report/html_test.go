package report_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/sundog-mesh/sundog/internal/report"
)

func inf() float64 { return math.Inf(1) }

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func hostile() []string {
	return []string{
		`</script><script>alert(1)</script>`,
		`</style></title></pre><img src=x onerror=alert(1)>`,
		`"><svg onload=alert(1)>`,
		`' onfocus='alert(1)' x='`,
		"``` \n</details><script>alert(1)</script>\n```",
		"a|b\\|c`d`` e @someone #12 [x](javascript:alert(1)) ![i](http://x/y.png)",
		`{{.Style}} {{template "chart"}} ${alert(1)} <!-- --`,
		"\x00\x07\x1b[2J\x1b]0;title\x07\r\n\x7f\u0085\u2028 up\u202eside\u2066down\u200b",
		"שלום مرحبا",
		"\xff\xfe not UTF-8",
		strings.Repeat("long ", 40000),
	}
}

// poisoned is a report with the value wherever somebody else's text may stand.
func poisoned(v string) report.Report {
	r := sample()
	c := &r.Comparisons[0]
	c.Route, c.Policy, c.Primary, c.Candidate, c.Baseline = v, v, v, v, v
	c.Verdict.Why, c.Warnings = v, []string{v}
	c.Account.NotComparable = map[string]uint64{v: 1}
	c.Coverage.Methods = map[string]int{v: 1}
	c.Latency.Warning, c.Latency.Against = v, v
	e := &c.Endpoints[0]
	e.Method, e.Path, e.Latency.Verdict, e.Verdict.State = v, v, report.LatencyState(v), report.State(v)
	d := &c.Differences[0]
	d.Method, d.Path, d.Field = v, v, v
	d.Transitions = []report.Transition{{From: v, To: v, Count: 1}}
	d.Predictors = []report.Predictor{{Feature: v}}
	*d.Example = report.Example{ID: v, Method: v, URL: v, At: v, From: v, To: v, Primary: report.Sample{Body: v}, Candidate: report.Sample{Body: v}, Curl: v}
	c.Differences[1].Aspect, c.Differences[1].State = v, report.DifferenceState(v)
	c.Noise = []report.Noise{{Method: v, Path: v, Field: v, Type: v, Examples: []string{v}}}
	return r
}

func page(t *testing.T, r report.Report) (string, *html.Node) {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), doc
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// shape is the page's elements and the names of their attributes, in order.
func shape(doc *html.Node) []string {
	var all []string
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			s := n.Data
			for _, a := range n.Attr {
				s += " " + a.Key
			}
			all = append(all, s)
		}
	}
	return all
}

// Whatever the values are, the page has the same elements with the same
// attributes; nothing is run, fetched or styled but what its policy names.
func TestHostileValuesAreInert(t *testing.T) {
	_, harmless := page(t, poisoned("harmless"))
	want := shape(harmless)
	for _, v := range hostile() {
		source, doc := page(t, poisoned(v))
		if got := shape(doc); !slices.Equal(got, want) {
			t.Errorf("%.40q changes the page's elements", v)
		}
		for n := range doc.Descendants() {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "href" {
					t.Errorf("%.40q: <%s %s=%q>", v, n.Data, a.Key, a.Val)
				}
			}
		}
		if i := strings.IndexAny(source, "\x00\x07\x1b\r\x7f\u0085\u2028\u202e\u2066\u200b"); i >= 0 {
			t.Errorf("%.40q: the page has a control character: %q", v, source[max(0, i-20):i+4])
		}
		if len(source) > 400_000 {
			t.Errorf("%.40q: the page has %d bytes", v, len(source))
		}
	}
}

// Every element that is opened is closed, in order: the parser would mend it
// silently, the tokenizer does not.
func TestPageIsWellFormed(t *testing.T) {
	two := sample()
	two.Comparisons = append(two.Comparisons, equivalent().Comparisons...)
	for name, r := range map[string]report.Report{"sample": sample(), "two": two, "none": {}, "undecided": undecided()} {
		source, doc := page(t, r)
		void := map[string]bool{"meta": true, "input": true}
		var open []string
		ids := map[string]bool{}
		z := html.NewTokenizer(strings.NewReader(source))
		for kind := z.Next(); kind != html.ErrorToken; kind = z.Next() {
			tok := z.Token()
			switch {
			case kind == html.StartTagToken && !void[tok.Data]:
				open = append(open, tok.Data)
			case kind == html.EndTagToken:
				if len(open) == 0 || open[len(open)-1] != tok.Data {
					t.Fatalf("%s: </%s> closes nothing; open are %v", name, tok.Data, open)
				}
				open = open[:len(open)-1]
			}
			for _, a := range tok.Attr {
				if a.Key == "id" && ids[a.Val] {
					t.Errorf("%s: two elements have the id %s", name, a.Val)
				}
				ids[a.Val] = ids[a.Val] || a.Key == "id"
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: not closed: %v", name, open)
		}
		for n := range doc.Descendants() {
			if n.Data == "h1" && text(n) != r.Headline() {
				t.Errorf("%s: the first heading is %q", name, text(n))
			}
		}
	}
}

// The policy names the very style and script that the page has.
func TestPagePolicyFits(t *testing.T) {
	_, doc := page(t, sample())
	policy := ""
	found := 0
	for n := range doc.Descendants() {
		switch n.Data {
		case "meta":
			if attribute(n, "http-equiv") == "Content-Security-Policy" {
				policy = attribute(n, "content")
			}
		case "style", "script":
			found++
			sum := sha256.Sum256([]byte(text(n)))
			if want := n.Data + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("the policy %q lacks %s", policy, want)
			}
		}
	}
	if found != 2 || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("%d scripts and styles, policy %q", found, policy)
	}
}

func TestPageHasWhatOneLooksFor(t *testing.T) {
	source, doc := page(t, sample())
	var labels []string
	all := text(doc)
	for n := range doc.Descendants() {
		if n.Data == "figure" {
			labels = append(labels, attribute(n, "aria-label"))
		}
	}
	want := []string{
		"share of different answers by minute, from 2026-03-04 15:01:00 UTC to 2026-03-04 15:29:00 UTC: 1.5 % at most, 0.83 % in the last minute",
		"latency: p50 of the candidate 12.4 ms (11.8 to 13.0); p50 of the baseline 12.1 ms (11.5 to 12.7); p99 of the candidate 95.0 ms (80.0 or more); p99 of the baseline 93.0 ms (88.3 to 97.7)",
	}
	if !slices.Equal(labels, want) {
		t.Errorf("charts %q", labels)
	}
	for _, s := range []string{
		"is wrong in 1.0 % of the answers", "12.50", "12.49", `{"id":42,"total":12.49}`, "curl -s 'http://orders/orders/42?currency=EUR'",
		`Where query "currency" is set: 12 %, else 0.04 %.`, "body.trace", "uuid", "Instance identity, or a difference", "a baseline on another instance tells",
	} {
		if !strings.Contains(all, s) {
			t.Errorf("the page lacks %q", s)
		}
	}
	for _, s := range []string{"http://www", "https://", "@import", "url("} {
		if strings.Contains(source, s) {
			t.Errorf("the page has %q", s)
		}
	}
}

// A browser runs the page's script under the page's policy, and shows the verdict.
func TestBrowserShowsThePage(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "chromium-headless-shell", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			browser = p
			break
		}
	}
	if browser == "" {
		t.Skip("NOT TESTED: there is no Chromium: apt-get install chromium-headless-shell")
	}
	source, _ := page(t, sample())
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"), "--dump-dom", "file://"+file)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	doc, err := html.Parse(&out)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for n := range doc.Descendants() {
		switch n.Data {
		case "h1":
			shown["verdict"] = text(n)
		case "button":
			if !slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
				shown["button"] = text(n) // the script has run
			}
		}
	}
	if r := sample(); shown["verdict"] != r.Headline() || shown["button"] != "copy" {
		t.Errorf("the browser shows %q", shown)
	}
	if strings.Contains(errs.String(), "Content Security Policy") {
		t.Error(errs.String())
	}
}
