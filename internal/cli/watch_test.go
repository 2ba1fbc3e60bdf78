package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/cli"
)

// watching runs a watcher and returns a channel that gets a value per change.
func watching(t *testing.T, paths ...string) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	changes, ready, done := make(chan struct{}, 100), make(chan struct{}), make(chan error, 1)
	go func() { done <- cli.Watch(ctx, paths, ready, func() { changes <- struct{}{} }) }()
	<-ready
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return changes
}

func within(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(5 * time.Second):
		t.Fatal("the change was not seen")
	}
}

func write(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchSeesWritesAndRenames(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.yaml")
	write(t, name, "one")
	changes := watching(t, name)
	write(t, name, "two2")
	within(t, changes)
	write(t, filepath.Join(dir, "new"), "three")
	must(t, os.Rename(filepath.Join(dir, "new"), name))
	within(t, changes)
	must(t, os.Remove(name))
	within(t, changes)
	write(t, name, "back again")
	within(t, changes)
}

func TestWatchSeesFilesComeAndGoInAFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), "one")
	changes := watching(t, dir)
	write(t, filepath.Join(dir, "b.yml"), "two")
	within(t, changes)
	must(t, os.Remove(filepath.Join(dir, "a.yaml")))
	within(t, changes)
}

// Kubernetes mounts a ConfigMap as files that link through ..data, and swaps
// that link.
func TestWatchSeesASwappedVolume(t *testing.T) {
	for _, path := range []string{"", "a.yaml"} {
		dir := t.TempDir()
		for _, version := range []string{"..v1", "..version2"} {
			must(t, os.Mkdir(filepath.Join(dir, version), 0o755))
			write(t, filepath.Join(dir, version, "a.yaml"), version)
		}
		must(t, os.Symlink("..v1", filepath.Join(dir, "..data")))
		must(t, os.Symlink(filepath.Join("..data", "a.yaml"), filepath.Join(dir, "a.yaml")))
		changes := watching(t, filepath.Join(dir, path))
		must(t, os.Symlink("..version2", filepath.Join(dir, "..tmp")))
		must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
		within(t, changes)
	}
}

// A whole release is swapped by a link to its folder.
func TestWatchSeesASwappedFolder(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"r1", "release2"} {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		write(t, filepath.Join(dir, version, "a.yaml"), version)
	}
	current := filepath.Join(dir, "current")
	must(t, os.Symlink("r1", current))
	changes := watching(t, current)
	must(t, os.Symlink("release2", current+".new"))
	must(t, os.Rename(current+".new", current))
	within(t, changes)
	write(t, filepath.Join(dir, "release2", "a.yaml"), "changed")
	within(t, changes)
}

// Many writes come to one reload, within half a second of the first.
func TestWatchGathersWrites(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.yaml")
	write(t, name, "start")
	changes := watching(t, name)
	started := time.Now()
	for time.Since(started) < 50*time.Millisecond {
		write(t, name, time.Now().String())
	}
	within(t, changes)
	if took := time.Since(started); took > time.Second {
		t.Errorf("seen after %v", took)
	}
	if n := len(changes); n > 0 {
		t.Errorf("%d more changes", n)
	}
}
