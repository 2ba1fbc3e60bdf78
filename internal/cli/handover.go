package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/sundog-mesh/sundog/internal/handover"
)

// takingOver bounds how long a process waits for the sockets of the one that
// it replaces.
const takingOver = 10 * time.Second

// takeOver gets the listening sockets of the process that serves the path; nil
// where there is no path, or no process.
func takeOver(path string, logger *slog.Logger) (*handover.Taken, error) {
	if path == "" {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(context.Background(), takingOver)
	defer stop()
	taken, err := handover.Take(ctx, path)
	if errors.Is(err, handover.ErrNobody) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--handover %s: %w", path, err)
	}
	logger.Info("taking over the listening sockets", "handover", path, "sockets", len(taken.Files))
	return taken, nil
}

// adminSocket names the admin interface among the sockets.
const adminSocket = "admin "

// listenAdmin listens for the admin interface, on the socket of the process
// that this one replaces if that has the same address.
func (s *server) listenAdmin() (net.Listener, error) {
	if f := s.taken.Sockets()[adminSocket+s.flags.admin]; f != nil {
		defer func() { _ = f.Close() }() // the listener has a copy
		return net.FileListener(f)
	}
	return net.Listen("tcp", s.flags.admin)
}

// handOver tells the process that this one replaces that it may end, and then
// waits for a successor, upon which it calls stop.
func (s *server) handOver(ctx context.Context, stop func(), adminListener net.Listener) error {
	if s.taken != nil {
		if err := s.taken.Ready(); err != nil {
			s.logger.Warn("the process that was to be replaced may be running still", "error", err)
		}
	}
	replaced, err := handover.Serve(ctx, s.flags.handover, func() (map[string]*os.File, error) {
		files, err := s.proxy.Sockets()
		if tcp, ok := adminListener.(*net.TCPListener); ok && err == nil {
			files[adminSocket+s.flags.admin], err = tcp.File()
		}
		return files, err
	})
	if replaced {
		s.logger.Info("another process has taken over")
		stop()
	}
	return err
}
