package proxy

import (
	"bytes"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// openTimeout is how long a connection may take until its first request could
// come: PROXY protocol, TLS (Envoy's listener_filters_timeout).
const openTimeout = 15 * time.Second

// open readies a connection that has just been taken, and reports whether it
// is of use.
func (s *session) open(t *loop.Task) bool {
	l := s.listenerOf(s.w.current())
	if l == nil {
		return false
	}
	t.SetDeadline(s.since + loop.Time(openTimeout))
	defer t.SetDeadline(0)
	if l.proxyProtocol && !s.readProxyHeader(t) {
		s.w.opening.proxyProtocolErrors++
		return false
	}
	if l.inspect {
		hello, err := tlsconn.Inspect(t, s.conn)
		if err != nil {
			s.w.opening.inspectErrors++
			return false
		}
		s.hello = hello
	}
	s.opened = true
	s.seen = nil
	ch := s.chain(s.w.current())
	if ch == nil || ch.http == nil {
		s.w.opening.noChain++
		return false
	}
	if ch.tls != nil {
		info, err := ch.tls.Handshake(t, s.conn)
		if err != nil {
			s.w.opening.tlsErrors++
			return false
		}
		s.w.opening.tlsHandshakes++
		s.secure = &info
	}
	s.w.counters(ch.http).cxTotal++
	return true
}

// openCounters count what happens to connections before their first request,
// on one loop.
type openCounters struct {
	proxyProtocolErrors, inspectErrors, noChain, tlsErrors, tlsHandshakes uint64
}

// readProxyHeader takes the addresses from the connection's PROXY protocol
// header.
func (s *session) readProxyHeader(t *loop.Task) bool {
	for {
		if in := s.conn.In(); len(in) > 0 {
			n, err := proxyHeaderLength(in)
			if err != nil {
				return false
			}
			if n > 0 {
				source, destination, err := parseProxyHeader(in[:n])
				if err != nil {
					return false
				}
				if source.IsValid() {
					s.remote, s.local = source, destination
				}
				s.conn.Consume(n)
				return true
			}
		}
		if n, err := s.conn.Fill(); err != nil {
			return false
		} else if n > 0 {
			continue
		}
		if t.Expired() || t.Park() != nil {
			return false
		}
	}
}

// wantsHTTP2 reports whether the client speaks HTTP/2: by ALPN, or by its first
// bytes (prior knowledge). ok is false when it has ended before that was known.
func (s *session) wantsHTTP2(t *loop.Task, cfg *httpConfig) (yes, ok bool) {
	if s.secure != nil && s.secure.ALPN != "" {
		return s.secure.ALPN == "h2", true
	}
	if cfg.codec != codecAuto {
		return cfg.codec == codecHTTP2, true
	}
	for {
		yes, sure := begunHTTP2(s.conn.In())
		if sure && len(s.conn.In()) > 0 {
			return yes, true
		}
		if s.begun == 0 && len(s.conn.In()) > 0 {
			s.begun = s.w.loop.Now()
			if at, _ := cfg.headLimit(s.begun, s.begun); at > 0 {
				t.SetDeadline(at)
			}
		}
		n, err := s.conn.Fill()
		switch {
		case n > 0:
		case err != nil && len(s.conn.In()) > 0:
			return false, true // let HTTP/1.1 say what is wrong
		case t.Expired() && len(s.conn.In()) > 0:
			return false, true
		case err != nil, t.Expired(), t.Park() != nil:
			return false, false
		}
	}
}

// preface begins each HTTP/2 connection (RFC 9113, section 3.4).
var preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// begunHTTP2 looks at the first bytes of a connection. It is not sure while
// they could still become the preface.
func begunHTTP2(in []byte) (yes, sure bool) {
	n := min(len(in), len(preface))
	if !bytes.Equal(in[:n], preface[:n]) {
		return false, true
	}
	return n == len(preface), n == len(preface)
}
