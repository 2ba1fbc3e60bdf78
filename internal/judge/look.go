package judge

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// look is what a value looks like, as far as noise goes.
type look uint8

const (
	lookOther look = iota
	lookUUID
	lookTimestamp // not far from its exchange
	lookToken
	lookInteger
	lookFloat
	lookJitter // of pairs only: numbers that are almost the same
	numLooks
)

// near is how far from its exchange a time may be to be the time of an answer.
const near = 24 * time.Hour

// lookOf also returns the value's number; that of a timestamp counts in seconds
// from the exchange.
func lookOf(v *compare.Value, now time.Time) (look, float64) {
	switch compare.Classify(*v).Kind() {
	case compare.FormatUUID:
		return lookUUID, math.NaN()
	case compare.FormatToken:
		return lookToken, math.NaN()
	case compare.FormatTimestamp:
		at, ok := v.Timestamp()
		if !ok {
			return lookOther, math.NaN()
		}
		d := at.Sub(now)
		if d.Abs() <= near {
			return lookTimestamp, d.Seconds()
		}
		return lookOther, d.Seconds()
	case compare.FormatInteger:
		x, ok := v.Number()
		return lookInteger, orNaN(x, ok)
	case compare.FormatFloat:
		x, ok := v.Number()
		return lookFloat, orNaN(x, ok)
	}
	return lookOther, math.NaN()
}

func orNaN(x float64, ok bool) float64 {
	if !ok {
		return math.NaN()
	}
	return x
}

// jitter is the relative difference of numbers that are the same but for rounding.
const jitter = 1e-6

// together is what a pair of differing values looks like.
func together(a, b *sample) look {
	number := func(l look) bool { return l == lookInteger || l == lookFloat }
	switch {
	case a.look == b.look && a.look != lookInteger && a.look != lookFloat:
		return a.look
	case !number(a.look) || !number(b.look):
		return lookOther
	case a.look == lookInteger && b.look == lookInteger:
		return lookInteger // nothing is rounded: the next id is another one
	case math.Abs(a.number-b.number) <= jitter*max(math.Abs(a.number), math.Abs(b.number)):
		return lookJitter
	case a.look == b.look:
		return a.look
	}
	return lookFloat
}

// kind names the noise by its most frequent look, if nearly all pairs have it.
func (l *learnt) kind() string {
	total, best := uint64(0), lookOther
	for i, n := range l.Pairs {
		total += n
		if n > l.Pairs[best] {
			best = look(i)
		}
	}
	if l.Pairs[best]*20 < total*19 {
		if (l.Pairs[lookFloat]+l.Pairs[lookInteger]+l.Pairs[lookJitter])*20 >= total*19 {
			return "float"
		}
		return "any"
	}
	switch best {
	case lookUUID:
		return "uuid"
	case lookTimestamp:
		return "timestamp"
	case lookToken:
		return "token"
	case lookJitter, lookFloat:
		return "float"
	case lookInteger:
		if l.Primary.counts() && (l.Candidate.counts() || l.Baseline.counts()) {
			return "counter"
		}
	}
	return "any"
}

// byLook reports whether the values alone, without a baseline, show that the
// field varies by itself. Random ones do only where they differ most of the
// time, which rate tells: an id that is wrong now and then is a difference.
func (l *learnt) byLook(rate float64) bool {
	total := uint64(0)
	for _, n := range l.Pairs {
		total += n
	}
	most := func(n uint64) bool { return total > 0 && n*20 >= total*19 }
	switch {
	case most(l.Pairs[lookTimestamp]), most(l.Pairs[lookJitter]):
		return true
	case most(l.Pairs[lookUUID]), most(l.Pairs[lookToken]):
		return rate >= 0.5 && l.Primary.rate() >= 0.5
	case most(l.Pairs[lookInteger]):
		return rate >= 0.5 && l.Primary.counts() && l.Candidate.counts()
	}
	return false
}

// clean makes text of bytes that may be cut within a letter.
func clean(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }
