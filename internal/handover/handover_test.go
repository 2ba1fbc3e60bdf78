//go:build unix

package handover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/handover"
)

func listeners(t *testing.T, n int) map[string]*net.TCPListener {
	t.Helper()
	all := map[string]*net.TCPListener{}
	for i := range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		all[fmt.Sprint("name-", i)] = ln.(*net.TCPListener)
	}
	return all
}

func copies(all map[string]*net.TCPListener) func() (map[string]*os.File, error) {
	return func() (map[string]*os.File, error) {
		files := map[string]*os.File{}
		for name, ln := range all {
			f, err := ln.File()
			if err != nil {
				return files, err
			}
			files[name] = f
		}
		return files, nil
	}
}

type result struct {
	replaced bool
	err      error
}

func serve(t *testing.T, path string, all map[string]*net.TCPListener) <-chan result {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	done := make(chan result, 1)
	go func() {
		replaced, err := handover.Serve(ctx, path, copies(all))
		done <- result{replaced, err}
	}()
	for {
		if _, err := os.Stat(path); err == nil {
			return done
		}
		select {
		case r := <-done:
			t.Fatal("Serve has returned", r)
		case <-time.After(time.Millisecond):
		}
	}
}

func take(t *testing.T, path string) *handover.Taken {
	t.Helper()
	for {
		taken, err := handover.Take(t.Context(), path)
		if errors.Is(err, handover.ErrNobody) && t.Context().Err() == nil {
			continue // it is about to listen
		}
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
}

// TestTakeOver: the successor accepts on the very sockets, more of them than
// one message carries, and the old process learns that it was replaced.
func TestTakeOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sundog.sock")
	all := listeners(t, 150)
	done := serve(t, path, all)
	taken := take(t, path)
	if len(taken.Files) != len(all) {
		t.Fatalf("%d sockets, want %d", len(taken.Files), len(all))
	}
	ln, err := net.FileListener(taken.Files["name-149"])
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if ln.Addr().String() != all["name-149"].Addr().String() {
		t.Errorf("the socket listens on %v, want %v", ln.Addr(), all["name-149"].Addr())
	}
	if err := taken.Ready(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; !r.replaced || r.err != nil {
		t.Errorf("Serve: %+v", r)
	}
	for _, old := range all {
		_ = old.Close()
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := ln.Accept(); err != nil {
		t.Error(err)
	}
}

// TestGivenUp: a successor that ends before it is ready changes nothing, and
// the next one is served.
func TestGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sundog.sock")
	done := serve(t, path, listeners(t, 1))
	take(t, path).Close()
	if err := take(t, path).Ready(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; !r.replaced || r.err != nil {
		t.Errorf("Serve: %+v", r)
	}
}

func TestNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sundog.sock")
	if _, err := handover.Take(t.Context(), path); !errors.Is(err, handover.ErrNobody) {
		t.Errorf("no such path: %v", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close() // what a process that was killed leaves behind
	if _, err := handover.Take(t.Context(), path); !errors.Is(err, handover.ErrNobody) {
		t.Errorf("left behind: %v", err)
	}
}
