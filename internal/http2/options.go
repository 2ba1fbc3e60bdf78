package http2

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/http1"
)

// Output is where frames go. A *loop.Conn is one.
type Output interface {
	// Write adds p to the output and keeps no part of it. It never waits.
	Write(p []byte)
	// Pending is how many bytes have not been written to the network.
	Pending() int
	// Full reports whether so much waits, although it was offered to the
	// network, that no payload should be added. The owner of the output calls
	// Conn.Flush once some of it has gone.
	Full() bool
}

// Waker is told that something has happened to a stream. A *loop.Task is one.
// It must not call back: whoever is woken looks later.
type Waker interface{ Wake() }

// Handler is told of what clients begin.
type Handler interface {
	// Opened is called from Feed for each new request, whose Head has come. The
	// handler must Release the stream, sooner or later; it may do so, and use
	// all of the stream's methods, within Opened.
	Opened(s *Stream)
}

// Rejecter is a Handler that also wants to know of the requests that are none,
// and for which there is no stream.
type Rejecter interface {
	// Rejected is called for a malformed request, which is reset (400), one whose
	// head exceeds a limit, which is answered (431), and one whose head does not
	// come to its end in time, which ends the connection (408). Details is
	// Envoy's %RESPONSE_CODE_DETAILS%.
	Rejected(status int, details string)
}

// Options configures a Conn. The zero value serves.
type Options struct {
	// MaxStreams is how many streams may be open at once. For servers, 0 means
	// 100, and as many again may have been reset by the client while their
	// exchange still runs. For clients it comes on top of what the peer
	// allows, and 0 means no limit of our own.
	MaxStreams uint32
	// StreamWindow and ConnWindow are how many bytes the peer may send before
	// they are consumed, on a stream and in all. 0 means 256 KiB and 1 MiB. A
	// ConnWindow below 65,535 means that, for no connection begins with less.
	StreamWindow, ConnWindow uint32
	// Limits are those of received heads. They are announced as
	// SETTINGS_MAX_HEADER_LIST_SIZE.
	Limits http1.Limits
	// SettingsTimeout is how long the peer may take to send its SETTINGS and to
	// acknowledge ours (RFC 9113, section 6.5.3), HeadTimeout how long from the
	// first byte of a header block, or of any other frame but DATA, to its last.
	// 0 means for ever. See Deadline.
	SettingsTimeout, HeadTimeout time.Duration
	// ExtendedConnect makes a server offer extended CONNECT (RFC 8441). Such a
	// request has the head of a GET with Upgrade.
	ExtendedConnect bool
	// Pool holds what the connections of one goroutine share; nil means that
	// the connection has one of its own.
	Pool *Pool
	// Now tells the time in nanoseconds, monotonic; nil means the real clock.
	// It is asked only when a peer has used up what it may send at once, and
	// for what has a timeout.
	Now func() int64
}

// Bounds of a connection's settings (RFC 9113, section 6.5.2).
const (
	defaultWindow  = 65535
	maxWindow      = 1<<31 - 1
	maxStreamID    = 1<<31 - 1
	maxFrameSize   = 16 << 10 // of both sides: the least that a peer can ask for
	tableSize      = 4096
	unboundStreams = 1<<32 - 1
)

const (
	defaultMaxStreams   = 100
	defaultStreamWindow = 256 << 10
	defaultConnWindow   = 1 << 20
)

func (o Options) withDefaults(client bool) Options {
	if o.MaxStreams == 0 {
		o.MaxStreams = defaultMaxStreams
		if client {
			o.MaxStreams = unboundStreams
		}
	}
	if o.StreamWindow == 0 {
		o.StreamWindow = defaultStreamWindow
	}
	if o.ConnWindow == 0 {
		o.ConnWindow = defaultConnWindow
	}
	o.StreamWindow = min(o.StreamWindow, maxWindow)
	o.ConnWindow = min(max(o.ConnWindow, defaultWindow), maxWindow)
	o.Limits = o.Limits.OrDefault()
	if o.Pool == nil {
		o.Pool = &Pool{}
	}
	if o.Now == nil {
		start := time.Now()
		o.Now = func() int64 { return int64(time.Since(start)) }
	}
	return o
}
