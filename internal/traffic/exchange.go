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

	Request      Head  // as it went to the primary
	RequestBytes int64 // of the body

	Primary Answer
	Shadows []Answer
}

// Answer is what one destination made of a request.
type Answer struct {
	Cluster       string         // empty when the proxy answered by itself
	Upstream      netip.AddrPort // zero when none was connected to
	UpstreamLocal netip.AddrPort
	Authority     string // of a shadow's request, "httpbin-shadow:8000"
	Outcome       Outcome

	Response         Head // Status is 0 when there was none
	ResponseBytes    int64
	Flags            Flags
	Details          string // Envoy's response code details, "via_upstream"
	TransportFailure string // Envoy's %UPSTREAM_TRANSPORT_FAILURE_REASON%

	Duration    time.Duration // from the request's first byte to the answer's last
	ServiceTime time.Duration // from the end of the request's head sent to the answer's head; 0 when there was none
}

// Reset empties the exchange and keeps its memory.
func (e *Exchange) Reset() {
	shadows := e.Shadows[:0]
	req, resp := e.Request, e.Primary.Response
	req.Reset()
	resp.Reset()
	*e = Exchange{Request: req, Shadows: shadows}
	e.Primary.Response = resp
}

// Outcome is what became of one request under one mirror policy: every
// forwarded request has exactly one.
type Outcome uint8

// The outcomes. InFlight is the only one that a request can leave again.
const (
	InFlight          Outcome = iota
	NotSampled                // the share left it out
	Control                   // kept unmirrored to measure the cost of mirroring
	Filtered                  // left out by the policy's match
	Unsupported               // an upgrade or CONNECT
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
	FlagDurationTimeout                       // DT
	FlagUpstreamOverflow                      // UO: a circuit breaker is open
)

var flagNames = []string{
	"UH", "UF", "UC", "UT", "UR", "LR", "NR", "URX", "DI", "FI", "DC", "DPE", "SI", "NC", "UPE", "OM", "DT", "UO",
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
