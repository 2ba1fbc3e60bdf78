package proxy

import (
	"net/netip"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// client is the client's side of an exchange: an HTTP/1.1 connection, or a
// stream of an HTTP/2 one. None of its methods waits; its events wake the
// exchange's task.
type client interface {
	// Next is the next piece of the request's body, empty if none has come, and
	// whether it is the last. The piece is valid until Advance, which must be
	// called before the next Next. An *http1.Error is a body that breaks the
	// rules; after any other error the client has gone.
	Next() (p []byte, done bool, err error)
	// Advance drops the piece that Next has returned.
	Advance()
	// Trailers are those of a body that is done; nil for none.
	Trailers() *traffic.Head

	// Interim sends a 1xx.
	Interim(h *traffic.Head)
	// Respond sends the answer's head. Where f is empty that is all of it.
	Respond(h *traffic.Head, f traffic.Framing)
	// Write sends a piece of the body. Whoever sends much asks Full.
	Write(p []byte)
	// End completes the body; trailers may be nil.
	End(trailers *traffic.Head)
	// Full reports whether so much output waits that no more should be written;
	// an event follows when some has gone.
	Full() bool
	// Gone reports whether nobody is there to be answered. Like Envoy, the proxy
	// takes a client that has ended its side for gone: complete tells that
	// nothing more is expected of it.
	Gone(complete bool) bool
	// Last says that the connection is to serve no other request after this one.
	Last()
	// Break ends an answer that cannot be completed, so that it does not pass
	// for complete.
	Break()
	// Switch sends the head of an answer after which the connection carries
	// another protocol, and returns it; nil where it is shared: then it is the
	// body that does, both ways.
	Switch(h *traffic.Head) *loop.Conn
}

// downstream is what is known of a client's connection, whatever protocol it
// speaks.
type downstream struct {
	w        *worker
	conn     *loop.Conn
	listener string
	original netip.AddrPort // where a redirected connection meant to go; zero else
	own      bool           // the client is this process, sending a shadow

	remote, local netip.AddrPort // as the PROXY protocol has them, or the connection
	hello         tlsconn.Hello  // if the listener looks at it
	secure        *tlsconn.Info  // nil: plain text

	certElement []byte // of x-forwarded-client-cert, once it is asked for
	certFrom    *httpConfig

	seen    *generation // of serving
	serving *chain
}

// dialed is where the client connected to.
func (d *downstream) dialed() netip.AddrPort {
	if d.original.IsValid() {
		return d.original
	}
	return d.conn.Local()
}

// looped reports whether the client is this very process, whose connection
// was redirected back to it: serving it would never end.
func (d *downstream) looped() bool {
	return d.original.IsValid() && (d.own || d.w.p.own.Has(d.conn.Remote(), d.dialed()))
}

// config is what holds for the connection's next request; nil when its
// listener is not in the configuration any more.
func (d *downstream) config(v *view) *httpConfig {
	if ch := d.chain(v); ch != nil {
		return ch.http
	}
	return nil
}

// chain is the filter chain that serves the connection; nil when there is none
// any more.
func (d *downstream) chain(v *view) *chain {
	if d.seen != v.generation {
		d.seen, d.serving = v.generation, nil
		if l := d.listenerOf(v); l != nil {
			d.serving = l.find(&d.hello)
		}
	}
	return d.serving
}

func (d *downstream) listenerOf(v *view) *listenerConfig {
	if d.original.IsValid() {
		if l := v.redirected(d.original); l != nil {
			return l
		}
	}
	return v.listeners[d.listener]
}

// plain reports whether the connection needs nothing before its first request.
func (d *downstream) plain(v *view) bool {
	l := d.listenerOf(v)
	return l != nil && !l.proxyProtocol && !l.inspect && d.chain(v) != nil && d.serving.tls == nil && d.serving.http != nil
}

// scheme is "https" if the client's connection is encrypted, else "http".
func (d *downstream) scheme() []byte {
	if d.secure != nil {
		return https
	}
	return http
}

var http, https = []byte("http"), []byte("https")
