package mirror_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func TestReport(t *testing.T) {
	l := mirror.NewLedger()
	r := l.Route("vh/main")
	m := r.Mirror("shadow", 0.5)
	own := []*mirror.Row{m}
	for range 3 {
		r.Forward(own)
	}
	m.Count(traffic.NotSampled)
	m.Count(traffic.InFlight)
	m.Count(traffic.InFlight)
	m.Settle(traffic.Completed)
	want := mirror.Report{Forwarded: 3, Routes: []mirror.RouteReport{{
		Route: "vh/main", Forwarded: 3,
		Mirrors: []mirror.MirrorReport{{Cluster: "shadow", Share: 0.5, InForce: 0.5, Outcomes: map[string]uint64{"not_sampled": 1, "in_flight": 1, "completed": 1}}},
	}}}
	clone := l.Clone()
	m.Settle(traffic.TimedOut) // the clone is another
	if diff := cmp.Diff(want, mirror.Merge([]*mirror.Ledger{clone})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want.Routes[0].Mirrors[0].Outcomes = map[string]uint64{"not_sampled": 1, "timed_out": 1, "completed": 1}
	if diff := cmp.Diff(want, mirror.Merge([]*mirror.Ledger{l})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMirrorComesAndGoes follows one mirror through reloads.
func TestMirrorComesAndGoes(t *testing.T) {
	l := mirror.NewLedger()
	r := l.Route("r")
	want := func(share float64, outcomes map[string]uint64) {
		t.Helper()
		got := mirror.Merge([]*mirror.Ledger{l}).Routes[0].Mirrors[0]
		if diff := cmp.Diff(mirror.MirrorReport{Cluster: "s", Share: share, InForce: share, Outcomes: outcomes}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	r.Forward(nil) // before there is a mirror
	m := r.Mirror("s", 1)
	want(1, map[string]uint64{"not_sampled": 1})
	r.Forward([]*mirror.Row{m})
	m.Count(traffic.InFlight)
	l.Retire()
	want(0, map[string]uint64{"not_sampled": 1, "in_flight": 1})
	m.Settle(traffic.Reset) // after it has gone
	r.Forward(nil)
	want(0, map[string]uint64{"not_sampled": 2, "reset": 1})
	r.Forward([]*mirror.Row{m}) // of the old configuration
	m.Count(traffic.Completed)
	want(0, map[string]uint64{"not_sampled": 2, "reset": 1, "completed": 1})
	l.Retire()
	if r.Mirror("s", 0.1) != m {
		t.Error("another row")
	}
	r.Forward(nil) // of the time without a mirror
	want(0.1, map[string]uint64{"not_sampled": 3, "reset": 1, "completed": 1})
}

// view is a route as one generation sees it on one loop.
type view struct {
	row     *mirror.RouteRow
	mirrors []*mirror.Row
}

// TestLedgerBalances plays reloads, requests of any generation, and settling
// copies on several loops, and wants the books to balance after every step.
func TestLedgerBalances(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		loops := rapid.IntRange(1, 3).Draw(t, "loops")
		books := make([]*mirror.Ledger, loops)
		views := make([][]view, loops)
		flying := make([][]*mirror.Row, loops)
		forwarded := uint64(0)
		for i := range books {
			books[i] = mirror.NewLedger()
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, loops-1).Draw(t, "loop")
			switch rapid.SampledFrom([]string{"reload", "request", "request", "request", "settle"}).Draw(t, "step") {
			case "reload":
				books[i].Retire()
				for r := range rapid.IntRange(0, 2).Draw(t, "routes") {
					// Two routes may have the same key.
					v := view{row: books[i].Route(fmt.Sprint("route", r*rapid.IntRange(0, 1).Draw(t, "other")))}
					for _, name := range names {
						if rapid.Bool().Draw(t, name) {
							v.mirrors = append(v.mirrors, v.row.Mirror(name, 0.5))
						}
					}
					views[i] = append(views[i], v)
				}
			case "request":
				if len(views[i]) == 0 {
					continue
				}
				v := rapid.SampledFrom(views[i]).Draw(t, "view")
				v.row.Forward(v.mirrors)
				forwarded++
				for _, m := range v.mirrors {
					o := traffic.Outcome(rapid.IntRange(0, int(traffic.NumOutcomes)-1).Draw(t, "outcome"))
					m.Count(o)
					if o == traffic.InFlight {
						flying[i] = append(flying[i], m)
					}
				}
			case "settle":
				if n := len(flying[i]); n > 0 {
					flying[i][n-1].Settle(traffic.Completed)
					flying[i] = flying[i][:n-1]
				}
			}
			check(t, mirror.Merge(books), forwarded)
		}
	})
}

func check(t *rapid.T, rep mirror.Report, forwarded uint64) {
	sum := uint64(0)
	for _, r := range rep.Routes {
		sum += r.Forwarded
		for _, m := range r.Mirrors {
			n := uint64(0)
			for _, k := range m.Outcomes {
				n += k
			}
			if n != r.Forwarded {
				t.Fatalf("%s forwarded %d, the outcomes of %s are %v", r.Route, r.Forwarded, m.Cluster, m.Outcomes)
			}
		}
	}
	if rep.Forwarded != forwarded || sum != forwarded {
		t.Fatalf("%d forwarded, the report says %d and its routes sum to %d", forwarded, rep.Forwarded, sum)
	}
}
