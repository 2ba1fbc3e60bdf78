//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// roleCommand makes this program play a destination instead of measuring.
const roleCommand = "play"

// server is a destination.
type server struct {
	addr  string
	stop  func()
	group int // of the process, if it is another
}

// role is a destination that this program can play, in a process of its own:
// the kernel then shares the cores among primary, shadow and proxy, and not
// Go's scheduler.
type role struct {
	name  string
	start func() (server, error)
}

// roles are the shadows, the upstream of gRPC, and services whose answers are
// compared.
func roles() []role {
	return append(append(shadows(), role{grpcRole, grpcServer}), jsonRoles()...)
}

// playRole prints the address of a destination, and is that until ctx ends.
func playRole(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: bench " + roleCommand + " ROLE")
	}
	all := roles()
	i := slices.IndexFunc(all, func(r role) bool { return r.name == args[1] })
	if i < 0 {
		return fmt.Errorf("there is no role %q", args[1])
	}
	s, err := all[i].start()
	if err != nil {
		return err
	}
	defer s.stop()
	if _, err := fmt.Println(s.addr); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// playShadow is play for copies. A shadow is on another machine in life: here it
// yields to all others, so that clients do not wait for its own work.
func (b *bench) playShadow(ctx context.Context, name string) (server, error) {
	s, err := b.play(ctx, name)
	if err != nil {
		return s, err
	}
	if err := syscall.Setpriority(syscall.PRIO_PGRP, s.group, 15); err != nil {
		s.stop()
		return server{}, fmt.Errorf("lowering the priority of %q: %w", name, err)
	}
	return s, nil
}

// play starts a process that plays a role.
func (b *bench) play(ctx context.Context, name string) (server, error) {
	cmd := exec.CommandContext(ctx, b.self, roleCommand, name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return server{}, err
	}
	if err := cmd.Start(); err != nil {
		return server{}, err
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	slow := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer slow.Stop()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return server{}, fmt.Errorf("playing %q: %w", name, err)
	}
	return server{strings.TrimSpace(line), stop, cmd.Process.Pid}, nil
}
