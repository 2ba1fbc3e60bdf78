package tlsconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// Hello is what a client's first bytes tell of it.
type Hello struct {
	TLS        bool     // else the rest is empty
	ServerName string   // SNI, in lower case; "" if none
	ALPN       []string // protocols that it offers, in its order
}

// maxHello bounds a ClientHello and the records that it comes in. Real ones
// have up to 2 KiB.
const maxHello = 32 << 10

// errHello is for what begins like a TLS handshake but is none.
var errHello = errors.New("malformed ClientHello")

// Inspect reads a connection's first bytes, parking in t until they tell what
// it is, and leaves them where they are. It is what Envoy's tls_inspector does.
// t's deadline bounds it: then the error is os.ErrDeadlineExceeded. The error
// is io.EOF if the client went away without a word. TLS is true also with an
// error if there was the beginning of a ClientHello.
func Inspect(t *loop.Task, c *loop.Conn) (Hello, error) {
	for {
		h, done, err := parseHello(c.In())
		if done || err != nil {
			return h, err
		}
		n, err := c.Fill()
		switch {
		case n > 0:
			continue
		case errors.Is(err, loop.ErrFull):
			c.Grow()
			continue
		case errors.Is(err, io.EOF) && len(c.In()) > 0:
			return h, io.ErrUnexpectedEOF
		case err != nil:
			return h, err
		case t.Expired():
			return h, fmt.Errorf("waiting for the client's first bytes: %w", os.ErrDeadlineExceeded)
		}
		if err := t.Park(); err != nil {
			return h, err
		}
	}
}

const (
	typeHandshake   = 22
	typeClientHello = 1
)

// parseHello reads a ClientHello from the records in p. It is not done while
// more is needed.
func parseHello(p []byte) (h Hello, done bool, err error) {
	for i, want := range []byte{typeHandshake, 3} {
		if len(p) <= i {
			return h, false, nil
		}
		if p[i] != want {
			return h, true, nil
		}
	}
	h.TLS = true
	msg, done, err := helloMessage(p)
	if !done || err != nil {
		return h, done, err
	}
	if err := h.parse(msg); err != nil {
		return Hello{TLS: true}, true, err
	}
	return h, true, nil
}

// helloMessage puts the body of the first handshake message together (RFC 8446,
// sections 4 and 5.1).
func helloMessage(p []byte) (body []byte, done bool, err error) {
	var msg []byte
	for size := 0; len(p) >= recordHead; {
		if p[0] != typeHandshake { // the version is to be ignored
			return nil, true, errHello
		}
		n := int(binary.BigEndian.Uint16(p[3:]))
		if n == 0 || n > 16<<10 {
			return nil, true, errHello
		}
		if size += recordHead + n; size > maxHello {
			return nil, true, fmt.Errorf("%w: over %d bytes", errHello, maxHello)
		}
		p = p[recordHead:]
		part := p[:min(n, len(p))]
		if msg == nil {
			msg = part[:len(part):len(part)] // most come in one record: no copy
		} else {
			msg = append(msg, part...)
		}
		p = p[len(part):]
		if len(msg) > 0 && msg[0] != typeClientHello {
			return nil, true, errHello
		}
		if len(msg) >= 4 {
			whole := 4 + int(msg[1])<<16 + int(msg[2])<<8 + int(msg[3])
			if whole > maxHello {
				return nil, true, fmt.Errorf("%w: over %d bytes", errHello, maxHello)
			}
			if len(msg) >= whole {
				return msg[4:whole], true, nil
			}
		}
	}
	return nil, false, nil
}

// reader takes a message apart. After its end everything is empty, and bad.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if len(r.p) < n {
		r.p, r.bad = nil, true
		return nil
	}
	p := r.p[:n]
	r.p = r.p[n:]
	return p
}

func (r *reader) uint(size int) (n int) {
	for _, b := range r.take(size) {
		n = n<<8 | int(b)
	}
	return n
}

// vector takes bytes with their length before them, in size bytes.
func (r *reader) vector(size int) reader { return reader{p: r.take(r.uint(size))} }

const (
	extServerName = 0
	extALPN       = 16
)

// parse reads the body of a ClientHello (RFC 8446, section 4.1.2).
func (h *Hello) parse(msg []byte) error {
	r := reader{p: msg}
	r.take(2 + 32) // version, random
	r.vector(1)    // session id
	r.vector(2)    // cipher suites
	r.vector(1)    // compression
	if len(r.p) == 0 && !r.bad {
		return nil // no extensions: a plain TLS 1.2 hello
	}
	exts := r.vector(2)
	for len(exts.p) > 0 && !exts.bad {
		kind := exts.uint(2)
		body := exts.vector(2)
		switch kind {
		case extServerName:
			h.readName(&body)
		case extALPN:
			h.readALPN(&body)
		}
		exts.bad = exts.bad || body.bad
	}
	if r.bad || exts.bad || len(r.p) > 0 {
		return errHello
	}
	return nil
}

// readName reads the extension of RFC 6066, section 3.
func (h *Hello) readName(r *reader) {
	list := r.vector(2)
	for len(list.p) > 0 && !list.bad {
		kind := list.uint(1)
		name := list.vector(2)
		if kind == 0 && len(name.p) > 0 && h.ServerName == "" {
			h.ServerName = lower(name.p)
		}
	}
	r.bad = r.bad || list.bad
}

// lower changes ASCII letters only: a name may hold any bytes.
func lower(name []byte) string {
	p := bytes.Clone(name)
	for i, b := range p {
		if 'A' <= b && b <= 'Z' {
			p[i] = b + 'a' - 'A'
		}
	}
	return string(p)
}

// readALPN reads the extension of RFC 7301, section 3.1.
func (h *Hello) readALPN(r *reader) {
	list := r.vector(2)
	for len(list.p) > 0 && !list.bad {
		name := list.vector(1)
		if len(name.p) == 0 {
			list.bad = true
		}
		h.ALPN = append(h.ALPN, string(name.p))
	}
	r.bad = r.bad || list.bad
}
