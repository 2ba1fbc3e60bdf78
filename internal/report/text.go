package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// TextOptions say how Text prints.
type TextOptions struct {
	// Width is how many columns there are; 0: as many as it takes. Commands to
	// copy are never cut.
	Width int
	// Color marks verdicts with the colours of terminals.
	Color bool
}

// Text prints the report for a terminal. The first line is the verdict.
func Text(w io.Writer, r Report, opt TextOptions) error {
	p := &printer{TextOptions: opt}
	if len(r.Comparisons) != 1 {
		p.line(0, p.verdict(r.Headline()))
	}
	if len(r.Comparisons) == 0 {
		p.fold(0, "%s", howToCompare)
	}
	for i := range r.Comparisons {
		if i > 0 || len(r.Comparisons) > 1 {
			p.blank()
		}
		p.comparison(&r.Comparisons[i])
	}
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// printer collects lines.
type printer struct {
	TextOptions
	b strings.Builder
}

func (p *printer) blank() { p.b.WriteByte('\n') }

// line prints one line that is indented, whole.
func (p *printer) line(indent int, format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	p.b.WriteString(strings.Repeat(" ", indent))
	p.b.WriteString(format)
	p.b.WriteByte('\n')
}

// fold prints words on as many lines as it takes.
func (p *printer) fold(indent int, format string, args ...any) {
	rest := fmt.Sprintf(format, args...)
	for p.Width > indent+20 && utf8.RuneCountInString(rest) > p.Width-indent {
		at := breakAt(rest, p.Width-indent)
		if at <= 0 {
			break
		}
		p.line(indent, "%s", strings.TrimRight(rest[:at], " "))
		rest = strings.TrimLeft(rest[at:], " ")
		if len(rest) > 0 && p.b.Len() > 0 {
			indent = max(indent, 4)
		}
	}
	p.line(indent, "%s", rest)
}

// breakAt is where the last word begins that does not fit in n characters; 0:
// there is but one.
func breakAt(s string, n int) int {
	last, runes := 0, 0
	for i, r := range s {
		if r == ' ' {
			last = i
		}
		if runes++; runes > n {
			break
		}
	}
	return last
}

// paint colours text; the numbers are those of ANSI (ECMA-48, SGR).
func (p *printer) paint(code, text string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const (
	bold   = "1"
	faint  = "2"
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

// verdict colours the first word of a headline.
func (p *printer) verdict(headline string) string {
	word, rest, found := strings.Cut(headline, ":")
	code := yellow
	switch State(word) {
	case Equivalent:
		code = green
	case Different:
		code = red
	}
	if found {
		rest = ":" + rest
	}
	return p.paint(code, word) + rest
}

func (p *printer) heading(text string) {
	p.blank()
	p.line(0, "%s", p.paint(bold, text))
}

func (p *printer) comparison(c *Comparison) {
	p.line(0, "%s", p.verdict(c.Headline()))
	p.blank()
	p.fold(0, "%s against %s, route %s", name(c.Candidate), name(c.Primary), name(c.Route))
	if c.Policy != "" {
		p.fold(0, "policy %s, %s, since %s", name(c.Policy), c.baselineText(), stamp(c.Since))
	} else {
		p.fold(0, "%s, since %s", c.baselineText(), stamp(c.Since))
	}
	p.fold(0, "%s", c.Account.Sentence())
	p.fold(0, "%s", c.Coverage.Sentence())
	for _, w := range c.Warnings {
		p.fold(0, "%s %s", p.paint(yellow, "warning:"), visible(w))
	}
	differences, names := c.parts()
	if len(differences) > 0 {
		p.heading("Differences")
	}
	for _, i := range differences {
		p.difference(i+1, &c.Differences[i])
	}
	if len(names) > 0 {
		p.heading(titleOfNames)
		p.fold(2, "%s", aboutNames)
	}
	for _, i := range names {
		p.difference(i+1, &c.Differences[i])
	}
	p.endpoints(c.Endpoints)
	p.latency(c.Latency)
	p.noise(c.Noise)
}

func (p *printer) difference(n int, d *Difference) {
	p.fold(2, "%d. %s", n, d.Sentence())
	p.fold(5, "%s", d.Standing())
	for i, t := range d.Transitions {
		if i == 3 {
			p.line(5, "and %s of values", plural(uint64(len(d.Transitions)-i), "other pair"))
			break
		}
		half := (p.Width - 5 - 20) / 2
		if p.Width == 0 {
			half = 0
		}
		p.line(5, "%s -> %s  %s", cut(visible(t.From), max(half, 0)), cut(visible(t.To), max(half, 0)), p.paint(faint, times(t.Count)))
	}
	for _, f := range d.Predictors {
		p.fold(5, "where %s", f.Sentence())
	}
	if e := d.Example; e != nil {
		p.fold(5, "example: %s", e.Sentence())
		if e.Curl != "" {
			p.line(5, "%s", visible(e.Curl))
		}
	}
}

func (p *printer) endpoints(all []Endpoint) {
	if len(all) == 0 {
		return
	}
	p.heading("Endpoints")
	rows := [][]string{{"endpoint", "verdict", "compared", "different", "at most", "latency"}}
	for _, e := range all {
		rows = append(rows, []string{
			endpointName(e.Method, e.Path), name(string(e.Verdict.State)), count(e.Exchanges), count(e.Different),
			percentUp(e.Verdict.Upper), e.Latency.Short(),
		})
	}
	p.table(2, rows, 2, 3, 4)
}

func (p *printer) latency(l Latency) {
	if len(l.Quantiles) == 0 {
		return
	}
	p.heading("Latency")
	p.fold(2, "%s", l.Sentence())
	rows := [][]string{{"", "candidate, ms", l.reference() + ", ms", "ratio"}}
	for _, q := range l.Quantiles {
		rows = append(rows, []string{q.Name(), withBounds(q.Candidate), withBounds(q.Reference), withBounds(q.Ratio)})
	}
	p.table(2, rows)
}

func (p *printer) noise(all []Noise) {
	if len(all) == 0 {
		return
	}
	p.heading("Varies by itself (type, format, range and presence are still checked)")
	rows := [][]string{{"endpoint", "field", "looks like", "differs by itself"}}
	for _, n := range all {
		rows = append(rows, []string{endpointName(n.Method, n.Path), name(n.Field), name(n.Type), percent(n.Rate)})
	}
	p.table(2, rows, 3)
}

// table prints rows in columns; the first row is their names. Columns in right
// are aligned to the right. Where it is too wide the first column is cut.
func (p *printer) table(indent int, rows [][]string, right ...int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	all := indent + 2*(len(widths)-1)
	for _, w := range widths {
		all += w
	}
	if over := all - p.Width; p.Width > 0 && over > 0 {
		widths[0] = max(widths[0]-over, 12)
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if i == 0 {
				cell = cut(cell, widths[0])
			} else {
				line.WriteString("  ")
			}
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if slices.Contains(right, i) {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 {
			text = p.paint(faint, text)
		}
		p.line(indent, "%s", text)
	}
}
