//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report prints the parts as they come, and keeps them for the page.
type report struct {
	w        io.Writer
	page     string // file to write the parts into; empty: none
	command  string
	revision string // of Sundog
	order    []string
	texts    map[string]*strings.Builder
	failures int // what could not be measured
}

func newReport(w io.Writer, page, command string) *report {
	return &report{w: w, page: page, command: strings.TrimSpace(command), texts: map[string]*strings.Builder{}}
}

// failure tells at once what could not be measured. Its row says so, too, and
// the run goes on.
func (r *report) failure(format string, args ...any) {
	r.failures++
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// begin starts a part; what follows is its text.
func (r *report) begin(p part) {
	r.order = append(r.order, p.name)
	r.texts[p.name] = &strings.Builder{}
	r.printf("## %s\n\n", p.title)
}

func (r *report) printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.texts[r.order[len(r.order)-1]].WriteString(text)
	_, _ = io.WriteString(r.w, text)
}

// columns starts a table.
func (r *report) columns(names ...string) {
	r.row(names...)
	r.row(strings.Split(strings.Repeat("---,", len(names)-1)+"---", ",")...)
}

func (r *report) row(cells ...string) { r.printf("| %s |\n", strings.Join(cells, " | ")) }

// missing is a row of a proxy that is not here, or could not do the job.
func (r *report) missing(columns int, p proxy, cells ...string) {
	why := "FAILED"
	if p.missing {
		why = "missing"
	}
	for len(cells) < columns {
		cells = append(cells, why)
	}
	r.row(cells...)
}

// verdict is the most that a figure may be, and whether that was met.
func verdict(figure, most float64) string {
	if most == 0 {
		return ""
	}
	return fmt.Sprintf("≤ %.2f %s", most, met(figure <= most))
}

// verdictAtLeast is the least that a figure may be, and whether that was met.
func verdictAtLeast(figure, least float64) string {
	return fmt.Sprintf("≥ %.2f %s", least, met(figure >= least))
}

// none is for what must not happen at all.
func none(n int) string { return "0 " + met(n == 0) }

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "**MISSED**"
}

func ms(seconds float64) string { return fmt.Sprintf("%.2f", seconds*1000) }
func mib(bytes float64) string  { return fmt.Sprintf("%.1f", bytes/(1<<20)) }
func micros(v float64) string   { return fmt.Sprintf("%.1f", v) }
func ratio(v float64) string    { return fmt.Sprintf("%.2f", v) }
func count(v float64) string    { return fmt.Sprintf("%.0f", v) }

// save puts the parts into the page, if there is one. Everything else in it
// stays; a page that is not there is made.
func (r *report) save(machine string) error {
	if r.page == "" {
		return nil
	}
	old, err := os.ReadFile(r.page)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	page, err := addMarkers(cmp.Or(string(old), emptyPage()))
	if err == nil {
		page, err = replace(page, "machine", machine)
	}
	for _, name := range r.order {
		if err != nil {
			break
		}
		text := fmt.Sprintf("%s\n\nMeasured %s by `%s`, Sundog %s.\n", strings.TrimSpace(r.texts[name].String()), time.Now().UTC().Format(time.DateOnly), r.command, r.revision)
		page, err = replace(page, name, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.page, err)
	}
	return os.WriteFile(r.page, []byte(page), 0o644)
}

// addMarkers adds the markers of parts that an older page does not have, each
// behind the part before it.
func addMarkers(page string) (string, error) {
	before := "machine"
	for _, name := range names() {
		begin, _ := markers(name)
		if !strings.Contains(page, begin) {
			_, end := markers(before)
			head, tail, ok := strings.Cut(page, end+"\n")
			if !ok {
				return "", fmt.Errorf("the marker %q is not there", end)
			}
			page = head + end + "\n" + notMeasured(name) + tail
		}
		before = name
	}
	return page, nil
}

// notMeasured is the place of a part.
func notMeasured(name string) string {
	begin, end := markers(name)
	return "\n" + begin + "\nNot measured yet: `" + name + "`.\n" + end + "\n"
}

// replace puts text between the page's markers of that name.
func replace(page, name, text string) (string, error) {
	begin, end := markers(name)
	before, rest, ok1 := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("the markers %q and %q are not there, in this order", begin, end)
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n" + end + after, nil
}

func markers(name string) (begin, end string) {
	return "<!-- bench: " + name + " -->", "<!-- bench: end of " + name + " -->"
}

// emptyPage is the page before the first measurement.
func emptyPage() string {
	var page strings.Builder
	page.WriteString("# Benchmarks\n\nWritten by `go run ./bench -out`: what stands between its markers is overwritten, the rest is by hand.\n")
	for _, name := range append([]string{"machine"}, names()...) {
		page.WriteString(notMeasured(name))
	}
	page.WriteString("\n## Where Sundog loses\n\nNot written yet.\n")
	return page.String()
}

// machine says where and with what the figures were made.
func (b *bench) machine(ctx context.Context) string {
	var s strings.Builder
	fmt.Fprintf(&s, "- Last run: %s, by `%s`.\n", time.Now().UTC().Format(time.DateOnly), b.report.command)
	fmt.Fprintf(&s, "Machine: %d cores (%s), Linux %s, %s.\n", runtime.NumCPU(), cpuModel(), firstLine(ctx, "uname", "-r"), runtime.Version())
	fmt.Fprintf(&s, "Medians of %d runs of %v each, after one to warm up; Sundog and its peers in turn, one thread each, loopback only.\n", b.runs, b.length)
	fmt.Fprintf(&s, "Sundog: %s.", b.report.revision)
	for _, p := range []struct {
		name    string
		command []string
	}{
		{"nginx", []string{"nginx", "-v"}},
		{"Envoy", []string{b.peers.envoy, "--version"}},
		{"HAProxy", []string{b.peers.haproxy, "-v"}},
		{"h2load", []string{"h2load", "--version"}},
		{"wrk", []string{"wrk", "-v"}},
	} {
		fmt.Fprintf(&s, "\n%s.", cmp.Or(firstLine(ctx, p.command...), p.name+": missing"))
	}
	fmt.Fprintf(&s, "\n%s.", cmp.Or(caddyVersion(b.peers.caddy), "Caddy: missing"))
	return strings.ReplaceAll(s.String(), "\n", "\n- ")
}

// revision is what was measured: a commit, and whether the files differ from it,
// but for the page that is written here.
func revision(ctx context.Context) string {
	commit := firstLine(ctx, "git", "rev-parse", "--short", "HEAD")
	if commit == "" || strings.HasPrefix(commit, "fatal:") {
		return "of an unknown commit"
	}
	if exec.CommandContext(ctx, "git", "diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)docs/benchmarks.md").Run() != nil {
		commit += ", changed"
	}
	return commit
}

// firstLine is the first line that a program prints, without the folder that
// it is in; nothing if there is no such program. wrk -v exits with 1.
func firstLine(ctx context.Context, command ...string) string {
	if command[0] == "" {
		return ""
	}
	out, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	line = strings.ReplaceAll(line, command[0], filepath.Base(command[0]))
	return strings.Join(strings.Fields(line), " ")
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(info), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return cmp.Or(strings.Trim(line, "\t :"), "unknown")
}
