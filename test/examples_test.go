package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	inCluster    = "../examples/in-cluster"
	crossCluster = "../examples/cross-cluster"
)

// clusterA puts cluster A's YAML together as the examples say: its own file,
// httpbin with the subset, and the address of B's gateway.
func clusterA(t *testing.T, gatewayB string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	const placeholder = "47.95.xx.xx"
	a := readFile(t, filepath.Join(crossCluster, "cluster-a.yaml"))
	if n := strings.Count(a, placeholder); n != 1 {
		t.Fatalf("cluster-a.yaml has %s %d times, want once", placeholder, n)
	}
	write(t, filepath.Join(dir, "cluster-a.yaml"), strings.Replace(a, placeholder, gatewayB, 1))
	for _, file := range []string{filepath.Join(crossCluster, "destinationrule.yaml"), filepath.Join(inCluster, "httpbin.yaml")} {
		write(t, filepath.Join(dir, filepath.Base(file)), readFile(t, file))
	}
	return dir
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return string(data)
}

// copyInCluster copies the example's YAML to a new folder, with old replaced
// where it occurs, which it must once.
func copyInCluster(t *testing.T, old, with string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files, err := filepath.Glob(filepath.Join(inCluster, "*.yaml"))
	must(t, err)
	found := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		must(t, err)
		found += strings.Count(string(data), old)
		write(t, filepath.Join(dir, filepath.Base(f)), strings.ReplaceAll(string(data), old, with))
	}
	if found != 1 {
		t.Fatalf("%s has %q %d times, want once", inCluster, old, found)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.WriteFile(name, []byte(text), 0o600))
}
