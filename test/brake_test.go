package test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// contended is a service that is primary and shadow in one. A request and its
// copy work on the same thing, by their id, and take turns at it: so mirroring
// costs the requests that are mirrored, and no others.
type contended struct {
	copies atomic.Int64 // how long a copy keeps the thing in each of its turns, ns; 0: it does not need it

	mu     sync.Mutex
	things map[string]*thing
}

// thing is held by who has sent to it. Who waits for it gets it in turn.
type thing struct {
	held  chan struct{}
	users int
}

const (
	turns   = 4
	ownTurn = 2 * time.Millisecond
)

func (c *contended) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("X-Request-Id")
	c.mu.Lock()
	on := c.things[id]
	if on == nil {
		on = &thing{held: make(chan struct{}, 1)}
		c.things[id] = on
	}
	on.users++
	c.mu.Unlock()

	turn := ownTurn
	if strings.Contains(r.Host, "-shadow") {
		turn = time.Duration(c.copies.Load())
	}
	for range turns {
		if turn == 0 {
			<-time.After(ownTurn) // slow, but in nobody's way
			continue
		}
		on.held <- struct{}{}
		<-time.After(turn)
		<-on.held
	}

	c.mu.Lock()
	if on.users--; on.users == 0 {
		delete(c.things, id)
	}
	c.mu.Unlock()
	_, _ = io.WriteString(w, "answer")
}

// braked is what a ledger of one mirror says of its brake.
type braked struct {
	forwarded, copies int
	share, inForce    float64
	factor            float64 // 1 where the ledger has no brake
	cause             string
	steps             int
	mirrored, control float64 // p50, ms
	p50, p99          float64 // ratios, at least
}

func (p *process) braked() (b braked) {
	p.t.Helper()
	type latency struct {
		P50 struct{ Value float64 } `json:"p50_ms"`
	}
	var l struct {
		Routes []struct {
			Forwarded int
			Mirrors   []struct {
				Share    float64
				InForce  float64 `json:"share_in_force"`
				Outcomes outcomes
				Brake    *struct {
					Factor               float64
					Cause                string
					StepsDown            int `json:"steps_down"`
					Mirrored, Unmirrored latency
					P50                  struct{ Low float64 } `json:"ratio_p50"`
					P99                  struct{ Low float64 } `json:"ratio_p99"`
				}
			}
		}
	}
	p.getJSON("/ledger", &l)
	if len(l.Routes) != 1 || len(l.Routes[0].Mirrors) != 1 {
		p.t.Fatalf("the ledger has not one mirror: %+v", l)
	}
	m := l.Routes[0].Mirrors[0]
	b = braked{forwarded: l.Routes[0].Forwarded, share: m.Share, inForce: m.InForce, factor: 1}
	if b.copies = m.Outcomes.sum() - m.Outcomes["not_sampled"] - m.Outcomes["control"]; m.Outcomes.sum() != b.forwarded {
		p.t.Errorf("the ledger does not balance: %+v", l)
	}
	if k := m.Brake; k != nil {
		b.factor, b.cause, b.steps = k.Factor, k.Cause, k.StepsDown
		b.mirrored, b.control, b.p50, b.p99 = k.Mirrored.P50.Value, k.Unmirrored.P50.Value, k.P50.Low, k.P99.Low
	}
	return b
}

// wantShare wants the ledger and the metrics to have this share in force, and
// the requests that come now to be copied accordingly.
func (p *process) wantShare(want float64) {
	p.t.Helper()
	from := p.braked()
	const enough = 600
	var now braked
	eventually(p.t, "requests come", func() bool { now = p.braked(); return now.forwarded >= from.forwarded+enough })
	_, metrics := p.get("/stats/prometheus")
	if again := p.braked(); again.steps != from.steps || again.factor != from.factor {
		p.t.Fatalf("the brake has moved meanwhile, from %+v to %+v", from, again)
	}
	if now.inForce != want {
		p.t.Errorf("the share in force is %v, want %v: %+v", now.inForce, want, now)
	}
	for name, v := range map[string]float64{
		"sundog_mirror_share_in_force": want, "sundog_mirror_share": now.share, "sundog_mirror_brake_steps_total": float64(now.steps),
	} {
		if !hasMetric(string(metrics), name, v) {
			p.t.Errorf("no %s with %v in\n%s", name, v, lines(string(metrics), "sundog_mirror_"))
		}
	}
	part := float64(now.copies-from.copies) / float64(now.forwarded-from.forwarded)
	// Five standard deviations: it happens once in two million.
	if most := 5 * math.Sqrt(want*(1-want)/enough); math.Abs(part-want) > most {
		p.t.Errorf("%.3f of the requests were copied, want %.3f, give or take %.3f", part, want, most)
	}
}

func hasMetric(metrics, name string, v float64) bool {
	for line := range strings.Lines(lines(metrics, name+"{")) {
		if strings.HasSuffix(line, fmt.Sprintf("} %v\n", v)) {
			return true
		}
	}
	return false
}

// lines are those of text that begin so.
func lines(text, begin string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// A mirror whose copies truly slow the primary's answers is slowed down itself,
// and gets its share back when they do so no longer. A shadow that is but slow
// is left alone.
func TestTheBrakeFollowsTheCost(t *testing.T) {
	if testing.Short() {
		t.Skip("a brake takes 15 seconds for each step up")
	}
	for _, c := range []struct {
		name               string
		flags              []string
		asked, half, whole float64 // share: asked for, in force two steps down, and with the brake released
	}{
		{"half of the requests", []string{"--percent", "50"}, 0.5, 0.125, 0.5},
		{"all but a control share", []string{"--control-share", "20"}, 1, 0.25, 0.8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &contended{things: map[string]*thing{}}
			address := handle(t, s.ServeHTTP)
			p := mirror(t, address, address, append(c.flags, "--max-cpu", "0")...) // other tests' CPU time is not the question
			defer keepAsking(t, p.url("/"))()

			const fair = 1000
			eventually(t, "requests are measured", func() bool { b := p.braked(); return b.forwarded >= fair && b.mirrored > 0 })
			if b := p.braked(); b.factor != 1 || b.steps != 0 || b.share != c.asked {
				t.Errorf("slow copies that cost nothing: %+v", b)
			}

			s.copies.Store(int64(4 * ownTurn))
			var b braked
			eventually(t, "two steps down", func() bool { b = p.braked(); return b.steps >= 2 })
			s.copies.Store(0)
			if b.factor != 0.25 || b.cause != "p50" && b.cause != "p99" || b.mirrored < 1.5*b.control || max(b.p50, b.p99) < 1.5 {
				t.Errorf("two steps down: %+v", b)
			}
			told := `"mirroring steps down: mirrored requests are slower" route=\S+ factor=%s percentile=p\d\d mirrored=\S+ unmirrored=\S+ ratio_at_least=[1-9]\S* limit=1\.5\n`
			p.find(&p.err, fmt.Sprintf(told, `0\.5`))
			p.find(&p.err, fmt.Sprintf(told, `0\.25`))
			p.wantShare(c.half)

			eventually(t, "a step up", func() bool { return p.braked().factor >= 0.5 })
			eventually(t, "another step up", func() bool { return p.braked().factor >= 1 })
			p.find(&p.err, `"mirroring steps up" route=\S+ factor=1\n`)
			if b := p.braked(); b.cause != "" || b.steps != 2 {
				t.Errorf("released: %+v", b)
			}
			p.wantShare(c.whole)
		})
	}
}

// keepAsking sends requests until the returned function is called, which wants
// all to have been answered.
func keepAsking(t *testing.T, target string) (end func()) {
	c := client(t, "")
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for make := get(t, target); ; {
				select {
				case <-stop:
					return
				default:
				}
				if status, body, err := exchange(c, make()); err != nil || status != http.StatusOK || body != "answer" {
					t.Errorf("%d %q %v", status, body, err)
					return
				}
			}
		})
	}
	return func() {
		close(stop)
		all.Wait()
	}
}
