// Package route compiles Envoy route configurations into tables that the
// request path reads, and matches requests against them.
//
// Compile turns a RouteConfiguration proto into a Table once for each
// snapshot, and refuses what it cannot do. On the event loops Match finds the
// route of a request; the route's Forward, Redirect or Direct says what to do,
// and RewriteRequest and RewriteResponse change the heads. A Table is
// immutable and shared by all loops. The package never does I/O, keeps no
// state of a request, and knows clusters by index and name only.
package route

import (
	"math/bits"
	"sync"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/sundog-mesh/sundog/internal/policy"
)

// Table is a compiled route configuration.
type Table struct {
	Name string

	config          *routev3.RouteConfiguration // that it was compiled from
	hosts           []*VirtualHost              // in the order of the configuration's
	exact           hashIndex                   // by lower case domain
	suffixes        trie                        // by what follows the "*", from its end
	prefixes        trie                        // by what precedes the "*"
	any             *VirtualHost
	ignorePort      bool
	ignoreParams    bool      // cut ";" and what follows it from the path before matching
	joined          sync.Pool // of *[]byte, for fields with several lines
	specificLast    bool      // most_specific_header_mutations_wins
	request, answer headerOps
}

// Routes returns every route of the table, in the order of the configuration.
func (t *Table) Routes() []*Route {
	var all []*Route
	for _, h := range t.hosts {
		all = append(all, h.routes...)
	}
	return all
}

// VirtualHost is a virtual host of a Table.
type VirtualHost struct {
	Name string
	// RequestAttemptCount: x-envoy-attempt-count goes to the endpoint;
	// ResponseAttemptCount: it goes to the client.
	RequestAttemptCount, ResponseAttemptCount bool
	// TimeoutRetryHeader: x-envoy-is-timeout-retry goes to the endpoint with a
	// retry after a timeout.
	TimeoutRetryHeader bool

	table           *Table
	routes          []*Route
	index           pathIndex
	toTLS           *Route // the redirect to https; nil without require_tls
	tlsExternal     bool   // internal requests need no TLS
	request, answer headerOps
}

// Route is what happens to the requests that match. Exactly one of Forward,
// Redirect and Direct is set.
type Route struct {
	Name string // may be empty
	// Key is the route's identity in the ledger and stays over reloads: its
	// virtual host's name, a slash, and its own name or a short text of its match.
	Key         string
	VirtualHost *VirtualHost
	// ID is for the table's owner to number the routes of a generation.
	ID int

	Forward  *Forward
	Redirect *Redirect
	Direct   *Direct
	// Fault is the fault filter's configuration for this route; nil without one.
	Fault *Fault

	match           matcher
	request, answer headerOps
}

// Forward is the action of a route that sends requests to a cluster.
type Forward struct {
	// Clusters has at least one entry, but for a route with ClusterHeader.
	Clusters []WeightedCluster
	// ClusterHeader, when not empty, is the request header (lower case) that
	// names the cluster.
	ClusterHeader string
	// ClusterNotFound is the status for a request whose cluster does not exist: 503, 404 or 500.
	ClusterNotFound int

	Timeout time.Duration // of the whole answer; 0 none. 15 s where the configuration is silent
	// IdleTimeout is the stream's; 0 none, negative: the listener's holds.
	IdleTimeout time.Duration
	// MaxStreamDuration bounds the whole exchange; 0 none, negative: the listener's holds.
	MaxStreamDuration time.Duration
	// GRPCTimeoutMax is the upper bound of a request's own grpc-timeout header,
	// which is honoured instead of Timeout; 0 honours it without a bound,
	// negative: it is not looked at.
	GRPCTimeoutMax time.Duration

	Retry   *Retry // nil: no retries
	Mirrors []Mirror
	// Policy is the ShadowPolicy of the route; nil without one.
	Policy *policy.Policy
	// Hash is what the endpoint is chosen by, where the cluster goes by a hash;
	// nil: nothing.
	Hash *HashPolicy

	// AutoHost: the authority becomes the hostname of the endpoint, once that
	// is picked, where it has one. Call SetHost then.
	AutoHost bool

	upgrades    []upgrade
	total       uint64
	hostLiteral []byte
	hostHeader  string
	hostRegex   *rewriter
	hostFormat  format
	appendXFH   bool
	path        pathRewrite
}

// WeightedCluster is a destination of a Forward.
type WeightedCluster struct {
	Name    string
	Cluster int // index in the snapshot's compiled clusters; -1 when there is none of that name
	Weight  uint32

	sum             uint64 // of the weights up to and with this one
	hostLiteral     []byte
	request, answer headerOps
}

// Pick chooses a cluster by weight. The same number always gives the same
// cluster. It is nil for a Forward with ClusterHeader.
func (f *Forward) Pick(random uint64) *WeightedCluster {
	switch len(f.Clusters) {
	case 0:
		return nil
	case 1:
		return &f.Clusters[0]
	}
	x, _ := bits.Mul64(mix(random, saltWeight), f.total)
	for i := range f.Clusters {
		if x < f.Clusters[i].sum {
			return &f.Clusters[i]
		}
	}
	panic("route: internal error: weights do not add up")
}

// Upgrade says whether the route lets requests upgrade to the protocol (in
// any case). said is false when the route leaves it to the listener.
func (f *Forward) Upgrade(protocol []byte) (allowed, said bool) {
	for i := range f.upgrades {
		if equalFold(protocol, f.upgrades[i].protocol) {
			return f.upgrades[i].enabled, true
		}
	}
	return false, false
}

type upgrade struct {
	protocol string // lower case
	enabled  bool
}

// Mirror is a mirror policy of a route.
type Mirror struct {
	Name    string
	Cluster int // index in the snapshot's compiled clusters; -1 when there is none of that name
	// Numerator of Denominator requests are mirrored. The numerator is never
	// above the denominator, which is 100, 10,000 or 1,000,000.
	Numerator   uint32
	Denominator uint64
	// NoHostSuffix: the copy's authority gets no "-shadow".
	NoHostSuffix bool

	hostLiteral []byte
	mutations   []headerOps // in this order
	path        copyPath
}

// The uses of a request's random number. Each gets bits of its own, so that,
// for one, a weighted split and a fault do not always hit the same requests.
const (
	saltWeight uint64 = 0x2545f4914f6cdd1d * (iota + 1)
	saltMatch
	saltDelay
	saltAbort
)

// mix gives the number for one use: the finishing steps of SplitMix64.
func mix(random, salt uint64) uint64 {
	z := random + salt
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// fraction is a share of requests, as core.FractionalPercent.
type fraction struct{ numerator, denominator uint64 }

func (f fraction) hit(number uint64) bool {
	x, _ := bits.Mul64(number, f.denominator)
	return x < f.numerator
}
