package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"unicode/utf8"
)

//go:embed page/report.html
var pageHTML string

//go:embed page/report.css
var pageStyle string

//go:embed page/report.js
var pageScript string

// HTML prints the report as one page that needs nothing else and asks nobody
// for anything: its policy allows this one style and this one script, by their
// digests. Values are text wherever they stand.
func HTML(w io.Writer, r Report) error {
	t, err := template.New("report").Funcs(pageFuncs()).Parse(pageHTML)
	if err == nil {
		err = t.Execute(w, newPage(r))
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// page is what the template shows.
type page struct {
	Report      Report
	Headline    string
	How         string // to get a comparison
	State       string
	Policy      string
	Style       template.CSS
	Script      template.JS
	Filter      bool
	Comparisons []comparisonPage
}

type comparisonPage struct {
	Comparison
	Number       int
	Several      bool
	BaselineText string
	Groups       []group
	Names        []group // what may name the instance
	TitleOfNames string
	AboutNames   string
}

// group is the differences of an endpoint, in the order of the report.
type group struct {
	Endpoint    string
	Differences []differencePage
}

type differencePage struct {
	*Difference
	ID, What, Curl string
	Open, Slow     bool
}

func newPage(r Report) page {
	p := page{
		Report: r, Headline: r.Headline(), How: howToCompare, State: string(Equivalent),
		Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		Policy: "default-src 'none'; style-src " + digest(pageStyle) + "; script-src " + digest(pageScript) + "; base-uri 'none'; form-action 'none'",
	}
	if len(r.Comparisons) == 0 {
		p.State = string(Undecided)
	}
	differences := 0
	for n := range r.Comparisons {
		c := r.Comparisons[n]
		switch {
		case c.Verdict.State == Different:
			p.State = string(Different)
		case c.Verdict.State != Equivalent && p.State != string(Different):
			p.State = string(Undecided)
		}
		cp := comparisonPage{Comparison: c, Number: n + 1, Several: len(r.Comparisons) > 1, BaselineText: c.baselineText(), TitleOfNames: titleOfNames, AboutNames: aboutNames}
		found, names := c.parts()
		cp.Groups, cp.Names = groups(&c, n, found), groups(&c, n, names)
		differences += len(c.Differences)
		p.Comparisons = append(p.Comparisons, cp)
	}
	const many = 8
	p.Filter = differences > many
	return p
}

// groups are those of a comparison's differences that are at the places, by endpoint.
func groups(c *Comparison, n int, at []int) []group {
	var all []group
	places := map[string]int{}
	for _, i := range at {
		d := &c.Differences[i]
		endpoint := endpointName(d.Method, d.Path)
		k, ok := places[endpoint]
		if !ok {
			k = len(all)
			places[endpoint] = k
			all = append(all, group{Endpoint: endpoint})
		}
		page := differencePage{Difference: d, ID: fmt.Sprintf("curl-%d-%d", n+1, i+1), What: d.verb(), Open: i == 0, Slow: d.Aspect == AspectLatency}
		if d.Example != nil {
			page.Curl = d.Example.Curl
		}
		all[k].Differences = append(all[k].Differences, page)
	}
	return all
}

// digest names a text in a content security policy (CSP 3, 2.3.1).
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Most bytes that a page shows of one value and of one body.
const (
	mostValue = 512
	mostBody  = 16 << 10
)

func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"show":         func(v any) string { return name(fmt.Sprint(v)) },
		"whole":        visible,
		"short":        func(s string) string { return visible(begin(s, mostValue)) },
		"body":         func(s string) string { return lines(begin(s, mostBody)) },
		"endpoint":     endpointName,
		"stamp":        stamp,
		"count":        count,
		"percent":      percent,
		"percentUp":    percentUp,
		"bounded":      withBounds,
		"reference":    Latency.reference,
		"seriesChart":  seriesChart,
		"latencyChart": latencyChart,
		// Classes are of these words only, whatever the report holds.
		"state": func(s State) string {
			return oneOf(string(s), string(Equivalent), string(Different), string(Undecided))
		},
		"standing": func(s DifferenceState) string {
			return oneOf(string(s), string(Proven), string(Suspected), string(Identity))
		},
		"pace": func(s LatencyState) string {
			return oneOf(string(s), string(LatencySlower), string(LatencyFaster), string(LatencySame), string(LatencyUndecided))
		},
	}
}

func oneOf(s string, words ...string) string {
	for _, w := range words {
		if s == w {
			return w
		}
	}
	return ""
}

// begin returns the beginning of a value, and says how much is left out.
func begin(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return fmt.Sprintf("%s… (%d more bytes)", s[:most], len(s)-most)
}
