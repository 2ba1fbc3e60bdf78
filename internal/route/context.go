package route

import (
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Context is what header values and bodies may say about a request beyond
// the head that is rewritten. The proxy keeps one per request and fills it as
// it learns; zero values print as "-" or are left out, as in Envoy.
type Context struct {
	// Request is the request's head; it may be the one that is rewritten.
	Request *traffic.Head

	DownstreamRemote       netip.AddrPort // after x-forwarded-for was trusted
	DownstreamDirectRemote netip.AddrPort
	DownstreamLocal        netip.AddrPort
	Upstream               netip.AddrPort
	Cluster                string
	Route                  *Route
	Start                  time.Time
	TLS                    bool // the client's connection is TLS

	status int            // of the answer that the route itself gives
	spans  []traffic.Span // scratch of the header operations
}
