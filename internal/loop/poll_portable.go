//go:build !linux || portable

package loop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Driver names what the loop waits with.
const Driver = "goroutines"

// poller waits for what goroutines post.
type poller struct {
	bell  chan struct{}
	conns map[*Conn]struct{}
}

// sock is a net.Conn with at most one reading and one writing goroutine. The
// bytes that came wait in staged until Fill takes them.
type sock struct {
	nc         net.Conn
	staged     []byte
	stagedErr  error
	reading    bool
	writing    bool
	connecting bool
	cancel     context.CancelFunc // of a connect
	connectErr error
}

func (p *poller) open() error {
	p.bell = make(chan struct{}, 1)
	p.conns = map[*Conn]struct{}{}
	return nil
}

// wake ends a wait. Safe from any goroutine.
func (p *poller) wake() {
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

func (p *poller) poll(timeout time.Duration) error {
	switch {
	case timeout == 0:
		select {
		case <-p.bell:
		default:
		}
	case timeout < 0:
		<-p.bell
	default:
		alarm := time.NewTimer(timeout)
		defer alarm.Stop()
		select {
		case <-p.bell:
		case <-alarm.C:
		}
	}
	return nil
}

func (p *poller) close(*Loop) {
	for c := range p.conns {
		c.release(false)
	}
}

func (l *Loop) drop(c *Conn, reset bool) {
	delete(l.conns, c)
	if c.cancel != nil {
		c.cancel()
	}
	if c.nc == nil {
		return
	}
	if tcp, ok := c.nc.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = c.nc.Close()
}

func (s *sock) mayRead() bool { return true }

// startRead starts a read where none is under way and nothing is staged.
func (s *sock) startRead(c *Conn) {
	if s.reading || s.nc == nil || len(s.staged) > 0 || s.stagedErr != nil || c.closed {
		return
	}
	s.reading = true
	nc, l := s.nc, c.loop
	go func() {
		buf := make([]byte, bufferSize)
		n, err := nc.Read(buf)
		l.Post(func() {
			s.reading = false
			if c.closed {
				return
			}
			s.staged, s.stagedErr = buf[:n], err
			c.event()
		})
	}()
}

func (s *sock) read(c *Conn, p []byte) (int, error) {
	if len(s.staged) == 0 && s.stagedErr == nil {
		s.startRead(c)
		return 0, nil
	}
	n := copy(p, s.staged)
	s.staged = s.staged[n:]
	if len(s.staged) > 0 {
		return n, nil
	}
	err := s.stagedErr
	if err == nil {
		s.startRead(c)
	}
	return n, err
}

func (s *sock) write(c *Conn) {
	if s.writing || s.nc == nil {
		return
	}
	s.writing = true
	batch := append([]byte(nil), c.out[c.off:]...)
	nc, l := s.nc, c.loop
	go func() {
		n, err := nc.Write(batch)
		l.Post(func() {
			s.writing = false
			if c.closed {
				return
			}
			if n = min(c.off+n, len(c.out)); n > 0 { // nothing is left if writing failed meanwhile
				c.out, c.off = c.out[:copy(c.out, c.out[n:])], 0
			}
			if err != nil {
				c.failWrite(err)
			}
			c.flush()
			c.event()
		})
	}()
}

func (s *sock) probe(*Conn) {}

func (s *sock) writeNow(*Conn, []byte) int { return 0 }

func (s *sock) closeWrite() {
	if tcp, ok := s.nc.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// Connect begins to connect to addr; the events of the connection resume t.
// Whether it is connected, Connected tells. Output may be written at once.
func (l *Loop) Connect(t *Task, addr netip.AddrPort, _ SocketOptions) (*Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Conn{loop: l, task: t, remote: addr, sock: sock{connecting: true, cancel: cancel}}
	l.conns[c] = struct{}{}
	go func() {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", addr.String())
		ok := l.Post(func() {
			c.connecting = false
			if err == nil && c.closed {
				_ = nc.Close()
			}
			if c.closed {
				return
			}
			if c.connectErr = err; err == nil {
				c.nc = nc
				c.local = tcpAddr(nc.LocalAddr())
			}
			if len(c.out) > 0 {
				c.markDirty()
			}
			c.startRead(c)
			c.event()
		})
		if !ok && err == nil {
			_ = nc.Close()
		}
	}()
	return c, nil
}

// Marker gives sockets the mark, where the system has marks.
func Marker(int) func(network, address string, c syscall.RawConn) error { return nil }

// socketConnected is Connected for the socket alone.
func (c *Conn) socketConnected() (bool, error) {
	return !c.connecting && c.connectErr == nil, c.connectErr
}

func tcpAddr(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

type acceptor struct{}

func newAcceptor(*net.TCPListener) (acceptor, error) { return acceptor{}, nil }

func (acceptor) close() error { return nil }

func (acceptor) accept(ln *net.TCPListener, next func() *Loop, handle func(*Loop, *Conn)) error {
	nc, err := ln.AcceptTCP()
	if isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM) {
		pause := time.NewTimer(shortOfResources)
		<-pause.C
		return nil
	}
	if isAny(err, syscall.ECONNABORTED, syscall.EINTR) {
		return nil
	}
	if err != nil {
		return err
	}
	l := next()
	ok := l.Post(func() {
		c := &Conn{loop: l, remote: tcpAddr(nc.RemoteAddr()), local: tcpAddr(nc.LocalAddr()), sock: sock{nc: nc}}
		if l.stopped {
			_ = nc.Close()
			return
		}
		l.conns[c] = struct{}{}
		c.startRead(c)
		handle(l, c)
	})
	if !ok {
		_ = nc.Close()
	}
	return nil
}

func isAny(err error, codes ...syscall.Errno) bool {
	for _, code := range codes {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// CanMark reports why connections cannot carry the mark: on Linux only they can.
func CanMark(int) error { return errors.New("only the epoll driver sets SO_MARK") }

// OriginalDst is where the client meant to connect to; known on Linux only.
func (c *Conn) OriginalDst() (dst netip.AddrPort, ok bool) { return netip.AddrPort{}, false }
