package upstream_test

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// Over any sequence of reloads, no two endpoints that are alive or retiring
// share a slot, one endpoint has the same slot everywhere, and there are never
// more slots than were needed at one time.
func TestSlotsNeverCollide(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var retired []int
		slots := upstream.NewSlots(func(slot int) { retired = append(retired, slot) })
		var live []*upstream.Cluster
		most := 0
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch op := rapid.IntRange(0, 3).Draw(rt, "op"); {
			case op == 0 && len(live) > 0:
				i := rapid.IntRange(0, len(live)-1).Draw(rt, "released")
				live[i].Release()
				live = slices.Delete(live, i, i+1)
			case op == 1 && len(retired) > 0:
				i := rapid.IntRange(0, len(retired)-1).Draw(rt, "freed")
				slots.Free(retired[i])
				retired = slices.Delete(retired, i, i+1)
			default:
				var old *upstream.Cluster
				if len(live) > 0 && rapid.Bool().Draw(rt, "reload") {
					old = live[len(live)-1]
				}
				var endpoints []string
				for _, n := range rapid.SliceOfN(rapid.IntRange(1, 5), 1, 4).Draw(rt, "endpoints") {
					endpoints = append(endpoints, fmt.Sprintf("10.0.0.%d:80", n))
				}
				live = append(live, compile(t, slots, old, static(endpoints...)))
			}

			owner, slotOf := map[int]string{}, map[netip.AddrPort]int{}
			for _, slot := range retired {
				if owner[slot] != "" {
					rt.Fatalf("slot %d retired twice", slot)
				}
				owner[slot] = "retired"
			}
			for _, c := range live {
				for _, e := range c.Endpoints().All {
					if o := owner[e.Slot]; o != "" && o != e.Addr.String() {
						rt.Fatalf("slot %d is of %s and of %s", e.Slot, o, e.Addr)
					}
					if s, ok := slotOf[e.Addr]; ok && s != e.Slot {
						rt.Fatalf("%s has slots %d and %d", e.Addr, s, e.Slot)
					}
					owner[e.Slot], slotOf[e.Addr] = e.Addr.String(), e.Slot
				}
			}
			if most = max(most, len(owner)); slots.Len() > most {
				rt.Fatalf("%d slots, but never more than %d at one time", slots.Len(), most)
			}
		}
	})
}

// Reloads on some goroutines, picks on others.
func TestConcurrentUse(t *testing.T) {
	slots := upstream.NewSlots(nil)
	serving := compile(t, slots, nil, static("10.0.0.1:80", "10.0.0.2:80"))
	r := upstream.NewResolver(&fakeDNS{answers: map[string]string{"ip4 a.com": "10.0.0.1"}})
	var wg sync.WaitGroup
	for seed := range uint64(2) {
		wg.Go(func() {
			for i := range 200 {
				c := compile(t, slots, serving, static("10.0.0.2:80", fmt.Sprintf("10.0.0.%d:80", 3+i%9)))
				d := compile(t, slots, nil, strictDNS)
				r.Set([]*upstream.Cluster{c, d})
				c.Release()
			}
		})
		wg.Go(func() {
			b := upstream.NewBalancer(seed)
			for range 20_000 {
				if b.Pick(serving, nil, upstream.Choice{Attempts: 1}) == nil {
					t.Error("no endpoint")
					return
				}
			}
		})
	}
	wg.Wait()
}
