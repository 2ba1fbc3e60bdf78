// Package test runs the sundog binary as its users do: YAML and flags in, real
// processes and sockets, observed traffic out.
//
// TestMain builds the binary once. Every test starts what it needs on ports
// that the kernel picks, or in network namespaces of its own, and ends it. What
// the tests know of a running sundog they learn from its admin interface, its
// log and the services behind it; they use nothing of the packages that they
// test.
//
// Missing programs skip a test, or fail it where CI=true is set.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	// What the binary is made of, so that go test does not take an old result
	// for that of a changed sundog.
	_ "github.com/sundog-mesh/sundog/internal/cli"
)

const (
	binaryVariable  = "SUNDOG_TEST_BINARY"  // where the built binary is
	serviceVariable = "SUNDOG_TEST_SERVICE" // set in the test binary's own children: be a service
)

func TestMain(m *testing.M) {
	if os.Getenv(serviceVariable) != "" {
		beService()
		return
	}
	dir, err := build()
	if err == nil {
		m.Run() // its result is the process's
	}
	_ = os.RemoveAll(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // nothing else makes a TestMain fail
	}
}

// build builds sundog into a new folder.
func build() (dir string, err error) {
	dir, err = os.MkdirTemp("", "sundog-test-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "sundog")
	args := []string{"build", "-o", binary}
	if buildTags != "" {
		args = append(args, "-tags", buildTags)
	}
	cmd := exec.Command("go", append(args, "./cmd/sundog")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building sundog: %w\n%s", err, out)
	}
	return dir, os.Setenv(binaryVariable, binary)
}

// missing ends a test that the machine cannot run.
func missing(t *testing.T, what, remedy string) {
	t.Helper()
	message := fmt.Sprintf("NOT TESTED: %s is missing: %s", what, remedy)
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// needProgram finds a program that a Debian package provides.
func needProgram(t *testing.T, name, packages string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, "apt-get install "+packages)
	}
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
