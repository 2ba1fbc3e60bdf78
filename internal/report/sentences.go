package report

import (
	"fmt"
	"strings"
)

// Sentence says what became of all exchanges.
func (a Account) Sentence() string {
	s := fmt.Sprintf("%s compared: %s alike in all, %s not, noise included", plural(a.Compared, "exchange"), count(a.Equal), count(a.Different))
	if a.Compared > 0 {
		s += fmt.Sprintf("; %s with a baseline", count(a.WithBaseline))
	}
	if n := total(a.NotComparable); n > 0 {
		s += fmt.Sprintf("; %s not comparable (%s)", count(n), counts(a.NotComparable))
	}
	if n := total(a.Dropped); n > 0 {
		s += fmt.Sprintf("; %s dropped (%s)", count(n), counts(a.Dropped))
	}
	if a.Waiting > 0 {
		s += fmt.Sprintf("; %s waiting", count(a.Waiting))
	}
	return s
}

// Sentence says what the compared exchanges have touched.
func (c Coverage) Sentence() string {
	parts := []string{"covered: " + plural(uint64(max(c.Endpoints, 0)), "endpoint")}
	if m := counts(c.Methods); m != "" {
		parts = append(parts, "methods "+m)
	}
	if s := counts(c.Statuses); s != "" {
		parts = append(parts, "statuses "+s)
	}
	return strings.Join(append(parts, plural(uint64(max(c.Shapes, 0)), "shape")+" of answers"), "; ")
}

func (c *Comparison) baselineText() string {
	switch c.Baseline {
	case "":
		return "no baseline"
	case "again":
		return "baseline: the primary, asked again"
	}
	return "baseline " + name(c.Baseline)
}

// Standing says how sure a difference is, and how often it was seen.
func (d *Difference) Standing() string {
	var s string
	switch d.State {
	case Proven:
		s = "proven"
	case Identity:
		s = "not counted as a difference: a value of its own on each side, the same in all answers"
	default:
		s = "suspected, not proven yet"
	}
	if d.Aspect == AspectLatency {
		return s + fmt.Sprintf("; of the same request, beyond the limit %s, within it %s", times(d.Candidate), times(d.Baseline))
	}
	s += fmt.Sprintf("; %s of %s answers", count(d.Candidate), count(d.Exchanges))
	if d.Baseline > 0 {
		s += fmt.Sprintf(", %s of the baseline's %s", count(d.Baseline), count(d.paired()))
	}
	if d.Follows() {
		s += "; only where the status differs"
	}
	if c := d.Confirmed; c.Asked > 0 {
		s += fmt.Sprintf("; asked again %s: %s stable, %s transient, %s noisy", times(c.Asked), count(c.Stable), count(c.Transient), count(c.Noisy))
	}
	if !d.First.IsZero() {
		s += fmt.Sprintf("; first seen %s, last %s", stamp(d.First), stamp(d.Last))
	}
	return s
}

// rateText is the rate for a table; latencies have none.
func (d *Difference) rateText() string {
	if d.Aspect == AspectLatency {
		return ""
	}
	return percent(d.Rate())
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return count(n) + " times"
}

// Sentence says how much more often the difference is seen with the feature.
func (p Predictor) Sentence() string {
	return fmt.Sprintf("%s: %s, else %s", name(p.Feature), percent(p.With), percent(p.Without))
}

// Sentence says what was asked and what is different.
func (e *Example) Sentence() string {
	s := endpointName(e.Method, e.URL)
	if e.At != "" {
		s += ", " + name(e.At)
	}
	s += fmt.Sprintf(": %s -> %s", cut(visible(e.From), 60), cut(visible(e.To), 60))
	if e.ID != "" {
		s += fmt.Sprintf(" (request id %s, %s)", name(e.ID), stamp(e.Time))
	}
	return s
}

// Sentence says which side is slower.
func (l Latency) Sentence() string {
	var s string
	switch l.Verdict {
	case LatencySlower:
		s = "the candidate is slower than allowed"
	case LatencyFaster:
		s = "the candidate is faster"
	case LatencySame:
		s = "the candidate takes no longer than allowed"
	default:
		s = "not decided yet"
		if l.Against == AgainstPrimary {
			s = "no verdict"
		}
	}
	if l.Limit > 0 {
		s += fmt.Sprintf(" (limit %s times)", ratioText(l.Limit))
	}
	if l.Slower+l.Faster > 0 {
		s += fmt.Sprintf("; of the same request, slower %s, faster %s", times(l.Slower), times(l.Faster))
	}
	if l.Warning != "" {
		s += "; warning: " + name(l.Warning)
	}
	return s
}

// Short is the verdict with the ratio of medians.
func (l Latency) Short() string {
	s := name(string(l.Verdict))
	if l.Verdict == LatencyUndecided && l.Against == AgainstPrimary {
		s = "" // there never is one
	}
	if m := medianRatio(l); m > 0 {
		s = strings.TrimSpace(s + " " + significant(m) + "x")
	}
	return s
}

func (l Latency) reference() string {
	if l.Against == "" {
		return "reference"
	}
	return name(l.Against)
}

// Name is "p50" for the median.
func (q Quantile) Name() string { return fmt.Sprintf("p%g", q.Q*100) }
