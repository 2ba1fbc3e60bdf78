package demo_test

import (
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/demo"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := demo.Run(t.Context(), demo.Options{Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"httpbin-shadow:8000", `"47.95.xx.xx" is not an IP address`, "demo: PASS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out.String())
		}
	}
}
