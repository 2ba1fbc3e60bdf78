package loop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Listener takes connections on one address and gives them to loops.
type Listener struct {
	ln   *net.TCPListener
	addr netip.AddrPort
	done atomic.Bool // Close was called
	acceptor
}

// shortOfResources is how long accepting pauses when the process or the system
// has no descriptor or memory left.
const shortOfResources = 50 * time.Millisecond

// Listen binds a TCP address, "127.0.0.1:8080" or ":80". It never shares the
// address with another process.
func Listen(ctx context.Context, addr string) (*Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	network := "tcp"
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		network = "tcp4" // 0.0.0.0 is not every IPv6 address, too
	}
	ln, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return newListener(ln)
}

// ListenOn makes a listener of a socket that listens already, taken over from
// another process. The file can be closed afterwards.
func ListenOn(f *os.File) (*Listener, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listening on a socket that was taken over: %w", err)
	}
	return newListener(ln)
}

func newListener(ln net.Listener) (*Listener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listening on %s: not a TCP listener", ln.Addr()), ln.Close())
	}
	var err error
	n := &Listener{ln: tcp, addr: tcp.Addr().(*net.TCPAddr).AddrPort()}
	if n.acceptor, err = newAcceptor(tcp); err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	return n, nil
}

// File is a copy of the socket, for another process to take over.
func (n *Listener) File() (*os.File, error) { return n.ln.File() }

// Addr is the address as bound.
func (n *Listener) Addr() netip.AddrPort { return n.addr }

// Close stops taking connections; Serve returns.
func (n *Listener) Close() error {
	n.done.Store(true)
	return errors.Join(n.ln.Close(), n.acceptor.close())
}

// Serve accepts connections until Close, and returns nil then. Each goes to
// the loop that next names, where handle runs. A connection that was accepted
// is never lost but by the end of its loop.
func (n *Listener) Serve(next func() *Loop, handle func(l *Loop, c *Conn)) error {
	for {
		err := n.accept(n.ln, next, handle)
		if err != nil && n.done.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting on %s: %w", n.addr, err)
		}
	}
}
