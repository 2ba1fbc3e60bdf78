//go:build linux && !portable

package loop

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Driver names what the loop waits with.
const Driver = "epoll"

// poller waits in epoll. Readiness is edge-triggered and remembered in each
// connection, so a read never asks the kernel in vain.
type poller struct {
	ep, wakefd int
	conns      []*Conn // by descriptor
	events     [256]unix.EpollEvent
}

// sock is a connection's descriptor and what is known of its readiness.
type sock struct {
	fd                int
	readable, blocked bool
	hup               bool // the peer has ended or broken the connection
	connecting        bool
	connectErr        error
}

func (p *poller) open() (err error) {
	if p.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("making an epoll instance: %w", err)
	}
	if p.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return errors.Join(fmt.Errorf("making an eventfd: %w", err), unix.Close(p.ep))
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(p.wakefd)}
	if err = unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, p.wakefd, &ev); err != nil {
		return errors.Join(fmt.Errorf("watching an eventfd: %w", err), unix.Close(p.wakefd), unix.Close(p.ep))
	}
	return nil
}

// wake ends a wait. Safe from any goroutine while the loop runs.
func (p *poller) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(p.wakefd, one[:])
}

// poll marks what is ready, waiting up to timeout for it (for ever if it is
// negative), and wakes the tasks concerned.
func (p *poller) poll(timeout time.Duration) error {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno == 0 && n == 0 && timeout != 0 {
		ms := -1
		if timeout > 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		got, err := unix.EpollWait(p.ep, p.events[:], ms)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("waiting in epoll: %w", err)
		}
		n = uintptr(max(got, 0))
	} else if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("waiting in epoll: %w", errno)
	} else if errno != 0 {
		n = 0
	}
	for i := range p.events[:n] {
		p.handle(&p.events[i])
	}
	return nil
}

func (p *poller) handle(ev *unix.EpollEvent) {
	if int(ev.Fd) == p.wakefd {
		var b [8]byte
		_, _ = unix.Read(p.wakefd, b[:])
		return
	}
	c := p.conns[ev.Fd]
	if c == nil {
		return
	}
	if ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.hup, c.readable = true, true
	}
	if ev.Events&unix.EPOLLIN != 0 {
		c.readable = true
	}
	woken := c.readable
	if c.connecting && ev.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.connected()
		woken = true
	}
	if ev.Events&unix.EPOLLOUT != 0 && c.blocked {
		c.blocked = false
		c.flush()
		woken = true
	}
	if woken {
		c.event()
	}
}

// probe looks whether a connection that is being made is up by now, without
// waiting for the loop's next turn to tell.
func (s *sock) probe(c *Conn) {
	if !s.connecting || c.closed {
		return
	}
	fds := [1]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds[:], 0); n > 0 && err == nil {
		c.connected()
	}
}

// connected ends the connecting phase by asking the socket how it went.
func (c *Conn) connected() {
	c.connecting = false
	if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
		c.connectErr = err
	} else if code != 0 {
		c.connectErr = unix.Errno(code)
	}
	if c.connectErr == nil && len(c.out) > 0 {
		c.markDirty()
	}
}

func (p *poller) close(l *Loop) {
	for _, c := range p.conns {
		if c != nil {
			c.release(false)
		}
	}
	_ = unix.Close(p.wakefd)
	_ = unix.Close(p.ep)
}

// watch makes a connection of fd, which must not block.
func (l *Loop) watch(c *Conn) error {
	for len(l.conns) <= c.fd {
		l.conns = append(l.conns, nil)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.fd)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
		return fmt.Errorf("watching a connection: %w", err)
	}
	l.conns[c.fd] = c
	return nil
}

// drop closes the descriptor, which also ends its watch.
func (l *Loop) drop(c *Conn, reset bool) {
	if c.fd < len(l.conns) && l.conns[c.fd] == c {
		l.conns[c.fd] = nil
	}
	if reset {
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(c.fd)
}

func (s *sock) mayRead() bool { return s.readable }

// read reads once. A short read means that the socket is drained, unless the
// peer has gone: data and the end can share one edge.
func (s *sock) read(_ *Conn, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch {
	case errno == unix.EAGAIN:
		s.readable = false
		return 0, nil
	case errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	if int(n) < len(p) && !s.hup {
		s.readable = false
	}
	return int(n), nil
}

// send writes p once and returns how much of it was taken.
func (s *sock) send(c *Conn, p []byte) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	switch {
	case errno == unix.EAGAIN:
		s.blocked = true
		return 0
	case errno == unix.EINTR:
		return 0
	case errno != 0:
		c.failWrite(os.NewSyscallError("write", errno))
		return 0
	}
	return int(n)
}

func (s *sock) write(c *Conn) {
	for !s.blocked && !s.connecting && c.werr == nil && c.off < len(c.out) {
		c.off += s.send(c, c.out[c.off:])
	}
	if c.off > 0 && c.off < len(c.out) {
		c.out = c.out[:copy(c.out, c.out[c.off:])]
		c.off = 0
	}
}

func (s *sock) writeNow(c *Conn, p []byte) int {
	if s.blocked || s.connecting {
		return 0
	}
	return s.send(c, p)
}

func (s *sock) closeWrite() { _ = unix.Shutdown(s.fd, unix.SHUT_WR) }

// Connect begins to connect to addr; the events of the connection resume t.
// Whether it is connected, Connected tells. Output may be written at once.
func (l *Loop) Connect(t *Task, addr netip.AddrPort, opt SocketOptions) (*Conn, error) {
	family, sa := sockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if opt.Mark != 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, opt.Mark)
	}
	if opt.ReceiveBuffer != 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, opt.ReceiveBuffer)
	}
	c := &Conn{loop: l, task: t, remote: addr, sock: sock{fd: fd, connecting: true}}
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		c.local = addrPort(sa)
	}
	if err := l.watch(c); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return c, nil
}

// CanMark reports why connections cannot carry the mark: setting it takes
// CAP_NET_ADMIN.
func CanMark(mark int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, mark)
	return errors.Join(os.NewSyscallError("setsockopt", err), unix.Close(fd))
}

// Marker gives sockets the mark, as the Control of a net.Dialer.
func Marker(mark int) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		// Without the right to mark, the socket is as good as any other.
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
	}
}

// socketConnected is Connected for the socket alone.
func (c *Conn) socketConnected() (bool, error) {
	if c.connecting {
		return false, nil
	}
	if c.connectErr != nil {
		return false, os.NewSyscallError("connect", c.connectErr)
	}
	return true, nil
}

func sockaddr(a netip.AddrPort) (int, unix.Sockaddr) {
	if a.Addr().Unmap().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
