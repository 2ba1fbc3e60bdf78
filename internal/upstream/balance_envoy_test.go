package upstream_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// In testdata/envoy is what Envoy 1.40 did with the same clusters: the i-th
// character of a .picks file is the last byte of the address that got the
// request whose hashed header was "key-" and i.
func TestHashesAgreeWithEnvoy(t *testing.T) {
	files, err := filepath.Glob("testdata/envoy/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			picks, err := os.ReadFile(strings.TrimSuffix(file, "yaml") + "picks")
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSpace(string(picks))
			if len(want) < 500 {
				t.Fatalf("only %d picks", len(want))
			}
			c := compile(t, upstream.NewSlots(nil), nil, string(text))
			b := upstream.NewBalancer(1)
			wrong := 0
			for i := range want {
				e := b.Pick(c, nil, upstream.Choice{Hash: keyHash(i), Hashed: true})
				if e == nil || e.Addr.Addr().As4()[3] != want[i]-'0' {
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d requests go elsewhere", wrong, len(want))
			}
		})
	}
}

// keyHash is what the hash policy makes of the header value "key-" and i.
func keyHash(i int) uint64 { return xxhash.Sum64String("key-" + strconv.Itoa(i)) }
