package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Headline is the verdict in one plain sentence, without a line break.
func (r Report) Headline() string {
	switch len(r.Comparisons) {
	case 0:
		return string(Undecided) + ": " + ErrNothing.Error()
	case 1:
		return r.Comparisons[0].Headline()
	}
	counts := map[State]int{}
	for _, c := range r.Comparisons {
		counts[c.Verdict.State]++
	}
	for _, s := range []State{Different, Undecided} {
		for _, c := range r.Comparisons {
			if c.Verdict.State == s {
				_, why, _ := strings.Cut(c.Headline(), ": ")
				return fmt.Sprintf("%s: %d of %d comparisons; route %s: %s", s, counts[s], len(r.Comparisons), name(c.Route), why)
			}
		}
	}
	return fmt.Sprintf("%s: all %d comparisons", Equivalent, len(r.Comparisons))
}

// howToCompare is shown where there is no comparison.
const howToCompare = "To compare, attach a ShadowPolicy with spec.compare to a route that has a mirror, and wait for its first requests."

// Headline is the comparison's verdict in one plain sentence, without a line break.
func (c Comparison) Headline() string {
	q := newQuestion(c, Limits{})
	switch c.Verdict.State {
	case Equivalent:
		return string(Equivalent) + ": " + q.whyEquivalent(c.Verdict.Upper)
	case Different:
		if proven := q.proven(); len(proven) > 0 {
			return string(Different) + ": " + q.whyDifferent(proven)
		}
		if t := q.latency(); t.state == LatencySlower {
			return string(Different) + ": " + t.why
		}
		return string(Different) + ": " + name(c.Verdict.Why)
	}
	switch n, names := c.Verdict.Needed, c.unsettled(); {
	case n > 0 && names > 0:
		return fmt.Sprintf("%s: about %s more exchanges needed; besides, %s", Undecided, rough(n), nobodyKnows(names))
	case n > 0:
		return fmt.Sprintf("%s: about %s more exchanges needed", Undecided, rough(n))
	case names > 0 && c.Verdict.Upper < c.Epsilon:
		return string(Undecided) + ": " + nobodyKnows(names)
	}
	return strings.TrimSuffix(string(Undecided)+": "+name(c.Verdict.Why), ": ")
}

func (q *question) whyDifferent(proven []Difference) string {
	s := fmt.Sprintf("%s (proven, false-alarm rate %s)", proven[0].Sentence(), strconv.FormatFloat(q.alpha, 'g', 2, 64))
	if n := len(proven) - 1; n > 0 {
		s += "; and " + plural(uint64(n), "more difference")
	}
	follow := uint64(0)
	for _, d := range proven[min(1, len(proven)):] {
		if d.Follows() {
			follow++
		}
	}
	if follow > 0 {
		s += fmt.Sprintf(", %s of them only where a status differs", count(follow))
	}
	return s
}

// Follows reports whether it was seen only together with another status: an
// error has another body.
func (d Difference) Follows() bool {
	return d.Field != "status" && d.Candidate > 0 && d.WithStatus == d.Candidate
}

func (q *question) whyEquivalent(upper float64) string {
	return fmt.Sprintf("at most %s of the answers differ%s", percentUp(upper), moreThan(q.c.Baseline))
}

// whyUndecided says what is missing, how many exchanges that may take, and
// whether it never comes.
func (q *question) whyUndecided(upper float64, open []Difference, latency timing) (why string, needed uint64, stuck bool) {
	switch {
	case upper > q.maxDiff:
		if q.maxDiff == 0 {
			return "that not one answer differs cannot be shown by counting; allow a share, like 0.1 %", 0, true
		}
		if q.c.Counts.exchanges() == 0 {
			why = "no answer has been compared yet"
		} else {
			why = fmt.Sprintf("up to %s of the answers may differ%s, %s is allowed", percentUp(upper), moreThan(q.c.Baseline), percent(q.maxDiff))
		}
		needed = q.c.Counts.needed(q.maxDiff, q.alpha)
		if needed > 0 {
			why += fmt.Sprintf("; about %s more exchanges needed", rough(needed))
		}
		if names := q.c.unsettled(); names > 0 {
			why += "; besides, " + nobodyKnows(names)
		}
		return why, needed, latency.stuck
	case len(open) > 0:
		return fmt.Sprintf("%s for sure, but whether in more than %s of the answers is not sure yet", open[0].subject()+" "+open[0].verb(), percent(q.maxDiff)), 0, latency.stuck
	case latency.settled():
		return nobodyKnows(q.c.unsettled()), 0, true // whatever else may be different: this will not go away
	}
	return latency.why, 0, latency.stuck
}

// nobodyKnows says of how many fields counting cannot tell what they are, and what can.
func nobodyKnows(names int) string {
	if names == 1 {
		return "1 field may name the instance or be different; " + howToSettle
	}
	return count(uint64(names)) + " fields may name the instance or be different; " + howToSettle
}

// The section of fields that may name the instance.
const (
	titleOfNames = "Instance identity, or a difference"
	aboutNames   = "What may name the instance (a host, a build, a start time) is not counted as a difference, and keeps the verdict from being equivalent: " +
		howToSettle + "."
)

// howToSettle says what tells an instance's name from a difference.
const howToSettle = "a baseline on another instance tells, or ignore them (compare.ignore, --ignore)"

// moreThan is what a rate of mismatches goes beyond.
func moreThan(baseline string) string {
	if baseline == "" {
		return ""
	}
	return " more than the baseline's"
}

// Sentence says what is different, where and how often.
func (d Difference) Sentence() string {
	if d.Aspect == AspectLatency {
		s := endpointName(d.Method, d.Path) + " is slower than allowed"
		if len(d.Transitions) > 0 {
			s += fmt.Sprintf(" (%s, was %s)", name(d.Transitions[0].To), name(d.Transitions[0].From))
		}
		return s
	}
	s := fmt.Sprintf("%s %s in %s of the answers", d.subject(), d.verb(), percent(d.Rate()))
	if d.Baseline > 0 {
		s += fmt.Sprintf(", the baseline in %s of its own", percent(float64(d.Baseline)/float64(d.paired())))
	}
	return s
}

// Rate is the observed share of the endpoint's answers in which the candidate differs.
func (d Difference) Rate() float64 {
	if d.Exchanges == 0 {
		return 0
	}
	return float64(d.Candidate) / float64(d.Exchanges)
}

// paired is how many of the exchanges had a baseline.
func (d Difference) paired() uint64 {
	if d.WithBaseline == 0 {
		return d.Exchanges
	}
	return d.WithBaseline
}

func (d Difference) subject() string {
	return name(d.Field) + " of " + endpointName(d.Method, d.Path)
}

func (d Difference) verb() string {
	switch d.Aspect {
	case AspectValue:
		switch d.State {
		case Proven:
			return "is wrong"
		case Identity:
			return "differs, as the name of an instance would,"
		}
		return "differs"
	case AspectLatency:
		return "is slower than allowed"
	case AspectPresence:
		return "is missing, or was not there before,"
	case AspectType:
		return "has another type"
	case AspectFormat:
		return "has another format"
	case AspectRange:
		return "is out of its usual range"
	case AspectOrder:
		return "comes in another order"
	case AspectRepeat:
		return "changes more or less often than it should"
	}
	return "differs (" + name(d.Aspect) + ")"
}

func endpointName(method, path string) string {
	return strings.TrimSpace(name(method) + " " + name(path))
}

// percent prints a part of one with two significant digits.
func percent(share float64) string { return percentage(share, math.Round) }

// percentUp never prints less than there is, for upper bounds; percentDown
// never more.
func percentUp(share float64) string   { return percentage(share, math.Ceil) }
func percentDown(share float64) string { return percentage(share, math.Floor) }

func percentage(share float64, round func(float64) float64) string {
	p := min(max(share*100, 0), 100)
	if p == 0 || math.IsNaN(p) {
		return "0 %"
	}
	decimals := max(0, 1-int(math.Floor(math.Log10(p))))
	unit := math.Pow10(decimals)
	const noise = 1e-9 // of 0.1*3 and the like
	v := p * unit
	if r := math.Round(v); math.Abs(v-r) < noise*v {
		v = r
	} else {
		v = round(v)
	}
	text := strconv.FormatFloat(min(v/unit, 100), 'f', decimals, 64)
	switch {
	case text == "100" && p < 100:
		return "over 99 %"
	case p < 1:
		text = strings.TrimRight(text, "0")
	}
	return text + " %"
}

// count prints a number with commas.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rough prints a number with two significant digits.
func rough(n uint64) string {
	unit := uint64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	if n > math.MaxUint64-unit {
		return count(n)
	}
	return count((n + unit - 1) / unit * unit)
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// counts prints "a: 3, b: 1", the greatest first.
func counts[N uint64 | int](m map[string]N) string {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			if m[a] > m[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		if m[k] > 0 {
			parts = append(parts, name(k)+": "+count(uint64(m[k])))
		}
	}
	return strings.Join(parts, ", ")
}

func total(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

func milliseconds(v float64) string { return significant(v) + " ms" }

func ratioText(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// significant prints three significant digits.
func significant(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	decimals := min(6, max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))))
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// bounds prints "low to high".
func (i Interval) bounds() string {
	if !i.Bounded() {
		return significant(i.Low) + " or more"
	}
	return significant(i.Low) + " to " + significant(i.High)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
