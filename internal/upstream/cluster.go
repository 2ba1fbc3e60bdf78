// Package upstream holds the clusters that requests are forwarded to: their
// endpoints, how one is chosen, how names are resolved, and the connections.
//
// Compile makes a Cluster from protos whenever a snapshot comes. On the event
// loops each loop has a Balancer for every cluster and its own state of every
// endpoint, at the endpoint's slot; a Cluster is shared by all and read
// without a lock. A Resolver works off the loops and swaps endpoint sets, and
// so does a Monitor, which knows who is ill. The package never looks at a
// request.
package upstream

import (
	"sync/atomic"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// Type is how a cluster finds its endpoints (Cluster.type).
type Type uint8

// The types.
const (
	Static      Type = iota // STATIC and EDS: given
	StrictDNS               // every address that a name resolves to
	LogicalDNS              // the first address that a name resolves to
	OriginalDst             // the address that the client wanted; there are no endpoints
)

// Cluster is a compiled cluster. It is immutable but for its endpoint set,
// which a Resolver and SetUnhealthy may swap.
type Cluster struct {
	Name     string
	StatName string // alt_stat_name, else the name
	Type     Type
	Policy   Policy

	ConnectTimeout time.Duration // 5 s where the configuration is silent
	IdleTimeout    time.Duration // of a pooled connection; 1 h where silent, 0 none
	// MaxRequestsPerConnection closes a connection after so many; 0 no bound.
	MaxRequestsPerConnection uint32
	Limits                   Limits
	// Breakers hold the limits, Outliers judges the endpoints, Checks are the
	// active health checks. Each is nil where there is none, and may be called
	// all the same.
	Breakers *Breakers
	Outliers *Outliers
	Checks   *Checks
	// MaxConnectionDuration closes a connection of that age; 0 no bound.
	MaxConnectionDuration time.Duration
	// Protocol is what is spoken to the endpoints.
	Protocol Protocol
	// TLS secures the connections; nil: plain text.
	TLS *tlsconn.Client
	// AutoSNI: the request's authority is the server name (auto_sni).
	AutoSNI bool
	// OriginalDstHeader: the address may come from x-envoy-original-dst-host
	// (use_http_header). Of type OriginalDst only.
	OriginalDstHeader bool
	// Ignored names the fields that are set, would change behaviour, and do
	// nothing yet.
	Ignored []string

	http2      http2.Options
	connect    bool                    // extended CONNECT is allowed (allow_connect)
	tls1       *tlsconn.Client         // TLS, for what only HTTP/1.1 serves; nil: TLS
	socket     *corev3.TransportSocket // what TLS was compiled from
	verifyName bool                    // and so was this: auto_san_validation

	lb    *balancing
	kin   *kin
	slots *Slots
	set   atomic.Pointer[EndpointSet]
	dns   *dnsSpec  // of the DNS types only
	stats *dnsStats // of the DNS types only; survives reloads
}

// Limits are the circuit breaker's thresholds for the default priority. Where
// the configuration is silent they have Envoy's defaults.
type Limits struct {
	Connections, PendingRequests, Requests uint32 // 1024
	Retries                                uint32 // 3
	TrackRemaining                         bool   // false
}

// Endpoints is the current endpoint set; never nil.
func (c *Cluster) Endpoints() *EndpointSet { return c.set.Load() }
