package judge_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/report"
)

// askedAgain is a scene whose only reference is the primary itself, with a name
// on each side, and its state after some exchanges.
func askedAgain(t *testing.T, primary, candidate string) (s *scene, saved []byte) {
	t.Helper()
	p := mirrored()
	p.Baseline = policy.Baseline{Again: 1}
	s = newScene(t, judge.Options{}, p)
	s.primary, s.shadow, s.baseline, s.again = named(primary), named(candidate), named(primary), true
	s.send(500, get("/items"))
	var state bytes.Buffer
	if err := s.judge.Save(&state); err != nil {
		t.Fatal(err)
	}
	return s, state.Bytes()
}

// TestIdentityAfterARestart: a state holds all that tells a name from a
// difference, so a restart turns neither into the other, not even one that sees
// nothing afterwards.
func TestIdentityAfterARestart(t *testing.T) {
	for _, test := range []struct {
		primary, candidate string
		name               bool
	}{
		{"web-1", "canary-1", true},
		{"web-1", "", false},
	} {
		t.Run(test.primary+" "+test.candidate, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, state := askedAgain(t, test.primary, test.candidate)
				s.judge = judge.New(judge.Options{})
				if err := s.judge.Load(bytes.NewReader(state)); err != nil {
					t.Fatal(err)
				}
				check := func(when string) {
					t.Helper()
					c := s.report()
					if got := len(differences(c, report.Identity)) == 1 && c.Verdict.State == report.Undecided; got != test.name {
						t.Errorf("%s, identity is %v: %+v", when, got, c.Verdict)
					}
					if got := len(differences(c, report.Proven)) == 1 && c.Verdict.State == report.Different; got == test.name {
						t.Errorf("%s, proven is %v: %+v", when, got, c.Verdict)
					}
				}
				check("loaded")
				p := mirrored()
				p.Baseline = policy.Baseline{Again: 1}
				s.configure(p)
				s.run()
				s.send(20, get("/items"))
				check("after 20 more")
			})
		})
	}
}

// TestIdentityOfAFleet: a name that all proxies saw is one for the fleet, also
// where each proxy has a primary of its own. Names that change sides are none.
func TestIdentityOfAFleet(t *testing.T) {
	for _, test := range []struct {
		name string
		two  [2]string
		want int
	}{
		{"the same instances", [2]string{"web-1", "canary-1"}, 1},
		{"another primary", [2]string{"web-2", "canary-1"}, 1},
		{"another candidate", [2]string{"web-1", "canary-2"}, 1},
		{"other instances", [2]string{"web-2", "canary-2"}, 1},
		{"names that change sides", [2]string{"canary-1", "web-1"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, one := askedAgain(t, "web-1", "canary-1")
				_, two := askedAgain(t, test.two[0], test.two[1])
				for _, order := range [][2][]byte{{one, two}, {two, one}} {
					fleet := judge.New(judge.Options{})
					for _, state := range order {
						if err := fleet.Load(bytes.NewReader(state)); err != nil {
							t.Fatal(err)
						}
					}
					c := fleet.Report().Comparisons[0]
					if got := differences(c, report.Identity); len(got) != test.want || c.Unsettled != test.want {
						t.Errorf("identity: %v, %d unsettled, %+v", got, c.Unsettled, c.Verdict)
					}
					if test.want > 0 && (c.Verdict.State != report.Undecided || len(differences(c, report.Proven)) > 0) {
						t.Errorf("%+v, proven %v", c.Verdict, differences(c, report.Proven))
					}
				}
			})
		})
	}
}

// TestOldState: a state of a form that lacks what tells names apart is refused,
// and the error says which form it has and which is read.
func TestOldState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, state := askedAgain(t, "web-1", "canary-1")
		old := bytes.Replace(state, []byte(`{"version":2,`), []byte(`{"version":1,`), 1)
		j := judge.New(judge.Options{})
		err := j.Load(bytes.NewReader(old))
		if err == nil || !strings.Contains(err.Error(), "version 1") || !strings.Contains(err.Error(), "reads version 2 only") {
			t.Errorf("the error is %v", err)
		}
		if n := len(j.Report().Comparisons); n != 0 {
			t.Errorf("%d comparisons of a refused state", n)
		}
	})
}
