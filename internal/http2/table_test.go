package http2_test

import (
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
	"pgregory.net/rapid"
)

// What the loop has is what a Conn needs.
var (
	_ http2.Output = (*loop.Conn)(nil)
	_ http2.Waker  = (*loop.Task)(nil)
)

// TestTable compares the table with a map.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table http2.Table
		model := map[uint32]bool{}
		ids := rapid.Uint32Range(0, 60)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			id := 2*ids.Draw(t, "id") + 1
			if rapid.Bool().Draw(t, "far") {
				id += 128 << rapid.IntRange(0, 20).Draw(t, "shift")
			}
			if model[id] {
				table.Remove(id)
				delete(model, id)
			} else {
				table.Put(id)
				model[id] = true
			}
			for id := range model {
				if !table.Has(id) {
					t.Fatalf("%d is lost", id)
				}
			}
			if table.Has(id) != model[id] {
				t.Fatalf("%d is there: %t", id, !model[id])
			}
		}
	})
}

// TestHistory compares the history with one that forgets nothing.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var history http2.History
		model := map[uint32]string{}
		last := uint32(1)
		history.Open(1)
		model[1] = "closed"
		steps := rapid.OneOf(rapid.Uint32Range(1, 5), rapid.Uint32Range(1, 3000))
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			last += 2 * steps.Draw(t, "step")
			history.Open(last)
			model[last] = "closed"
			if rapid.Bool().Draw(t, "reset") {
				history.Reset(last)
				model[last] = "reset"
			}
		}
		for id := uint32(1); id <= last; id += 2 {
			want := model[id]
			switch {
			case (last-id)/2 >= 1024:
				want = "forgotten"
			case want == "":
				want = "skipped"
			}
			if got := history.Fate(id); got != want {
				t.Fatalf("stream %d of %d is %s, want %s", id, last, got, want)
			}
		}
	})
}

// TestLongForgotten has frames come for a stream that was reset long ago.
func TestLongForgotten(t *testing.T) {
	p := server(t, http2.Options{})
	p.post(1)
	p.feed()
	p.opened.last(t).Release()
	for id := uint32(3); id < 5000; id += 2 {
		answered(p, id)
	}
	p.frames()
	p.do(p.WriteData(1, false, make([]byte, 100)))
	p.headers(1, true, "a", "b")
	p.get(5001)
	p.feed()
	p.want()
	if p.err != nil {
		t.Error(p.err)
	}
	p.opened.last(t).Release()
	if why := p.conn.Idle(nil); why != "" {
		t.Error(why)
	}
}
