//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// Names of shadows that parts other than harm want, too.
const (
	noShadow   = "none, and no mirror"
	wellShadow = "is well"
	hungShadow = "accepts, never reads"
)

// shadows are the destinations that a mirror must survive; the first is well,
// shows what the copies alone cost, and is the primary as well.
func shadows() []role {
	return []role{
		{wellShadow, answering(0)},
		{"refuses", refusing},
		{"blackhole", blackhole},
		{hungShadow, listen(hang)},
		{"reads one byte a second", readingSlowly},
		{"answers one byte a second", listen(answerSlowly)},
		{"answers garbage", answeringGarbage},
		{"resets in the middle", listen(resetHalfway)},
		{"sends 1 GiB", listen(answerGigabyte)},
		{"answers after 10 s", answering(10 * time.Second)},
	}
}

// harmRows are the rows of one load: first none, by which figures differ by themselves.
func harmRows() []string {
	all := []string{noShadow}
	for _, s := range shadows() {
		all = append(all, s.name)
	}
	return all
}

const (
	answer    = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"
	bigHead   = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n"
	cutAnswer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnot all"
)

// answering reads the whole of every request, and answers after a delay.
func answering(delay time.Duration) func() (server, error) {
	return listen(func(c net.Conn, done <-chan struct{}) {
		buf := make([]byte, 64<<10)
		for readMessage(c, buf) == nil && pause(done, delay) {
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

// pause waits; false means that all is over.
func pause(done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-done:
		return false
	case <-time.After(d):
		return true
	}
}

// readingSlowly takes a byte a second, and has little room for more.
func readingSlowly() (server, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var set error
		err := raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
		return errors.Join(err, set)
	}}
	return listenBy(config, func(c net.Conn, done <-chan struct{}) {
		one := make([]byte, 1)
		for pause(done, time.Second) {
			if _, err := c.Read(one); err != nil {
				return
			}
		}
	})
}

func answerSlowly(c net.Conn, done <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for readMessage(c, buf) == nil {
		for i := range len(answer) {
			if _, err := c.Write([]byte{answer[i]}); err != nil || !pause(done, time.Second) {
				return
			}
		}
	}
}

// answeringGarbage costs as little as it can: each copy comes over a connection
// of its own.
func answeringGarbage() (server, error) {
	noise := make([]byte, 4<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	return listen(func(c net.Conn, _ <-chan struct{}) {
		if readMessage(c, make([]byte, 8<<10)) == nil {
			_, _ = c.Write(noise)
		}
	})()
}

// resetHalfway reads a part of the request, sends a part of an answer, and
// resets the connection.
func resetHalfway(c net.Conn, _ <-chan struct{}) {
	if _, err := c.Read(make([]byte, 8<<10)); err != nil {
		return
	}
	_, _ = io.WriteString(c, cutAnswer)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// answerGigabyte has little waiting to be sent: else a thousand of its connections
// would take the memory that the kernel has for TCP (tcp_mem), which a shadow on
// another machine has for itself, and proxy, clients and primary would stand still.
func answerGigabyte(c net.Conn, _ <-chan struct{}) {
	if err := c.(*net.TCPConn).SetWriteBuffer(64 << 10); err != nil {
		return
	}
	buf, zeros := make([]byte, 64<<10), make([]byte, 256<<10)
	for readMessage(c, buf) == nil {
		if _, err := io.WriteString(c, bigHead); err != nil {
			return
		}
		for range (1 << 30) / len(zeros) {
			if _, err := c.Write(zeros); err != nil {
				return
			}
		}
	}
}

// refusing holds an address on which it does not listen.
func refusing() (server, error) {
	fd, addr, err := bound()
	return server{addr: addr, stop: func() { _ = syscall.Close(fd) }}, err
}

// blackhole lets connections time out: its backlog is full, so the kernel
// drops every further SYN.
func blackhole() (server, error) {
	fd, addr, err := bound()
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	var full []net.Conn
	stop := func() {
		for _, c := range full {
			_ = c.Close()
		}
		_ = syscall.Close(fd)
	}
	for err == nil && len(full) < 100 {
		c, dialed := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if dialed != nil {
			return server{addr: addr, stop: stop}, nil
		}
		full = append(full, c)
	}
	stop()
	return server{}, fmt.Errorf("making a blackhole: %w", errors.Join(err, errors.New("the backlog does not fill")))
}

// bound is a socket at a free port of loopback.
func bound() (fd int, addr string, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return -1, "", err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fd, "", err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return fd, "", err
	}
	in4, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return fd, "", errors.New("the socket has no IPv4 address")
	}
	return fd, net.JoinHostPort("127.0.0.1", strconv.Itoa(in4.Port)), nil
}

// listen makes a server of what happens on each connection.
func listen(serve func(net.Conn, <-chan struct{})) func() (server, error) {
	return func() (server, error) { return listenBy(net.ListenConfig{}, serve) }
}

func listenBy(config net.ListenConfig, serve func(net.Conn, <-chan struct{})) (server, error) {
	ln, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	done := make(chan struct{})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, done)
			}()
		}
	}()
	return server{addr: ln.Addr().String(), stop: func() { close(done); _ = ln.Close() }}, nil
}

// hangs is how long a hung shadow keeps a connection: longer than any copy
// waits, and not so long that it runs out of descriptors.
const hangs = time.Minute

func hang(_ net.Conn, done <-chan struct{}) { pause(done, hangs) }
