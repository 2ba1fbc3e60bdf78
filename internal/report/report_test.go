package report_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/report"
)

// golden compares with a file of testdata. After a deliberate change, run it
// with UPDATE=1 in the environment.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s: %s", file, diff)
	}
}

func TestText(t *testing.T) {
	text := func(r report.Report, opt report.TextOptions) func(io.Writer) error {
		return func(w io.Writer) error { return report.Text(w, r, opt) }
	}
	golden(t, "different.txt", text(sample(), report.TextOptions{}))
	golden(t, "different-80.txt", text(sample(), report.TextOptions{Width: 80, Color: true}))
	golden(t, "undecided.txt", text(undecided(), report.TextOptions{Width: 100}))
	two := sample()
	two.Comparisons = append(two.Comparisons, equivalent().Comparisons...)
	two.Comparisons[1].Route = "default/carts"
	golden(t, "nothing.txt", text(report.Report{}, report.TextOptions{Width: 80}))
	golden(t, "two.txt", text(two, report.TextOptions{Width: 100}))
}

func TestMarkdown(t *testing.T) {
	golden(t, "different.md", func(w io.Writer) error { return report.Markdown(w, sample()) })
	golden(t, "equivalent.md", func(w io.Writer) error { return report.Markdown(w, equivalent()) })
}

func TestTextFitsItsWidth(t *testing.T) {
	for _, width := range []int{40, 80, 132} {
		var b strings.Builder
		if err := report.Text(&b, sample(), report.TextOptions{Width: width}); err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(b.String(), "\n") {
			// The verdict stays on its line, commands stay whole, and tables have columns that are not cut.
			if n > 0 && width >= 80 && len([]rune(line)) > width && !strings.Contains(line, "curl") && !strings.Contains(line, " ms") {
				t.Errorf("width %d: line %d has %d characters: %q", width, n+1, len([]rune(line)), line)
			}
		}
	}
}

func TestHeadlines(t *testing.T) {
	slow := equivalent()
	slow.Comparisons[0].Verdict.State = report.Different
	slow.Comparisons[0].Latency.Verdict = report.LatencySlower
	alone := equivalent()
	alone.Comparisons[0].Baseline = ""
	lost := undecided()
	lost.Comparisons[0].Verdict.Needed = 0
	for want, r := range map[string]report.Report{
		"different: body.total of GET /orders/{id} is wrong in 1.0 % of the answers (proven, false-alarm rate 0.05)": sample(),
		"different: the candidate takes more than 1.1 times as long as the baseline (at the median 1.02 times)":      slow,
		"equivalent: at most 0.079 % of the answers differ more than the baseline's":                                 equivalent(),
		"equivalent: at most 0.079 % of the answers differ":                                                          alone,
		"undecided: about 2,300 more exchanges needed":                                                               undecided(),
		"undecided: too few exchanges":                                                                               lost,
		"undecided: nothing is compared yet":                                                                         {},
		"equivalent: all 2 comparisons":                                                                              {Comparisons: append(equivalent().Comparisons, alone.Comparisons...)},
		"undecided: 1 of 2 comparisons; route default/orders: about 2,300 more exchanges needed":                     {Comparisons: append(equivalent().Comparisons, undecided().Comparisons...)},
	} {
		if got := r.Headline(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// Values may hold whatever a client sent; none of it may move the cursor, end
// the line or reverse it.
func TestTextAndMarkdownShowHostileValues(t *testing.T) {
	for _, value := range hostile() {
		r := poisoned(value)
		var text, markdown strings.Builder
		if err := report.Text(&text, r, report.TextOptions{Width: 120}); err != nil {
			t.Fatal(err)
		}
		if err := report.Markdown(&markdown, r); err != nil {
			t.Fatal(err)
		}
		for name, out := range map[string]string{"text": text.String(), "markdown": markdown.String()} {
			if i := strings.IndexAny(out, "\x00\x07\x1b\r\x7f\u0085\u2028\u202e\u2066\u200b"); i >= 0 {
				t.Errorf("%s of %q has a control character: %q", name, value, out[max(0, i-20):i+5])
			}
		}
		for _, bad := range []string{"<script", "<img", "<!--", "</summary><"} {
			if s := withoutCode(markdown.String()); strings.Contains(s, bad) {
				t.Errorf("markdown of %q has %q outside of code", value, bad)
			}
		}
	}
}

// withoutCode removes code spans and fences.
func withoutCode(markdown string) string {
	var b strings.Builder
	for i := 0; i < len(markdown); {
		n := len(markdown[i:]) - len(strings.TrimLeft(markdown[i:], "`"))
		if n == 0 || i > 0 && markdown[i-1] == '\\' {
			b.WriteByte(markdown[i])
			i++
			continue
		}
		marks := markdown[i : i+n]
		rest := markdown[i+n:]
		end := 0
		for {
			j := strings.Index(rest[end:], marks)
			if j < 0 {
				end = len(rest)
				break
			}
			end += j
			run := len(rest[end:]) - len(strings.TrimLeft(rest[end:], "`"))
			end += run
			if run == n {
				break
			}
		}
		i += n + end
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := report.JSON(&b, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := report.Read([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	var again strings.Builder
	if err := report.JSON(&again, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), again.String()); diff != "" {
		t.Error(diff)
	}
	if got.Comparisons[0].Counts != sample().Comparisons[0].Counts || got.Comparisons[0].Differences[0].Order != 1 {
		t.Error("the counts are lost")
	}
	b.Reset()
	empty := report.Report{Comparisons: []report.Comparison{{Endpoints: []report.Endpoint{{}}, Differences: []report.Difference{{LogE: inf()}}}}}
	if err := report.JSON(&b, empty); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("a list is null: %s", b.String())
	}
	if _, err := report.Read([]byte("<html>")); err == nil {
		t.Error("a page was read as a report")
	}
}

func TestWriteErrorsAreTold(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"text":     func(w io.Writer) error { return report.Text(w, sample(), report.TextOptions{}) },
		"markdown": func(w io.Writer) error { return report.Markdown(w, sample()) },
		"html":     func(w io.Writer) error { return report.HTML(w, sample()) },
		"json":     func(w io.Writer) error { return report.JSON(w, sample()) },
	} {
		if err := write(full{}); err == nil || !strings.Contains(err.Error(), "writing the report: no space") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
