package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/report"
)

// TestNamesOfInstances: what may be the name of an instance is no difference as
// long as only the primary itself was asked again, and no reason to call both
// equivalent; a baseline on another instance settles it, and so does a rule.
func TestNamesOfInstances(t *testing.T) {
	primary, baseline, shadow := instance(t, "web-1"), instance(t, "web-2"), instance(t, "canary-1")
	for _, tt := range []struct {
		name    string
		flags   []string
		settled bool
		noise   string
	}{
		{"asked again", []string{"--again", "100", "--again-rate", "1000"}, false, ""},
		{"baseline", []string{"--baseline", baseline}, true, "identity"},
		{"ignored", []string{"--again", "100", "--again-rate", "1000", "--ignore", "body.host"}, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := sundog(t, append([]string{
				"mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--compare",
				"--primary", primary, "--shadow", shadow,
			}, tt.flags...)...)
			url := "http://" + p.listener("127.0.0.1_0") + "/items"
			var c report.Comparison
			eventually(t, "40 compared exchanges", func() bool {
				for range 10 {
					resp, err := http.Get(url)
					must(t, err)
					must(t, resp.Body.Close())
				}
				var r report.Report
				p.getJSON("/report", &r)
				if len(r.Comparisons) != 1 {
					return false
				}
				c = r.Comparisons[0]
				return c.Account.Compared >= 40
			})
			noise := ""
			for _, n := range c.Noise {
				noise = n.Type
			}
			if c.Verdict.State != report.Undecided || c.Unsettled > 0 == tt.settled || noise != tt.noise {
				t.Errorf("%+v, %d unsettled, noise %q, differences %+v", c.Verdict, c.Unsettled, noise, c.Differences)
			}
			for _, d := range c.Differences {
				if d.State != report.Identity || d.Field != "body.host" || tt.settled {
					t.Errorf("%s %s is %s", d.Field, d.Aspect, d.State)
				}
			}
			admin := p.find(&p.err, `msg="admin interface" address=(\S+)`)
			out, err := exec.Command(os.Getenv(binaryVariable), "report", "--admin", admin).CombinedOutput() //nolint:gosec // the binary under test
			must(t, err)
			if section := strings.Contains(string(out), "\nInstance identity, or a difference\n"); section == tt.settled {
				t.Errorf("the report has a section of names: %v\n%s", section, out)
			}
			out, _ = exec.Command(os.Getenv(binaryVariable), "verdict", "--admin", admin, "--max-diff", "90%", "--wait", "1m").CombinedOutput() //nolint:gosec // the binary under test
			if got := strings.Contains(string(out), "may name the instance"); got == tt.settled || tt.settled != strings.HasPrefix(string(out), "equivalent") {
				t.Errorf("the verdict is %s", out)
			}
		})
	}
}

// instance is a service with a name of its own.
func instance(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"host":%q,"price":7}`, name)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
