package main

import (
	"context"
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
	cmd *exec.Cmd
	out *strings.Builder
}

// start runs a program until ctx ends or stop is called, and waits until it
// accepts connections at addr.
func start(ctx context.Context, addr, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), out: &strings.Builder{}}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return p, nil
		}
		pause(25 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen on %s: %s", name, addr, p.out)
}

func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpu is the user and system time that the process and its children took.
func (p *process) cpu() time.Duration {
	var ticks int64
	for _, pid := range p.pids() {
		stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		if err != nil {
			continue
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		utime, _ := strconv.ParseInt(f[11], 10, 64)
		stime, _ := strconv.ParseInt(f[12], 10, 64)
		ticks += utime + stime
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// rss is the resident memory of the process and its children, in bytes.
func (p *process) rss() int64 {
	var sum int64
	for _, pid := range p.pids() {
		statm, err := os.ReadFile(filepath.Join("/proc", pid, "statm"))
		if err != nil {
			continue
		}
		pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
		sum += pages * int64(os.Getpagesize())
	}
	return sum
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

func pause(d time.Duration) { <-time.After(d) }
