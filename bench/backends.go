//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// nginxSmall answers every request with the same few bytes.
const nginxSmall = nginxHead + `server { listen {{.Addr}} backlog=4096; location / { return 200 "ok: a small answer of some sixty bytes, to have a body at all\n"; } } }
`

// nginxLarge answers every request with 64 KiB from a file.
const nginxLarge = nginxHead + `sendfile on; tcp_nopush on; open_file_cache max=4;
server { listen {{.Addr}} backlog=4096; root {{.Dir}}; location / { rewrite ^ /large break; } } }
`

// backend starts a server that answers GETs with small bodies or large ones.
func (b *bench) backend(ctx context.Context, large bool) (*process, error) {
	if !large {
		return b.runNginx(ctx, nginxSmall, job{})
	}
	if _, err := b.file("large", 64<<10); err != nil {
		return nil, err
	}
	return b.runNginx(ctx, nginxLarge, job{})
}

// file writes a scratch file of so many bytes, which nginx's worker may read.
func (b *bench) file(name string, size int) (string, error) {
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644)
}

// server is a destination inside this process.
type server struct {
	addr string
	stop func()
}

// shadow is a destination for copies, good or broken.
type shadow struct {
	name  string
	start func() (server, error)
}

// shadows are the destinations that a mirror must survive; the first is well,
// and shows what the copies alone cost.
func shadows() []shadow {
	return []shadow{
		{"is well", sink},
		{"refuses", refusing},
		{"accepts, never reads", hanging},
		{"answers after 1 s", slow},
		{"blackhole", blackhole},
	}
}

const answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"

// sink reads the whole body of every request before it answers.
func sink() (server, error) { return answering(0) }

// slow reads the whole body and answers a second later.
func slow() (server, error) { return answering(time.Second) }

func answering(delay time.Duration) (server, error) {
	return listen(func(c net.Conn, done <-chan struct{}) {
		buf := make([]byte, 256<<10)
		for readMessage(c, buf) == nil {
			if delay > 0 {
				select {
				case <-done:
					return
				case <-time.After(delay):
				}
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

// readMessage reads one request or answer to its end, by its content-length.
func readMessage(r io.Reader, buf []byte) error {
	for n := 0; n < len(buf); {
		k, err := r.Read(buf[n:])
		if err != nil {
			return err
		}
		n += k
		end := bytes.Index(buf[:n], []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		rest, err := contentLength(buf[:end])
		if err != nil {
			return err
		}
		for rest -= n - end - 4; rest > 0; rest -= k {
			if k, err = r.Read(buf[:min(rest, len(buf))]); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("the head is too long")
}

func contentLength(head []byte) (int, error) {
	for line := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			return strconv.Atoi(string(bytes.TrimSpace(value)))
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			return 0, errors.New("a chunked body was not expected")
		}
	}
	return 0, nil
}

// refusing is an address that nobody listens on.
func refusing() (server, error) {
	addr, err := freeAddr()
	return server{addr, func() {}}, err
}

// hanging accepts connections and never reads from them.
func hanging() (server, error) {
	return listen(func(_ net.Conn, done <-chan struct{}) { <-done })
}

// blackhole lets connections time out: its backlog is full, so the kernel
// drops every further SYN.
func blackhole() (server, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return server{}, err
	}
	var full []net.Conn
	stop := func() {
		for _, c := range full {
			_ = c.Close()
		}
		_ = syscall.Close(fd)
	}
	addr, err := listenWithout(fd)
	for err == nil && len(full) < 100 {
		c, dialed := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if dialed != nil {
			return server{addr, stop}, nil
		}
		full = append(full, c)
	}
	stop()
	return server{}, fmt.Errorf("making a blackhole: %w", errors.Join(err, errors.New("the backlog does not fill")))
}

// listenWithout listens on a free port, with no backlog to speak of.
func listenWithout(fd int) (string, error) {
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return "", err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return "", err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return "", err
	}
	in4, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return "", errors.New("the socket has no IPv4 address")
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(in4.Port)), nil
}

func listen(serve func(net.Conn, <-chan struct{})) (server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
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
	return server{ln.Addr().String(), func() { close(done); _ = ln.Close() }}, nil
}
