//go:build linux && !portable

package loop

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptor is the listening socket once more, in the form in which one may
// both wait for it in the runtime's poller and call accept4 by oneself (a
// net.TCPListener allows only its own Accept).
type acceptor struct {
	file *os.File
	raw  syscall.RawConn
}

func newAcceptor(ln *net.TCPListener) (a acceptor, err error) {
	if a.file, err = ln.File(); err != nil {
		return a, err
	}
	a.raw, err = a.file.SyscallConn()
	return a, err
}

func (a acceptor) close() error { return a.file.Close() }

func (a acceptor) accept(_ *net.TCPListener, next func() *Loop, handle func(*Loop, *Conn)) error {
	var fd int
	var sa unix.Sockaddr
	var errno error
	err := a.raw.Read(func(lfd uintptr) bool {
		fd, sa, errno = unix.Accept4(int(lfd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return errno != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	switch errno {
	case nil:
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		pause := time.NewTimer(shortOfResources)
		<-pause.C
		return nil
	case unix.ECONNABORTED, unix.EINTR, unix.EPROTO, unix.EPERM:
		return nil
	default:
		return os.NewSyscallError("accept", errno)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	l := next()
	remote := addrPort(sa)
	if !l.Post(func() { l.adopt(fd, remote, handle) }) {
		_ = unix.Close(fd)
	}
	return nil
}

func (l *Loop) adopt(fd int, remote netip.AddrPort, handle func(*Loop, *Conn)) {
	c := &Conn{loop: l, remote: remote, sock: sock{fd: fd}}
	if l.stopped || l.watch(c) != nil {
		_ = unix.Close(fd)
		return
	}
	if sa, err := unix.Getsockname(fd); err == nil {
		c.local = addrPort(sa)
	}
	handle(l, c)
}

// OriginalDst is where the client meant to connect to, if the kernel has
// redirected the connection to here (iptables REDIRECT: SO_ORIGINAL_DST).
// Else ok is false.
func (c *Conn) OriginalDst() (dst netip.AddrPort, ok bool) {
	level, opt := unix.SOL_IP, unix.SO_ORIGINAL_DST
	if c.local.Addr().Is6() {
		level = unix.SOL_IPV6
	}
	var raw [unix.SizeofSockaddrInet6]byte
	size := uint32(len(raw))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(c.fd), uintptr(level), uintptr(opt),
		uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return netip.AddrPort{}, false
	}
	port := binary.BigEndian.Uint16(raw[2:])
	if level == unix.SOL_IP {
		dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port)
	} else {
		dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port)
	}
	return dst, dst != c.local
}
