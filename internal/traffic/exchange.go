package traffic

import (
	"net/netip"
	"time"
)

// Exchange is one request with its primary answer and the answers of its
// shadows. The proxy makes one only where a Sink wants it.
//
// It is handed over twice, first when the primary has been answered, then
// when the last shadow has settled. Until it has settled, a reader may look at
// everything but Shadows.
type Exchange struct {
	Start       time.Time
	Listener    string // name of the listener, "0.0.0.0_80"
	VirtualHost string
	Route       string // name of the route; empty when it has none, or none matched
	RouteKey    string // the route's identity in the ledger

	DownstreamLocal  netip.AddrPort
	DownstreamRemote netip.AddrPort // after x-forwarded-for was trusted, as Envoy's %DOWNSTREAM_REMOTE_ADDRESS%

	// Redact takes what must not be shown out of the heads of a copy of this
	// exchange; nil: all may be. It is for the loop that offers the exchange.
	Redact func(*Exchange)

	Request      Head  // as it went to the primary
	RequestBytes int64 // of the body
	// Compared says that bodies are kept, for the answers to be compared: the
	// route's policy asks for it, and a copy was sent.
	Compared    bool
	RequestBody Body
	// Received is the head of the primary's answer as it came, where Compared:
	// Primary.Response is what the client got.
	Received Head

	Primary Answer
	Shadows []Answer
}

// Answer is what one destination made of a request.
type Answer struct {
	Cluster       string         // empty when the proxy answered by itself
	Upstream      netip.AddrPort // zero when none was connected to
	UpstreamLocal netip.AddrPort
	Authority     string // of a shadow's request, "httpbin-shadow:8000"
	Role          Role   // of a shadow
	Outcome       Outcome

	Response         Head // Status is 0 when there was none
	ResponseBytes    int64
	Body             Body
	Trailers         Head // of a message whose body is kept
	Flags            Flags
	Details          string // Envoy's response code details, "via_upstream"
	TransportFailure string // Envoy's %UPSTREAM_TRANSPORT_FAILURE_REASON%

	Duration    time.Duration // from the request's first byte to the answer's last
	ServiceTime time.Duration // from the end of the request's head sent to the answer's head; 0 when there was none
}

// Reset empties the exchange and keeps its memory; that of bodies goes back to
// where it was lent.
func (e *Exchange) Reset() {
	e.RequestBody.Close()
	e.Primary.reset()
	for i := range e.Shadows {
		e.Shadows[i].reset()
	}
	e.Request.Reset()
	e.Received.Reset()
	*e = Exchange{Request: e.Request, Received: e.Received, Primary: e.Primary, Shadows: e.Shadows[:0]}
}

// AddShadow appends an empty answer, which may have memory of an earlier one.
// Pointers to others stay valid while there are no more than ReserveShadows made
// room for.
func (e *Exchange) AddShadow() *Answer {
	if n := len(e.Shadows); n < cap(e.Shadows) {
		e.Shadows = e.Shadows[:n+1]
	} else {
		e.Shadows = append(e.Shadows, Answer{})
	}
	return &e.Shadows[len(e.Shadows)-1]
}

// ReserveShadows makes room for n shadows.
func (e *Exchange) ReserveShadows(n int) {
	if cap(e.Shadows) < n {
		e.Shadows = make([]Answer, 0, n)
	}
}

// KeepTrailers keeps the trailers, which may be nil, if the body is kept.
func (a *Answer) KeepTrailers(h *Head) {
	if h != nil && a.Body.store != nil {
		a.Trailers.CopyFrom(h)
	}
}

// reset empties the answer and keeps the memory of its heads.
func (a *Answer) reset() {
	a.Body.Close()
	a.Response.Reset()
	a.Trailers.Reset()
	*a = Answer{Response: a.Response, Trailers: a.Trailers}
}

// Role is what a shadow is sent for.
type Role uint8

// The roles of shadows.
const (
	Candidate Role = iota // the version that is tried
	Baseline              // the primary's own version, which measures noise
	Again                 // the primary itself, asked again
)

var roleNames = [...]string{"candidate", "baseline", "again"}

// String is the role's name, "candidate".
func (r Role) String() string { return roleNames[r] }

// Outcome is what became of one request under one mirror policy: every
// forwarded request has exactly one.
type Outcome uint8

// The outcomes. InFlight is the only one that a request can leave again.
const (
	InFlight          Outcome = iota
	NotSampled                // the share left it out
	Control                   // kept unmirrored to measure the cost of mirroring
	Filtered                  // left out by the policy's match
	Unsupported               // an upgrade, CONNECT, or a body that cannot be redacted
	DroppedBudget             // the mirror's budget was full
	Overrun                   // the shadow read more slowly than the client sent
	RequestIncomplete         // the client broke off its upload
	NoEndpoint                // the shadow's cluster has no endpoint
	ConnectFailed             // no connection, or not in time
	Reset                     // the shadow closed or broke the exchange
	TimedOut                  // no complete answer within the shadow's deadline
	Completed                 // the shadow answered, whatever its status
	NumOutcomes
)

var outcomeNames = [NumOutcomes]string{
	"in_flight", "not_sampled", "control", "filtered", "unsupported", "dropped_budget", "overrun",
	"request_incomplete", "no_endpoint", "connect_failed", "reset", "timed_out", "completed",
}

// String is the outcome's name in the ledger and in metrics.
func (o Outcome) String() string { return outcomeNames[o] }

// Flags is a set of Envoy's response flags.
type Flags uint32

// Envoy's response flags that Sundog sets, with their short names.
const (
	FlagNoHealthyUpstream   Flags = 1 << iota // UH
	FlagUpstreamFailure                       // UF: connection failure
	FlagUpstreamTermination                   // UC: connection closed by the upstream
	FlagUpstreamTimeout                       // UT
	FlagUpstreamReset                         // UR: reset by the upstream
	FlagLocalReset                            // LR
	FlagNoRoute                               // NR
	FlagRetryExhausted                        // URX
	FlagFaultDelay                            // DI
	FlagFaultAbort                            // FI
	FlagDownstreamClosed                      // DC
	FlagDownstreamProtocol                    // DPE: the request broke HTTP
	FlagIdleTimeout                           // SI
	FlagNoCluster                             // NC
	FlagUpstreamProtocol                      // UPE: the response broke HTTP
	FlagOverload                              // OM
	FlagUpstreamOverflow                      // UO: a circuit breaker is open
)

var flagNames = []string{
	"UH", "UF", "UC", "UT", "UR", "LR", "NR", "URX", "DI", "FI", "DC", "DPE", "SI", "NC", "UPE", "OM", "UO",
}

// Append appends the flags as Envoy's %RESPONSE_FLAGS% has them, "UF,URX", or
// "-" when there is none.
func (f Flags) Append(dst []byte) []byte {
	if f == 0 {
		return append(dst, '-')
	}
	sep := false
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			if sep {
				dst = append(dst, ',')
			}
			dst, sep = append(dst, name...), true
		}
	}
	return dst
}

func (f Flags) String() string { return string(f.Append(nil)) }

// Event says how far an exchange has come when a Sink gets it.
type Event uint8

// The events of an exchange, in their order. One without a shadow settles
// right after it was answered.
const (
	Answered Event = iota // the primary's answer is complete
	Settled               // every shadow has its outcome
)

// Sink takes exchanges. Its methods are called on an event loop: they must not
// block, and a sink copies what it wants to keep, for the exchange is used
// again. Without Enabled no exchange is made at all. Offer returns false when
// it had no room, which the sink counts as a loss.
type Sink interface {
	Enabled() bool
	Offer(ev Event, e *Exchange) bool
}
