package compare_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// TestWorkIsBounded: bodies made to be hard to align still take no longer than
// a few times what reading them takes. The bound is wide, as machines are busy.
func TestWorkIsBounded(t *testing.T) {
	hard := func(arrays, elements int, element string) string {
		var b strings.Builder
		n := 0
		b.WriteByte('[')
		for i := range arrays {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('[')
			for j := range elements + i%2 {
				if j > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, element, n)
				n++
			}
			b.WriteByte(']')
		}
		b.WriteByte(']')
		return b.String()
	}
	for name, pair := range map[string][2]string{
		"scalars":      {hard(400, 250, "%d"), hard(401, 250, `"%d"`)},
		"objects":      {hard(60, 250, `{"a":%d,"b":1,"c":2,"d":3}`), hard(61, 251, `{"b":2,"a":"%d","d":3,"c":1}`)},
		"one array":    {hard(1, 100_000, "%d"), hard(1, 100_001, "7%d")},
		"same of many": {"[[" + strings.Repeat("1,", 60_000) + "1]]", "[[" + strings.Repeat("2,", 60_001) + "2]]"},
		"deep":         {strings.Repeat("[", 128) + strings.Repeat("]", 128), strings.Repeat("[", 128) + "1" + strings.Repeat("]", 128)},
		"names":        {"{" + strings.Repeat(`"a":1,`, 50_000) + `"b":1}`, "{" + strings.Repeat(`"a":2,`, 50_001) + `"b":1}`},
	} {
		c := newComparer(t, compare.Options{Fields: []compare.Rule{{Path: "body[]", Array: compare.ArrayIndex, Type: compare.FormatAny}}})
		begin := time.Now()
		r := c.Compare(compare.Request{}, message("application/json", pair[0]), message("application/json", pair[1]))
		took := time.Since(begin)
		t.Logf("%s: %d and %d bytes in %v, %v, %q", name, len(pair[0]), len(pair[1]), took, r.Outcome, r.Why)
		if took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if r.Outcome == compare.Equal {
			t.Errorf("%s: no difference was found", name)
		}
	}
}
