//go:build unix

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Serve gives the listening sockets to whoever asks at path, one at a time,
// until ctx ends or one of them is ready; then it returns nil, and replaced
// tells which. sockets returns copies of the sockets by their addresses; they
// are closed after each use. The path is removed at the end, unless a successor
// is to have it.
func Serve(ctx context.Context, path string, sockets func() (map[string]*os.File, error)) (replaced bool, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("handover: clearing %s: %w", path, err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return false, fmt.Errorf("handover: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return false, errors.Join(fmt.Errorf("handover: %w", err), ln.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for {
		conn, err := ln.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return false, nil
			}
			return false, errors.Join(fmt.Errorf("handover: %w", err), ln.Close())
		}
		if give(conn, ln, sockets) {
			return true, nil
		}
	}
}

// give hands the sockets to one successor, and reports whether it is ready.
func give(conn *net.UnixConn, ln *net.UnixListener, sockets func() (map[string]*os.File, error)) bool {
	defer func() { _ = conn.Close() }()
	files, err := sockets()
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err != nil || send(conn, files) != nil {
		return false
	}
	if err := conn.SetReadDeadline(time.Now().Add(6 * patience)); err != nil {
		return false
	}
	var b [1]byte
	if _, err := conn.Read(b[:]); err != nil || b[0] != ready {
		return false // it has ended, or was given up
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	_, err = conn.Write(b[:])
	return err == nil
}

func send(conn *net.UnixConn, files map[string]*os.File) error {
	addresses := slices.Sorted(maps.Keys(files))
	for first := true; first || len(addresses) > 0; first = false {
		n := min(len(addresses), perMessage)
		p := parcel{Addresses: addresses[:n], More: n < len(addresses)}
		addresses = addresses[n:]
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		var fds []int
		for _, a := range p.Addresses {
			fds = append(fds, int(files[a].Fd()))
		}
		if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		var rights []byte
		if len(fds) > 0 {
			rights = unix.UnixRights(fds...)
		}
		if _, _, err := conn.WriteMsgUnix(body, rights, nil); err != nil {
			return err
		}
	}
	return nil
}
