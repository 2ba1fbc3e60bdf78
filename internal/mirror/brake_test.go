package mirror_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestControlShare wants the control share to be all that is left out at 100 %,
// to add nothing where a share leaves out more, and every share to nest.
func TestControlShare(t *testing.T) {
	const n = 100_000
	for _, tt := range []struct {
		percent               uint32
		control               float64
		wantCopied, wantOther float64 // of 1; other is control
	}{
		{100, 0, 1, 0},
		{100, 0.05, 0.95, 0.05},
		{97, 0.05, 0.95, 0.02},
		{95, 0.05, 0.95, 0},
		{10, 0.05, 0.1, 0},
		{0, 0.05, 0, 0},
		{100, 1, 0, 1},
	} {
		s := newRoad(t, 1, tt.percent, mirror.BrakeLimits{ControlShare: tt.control}, nil)
		copied, control := 0, 0
		for range n {
			number := s.rand.Uint64()
			switch {
			case s.policy.Copies(number) > 0:
				copied++
			case s.policy.LeftOut(number) == traffic.Control:
				control++
			}
		}
		near := func(got int, want float64) bool { return math.Abs(float64(got)/n-want) < 0.005 }
		if !near(copied, tt.wantCopied) || !near(control, tt.wantOther) {
			t.Errorf("%d %% with control %v: %d copied and %d control of %d", tt.percent, tt.control, copied, control, n)
		}
	}
}

// TestSharesInForceNest wants a brake to leave out requests, and never to take
// others instead; and what it leaves out to be not_sampled or control whatever
// it does.
func TestSharesInForceNest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent := uint64(rapid.IntRange(0, 100).Draw(t, "percent"))
		control := rapid.Float64Range(0, 0.5).Draw(t, "control")
		b := mirror.NewBrakes(nil)
		p := to("s", percent)
		p.Brake = b.Of("r", []*mirror.Policy{p}, mirror.BrakeLimits{ControlShare: control})
		number := rapid.Uint64().Draw(t, "number")
		was, outcome := true, p.LeftOut(number)
		for range 7 {
			now := p.Copies(number) > 0
			if now && !was {
				t.Fatalf("number %d is sampled at a smaller share alone", number)
			}
			if now && outcome == traffic.Control {
				t.Fatalf("number %d of the control share is sampled", number)
			}
			if p.LeftOut(number) != outcome {
				t.Fatal("the brake changes the outcome of what it leaves out")
			}
			was = now
			b.Press(mirror.Pressure{Cause: "cpu"})
			b.Tick(func(func(*mirror.Meter)) {})
		}
		if was {
			t.Fatal("sampled with the brake down")
		}
	})
}

// TestBrakesLastThroughReloads wants one brake for a route while its shares
// stay as they are.
func TestBrakesLastThroughReloads(t *testing.T) {
	b := mirror.NewBrakes(nil)
	half, tenth := []*mirror.Policy{to("s", 50)}, []*mirror.Policy{to("s", 10)}
	first := b.Of("r", half, limit)
	other := limit
	other.Ratio++
	if b.Of("r", half, limit) != first || b.Of("q", half, limit) == first || b.Of("r", tenth, limit) == first || b.Of("r", half, other) == first {
		t.Error("brakes are mixed up")
	}
	b.Press(mirror.Pressure{Cause: "memory", Stop: true})
	fresh := to("s", 50)
	fresh.Brake = b.Of("new", half, limit)
	if fresh.Copies(0) > 0 {
		t.Error("a route that comes under pressure is mirrored")
	}
	b.Keep([][]*mirror.Policy{{{Brake: first}}})
	if b.Of("r", half, limit) != first || b.Of("new", half, limit) == fresh.Brake {
		t.Error("Keep keeps what is not used, or the other way round")
	}
}

// TestBrakeReport compares all that a reader gets.
func TestBrakeReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 50, limit, func(*rand.Rand) time.Duration { return 10 * time.Millisecond })
		s.cost = times(2)
		s.second(8000)
		r := s.report()
		if r.Brake == nil || r.Brake.Mirrored == nil {
			t.Fatalf("report %+v", r)
		}
		n := r.Brake.Mirrored.Requests
		if m := r.Brake.Control.Requests; n+m != 8000 || n < 3500 || n > 4500 {
			t.Errorf("%d mirrored and %d others of 8000", n, m)
		}
		twenty := mirror.BoundReport{Value: 20.096, Low: 19.968, High: 20.224}
		ten := mirror.BoundReport{Value: 10.048, Low: 9.984, High: 10.112}
		times := &mirror.RatioReport{Value: 2, Low: 1.975, High: 2.026}
		want := mirror.MirrorReport{
			Cluster: "shadow", Share: 0.5, InForce: 0.25,
			Brake: &mirror.BrakeReport{
				Factor: 0.5, Cause: "p99", Since: time.Now().UTC(), StepsDown: 1, Seconds: 0,
				Mirrored: &mirror.LatencyReport{Requests: n, P50: twenty, P99: twenty},
				Control:  &mirror.LatencyReport{Requests: 8000 - n, P50: ten, P99: ten},
				RatioP50: times, RatioP99: times,
			},
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// TestObserveDoesNotAllocate holds the request path's promise once the notes
// have grown to what a second brings; and no more is ever kept.
func TestObserveDoesNotAllocate(t *testing.T) {
	s := newRoad(t, 1, 50, limit, nil)
	fill := func() {
		for i := range 1 << 15 {
			s.meter.Observe(s.brake, i%2 == 0, time.Duration(i)*time.Microsecond)
		}
	}
	for range 2 {
		fill()
		s.tick()
	}
	if n := testing.AllocsPerRun(5, func() { fill(); s.tick() }); n > 40 { // of Tick, and pages
		t.Errorf("%v allocations for 32,768 requests", n)
	}
	rep := mirror.Report{}
	s.brakes.Report(&rep)
	if want := uint64(8 * 1 << 14); rep.DroppedNotes != want {
		t.Errorf("%d notes dropped, want %d", rep.DroppedNotes, want)
	}
	s.meter.Observe(nil, true, time.Second) // a route without mirrors
}

func BenchmarkObserve(b *testing.B) {
	s := newRoad(b, 1, 50, limit, nil)
	b.ReportAllocs()
	for i := range b.N {
		if i%10_000 == 0 {
			s.tick()
		}
		s.meter.Observe(s.brake, i%2 == 0, time.Duration(i%7919)*time.Microsecond)
	}
}

func BenchmarkSamples(b *testing.B) {
	for _, steps := range []int{0, 2} {
		b.Run(fmt.Sprint("steps=", steps), func(b *testing.B) {
			s := newRoad(b, 1, 50, mirror.BrakeLimits{ControlShare: 0.05}, nil)
			s.brakes.Press(mirror.Pressure{Cause: "cpu"})
			for range steps {
				s.tick()
			}
			n := 0
			for i := range b.N {
				if s.policy.Copies(uint64(i)<<40) > 0 {
					n++
				}
			}
		})
	}
}

// BenchmarkTick is a second of 10,000 busy routes.
func BenchmarkTick(b *testing.B) {
	const routes = 10_000
	brakes := mirror.NewBrakes(nil)
	m := []*mirror.Policy{to("shadow", 50)}
	var all []*mirror.Brake
	for i := range routes {
		all = append(all, brakes.Of(fmt.Sprint(i), m, limit))
	}
	var meter mirror.Meter
	r, plain := rand.New(rand.NewPCG(1, 2)), lognormal(5*time.Millisecond, 0.5)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for range 15_000 {
			meter.Observe(all[r.IntN(routes)], r.IntN(2) == 0, plain(r))
		}
		b.StartTimer()
		brakes.Tick(func(f func(*mirror.Meter)) { f(&meter) })
	}
	b.StopTimer()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	b.ReportMetric(float64(mem.HeapAlloc)/routes, "heap-B/route")
	runtime.KeepAlive(brakes)
}
