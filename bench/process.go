//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under measurement, with its children.
type process struct {
	cmd   *exec.Cmd
	env   []string
	addr  string // where it serves
	admin string // Sundog's admin interface
	out   *strings.Builder
	done  chan error // gets what Wait said
}

// launch runs a program until ctx ends or stop is called, and waits until it
// accepts connections at addr.
func launch(ctx context.Context, addr string, env []string, name string, args ...string) (*process, error) {
	p := &process{
		cmd: exec.CommandContext(ctx, name, args...), env: env, addr: addr,
		out: &strings.Builder{}, done: make(chan error, 1),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.Cancel = func() error { return p.signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 3 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	for range 800 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return p, nil
		}
		select {
		case err := <-p.done:
			return nil, fmt.Errorf("%s ended: %w: %s", name, err, p.out)
		case <-time.After(25 * time.Millisecond):
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen on %s: %s", name, addr, p.out)
}

func (p *process) signal(s syscall.Signal) error { return syscall.Kill(-p.cmd.Process.Pid, s) }

// again launches the same program with the same arguments at the same address.
func (p *process) again(ctx context.Context) (*process, error) {
	return launch(ctx, p.addr, p.env, p.cmd.Path, p.cmd.Args[1:]...)
}

// quit asks nginx to answer what it has begun and to end.
func (p *process) quit() error {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case err := <-p.done:
		p.done <- err // for stop
		return err
	case <-time.After(15 * time.Second):
		return fmt.Errorf("%s did not end in 15 s", filepath.Base(p.cmd.Path))
	}
}

// stop ends the program and its children; what takes longer than two seconds
// is killed. A nil process is none.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
		_ = p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// cpu is the user and system time that the process and its children took.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p.pids() {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			return 0, err
		}
		t, err := parseStat(string(stat))
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// parseStat reads user and system time from /proc/PID/stat (proc_pid_stat(5),
// fields 14 and 15, in ticks of 10 ms). The name before them may hold anything.
func parseStat(stat string) (time.Duration, error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("not a line of /proc/PID/stat: %q", stat)
	}
	utime, err1 := strconv.ParseInt(f[11], 10, 64)
	stime, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(utime+stime) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// rss is the resident memory of the process and its children, in bytes.
func (p *process) rss() float64 {
	var sum int64
	for _, pid := range p.pids() {
		statm, err := os.ReadFile(filepath.Join("/proc", pid, "statm"))
		if err != nil {
			continue
		}
		if f := strings.Fields(string(statm)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			sum += pages * int64(os.Getpagesize())
		}
	}
	return float64(sum)
}

// peak is the most resident memory that the process and its children had, in
// bytes: for each VmHWM of proc_pid_status(5).
func (p *process) peak() float64 {
	sum := 0.0
	for _, pid := range p.pids() {
		status, _ := os.ReadFile(filepath.Join("/proc", pid, "status"))
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if f := strings.Fields(rest); len(f) > 1 {
			kib, _ := strconv.ParseFloat(f[0], 64)
			sum += kib * 1024
		}
	}
	return sum
}

// descriptors is how many files the process has open.
func (p *process) descriptors() int {
	open, _ := os.ReadDir(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "fd"))
	return len(open)
}

func (p *process) pids() []string {
	pid := strconv.Itoa(p.cmd.Process.Pid)
	all := []string{pid}
	children, _ := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	return append(all, strings.Fields(string(children))...)
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// wait waits, or returns early when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// openFiles raises the limit of open files for this process and those that it
// starts.
func openFiles(n uint64) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return err
	}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: max(now.Cur, n), Max: max(now.Max, n)})
	if err != nil {
		return fmt.Errorf("%d open files: %w (ulimit -n)", n, err)
	}
	return nil
}
