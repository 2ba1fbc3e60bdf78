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
	w       io.Writer
	command string
	order   []string
	texts   map[string]*strings.Builder
}

func newReport(w io.Writer, command string) *report {
	return &report{w: w, command: strings.TrimSpace(command), texts: map[string]*strings.Builder{}}
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

// missing is a row of a proxy that cannot run here.
func (r *report) missing(columns int, cells ...string) {
	for len(cells) < columns {
		cells = append(cells, "missing")
	}
	r.row(cells...)
}

// verdict is a ratio's budget and whether it was met.
func verdict(ratio, budget float64) string {
	switch {
	case budget == 0:
		return ""
	case ratio <= budget:
		return fmt.Sprintf("≤ %.2f met", budget)
	}
	return fmt.Sprintf("≤ %.2f **MISSED**", budget)
}

func ms(seconds float64) string { return fmt.Sprintf("%.2f", seconds*1000) }
func mib(bytes float64) string  { return fmt.Sprintf("%.1f", bytes/(1<<20)) }
func micros(v float64) string   { return fmt.Sprintf("%.1f", v) }
func ratio(v float64) string    { return fmt.Sprintf("%.2f", v) }
func count(v float64) string    { return fmt.Sprintf("%.0f", v) }

// writeInto puts the parts into the page at path. Everything else in it stays;
// a page that is not there is made.
func (r *report) writeInto(path, machine string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	page := cmp.Or(string(old), emptyPage())
	page, err = replace(page, "machine", machine)
	for _, name := range r.order {
		if err != nil {
			break
		}
		text := fmt.Sprintf("%s\n\nMeasured %s by `%s`.\n", strings.TrimSpace(r.texts[name].String()), time.Now().UTC().Format(time.DateOnly), r.command)
		page, err = replace(page, name, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
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
		begin, end := markers(name)
		page.WriteString("\n" + begin + "\nNot measured yet: `" + name + "`.\n" + end + "\n")
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
	fmt.Fprintf(&s, "Sundog: %s.", cmp.Or(firstLine(ctx, "git", "describe", "--always", "--dirty"), "unknown commit"))
	for _, p := range []struct {
		name    string
		command []string
	}{
		{"nginx", []string{"nginx", "-v"}},
		{"Envoy", []string{b.peers.envoy, "--version"}},
		{"HAProxy", []string{b.peers.haproxy, "-v"}},
		{"Caddy", []string{b.peers.caddy, "version"}},
		{"h2load", []string{"h2load", "--version"}},
		{"wrk", []string{"wrk", "-v"}},
	} {
		fmt.Fprintf(&s, "\n%s.", cmp.Or(firstLine(ctx, p.command...), p.name+": missing"))
	}
	return strings.ReplaceAll(s.String(), "\n", "\n- ")
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
