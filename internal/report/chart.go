package report

import (
	"fmt"
	"strconv"
	"strings"
)

// chart is a drawing for the page; all numbers are pixels, as text.
type chart struct {
	Label         string // what it shows, in words
	Width, Height int
	Axes          []chartLine
	Line, Area    string // points
	Ranges        []chartRange
	Texts         []chartText
}

type chartLine struct{ X1, Y1, X2, Y2 string }

type chartRange struct{ Side, Low, At, High, Y string }

type chartText struct{ X, Y, Anchor, Text string }

func pixels(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// seriesChart draws the rate of a difference by minute.
func seriesChart(series []Point) chart {
	const width, height, left, top = 420.0, 64.0, 52.0, 8.0
	c := chart{Width: int(width), Height: int(height + 24)}
	if len(series) == 0 {
		return c
	}
	rate := func(p Point) float64 {
		if p.Exchanges == 0 {
			return 0
		}
		return min(1, float64(p.Different)/float64(p.Exchanges))
	}
	most := 0.0
	for _, p := range series {
		most = max(most, rate(p))
	}
	first, last := series[0].Minute, series[len(series)-1].Minute
	span := max(last.Sub(first).Minutes(), 1)
	scale := most
	if scale == 0 {
		scale = 1
	}
	var points []string
	x := func(p Point) float64 { return left + (width-left-8)*p.Minute.Sub(first).Minutes()/span }
	for _, p := range series {
		points = append(points, pixels(x(p))+","+pixels(height-(height-top)*rate(p)/scale))
	}
	if len(points) == 1 { // one minute: a line across it
		points = append(points, pixels(width-8)+strings.TrimLeft(points[0], "0123456789."))
	}
	c.Line = strings.Join(points, " ")
	end, _, _ := strings.Cut(points[len(points)-1], ",")
	c.Area = pixels(left) + "," + pixels(height) + " " + c.Line + " " + end + "," + pixels(height)
	c.Axes = []chartLine{{pixels(left), pixels(height), pixels(width), pixels(height)}}
	c.Texts = []chartText{
		{pixels(left - 4), pixels(top + 8), "end", percent(most)},
		{pixels(left - 4), pixels(height), "end", "0 %"},
		{pixels(left), pixels(height + 16), "start", first.UTC().Format("15:04")},
		{pixels(width), pixels(height + 16), "end", last.UTC().Format("15:04 MST")},
	}
	c.Label = fmt.Sprintf("share of different answers by minute, from %s to %s: %s at most, %s in the last minute",
		stamp(first), stamp(last), percent(most), percent(rate(series[len(series)-1])))
	return c
}

// latencyChart draws each quantile of both sides with its bounds.
func latencyChart(l Latency) chart {
	const width, left, right, row = 620.0, 110.0, 60.0, 18.0
	c := chart{Width: int(width)}
	most := 0.0
	for _, q := range l.Quantiles {
		for _, i := range []Interval{q.Candidate, q.Reference} {
			most = max(most, i.Estimate)
			if i.Bounded() {
				most = max(most, min(i.High, 4*i.Estimate))
			}
		}
	}
	if most == 0 {
		most = 1
	}
	x := func(v float64) float64 { return left + (width-left-right)*min(max(v, 0)/most, 1) }
	y, words := 6.0, []string{}
	for _, q := range l.Quantiles {
		for _, side := range []struct {
			class, name string
			of          Interval
		}{{"a", "candidate", q.Candidate}, {"b", l.reference(), q.Reference}} {
			y += row
			high := side.of.High
			if !side.of.Bounded() {
				high = most
			}
			c.Ranges = append(c.Ranges, chartRange{side.class, pixels(x(side.of.Low)), pixels(x(side.of.Estimate)), pixels(x(high)), pixels(y - 4)})
			c.Texts = append(c.Texts,
				chartText{pixels(left - 10), pixels(y), "end", q.Name() + " " + side.name},
				chartText{pixels(width - right + 8), pixels(y), "start", milliseconds(side.of.Estimate)})
			words = append(words, fmt.Sprintf("%s of the %s %s (%s)", q.Name(), side.name, milliseconds(side.of.Estimate), side.of.bounds()))
		}
		y += row / 2
	}
	c.Axes = []chartLine{{pixels(left), pixels(4), pixels(left), pixels(y)}, {pixels(left), pixels(y), pixels(width - right), pixels(y)}}
	c.Texts = append(c.Texts, chartText{pixels(left), pixels(y + 14), "start", "0"}, chartText{pixels(width - right), pixels(y + 14), "end", milliseconds(most)})
	c.Height = int(y + 22)
	c.Label = "latency: " + strings.Join(words, "; ")
	return c
}
