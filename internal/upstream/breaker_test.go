package upstream_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func breakers(thresholds string) string {
	return "name: c\ncircuit_breakers: {thresholds: [{" + thresholds + "}]}"
}

func TestBreakers(t *testing.T) {
	type pair struct {
		try  func(*upstream.Breakers) bool
		done func(*upstream.Breakers)
		get  func(upstream.BreakerStats) upstream.BreakerState
	}
	pairs := map[string]pair{
		"max_requests": {(*upstream.Breakers).TryRequest, (*upstream.Breakers).DoneRequest, func(s upstream.BreakerStats) upstream.BreakerState { return s.Requests }},
		"max_pending_requests": {(*upstream.Breakers).TryPending, (*upstream.Breakers).DonePending, func(s upstream.BreakerStats) upstream.BreakerState {
			return s.PendingRequests
		}},
		"max_connections": {(*upstream.Breakers).TryConnection, (*upstream.Breakers).DoneConnection, func(s upstream.BreakerStats) upstream.BreakerState {
			return s.Connections
		}},
		"max_retries": {(*upstream.Breakers).TryRetry, (*upstream.Breakers).DoneRetry, func(s upstream.BreakerStats) upstream.BreakerState { return s.Retries }},
	}
	for field, p := range pairs {
		t.Run(field, func(t *testing.T) {
			c := compile(t, upstream.NewSlots(nil), nil, breakers(field+": 2, track_remaining: true"))
			b := c.Breakers
			check := func(want upstream.BreakerState) {
				t.Helper()
				if diff := cmp.Diff(want, p.get(c.Breaker())); diff != "" {
					t.Error(diff)
				}
			}
			if !c.Breaker().TrackRemaining {
				t.Error("track_remaining is lost")
			}
			check(upstream.BreakerState{Limit: 2, Remaining: 2})
			tries := func(n int) (in int) {
				for range n {
					if p.try(b) {
						in++
					}
				}
				return in
			}
			if n := tries(4); n != 2 {
				t.Errorf("%d of 4 are let in, want 2", n)
			}
			check(upstream.BreakerState{Active: 2, Limit: 2, Open: true, Overflow: 2})
			p.done(b)
			check(upstream.BreakerState{Active: 1, Limit: 2, Remaining: 1, Overflow: 2})
			if n := tries(2); n != 1 {
				t.Errorf("%d of 2 are let in, want 1", n)
			}
			p.done(b)
			p.done(b)
			check(upstream.BreakerState{Limit: 2, Remaining: 2, Overflow: 3})

			zero := compile(t, upstream.NewSlots(nil), nil, breakers(field+": 0"))
			if p.try(zero.Breakers) {
				t.Error("let in where nothing is")
			}
		})
	}
}

func TestBreakersDefaults(t *testing.T) {
	for _, yaml := range []string{"name: c", breakers(""), breakers("priority: HIGH, max_requests: 1")} {
		c := compile(t, upstream.NewSlots(nil), nil, yaml)
		for i := range 1025 {
			if got, want := c.Breakers.TryRequest(), i < 1024; got != want {
				t.Fatalf("%s: request %d: %v", yaml, i, got)
			}
		}
		for i := range 4 {
			if got, want := c.Breakers.TryRetry(), i < 3; got != want {
				t.Fatalf("%s: retry %d: %v", yaml, i, got)
			}
		}
	}
	// Of two for one priority the first counts.
	c := compile(t, upstream.NewSlots(nil), nil, "name: c\ncircuit_breakers: {thresholds: [{max_requests: 1}, {max_requests: 2, max_retries: 0}]}")
	if want := (upstream.Limits{Connections: 1024, PendingRequests: 1024, Requests: 1, Retries: 3}); c.Limits != want {
		t.Errorf("%+v", c.Limits)
	}
}

const noLimit = "max_connections: 4294967295, max_pending_requests: 4294967295, max_requests: 4294967295, max_retries: 4294967295"

func TestBreakersUnlimited(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, breakers(noLimit))
	b := c.Breakers
	if b != nil {
		t.Fatal("breakers without a limit")
	}
	if !b.TryRequest() || !b.TryPending() || !b.TryConnection() || !b.TryRetry() {
		t.Error("refused")
	}
	b.AddConnection()
	b.DoneRequest()
	b.DonePending()
	b.DoneConnection()
	b.DoneRetry()
	if s := c.Breaker().Requests; s != (upstream.BreakerState{Limit: 4294967295, Remaining: 4294967295}) {
		t.Errorf("%+v", s)
	}
	// Only what is limited is counted.
	c = compile(t, upstream.NewSlots(nil), nil, breakers("max_connections: 2147483648, max_retries: 1"))
	c.Breakers.AddConnection()
	c.Breakers.TryConnection()
	if s := c.Breaker(); s.Connections.Active != 0 {
		t.Errorf("%+v", s)
	}
}

func TestConnectionsBeyondTheLimit(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, breakers("max_connections: 1"))
	b := c.Breakers
	b.TryConnection()
	b.AddConnection()
	if s := c.Breaker().Connections; s.Active != 2 || !s.Open || s.Remaining != 0 || b.TryConnection() {
		t.Errorf("%+v", s)
	}
	b.DoneConnection()
	if b.TryConnection() {
		t.Error("let in at the limit")
	}
	b.DoneConnection()
	if !b.TryConnection() {
		t.Error("refused below the limit")
	}
}

func TestRetryBudget(t *testing.T) {
	tests := []struct {
		budget            string
		requests, pending int
		want              int
	}{
		{"{}", 0, 0, 3},
		{"{}", 10, 5, 3},
		{"{}", 15, 5, 4},
		{"{}", 19, 5, 4},
		{"{budget_percent: {value: 50}}", 15, 6, 10},
		{"{budget_percent: {value: 0}, min_retry_concurrency: 1}", 100, 0, 1},
		{"{min_retry_concurrency: 0}", 4, 0, 0},
		{"{min_retry_concurrency: 0}", 5, 0, 1},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			// The budget goes before max_retries, and counts what is unlimited.
			c := compile(t, upstream.NewSlots(nil), nil, breakers(strings.Replace(noLimit, "max_retries: 4294967295", "max_retries: 1", 1)+", retry_budget: "+tt.budget))
			for range tt.requests {
				c.Breakers.TryRequest()
			}
			for range tt.pending {
				c.Breakers.TryPending()
			}
			got := 0
			for c.Breakers.TryRetry() {
				got++
			}
			if got != tt.want {
				t.Errorf("%d retries, want %d", got, tt.want)
			}
			if s := c.Breaker().Retries; int(s.Limit) != tt.want || int(s.Active) != tt.want || !s.Open || s.Remaining != 0 || s.Overflow != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestBreakersSurviveReloads(t *testing.T) {
	slots := upstream.NewSlots(nil)
	first := compile(t, slots, nil, breakers("max_requests: 2, max_retries: 4294967295"))
	first.Breakers.TryRequest()
	first.Breakers.TryRequest()
	first.Breakers.TryRequest()
	first.Breakers.TryRetry() // unlimited, so not counted

	second := compile(t, slots, first, breakers("max_requests: 3, max_retries: 1"))
	if s := second.Breaker().Requests; s.Active != 2 || s.Limit != 3 || s.Overflow != 1 {
		t.Errorf("%+v", s)
	}
	for name, try := range map[string]func() bool{"request": second.Breakers.TryRequest, "retry": second.Breakers.TryRetry} {
		if !try() {
			t.Errorf("a %s is refused below the limit", name)
		}
		if try() {
			t.Errorf("a %s is let in at the limit", name)
		}
	}
	first.Breakers.DoneRequest()
	first.Breakers.DoneRetry()
	if s := second.Breaker(); s.Requests.Active != 2 || s.Retries.Active != 1 {
		t.Errorf("%+v", s)
	}
	// A lower limit refuses until enough are done.
	third := compile(t, slots, second, breakers("max_requests: 1"))
	if s := third.Breaker().Requests; !s.Open || s.Remaining != 0 || third.Breakers.TryRequest() {
		t.Errorf("%+v", s)
	}
	first.Breakers.DoneRequest()
	second.Breakers.DoneRequest()
	if !third.Breakers.TryRequest() {
		t.Error("refused below the limit")
	}
}

// TestBreakersHoldExactly has loops in a race for 3 places.
func TestBreakersHoldExactly(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, breakers("max_requests: 3"))
	var inside, most, served, refused atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				if !c.Breakers.TryRequest() {
					refused.Add(1)
					continue
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				served.Add(1)
				inside.Add(-1)
				c.Breakers.DoneRequest()
			}
		})
	}
	wg.Wait()
	s := c.Breaker().Requests
	if most.Load() > 3 || s.Active != 0 || int64(s.Overflow) != refused.Load() || served.Load()+refused.Load() != 20000 {
		t.Errorf("at most %d inside, %+v, served %d, refused %d", most.Load(), s, served.Load(), refused.Load())
	}
}

func TestBreakersDoNotAllocate(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, breakers("max_requests: 3, retry_budget: {}"))
	if n := testing.AllocsPerRun(100, func() {
		c.Breakers.TryRequest()
		c.Breakers.TryRetry()
		c.Breakers.DoneRetry()
		c.Breakers.DoneRequest()
	}); n != 0 && !raced {
		t.Errorf("%v allocations", n)
	}
}
