//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Names of the ways in which sundog mirror runs in the part compare. The last
// two send two copies.
const (
	formOff      = "off"
	formOn       = "`--compare`"
	formTwo      = "off, two copies"
	formBaseline = "`--compare --baseline`"
)

// mostOfComparing is how much longer clients may wait while answers are compared.
const mostOfComparing = 1.05

// compare measures what comparing costs clients, the processor and memory.
func (b *bench) compare(ctx context.Context) error {
	services, stop, err := b.jsonServices(ctx)
	defer stop()
	if err != nil {
		return err
	}
	b.report.printf("`sundog mirror --percent 100` with one loop, to a candidate that is well, GETs over %d connections of HTTP/1.1, h2load, at half of what the slower\n"+
		"of two forms takes; their runs alternate. Equal: the same bytes. Unequal: a time and an id that differ in every answer, and one field that differs\n"+
		"between the versions. Each form with comparing stands beside the one without that sends as many copies. CPU is that of the whole process.\n\n", b.conns)
	var costs [][]string
	b.report.columns("answers", "comparing", "rate", "p50, ms", "p99, ms", "failed", "unanswered", "p50 ÷ off", "p99 ÷ off", "budget of p99")
	for _, kind := range []string{"equal", "unequal"} {
		for _, kib := range []int{1, 10, 100} {
			for _, forms := range [][2]string{{formOff, formOn}, {formTwo, formBaseline}} {
				rows, err := b.comparePair(ctx, services, fmt.Sprintf("%d KiB, %s", kib, kind), fmt.Sprintf("%s %d", kind, kib<<10), forms)
				if err != nil {
					return err
				}
				costs = append(costs, rows...)
			}
		}
	}
	b.report.printf("\n")
	b.report.columns("answers", "comparing", "CPU, µs per exchange", "of it comparing, µs per compared exchange", "compared", "different", "dropped", "not comparable")
	for _, row := range costs {
		b.report.row(row...)
	}
	b.report.printf("\n")
	return b.compareMemory(ctx, services)
}

// jsonServices are the services of the part compare.
type jsonServices struct{ primary, candidate, baseline string }

func (b *bench) jsonServices(ctx context.Context) (s jsonServices, stop func(), err error) {
	var all []server
	stop = func() {
		for _, one := range all {
			one.stop()
		}
	}
	for _, one := range []struct {
		addr *string
		name string
		play func(context.Context, string) (server, error)
	}{{&s.primary, jsonFirst, b.play}, {&s.candidate, jsonSecond, b.playShadow}, {&s.baseline, jsonFirst, b.playShadow}} {
		started, err := one.play(ctx, one.name)
		if err != nil {
			return s, stop, err
		}
		all = append(all, started)
		*one.addr = started.addr
	}
	return s, stop, nil
}

// startForm runs sundog mirror in one of the forms.
func (b *bench) startForm(ctx context.Context, s jsonServices, form string) (*process, error) {
	return b.serveSundog(ctx, 1, func(addr string) []string {
		args := []string{"mirror", "--listen", addr, "--primary", "http://" + s.primary, "--shadow", "http://" + s.candidate}
		switch form {
		case formOn:
			return append(args, "--compare")
		case formTwo:
			return append(args, "--shadow", "http://"+s.baseline)
		case formBaseline:
			return append(args, "--compare", "--baseline", "http://"+s.baseline)
		}
		return args
	})
}

// comparing is a form under measurement.
type comparing struct {
	*process
	series

	form  string
	cpu   time.Duration // of the measured runs
	first account       // before them
}

// comparePair measures a form without comparing and one with it, and returns
// their rows about CPU and accounts.
func (b *bench) comparePair(ctx context.Context, s jsonServices, name, wanted string, forms [2]string) ([][]string, error) {
	l := load{conns: b.conns, headers: []string{answerHeader + ": " + wanted}, length: b.length}
	var pair []*comparing
	for _, form := range forms {
		most, err := b.capacityOf(ctx, s, form, l)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", name, form, err)
		}
		if l.rate == 0 || most/2 < l.rate {
			l.rate = most / 2
		}
	}
	for _, form := range forms {
		p, err := b.startForm(ctx, s, form)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		pair = append(pair, &comparing{process: p, form: form})
	}
	for i := range b.runs + 1 {
		for _, c := range pair {
			if err := b.compareRun(ctx, c, l, i); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, c.form, err)
			}
		}
		slices.Reverse(pair) // so that neither is always the first
	}
	if pair[0].form != forms[0] {
		slices.Reverse(pair)
	}
	return b.compareRows(ctx, name, l.rate, pair[0], pair[1])
}

// capacityOf measures a process that ends then: copies that wait in it would be
// a part of what comes next.
func (b *bench) capacityOf(ctx context.Context, s jsonServices, form string, l load) (float64, error) {
	p, err := b.startForm(ctx, s, form)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	l.addr, l.rate = p.addr, 0
	return capacity(ctx, b.ask, l)
}

// compareRun is a run of one form; the run 0 warms up.
func (b *bench) compareRun(ctx context.Context, c *comparing, l load, run int) error {
	l.addr = c.addr
	if run == 0 {
		l.length = warmUp(l)
	}
	before, err := c.settledCPU(ctx)
	if err != nil {
		return err
	}
	got, err := b.ask(ctx, l)
	if err != nil {
		return err
	}
	after, err := c.settledCPU(ctx)
	if err != nil {
		return err
	}
	if run == 0 {
		c.first, err = c.account(ctx)
		return err
	}
	c.add(got)
	c.cpu += after - before
	return nil
}

// settledCPU is the CPU time of a process once it rests: what waits to be
// compared belongs to the run before.
func (p *process) settledCPU(ctx context.Context) (time.Duration, error) {
	last, err := p.cpu()
	for range 100 {
		if err != nil {
			break
		}
		if err = wait(ctx, 50*time.Millisecond); err != nil {
			break
		}
		var now time.Duration
		if now, err = p.cpu(); now == last {
			break
		}
		last = now
	}
	return last, err
}

// compareRows reports what clients waited, and returns the rows about the rest.
func (b *bench) compareRows(ctx context.Context, name string, rate float64, off, on *comparing) ([][]string, error) {
	for _, c := range []*comparing{off, on} {
		p50, p99 := median(c.p50), median(c.p99)
		cells := []string{"", "", ""}
		if c == on {
			r := p99 / median(off.p99)
			cells = []string{ratio(p50 / median(off.p50)), ratio(r), verdict(r, mostOfComparing)}
		}
		b.report.row(append([]string{name, c.form, count(rate) + "/s", ms(p50), ms(p99), fmt.Sprint(c.failed), fmt.Sprint(c.unanswered)}, cells...)...)
	}
	now, err := on.account(ctx)
	if err != nil {
		return nil, err
	}
	did := now.since(on.first)
	perOff, perOn := microsEach(off.cpu, off.answered), microsEach(on.cpu, on.answered)
	perCompared := (perOn - perOff) * float64(on.answered) / max(float64(did.compared), 1)
	return [][]string{
		{name, off.form, micros(perOff), "", "", "", "", ""},
		{
			name, on.form, micros(perOn), micros(perCompared), fmt.Sprint(did.compared), fmt.Sprint(did.different),
			reasons(did.dropped), reasons(did.notComparable),
		},
	}, nil
}

// microsEach is the CPU time of one exchange in microseconds.
func microsEach(all time.Duration, exchanges int) float64 {
	return float64(all.Microseconds()) / max(float64(exchanges), 1)
}

// account is what became of exchanges, over all comparisons of a sundog.
type account struct {
	compared, different, endpoints uint64
	dropped, notComparable         map[string]uint64 // by reason
}

// since is what came after b.
func (a account) since(b account) account {
	return account{
		compared: a.compared - b.compared, different: a.different - b.different, endpoints: a.endpoints,
		dropped: more(a.dropped, b.dropped), notComparable: more(a.notComparable, b.notComparable),
	}
}

// more is what is counted in a, and not in b.
func more(a, b map[string]uint64) map[string]uint64 {
	left := map[string]uint64{}
	for why, n := range a {
		if n > b[why] {
			left[why] = n - b[why]
		}
	}
	return left
}

// reasons are counts by reason.
func reasons(counts map[string]uint64) string {
	if len(counts) == 0 {
		return "0"
	}
	var text []string
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		text = append(text, fmt.Sprintf("%s %d", why, counts[why]))
	}
	return strings.Join(text, ", ")
}

// account asks for a sundog's report; one that compares nothing has none.
func (p *process) account(ctx context.Context) (account, error) {
	var found struct {
		Comparisons []struct {
			Account struct {
				Compared, Different    uint64
				Dropped, NotComparable map[string]uint64
			}
			Coverage struct{ Endpoints uint64 }
		}
	}
	err := p.ask(ctx, "/report", func(r io.Reader) error { return json.NewDecoder(r).Decode(&found) })
	sum := account{dropped: map[string]uint64{}, notComparable: map[string]uint64{}}
	for _, c := range found.Comparisons {
		a := c.Account
		sum.compared += a.Compared
		sum.different += a.Different
		sum.endpoints += c.Coverage.Endpoints
		for why, n := range a.Dropped {
			sum.dropped[why] += n
		}
		for why, n := range a.NotComparable {
			sum.notComparable[why] += n
		}
	}
	return sum, err
}
