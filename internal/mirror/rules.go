package mirror

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Rules are what a ShadowPolicy says of all mirrors of a route. A nil Rules
// says nothing.
type Rules struct {
	// Keep is how many bytes of each body are kept, for answers to be compared;
	// 0: they are not compared.
	Keep int64

	key     policy.Key
	cookie  string // "name=", of a key that is a cookie
	methods []string
	match   func(*route.Context) bool
	rate    *Rate
}

// NewRules makes rules of a policy. match is its expression; nil: it has none.
func NewRules(p *policy.Policy, match func(*route.Context) bool) *Rules {
	r := &Rules{key: p.Sample.Key, methods: p.Sample.Methods, match: match}
	if p.Sample.Key.Kind == policy.KeyCookie {
		r.cookie = p.Sample.Key.Name + "="
	}
	if p.Sample.Rate > 0 {
		r.rate = NewRate(p.Sample.Rate)
	}
	if p.Compare.Enabled {
		r.Keep = p.Compare.MaxBody
	}
	return r
}

// Number is the number of a request that by itself has the number n.
func (r *Rules) Number(n uint64, s Sampler, h *traffic.Head, source netip.Addr) uint64 {
	var key []byte
	switch r.key.Kind {
	case policy.KeyHeader:
		key, _ = h.Get(r.key.Name)
	case policy.KeyCookie:
		key = cookie(h, r.cookie)
	case policy.KeySourceAddress:
		var buf [16]byte
		a := source.As16()
		key = append(buf[:0], a[:]...)
		return s.Number(key)
	}
	if len(key) == 0 {
		return n
	}
	return s.Number(key)
}

// cookie is the value of the first cookie with the name, which ends in "="
// (RFC 6265, section 4.2.1).
func cookie(h *traffic.Head, name string) []byte {
	for i := range h.Len() {
		field, list := h.Field(i)
		if string(field) != "cookie" {
			continue
		}
		for len(list) > 0 {
			for len(list) > 0 && (list[0] == ' ' || list[0] == ';') {
				list = list[1:]
			}
			end := slices.Index(list, ';')
			if end < 0 {
				end = len(list)
			}
			if pair := list[:end]; len(pair) >= len(name) && string(pair[:len(name)]) == name {
				return pair[len(name):]
			}
			list = list[end:]
		}
	}
	return nil
}

// Admit says what becomes of a request that a share takes: InFlight is to be
// copied, Filtered and NotSampled are not.
func (r *Rules) Admit(now time.Time, ctx *route.Context) traffic.Outcome {
	h := ctx.Request

	if len(r.methods) > 0 && !slices.ContainsFunc(r.methods, func(m string) bool { return m == string(h.Method()) }) {
		return traffic.Filtered
	}
	if r.match != nil && !r.match(ctx) {
		return traffic.Filtered
	}
	if !r.rate.Take(now, 1) {
		return traffic.NotSampled
	}
	return traffic.InFlight
}

// Rate lets so many through per second, evenly over time, on all loops
// together. A nil Rate lets everything through.
type Rate struct {
	every int64        // nanoseconds between two
	next  atomic.Int64 // Unix nanoseconds from when on the next one may go
}

// NewRate makes a rate of n per second.
func NewRate(n float64) *Rate {
	return &Rate{every: int64(max(float64(time.Second)/n, 1))}
}

// Take reports whether n may go now, which then have to wait for as long
// afterwards. What was not taken is not kept for later, but for a tenth of a
// second, so that uneven requests reach the rate.
func (r *Rate) Take(now time.Time, n int) bool {
	if r == nil {
		return true
	}
	t := now.UnixNano()
	for {
		next := r.next.Load()
		if next > t {
			return false
		}
		if r.next.CompareAndSwap(next, max(next, t-int64(time.Second/10))+int64(n)*r.every) {
			return true
		}
	}
}
