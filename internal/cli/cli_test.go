package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sundog-mesh/sundog/internal/cli"
	"github.com/sundog-mesh/sundog/internal/translate"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sundog": func() {
			os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			return os.CopyFS(filepath.Join(env.WorkDir, "examples"), os.DirFS(filepath.Join("..", "..", "examples")))
		},
	})
}

// TestHelpTexts compares the help of each command with testdata/help. After a
// deliberate change, run it with UPDATE=1 in the environment.
func TestHelpTexts(t *testing.T) {
	for _, command := range []string{"", "run", "mirror", "validate", "config-dump", "report", "verdict", "demo", "version"} {
		t.Run("sundog "+command, func(t *testing.T) {
			args := []string{command, "--help"}
			if command == "" {
				args, command = args[1:], "sundog"
			}
			var out, errs bytes.Buffer
			if code := cli.Main(t.Context(), args, cli.Streams{Out: &out, Err: &errs}); code != 0 || errs.Len() > 0 {
				t.Fatalf("exit code %d, stderr %q", code, errs.String())
			}
			golden := filepath.Join("testdata", "help", command+".txt")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(out.String(), "Examples:") {
				t.Error("the help has no examples")
			}
		})
	}
}

func TestSizes(t *testing.T) {
	tests := []struct {
		in    string
		bytes int64
		out   string
	}{
		{"0", 0, "0"},
		{"1000", 1000, "1000"},
		{"65536", 65536, "64KiB"},
		{"1MiB", 1 << 20, "1MiB"},
		{"1 GiB", 1 << 30, "1GiB"},
		{"12B", 12, "12"},
		{"1536KiB", 1536 << 10, "1536KiB"},
	}
	for _, tt := range tests {
		if n, out, err := cli.ParseSize(tt.in); err != nil || n != tt.bytes || out != tt.out {
			t.Errorf("%q: %d %q %v, want %d %q", tt.in, n, out, err, tt.bytes, tt.out)
		}
	}
	for _, in := range []string{"", "x", "-1", "1.5MiB", "1MB", "9999999999GiB", "MiB"} {
		if n, _, err := cli.ParseSize(in); err == nil {
			t.Errorf("%q: no error, but %d", in, n)
		}
	}
}

func TestPublish(t *testing.T) {
	tests := map[string]translate.Publish{
		"8080:80":           {Port: 8080, GatewayPort: 80},
		"127.0.0.1:8080:80": {Host: "127.0.0.1", Port: 8080, GatewayPort: 80},
		"localhost:0:80":    {Host: "127.0.0.1", Port: 0, GatewayPort: 80},
		"[::1]:8080:80":     {Host: "::1", Port: 8080, GatewayPort: 80},
	}
	for in, want := range tests {
		if got, err := cli.ParsePublish(in); err != nil || got != want {
			t.Errorf("%q: %+v %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"8080":         "the port of the Gateway is missing",
		"8080:0":       `"0" is not the port of a Gateway`,
		"8080:http":    `"http" is not the port of a Gateway`,
		"x:80":         `"x" is not a port`,
		"70000:80":     `"70000" is not a port`,
		"host:8080:80": `"host" is not an IP address`,
	} {
		if _, err := cli.ParsePublish(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", in, err, want)
		}
	}
}

func TestLabels(t *testing.T) {
	labels, printed, err := cli.ParseLabels("istio=ingressgateway,app=edge")
	if err != nil || len(labels) != 2 || printed != "app=edge,istio=ingressgateway" {
		t.Errorf("%v %q %v", labels, printed, err)
	}
	if labels, _, err := cli.ParseLabels(""); err != nil || labels != nil {
		t.Errorf("empty: %v %v, want no labels at all", labels, err)
	}
	for _, in := range []string{"istio", "=x", "a=b,"} {
		if _, _, err := cli.ParseLabels(in); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func TestListenErrorsHaveACauseAndAHint(t *testing.T) {
	for errno, hint := range map[syscall.Errno]string{
		syscall.EADDRINUSE:    "hint: stop what listens there (maybe another sundog), or use another port with --listen\n",
		syscall.EACCES:        "hint: use a port above 1023 with --listen, or give sundog the right (root, or CAP_NET_BIND_SERVICE)\n",
		syscall.EADDRNOTAVAIL: "hint: use an address of this machine with --listen\n",
		syscall.EIO:           "",
	} {
		var b bytes.Buffer
		code := cli.PrintListenError(&b, errors.Join(fmt.Errorf("listener a:\n %w", errno)))
		if want := "sundog: listener a: " + errno.Error() + "\n" + hint; b.String() != want || code != 1 {
			t.Errorf("%v: %d %q, want %q", errno, code, b.String(), want)
		}
	}
}

func TestMirrorSnapshot(t *testing.T) {
	s, err := cli.MirrorSnapshot(":8080", "http://app:9000", []string{"http://127.0.0.1:9001", "http://[::1]"}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, c := range s.Clusters {
		a := c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
		kinds[c.GetName()] = fmt.Sprintf("%v %s %d", c.GetType(), a.GetAddress(), a.GetPortValue())
	}
	want := map[string]string{"primary": "STRICT_DNS app 9000", "shadow-1": "STATIC 127.0.0.1 9001", "shadow-2": "STATIC ::1 80"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
	route := s.Routes[0].GetVirtualHosts()[0].GetRoutes()[0].GetRoute()
	for _, p := range route.GetRequestMirrorPolicies() {
		if n := p.GetRuntimeFraction().GetDefaultValue().GetNumerator(); n != 5000 || p.GetDisableShadowHostSuffixAppend() {
			t.Errorf("policy %v", p)
		}
	}
	if route.GetCluster() != "primary" || len(route.GetRequestMirrorPolicies()) != 2 {
		t.Errorf("route %v", route)
	}
	if a := s.Listeners[0].GetAddress().GetSocketAddress(); a.GetAddress() != "0.0.0.0" || a.GetPortValue() != 8080 {
		t.Errorf("listener %v", a)
	}
}
