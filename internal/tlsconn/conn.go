package tlsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// Info is what a handshake has settled.
type Info struct {
	ALPN        string // the protocol agreed on; "" if none
	ServerName  string // what the client asked for (SNI)
	Version     uint16 // tls.VersionTLS12 or tls.VersionTLS13
	CipherSuite uint16
	Resumed     bool
	// Peer is the other side's certificate, nil if it showed none. It is
	// verified as far as the context asks for.
	Peer *x509.Certificate
}

// State tells of the TLS under c. It is false when c is plain, or its
// handshake is not done.
func State(c *loop.Conn) (Info, bool) {
	a, ok := c.Layer().(*conn)
	if !ok {
		return Info{}, false
	}
	return a.info(), true
}

// conn is both sides of one tls.Conn: the net.Conn that it reads and writes,
// and the loop.Layer that is read and written through it.
type conn struct {
	wire *loop.Wire
	tls  *tls.Conn
	task *loop.Task // of the handshake; nil afterwards

	server bool

	turn bool // the handshake may compute
	eof  bool // crypto/tls was told of the socket's end
	left bool // it may hold plain text
	raw  records
}

// handshake runs to the end and puts the layer into place.
func (a *conn) handshake() (Info, error) {
	err := a.task.AwaitTurn()
	if a.turn = true; err == nil {
		err = a.tls.HandshakeContext(context.Background())
	}
	if err != nil {
		err = fmt.Errorf("TLS handshake: %w", err)
		for !a.wire.Sent() && !a.task.Expired() { // the peer ought to get the alert
			if a.task.Park() != nil {
				break
			}
		}
		if a.server {
			a.linger()
		}
		a.wire.Fail(err)
		return Info{}, err
	}
	a.task = nil
	a.wire.Up(a)
	return a.info(), nil
}

// How long and how far a client that was refused is read on.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// linger reads on until the client has gone. Under TLS 1.3 it may have sent its
// first request when its certificate is refused: to close the socket over that
// would reset the connection, and take the alert from it.
func (a *conn) linger() {
	if a.task.Expired() || !a.wire.CloseSend() {
		return
	}
	a.task.SetDeadline(a.task.Loop().In(lingerTime))
	var rest [1 << 10]byte
	for total := 0; total < lingerBytes; {
		n, err := a.wire.Read(rest[:])
		total += n
		switch {
		case err != nil, a.task.Expired():
			return
		case n == 0 && a.task.Park() != nil:
			return
		}
	}
}

func (a *conn) info() Info {
	st := a.tls.ConnectionState()
	info := Info{
		ALPN: st.NegotiatedProtocol, ServerName: st.ServerName, Version: st.Version,
		CipherSuite: st.CipherSuite, Resumed: st.DidResume,
	}
	if len(st.PeerCertificates) > 0 {
		info.Peer = st.PeerCertificates[0]
	}
	return info
}

// again is what crypto/tls is told after the handshake when nothing has come.
// Being temporary, it leaves the tls.Conn as it is, to be asked once more.
type again struct{}

func (again) Error() string   { return "tlsconn: nothing has come" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// errSlow ends a handshake that takes too long.
var errSlow = fmt.Errorf("the peer did not complete it in time: %w", os.ErrDeadlineExceeded)

// Read is for crypto/tls. It parks during the handshake, and only then.
func (a *conn) Read(p []byte) (int, error) {
	for {
		n, err := a.wire.Read(p)
		switch {
		case n > 0:
			a.raw.add(p[:n])
			return n, a.awaitTurn()
		case err != nil:
			a.eof = errors.Is(err, io.EOF)
			return 0, err
		case a.task == nil:
			return 0, again{}
		case a.task.Expired():
			return 0, errSlow
		}
		if err := a.task.Park(); err != nil {
			return 0, err
		}
		a.turn = false
	}
}

func (a *conn) awaitTurn() error {
	if a.task == nil || a.turn {
		return nil
	}
	a.turn = true
	if err := a.task.AwaitTurn(); err != nil {
		return err
	}
	if a.task.Expired() {
		return errSlow // the loop has more handshakes than it can do
	}
	return nil
}

// Write is for crypto/tls. It never parks.
func (a *conn) Write(p []byte) (int, error) {
	a.wire.Write(p)
	return len(p), nil
}

// Open is the loop's read.
func (a *conn) Open(p []byte) (int, error) {
	left := a.left
	n, err := a.tls.Read(p)
	a.left = n == len(p)
	if n > 0 && !left && a.raw.whole > 0 {
		a.raw.whole-- // at least: for more, Open is called in vain once
	}
	switch {
	case err == nil:
	case errors.Is(err, again{}):
		a.raw.whole, err = 0, nil
	case a.eof && errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Buffered tells the loop whether Open is worth a call though the socket has
// nothing. Asking crypto/tls in vain would cost an allocation.
func (a *conn) Buffered() bool { return a.left || a.raw.whole > 0 }

// Seal is the loop's write.
func (a *conn) Seal(p []byte) error {
	_, err := a.tls.Write(p)
	return err
}

// End sends close_notify.
func (a *conn) End() error { return a.tls.CloseWrite() }

// Close does nothing: closing is for who owns the loop.Conn.
func (a *conn) Close() error { return nil }

// LocalAddr is the connection's own address.
func (a *conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(a.wire.Conn().Local()) }

// RemoteAddr is the peer's address.
func (a *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(a.wire.Conn().Remote()) }

// SetDeadline does nothing, as do the next two: deadlines are the task's.
func (a *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (a *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (a *conn) SetWriteDeadline(time.Time) error { return nil }

// records follows the frames of the raw input.
type records struct {
	head  [recordHead]byte
	have  int // of head
	body  int // bytes to come of the current record
	whole int // complete records that crypto/tls may not have read
}

// recordHead is the size of type, version and length (RFC 8446, section 5.1).
const recordHead = 5

func (r *records) add(p []byte) {
	for len(p) > 0 {
		n := 0
		if r.have < recordHead {
			n = copy(r.head[r.have:], p)
			if r.have += n; r.have == recordHead {
				r.body = int(r.head[3])<<8 | int(r.head[4])
			}
		} else {
			n = min(r.body, len(p))
			r.body -= n
		}
		p = p[n:]
		if r.have == recordHead && r.body == 0 {
			r.have = 0
			r.whole++
		}
	}
}
