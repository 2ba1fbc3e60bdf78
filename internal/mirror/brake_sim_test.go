package mirror_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/route"
)

// latency draws how long a request takes that is not mirrored.
type latency func(r *rand.Rand) time.Duration

func lognormal(median time.Duration, sigma float64) latency {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(median) * math.Exp(sigma*r.NormFloat64()))
	}
}

// pareto has an infinite variance.
func pareto(least time.Duration, alpha float64) latency {
	return func(r *rand.Rand) time.Duration {
		return time.Duration(float64(least) * math.Pow(1-r.Float64(), -1/alpha))
	}
}

// twofold is quick, but for one in n.
func twofold(quick, slow latency, n int) latency {
	return func(r *rand.Rand) time.Duration {
		if r.IntN(n) == 0 {
			return slow(r)
		}
		return quick(r)
	}
}

// stalling has seconds in which everything is ten times as slow.
func stalling(l latency) latency {
	slow, until := false, time.Time{}
	return func(r *rand.Rand) time.Duration {
		if now := time.Now(); now.After(until) {
			slow, until = r.IntN(20) == 0, now.Add(500*time.Millisecond)
		}
		if slow {
			return 10 * l(r)
		}
		return l(r)
	}
}

// road is one route in a simulation, in the fake time of synctest.
type road struct {
	t      testing.TB
	rand   *rand.Rand
	brakes *mirror.Brakes
	brake  *mirror.Brake
	policy *mirror.Policy
	meter  mirror.Meter
	plain  latency
	cost   func(r *rand.Rand, d time.Duration) time.Duration // of a mirrored request; nil: none
	log    bytes.Buffer
}

func newRoad(t testing.TB, seed uint64, percent uint32, limits mirror.BrakeLimits, plain latency) *road {
	s := &road{t: t, rand: rand.New(rand.NewPCG(seed, 1)), plain: plain}
	s.brakes = mirror.NewBrakes(slog.New(slog.NewTextHandler(&s.log, nil)))
	s.policy = to("shadow", uint64(percent))
	s.brake = s.brakes.Of("route", []*mirror.Policy{s.policy}, limits)
	s.policy.Brake = s.brake
	return s
}

// to is a mirror of so many percent.
func to(name string, percent uint64) *mirror.Policy {
	return &mirror.Policy{Mirror: &route.Mirror{Name: name}, Share: share(percent, 100)}
}

func times(factor float64) func(*rand.Rand, time.Duration) time.Duration {
	return func(_ *rand.Rand, d time.Duration) time.Duration { return time.Duration(float64(d) * factor) }
}

// second plays one second with n requests, and ticks.
func (s *road) second(n int) {
	for range n {
		d := s.plain(s.rand)
		mirrored := s.policy.Copies(s.rand.Uint64()) > 0
		if mirrored && s.cost != nil {
			d = s.cost(s.rand, d)
		}
		s.meter.Observe(s.brake, mirrored, d)
	}
	time.Sleep(time.Second)
	s.tick()
}

func (s *road) tick() { s.brakes.Tick(func(f func(*mirror.Meter)) { f(&s.meter) }) }

// until plays until the share in force is the wanted part of the share asked
// for, and returns how many seconds that took.
func (s *road) until(n int, factor float64, limit int) int {
	s.t.Helper()
	for i := range limit {
		if s.factor() == factor {
			return i
		}
		s.second(n)
	}
	s.t.Fatalf("after %d s the factor is %v, want %v\n%+v\n%s", limit, s.factor(), factor, s.report(), s.log.String())
	return 0
}

func (s *road) report() mirror.MirrorReport {
	rep := mirror.Report{Routes: []mirror.RouteReport{{Route: "route", Mirrors: []mirror.MirrorReport{{Cluster: "shadow", Share: s.policy.Share.Fraction()}}}}}
	s.brakes.Report(&rep)
	return rep.Routes[0].Mirrors[0]
}

func (s *road) factor() float64 {
	if b := s.report().Brake; b != nil {
		return b.Factor
	}
	return 1
}

var limit = mirror.BrakeLimits{Ratio: 1.1}

// TestQuietTrafficNeverBrakes plays routes whose mirroring costs nothing, with
// tails and stalls of all kinds, at any share and rate. It is what a false alarm would
// come from: a brake looks again and again.
func TestQuietTrafficNeverBrakes(t *testing.T) {
	kinds := map[string]latency{
		"lognormal":       lognormal(5*time.Millisecond, 0.5),
		"wide lognormal":  lognormal(5*time.Millisecond, 1.5),
		"pareto":          pareto(time.Millisecond, 1.1),
		"wild pareto":     pareto(300*time.Microsecond, 0.7),
		"one in 80 slow":  twofold(lognormal(time.Millisecond, 0.2), lognormal(300*time.Millisecond, 1), 80),
		"one in 200 slow": twofold(lognormal(time.Millisecond, 0.2), pareto(time.Second, 1), 200),
	}
	runs := 1000 / len(kinds) / 2
	if testing.Short() {
		runs = 5
	}
	played := 0
	for name, plain := range kinds {
		for _, stalls := range []bool{false, true} {
			for seed := range uint64(runs + 1) {
				played++
				synctest.Test(t, func(t *testing.T) {
					plain := plain
					if stalls {
						plain = stalling(plain)
					}
					s := newRoad(t, seed, []uint32{1, 10, 50, 90, 99, 100}[seed%6], mirror.BrakeLimits{Ratio: limit.Ratio, ControlShare: 0.02}, plain)
					rate := []int{20, 100, 500}[seed%3]
					for range 60 {
						s.second(rate)
					}
					if f := s.factor(); f != 1 {
						t.Errorf("%s, stalls %v, seed %d: factor %v\n%s", name, stalls, seed, f, s.log.String())
					}
				})
			}
		}
	}
	if !testing.Short() && played < 1000 {
		t.Errorf("only %d runs", played)
	}
}

// TestLongQuietRun has many more looks in it: six hours.
func TestLongQuietRun(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED with -short: six hours of a simulated clock")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 7, 30, limit, stalling(pareto(time.Millisecond, 1)))
		for range 6 * 3600 {
			s.second(300)
		}
		if f := s.factor(); f != 1 {
			t.Errorf("factor %v\n%s", f, s.log.String())
		}
	})
}

// TestBrakesWhereMirroringCosts plays causes of all kinds, after a quiet time.
func TestBrakesWhereMirroringCosts(t *testing.T) {
	lump := func(chance float64, d time.Duration) func(*rand.Rand, time.Duration) time.Duration {
		return func(r *rand.Rand, was time.Duration) time.Duration {
			if r.Float64() < chance {
				return was + d
			}
			return was
		}
	}
	tests := []struct {
		name    string
		percent uint32
		control float64
		plain   latency
		cost    func(*rand.Rand, time.Duration) time.Duration
		rate    int
		within  int // seconds
		cause   string
	}{
		{"30 % at half", 50, 0, lognormal(5*time.Millisecond, 0.5), times(1.3), 1000, 20, ""},
		{"30 % with a wide tail", 50, 0, lognormal(5*time.Millisecond, 1), times(1.3), 1000, 90, ""},
		{"30 % at a tenth", 10, 0, lognormal(5*time.Millisecond, 0.5), times(1.3), 1000, 30, ""},
		{"30 % at all, with control", 100, 0.05, lognormal(5*time.Millisecond, 0.5), times(1.3), 1000, 60, ""},
		{"thrice, at 20 a second", 50, 0, lognormal(5*time.Millisecond, 0.5), times(3), 20, 30, "p50"},
		{"in the tail alone", 50, 0, lognormal(5*time.Millisecond, 0.5), lump(0.03, 200*time.Millisecond), 1000, 20, "p99"},
	}
	for _, tt := range tests {
		took := 0
		for seed := range uint64(10) {
			synctest.Test(t, func(t *testing.T) {
				s := newRoad(t, seed, tt.percent, mirror.BrakeLimits{Ratio: limit.Ratio, ControlShare: tt.control}, tt.plain)
				for range 100 {
					s.second(tt.rate)
				}
				s.cost = tt.cost
				took = max(took, s.until(tt.rate, 0.5, tt.within))
				b := s.report().Brake
				if tt.cause != "" && b.Cause != tt.cause || b.Since.IsZero() || b.StepsDown != 1 {
					t.Errorf("%s: report %+v", tt.name, b)
				}
				if !strings.Contains(s.log.String(), "mirroring steps down: mirrored requests are slower") {
					t.Errorf("%s: the log says %q", tt.name, s.log.String())
				}
			})
		}
		t.Logf("%s: %d s at most", tt.name, took)
	}
}

// TestBrakeReleases wants the brake to go down to nothing while the cause
// lasts, to try again, and to be released step by step when it has ended.
func TestBrakeReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 50, limit, lognormal(5*time.Millisecond, 0.5))
		s.cost = times(2)
		s.until(500, 0, 200)
		if r := s.report(); r.InForce != 0 || s.policy.Copies(0) > 0 {
			t.Errorf("with the brake down: %+v", r)
		}
		s.cost = nil
		for _, f := range []float64{0.0625, 0.125, 0.25, 0.5, 1} {
			s.until(500, f, 25)
		}
		if b := s.report().Brake; b.Cause != "" {
			t.Errorf("released, but %+v", b)
		}
		for range 1200 {
			s.second(100)
		}
		if f := s.factor(); f != 1 {
			t.Errorf("factor %v\n%s", f, s.log.String())
		}
	})
}

// TestFlappingIsBounded plays a day of mirroring that costs at any share,
// which no step can help.
func TestFlappingIsBounded(t *testing.T) {
	for _, rate := range []int{5, 100} {
		synctest.Test(t, func(t *testing.T) {
			s := newRoad(t, 3, 50, limit, lognormal(5*time.Millisecond, 0.5))
			s.cost = times(2)
			const hours = 12
			up, braked := 0, 0
			for range hours * 3600 {
				before := s.factor()
				s.second(rate)
				if f := s.factor(); f > before {
					up++
				} else if f == 0 {
					braked++
				}
			}
			if up > hours*60 {
				t.Errorf("at %d a second it stepped up %d times in %d hours", rate, up, hours)
			}
			if up < hours {
				t.Errorf("at %d a second it tried only %d times in %d hours", rate, up, hours)
			}
			t.Logf("at %d a second: %d steps up, mirroring was off for %d %%", rate, up, braked*100/(hours*3600))
		})
	}
}

// TestRequestsOfBeforeAStep wants those left out of the comparison: long ones
// began when more was mirrored, and would stand for slow mirroring.
func TestRequestsOfBeforeAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 100, mirror.BrakeLimits{Ratio: limit.Ratio, ControlShare: 0.1}, lognormal(5*time.Millisecond, 0.3))
		s.second(100)
		s.brakes.Press(mirror.Pressure{Cause: "cpu"})
		s.second(100)
		s.second(100)
		s.brakes.Press(mirror.Pressure{})
		before := s.report().Brake.StepsDown
		for i := range 40 {
			for range 200 { // nearly all of these were mirrored, long ago
				s.meter.Observe(s.brake, s.rand.IntN(10) > 0, time.Duration(i+10)*time.Second)
			}
			s.second(400)
		}
		if b := s.report().Brake; b != nil && b.StepsDown != before {
			t.Errorf("it braked for what began before: %+v\n%s", b, s.log.String())
		}
	})
}

func TestNoBrakeWithoutALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 50, mirror.BrakeLimits{}, lognormal(5*time.Millisecond, 0.3))
		s.cost = times(3)
		for range 60 {
			s.second(500)
		}
		r := s.report()
		if r.Brake == nil || r.Brake.Factor != 1 || r.Brake.RatioP50 == nil {
			t.Fatalf("report %+v", r.Brake)
		}
		if q := r.Brake.RatioP50; q.Low < 2.5 || q.Low > q.Value || q.Value > q.High || q.High > 3.5 {
			t.Errorf("the ratio is 3, the report says %+v", q)
		}
	})
}

// TestSmallCostsAreLeft wants no brake where no client could notice.
func TestSmallCostsAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 50, limit, lognormal(100*time.Microsecond, 0.1))
		s.cost = times(1.5)
		for range 60 {
			s.second(1000)
		}
		if f := s.factor(); f != 1 {
			t.Errorf("factor %v for 50 µs", f)
		}
	})
}

// TestRunTicks wants Run to gather by itself, to leave loops alone while
// there is nothing to gather, and to end.
func TestRunTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 50, limit, lognormal(time.Millisecond, 0.1))
		unused, visits := mirror.NewBrakes(nil), 0
		for i := range 1000 {
			s.meter.Observe(s.brake, i%2 == 0, 5*time.Millisecond)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- s.brakes.Run(ctx, func(f func(*mirror.Meter)) { f(&s.meter) }) }()
		go func() { ended <- unused.Run(ctx, func(func(*mirror.Meter)) { visits++ }) }()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if b := s.report().Brake; b == nil || b.Mirrored.Requests != 500 {
			t.Errorf("report %+v", b)
		}
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if visits != 0 {
			t.Errorf("%d visits to loops without a mirror", visits)
		}
	})
}

func TestPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRoad(t, 1, 100, limit, lognormal(5*time.Millisecond, 0.3))
		s.brakes.Press(mirror.Pressure{Cause: "cpu"})
		for _, f := range []float64{0.5, 0.25, 0.125, 0.0625, 0, 0} {
			s.second(10)
			if got := s.factor(); got != f {
				t.Fatalf("factor %v, want %v", got, f)
			}
		}
		s.brakes.Press(mirror.Pressure{})
		s.until(10, 1, 80)

		s.brakes.Press(mirror.Pressure{Cause: "memory", Stop: true})
		if s.policy.Copies(0) > 0 {
			t.Error("mirroring has not stopped at once")
		}
		rep := mirror.Report{}
		s.brakes.Report(&rep)
		if p := rep.Process; p == nil || p.Cause != "memory" || p.Factor != 0 || p.Since.IsZero() {
			t.Errorf("the process' brake: %+v", p)
		}
		for range 100 { // it stays for as long as the pressure does
			s.second(10)
		}
		if f := s.factor(); f != 0 {
			t.Errorf("under pressure the factor is %v", f)
		}
		s.brakes.Press(mirror.Pressure{})
		s.until(10, 1, 120)
		for _, want := range []string{"mirroring has stopped: the process is near its limit", "cause=memory", "the process has room again"} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, s.log.String())
			}
		}
	})
}
