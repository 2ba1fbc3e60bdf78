package report

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// Markdown prints the report as a comment on a pull request (GitHub's
// dialect): the verdict, a table of differences, and the rest folded.
func Markdown(w io.Writer, r Report) error {
	var b strings.Builder
	if len(r.Comparisons) != 1 {
		fmt.Fprintf(&b, "%s\n\n", markdownVerdict(r.Headline()))
	}
	if len(r.Comparisons) == 0 {
		fmt.Fprintf(&b, "%s\n", howToCompare)
	}
	for i := range r.Comparisons {
		markdownComparison(&b, &r.Comparisons[i])
	}
	if _, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n"); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func markdownVerdict(headline string) string {
	word, rest, found := strings.Cut(headline, ":")
	if found {
		rest = ":" + rest
	}
	return "**" + word + "**" + prose(rest)
}

func markdownComparison(b *strings.Builder, c *Comparison) {
	fmt.Fprintf(b, "%s\n\n", markdownVerdict(c.Headline()))
	fmt.Fprintf(b, "%s against %s, route %s, %s, since %s\n\n", code(name(c.Candidate)), code(name(c.Primary)), code(name(c.Route)), prose(c.baselineText()), stamp(c.Since))
	differences, names := c.parts()
	markdownTable(b, c, "difference", differences)
	if len(names) > 0 {
		fmt.Fprintf(b, "**%s.** %s\n\n", prose(titleOfNames), prose(aboutNames))
		markdownTable(b, c, "field", names)
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(b, "> warning: %s\n\n", prose(w))
	}
	for i := range c.Differences {
		markdownDifference(b, &c.Differences[i])
	}
	folded(b, "What was compared", func() {
		fmt.Fprintf(b, "- %s\n- %s\n", prose(c.Account.Sentence()), prose(c.Coverage.Sentence()))
		fmt.Fprintf(b, "- false-alarm rate %s, equivalent below %s\n\n", ratioText(c.Alpha), percent(c.Epsilon))
		if len(c.Endpoints) > 0 {
			b.WriteString("| endpoint | verdict | compared | different | latency |\n| --- | --- | ---: | ---: | --- |\n")
			for _, e := range c.Endpoints {
				fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", cell(endpointName(e.Method, e.Path)), prose(string(e.Verdict.State)), count(e.Exchanges), count(e.Different), prose(e.Latency.Short()))
			}
			b.WriteByte('\n')
		}
	})
	if len(c.Latency.Quantiles) > 0 {
		folded(b, "Latency: "+c.Latency.Sentence(), func() {
			fmt.Fprintf(b, "| | candidate, ms | %s, ms | ratio |\n| --- | --- | --- | --- |\n", prose(c.Latency.reference()))
			for _, q := range c.Latency.Quantiles {
				fmt.Fprintf(b, "| %s | %s | %s | %s |\n", q.Name(), withBounds(q.Candidate), withBounds(q.Reference), withBounds(q.Ratio))
			}
			b.WriteByte('\n')
		})
	}
	if len(c.Noise) > 0 {
		folded(b, "Varies by itself: "+plural(uint64(len(c.Noise)), "field"), func() {
			b.WriteString("| endpoint | field | looks like | differs by itself |\n| --- | --- | --- | ---: |\n")
			for _, n := range c.Noise {
				fmt.Fprintf(b, "| %s | %s | %s | %s |\n", cell(endpointName(n.Method, n.Path)), cell(n.Field), prose(n.Type), percent(n.Rate))
			}
			b.WriteByte('\n')
		})
	}
}

// markdownTable lists some of the differences.
func markdownTable(b *strings.Builder, c *Comparison, what string, places []int) {
	if len(places) == 0 {
		return
	}
	fmt.Fprintf(b, "| %s | where | answers | state | most often |\n| --- | --- | ---: | --- | --- |\n", what)
	for _, i := range places {
		d, often := &c.Differences[i], ""
		if len(d.Transitions) > 0 {
			often = cell(d.Transitions[0].From) + " → " + cell(d.Transitions[0].To)
		}
		fmt.Fprintf(b, "| %s %s | %s | %s | %s | %s |\n", cell(d.Field), prose(d.verb()),
			cell(endpointName(d.Method, d.Path)), d.rateText(), prose(string(d.State)), often)
	}
	b.WriteByte('\n')
}

func withBounds(i Interval) string {
	return significant(i.Estimate) + " (" + i.bounds() + ")"
}

func markdownDifference(b *strings.Builder, d *Difference) {
	folded(b, d.Sentence(), func() {
		fmt.Fprintf(b, "- %s\n", prose(d.Standing()))
		for i, t := range d.Transitions {
			if i == 5 {
				break
			}
			fmt.Fprintf(b, "- %s → %s, %s\n", code(cut(visible(t.From), 100)), code(cut(visible(t.To), 100)), times(t.Count))
		}
		for _, p := range d.Predictors {
			fmt.Fprintf(b, "- where %s\n", prose(p.Sentence()))
		}
		b.WriteByte('\n')
		e := d.Example
		if e == nil {
			return
		}
		fmt.Fprintf(b, "Example: %s at %s\n\n", code(endpointName(e.Method, e.URL)), code(name(e.At)))
		fence(b, "diff", fmt.Sprintf("- %s\n+ %s", cut(visible(e.From), mostValue), cut(visible(e.To), mostValue)))
		if e.Curl != "" {
			fence(b, "sh", visible(e.Curl))
		}
	})
}

// folded prints a section that is closed at first.
func folded(b *strings.Builder, title string, body func()) {
	fmt.Fprintf(b, "<details><summary>%s</summary>\n\n", summary(title))
	body()
	b.WriteString("</details>\n\n")
}

// fence prints lines as they are.
func fence(b *strings.Builder, language, text string) {
	marks := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	fmt.Fprintf(b, "%s%s\n%s\n%s\n\n", marks, language, text, marks)
}

// code prints a value as it is, in a paragraph (CommonMark, 6.1).
func code(s string) string {
	s = visible(s)
	if strings.TrimSpace(s) == "" {
		return "` `"
	}
	marks := strings.Repeat("`", longestRun(s, '`')+1)
	if len(marks) > 1 {
		return marks + " " + s + " " + marks
	}
	return marks + s + marks
}

// cell is code in a table, where a bar needs a backslash even in code (GFM, 4.10).
func cell(s string) string {
	return strings.ReplaceAll(code(cut(visible(s), 80)), "|", `\|`)
}

// prose prints words of ours that may hold a value: nothing in it is markup,
// and nothing becomes a link or a mention.
func prose(s string) string {
	var b strings.Builder
	for _, r := range visible(s) {
		switch {
		case r == '<' || r == '>' || r == '&':
			b.WriteString(html.EscapeString(string(r)))
			continue
		case strings.ContainsRune("\\`*_[]|~!", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return unlinked(b.String())
}

// unlinked puts a space of no width where GitHub would see a mention, a
// reference or an address.
func unlinked(s string) string {
	return strings.NewReplacer("@", "@&#8203;", "#", "#&#8203;", "://", ":&#8203;//", "www.", "www&#8203;.").Replace(s)
}

func longestRun(s string, c byte) (longest int) {
	run := 0
	for i := range len(s) {
		run++
		if s[i] != c {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// summary escapes a title, in which Markdown is not read, only HTML.
func summary(title string) string {
	const space = "\u200b" // visible shows those that a title itself holds
	escaped := html.EscapeString(strings.NewReplacer("@", "@"+space, "#", "#"+space, "://", ":"+space+"//", "www.", "www"+space+".").Replace(visible(title)))
	return strings.ReplaceAll(escaped, space, "&#8203;")
}
