package judge_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestOfferReusesLargeBodies: what a loop copies of large answers goes into
// memory that was used before.
func TestOfferReusesLargeBodies(t *testing.T) {
	j := judge.New(judge.Options{})
	if err := j.Configure([]judge.Route{routeOf(mirrored())}); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, judge: j, r: rand.New(rand.NewPCG(1, 2))}
	answer := func(end string) service {
		return func(*rand.Rand, *request) reply {
			return reply{body: `{"text":"` + strings.Repeat("x", 200<<10) + end + `"}`}
		}
	}
	s.primary, s.shadow, s.baseline = answer("a"), answer("b"), answer("a")
	e := s.exchange(&request{method: "GET", path: "/items"})
	for range 2 { // as many as are offered below
		j.Offer(traffic.Settled, e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	for j.Stats().Waiting > 0 {
		runtime.Gosched()
	}
	cancel()
	<-done
	if n := testing.AllocsPerRun(1, func() { j.Offer(traffic.Settled, e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
