package upstream

import (
	"net/netip"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Stream is one exchange with an endpoint, whatever the protocol: over
// HTTP/1.1 a connection that is lent for it, over HTTP/2 one of a connection's
// streams. None of its methods waits; its events wake the task that it was made
// for. It ends with Release or Drop, and is not to be used after that.
type Stream interface {
	Host() *Host
	// Local is the address that the connection comes from.
	Local() netip.AddrPort
	// Connected reports whether the connection stands, with its TLS where the
	// cluster has that; the error is why there will be none.
	Connected() (bool, error)
	// Fate is what is known of a request whose stream failed before any of its
	// answer came.
	Fate() Fate

	// Send writes the request's head. Where f is empty that is all of it.
	Send(h *traffic.Head, f traffic.Framing)
	// Write writes a piece of the request's body. Whoever writes much asks Full.
	Write(p []byte)
	// End completes the body; trailers may be nil.
	End(trailers *traffic.Head)
	// Pending is how many bytes of the request have not been taken by the network.
	Pending() int
	// Full reports whether so many wait that no more should be written; an event
	// follows when some have gone.
	Full() bool
	// Drained offers what waits to the network and reports whether nothing is
	// left; if something is, an event follows.
	Drained() bool
	// WriteErr is why no more of the request can be written.
	WriteErr() error

	// Head reads the answer's next head into h, if it has come: any number of
	// 1xx ones, then the final one, with how its body ends. An *http1.Error or
	// *http2.StreamError is an endpoint that broke the protocol or the stream,
	// io.EOF one that has ended the connection.
	Head(h *traffic.Head) (f traffic.Framing, ok bool, err error)
	// Next is the next piece of the answer's body, empty if none has come, and
	// whether it is the last. The piece is valid until Advance, which must be
	// called before the next Next.
	Next() (p []byte, done bool, err error)
	// Advance drops the piece that Next has returned.
	Advance()
	// Trailers are those of a body that is done; nil for none.
	Trailers() *traffic.Head
	// Quiet reports, once the answer is complete while the request is not, that
	// the endpoint still takes the rest of it.
	Quiet() bool

	// Release gives a stream back whose answer is complete.
	Release()
	// Drop gives it back whatever its state is: with a reset if what was sent
	// must not pass for a complete request.
	Drop(reset bool)
	// Tunnel is the connection itself, once the endpoint has answered 101 or a
	// CONNECT; nil where it is shared.
	Tunnel() *loop.Conn
}

// Use is what a stream is for.
type Use struct {
	// Fresh: not over a connection that has served before.
	Fresh bool
	// HTTP2: the client speaks it, for clusters that go by that.
	HTTP2 bool
	// Raw: the exchange may become a tunnel, which takes a connection of its own.
	Raw bool
	// Upgrade: it does so by an upgrade, which takes no more than a stream where
	// the cluster allows extended CONNECT.
	Upgrade bool
	// Authority of the request, for clusters whose TLS takes its name from that,
	// and Hostname of the endpoint, for those that take it from there.
	Authority []byte
	Hostname  string
}

// Fate is what may have become of a request that was never answered.
type Fate uint8

// What may have become of a request.
const (
	// FateUnknown: the endpoint may have acted upon it.
	FateUnknown Fate = iota
	// FateStale: the connection had served before, and the endpoint has most
	// likely closed it before the request came. An idempotent one may be sent
	// again (RFC 9110, section 9.2.2).
	FateStale
	// FateRefused: the endpoint says that it has not looked at the request
	// (RFC 9113, section 8.7). It may be sent again.
	FateRefused
)
