package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
)

// JSON prints the report as JSON, in which no list is null.
func JSON(w io.Writer, r Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.whole()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// Read reads what JSON wrote.
func Read(data []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("not a report in JSON: %w", err)
	}
	return r, nil
}

// whole is a copy without null lists, and without numbers that JSON has not.
func (r Report) whole() Report {
	r.Comparisons = list(r.Comparisons)
	for i := range r.Comparisons {
		c := &r.Comparisons[i]
		c.Account.NotComparable, c.Account.Dropped = table(c.Account.NotComparable), table(c.Account.Dropped)
		c.Coverage = c.Coverage.whole()
		c.Latency = c.Latency.whole()
		finite(&c.Verdict.Upper)
		c.Endpoints, c.Noise, c.Warnings = list(c.Endpoints), list(c.Noise), list(c.Warnings)
		for j := range c.Endpoints {
			e := &c.Endpoints[j]
			e.Coverage, e.Latency = e.Coverage.whole(), e.Latency.whole()
			finite(&e.Verdict.Upper)
		}
		c.Differences = list(c.Differences)
		for j := range c.Differences {
			d := &c.Differences[j]
			finite(&d.LogE)
			d.Transitions, d.Predictors, d.Series = list(d.Transitions), list(d.Predictors), list(d.Series)
		}
	}
	return r
}

func (c Coverage) whole() Coverage {
	c.Methods, c.Statuses = table(c.Methods), table(c.Statuses)
	return c
}

func (l Latency) whole() Latency {
	l.Quantiles = list(l.Quantiles)
	for i := range l.Quantiles {
		q := &l.Quantiles[i]
		for _, v := range []*Interval{&q.Candidate, &q.Reference, &q.Ratio} {
			if !v.Bounded() {
				v.High = 0
			}
			finite(&v.Low)
			finite(&v.Estimate)
		}
	}
	return l
}

// list is a copy that is not nil.
func list[T any](all []T) []T { return append(make([]T, 0, len(all)), all...) }

func table[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

func finite(v *float64) {
	switch {
	case math.IsNaN(*v):
		*v = 0
	case math.IsInf(*v, 0):
		*v = math.Copysign(math.MaxFloat64, *v)
	}
}
