package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace of a test. Nothing outside of the tests'
// namespaces reaches it.
type namespace struct{ name string }

// newNamespace makes a namespace with loopback; it goes with the test.
func newNamespace(t *testing.T, suffix string) namespace {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "root", "network namespaces need it: run the tests as root")
	}
	needProgram(t, "ip", "iproute2")
	sweep(t)
	ns := namespace{fmt.Sprintf("sundog-%d-%s", os.Getpid(), suffix)}
	if out, err := exec.Command("ip", "netns", "add", ns.name).CombinedOutput(); err != nil {
		missing(t, "the permission to make network namespaces", strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { command(t, "ip", "netns", "delete", ns.name) })
	ns.ip(t, "link set lo up")
	return ns
}

// sweep removes namespaces of tests that were killed.
func sweep(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // nobody has made one yet
	}
	for _, e := range entries {
		pid, ok := strings.CutPrefix(e.Name(), "sundog-")
		pid, _, _ = strings.Cut(pid, "-")
		if n, err := strconv.Atoi(pid); !ok || err != nil || n <= 0 {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, fs.ErrNotExist) {
			command(t, "ip", "netns", "delete", e.Name())
		}
	}
}

// command runs a program that has to succeed.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// ip runs ip with these arguments inside of the namespace.
func (n namespace) ip(t *testing.T, args string) {
	t.Helper()
	command(t, "ip", append([]string{"-n", n.name}, strings.Fields(args)...)...)
}

// sundog starts the binary under test inside of the namespace.
func (n namespace) sundog(t *testing.T, args ...string) *process {
	t.Helper()
	p := start(t, exec.Command("ip", append([]string{"netns", "exec", n.name, os.Getenv(binaryVariable)}, args...)...))
	p.dial = n.dial
	return p
}

// serve starts a service whose socket is inside of the namespace.
func (n namespace) serve(t *testing.T, name, address string) *service {
	t.Helper()
	var ln net.Listener
	must(t, n.do(func() (err error) {
		ln, err = net.Listen("tcp", address)
		return err
	}))
	return serveOn(t, name, ln)
}

// dial opens a connection from inside of the namespace.
func (n namespace) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = n.do(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// do calls f on a thread that is in the namespace. Sockets stay where they were
// made. The thread goes back: if it ended, its children would be killed.
func (n namespace) do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			result <- err
			return
		}
		defer func() { _ = home.Close() }()
		away, err := os.Open("/run/netns/" + n.name)
		if err != nil {
			result <- err
			return
		}
		defer func() { _ = away.Close() }()
		if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("entering namespace %s: %w", n.name, err)
			return
		}
		err = f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			result <- fmt.Errorf("leaving namespace %s: %w", n.name, back) // a locked thread is not used again
			return
		}
		runtime.UnlockOSThread()
		result <- err
	}()
	return <-result
}
