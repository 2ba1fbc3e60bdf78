package judge

import (
	"fmt"

	"github.com/sundog-mesh/sundog/internal/report"
)

// warnings say what a reader has to know who relies on the verdict.
func (d *decision) warnings(r *report.Comparison) []string {
	c, a := d.c, &r.Account
	list := []string{}
	warn := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	switch {
	case c.Key.Baseline == "":
		warn("there is no baseline, so nobody knows the noise of fields: only confirmed mismatches prove a difference, " +
			"and fields that vary by themselves count as different unless their values show it")
	case c.Key.Baseline == againBaseline:
		warn("the baseline is the primary, asked again: what is particular to its instance counts as a difference, unless it looks like a name of it")
	}
	if n := a.Compared - a.WithBaseline; c.Key.Baseline != "" && n > 0 {
		warn("%d of %d compared exchanges had no baseline; they prove nothing by themselves", n, a.Compared)
	}
	if n := total(a.Dropped); n*100 > a.Offered {
		warn("%d of %d exchanges were dropped, since they came faster than they could be compared", n, a.Offered)
	}
	if n := total(a.NotComparable); n*20 > a.Offered {
		warn("%d of %d exchanges could not be compared, %s most of all: nothing is known of them", n, a.Offered, most(a.NotComparable))
	}
	if n := r.Unsettled; n > 0 {
		warn("fields whose values may name the instance, or be different: %d; a baseline on another "+
			"instance would tell, or compare.ignore says that it does not matter; until then the verdict cannot be equivalent", n)
	}
	o := c.Over
	if o.Endpoints > 0 {
		warn("%d exchanges are of endpoints beyond the limit of %d, and counted together: give path templates", o.Endpoints, len(c.Endpoints)-1)
	}
	if o.Fields > 0 {
		warn("%d findings are in fields beyond the limit, and only counted as mismatches", o.Fields)
	}
	if o.More > 0 {
		warn("%d findings are in answers that differ in too many fields to list", o.More)
	}
	return list
}

func total(m map[string]uint64) uint64 {
	sum := uint64(0)
	for _, n := range m {
		sum += n
	}
	return sum
}

// most names the most frequent reason.
func most(m map[string]uint64) string {
	best := ""
	for _, why := range sortedKeys(m) {
		if best == "" || m[why] > m[best] {
			best = why
		}
	}
	return best
}
