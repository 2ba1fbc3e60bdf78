package traffic_test

import (
	"bytes"
	"testing"

	"github.com/sundog-mesh/sundog/internal/traffic"
	"pgregory.net/rapid"
)

// TestBodyKeepsTheBeginning: whatever the pieces are, a body is the beginning
// of what was sent, up to its limit, and says when it is not all.
func TestBodyKeepsTheBeginning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(0, 80<<10).Draw(t, "limit")
		store := traffic.NewBodyStore(1 << 20)
		for range 3 { // memory is lent again
			var b traffic.Body
			b.Open(store, limit)
			var sent []byte
			for i, n := range rapid.SliceOfN(rapid.IntRange(0, 20<<10), 0, 6).Draw(t, "pieces") {
				piece := bytes.Repeat([]byte{byte('a' + i)}, n)
				sent = append(sent, piece...)
				b.Append(piece)
			}
			want := sent[:min(int64(len(sent)), limit)]
			if !bytes.Equal(b.Bytes, want) || b.Cut != (len(sent) > len(want)) {
				t.Fatalf("kept %d bytes, cut %v; want %d of %d", len(b.Bytes), b.Cut, len(want), len(sent))
			}
			b.Close()
		}
	})
}

// TestBodyStoreIsBounded: beyond the store's limit bodies are cut, and what is
// given back is lent again.
func TestBodyStoreIsBounded(t *testing.T) {
	store := traffic.NewBodyStore(40 << 10)
	open := func(n int) *traffic.Body {
		b := &traffic.Body{}
		b.Open(store, 1<<20)
		b.Append(make([]byte, n))
		return b
	}
	first, second, third := open(16<<10), open(16<<10), open(16<<10)
	if first.Cut || second.Cut || !third.Cut || len(third.Bytes) != 0 {
		t.Fatalf("cut: %v, %v, %v", first.Cut, second.Cut, third.Cut)
	}
	second.Close()
	if again := open(10 << 10); again.Cut {
		t.Error("memory that was given back is not lent again")
	}
	third.Append([]byte("behind the gap"))
	if len(third.Bytes) != 0 {
		t.Errorf("what is kept has a gap: %q", third.Bytes)
	}
	var unopened traffic.Body
	unopened.Append([]byte("x"))
	if unopened.Bytes != nil || unopened.Cut {
		t.Error("a body that nobody opened keeps something")
	}
}

func TestBodyAllocatesNothing(t *testing.T) {
	store := traffic.NewBodyStore(1 << 20)
	piece := make([]byte, 10<<10)
	var b traffic.Body
	if n := testing.AllocsPerRun(100, func() {
		b.Open(store, 1<<20)
		b.Append(piece)
		b.Append(piece)
		b.Close()
	}); n != 0 {
		t.Errorf("%v allocations for each body", n)
	}
}
