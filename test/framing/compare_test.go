package framing

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// verdict of one comparison: a finding, or else kinds of disagreement that are
// none.
type verdict struct {
	finding string
	kinds   []string
}

func (v *verdict) kind(format string, args ...any) {
	v.kinds = append(v.kinds, fmt.Sprintf(format, args...))
}

// compare looks where two proxies framed the same bytes differently.
func compare(a, b *seen, nameA, nameB string) (v verdict) {
	for i := range max(len(a.messages), len(b.messages)) {
		if i >= len(a.messages) || i >= len(b.messages) {
			more, less, nameMore, nameLess := a, b, nameA, nameB
			if i >= len(a.messages) {
				more, less, nameMore, nameLess = b, a, nameB, nameA
			}
			switch m := more.messages[i]; {
			case !less.waits:
				v.kind("%s closes before the next message", nameLess)
			case m.forwarded == nil:
				v.kind("%s answers %d where %s waits for more", nameMore, m.status, nameLess)
			default:
				v.finding = fmt.Sprintf("%s forwarded message %d, which %s waits for", nameMore, i+1, nameLess)
			}
			return v
		}
		if !v.messages(a, b, i, nameA, nameB) {
			return v
		}
	}
	return v
}

// messages compares the i-th messages and tells whether to go on.
func (v *verdict) messages(a, b *seen, i int, nameA, nameB string) bool {
	x, y := a.messages[i], b.messages[i]
	lastA, lastB := i == len(a.messages)-1, i == len(b.messages)-1
	switch {
	case x.forwarded == nil && y.forwarded == nil:
		if x.status != y.status {
			v.kind("%s answers %d, %s %d", nameA, x.status, nameB, y.status)
		}
		return !lastA && !lastB
	case x.forwarded == nil:
		v.kind("%s answers %d, %s %s", nameA, x.status, nameB, forwards(y.forwarded))
		return !lastA
	case y.forwarded == nil:
		v.kind("%s answers %d, %s %s", nameB, y.status, nameA, forwards(x.forwarded))
		return !lastB
	}
	return v.forwarded(a, b, i, nameA, nameB)
}

// forwards tells a whole message from one that was given up in its body.
func forwards(r *recorded) string {
	if r.whole {
		return "forwards"
	}
	return "forwards its head and gives up"
}

func (v *verdict) forwarded(a, b *seen, i int, nameA, nameB string) bool {
	x, y := a.messages[i].forwarded, b.messages[i].forwarded
	if x.method != y.method {
		v.finding = fmt.Sprintf("message %d: %s forwarded %s, %s %s", i+1, nameA, x.method, nameB, y.method)
		return false
	}
	if x.target != y.target {
		v.kind("targets differ between %s and %s", nameA, nameB)
	}
	if x.host != y.host {
		v.kind("hosts differ between %s and %s", nameA, nameB)
	}
	switch {
	case x.whole && y.whole:
		if !bytes.Equal(x.body, y.body) {
			v.finding = fmt.Sprintf("message %d has another body: %s %s, %s %s", i+1, nameA, x, nameB, y)
		}
		return v.finding == ""
	case !bytes.HasPrefix(x.body, y.body) && !bytes.HasPrefix(y.body, x.body):
		v.finding = fmt.Sprintf("message %d has another body: %s %s, %s %s", i+1, nameA, x, nameB, y)
	case x.whole && b.waits || y.whole && a.waits:
		v.finding = fmt.Sprintf("message %d is whole for one: %s %s, %s %s", i+1, nameA, x, nameB, y)
	case !x.whole && !y.whole:
	case x.whole:
		v.kind("%s gives up in a body that %s forwards", nameB, nameA)
	default:
		v.kind("%s gives up in a body that %s forwards", nameA, nameB)
	}
	return false
}

// kindsVariable names a file for the kinds of disagreement that a fuzz run
// sees, a line for each.
const kindsVariable = "SUNDOG_FRAMING_KINDS"

// note keeps kinds, once for each comparison.
func note(t testing.TB, kinds []string) {
	t.Helper()
	name := os.Getenv(kindsVariable)
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = f.WriteString(strings.Join(append(kinds, "compared"), "\n") + "\n")
	must(t, err)
	must(t, f.Close())
}

// looks are how long nothing happens until a proxy is taken to wait: what looks
// like a finding is looked at again, with more patience.
var looks = [...]time.Duration{40 * time.Millisecond, 300 * time.Millisecond, time.Second}

// together runs f for all proxies at once.
func together(all []*target, f func(i int, p *target)) {
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { f(i, p) })
	}
	wg.Wait()
}
