package proxy

import (
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/mirror"
)

// Status is what the proxy knows of itself at one moment, collected from all
// loops.
type Status struct {
	// Snapshot is the configuration that serves; nil before the first.
	Snapshot *envoy.Snapshot
	// Applied is when it began to serve.
	Applied   time.Time
	Listeners []ListenerStatus
	Clusters  []ClusterStatus
	Ledger    mirror.Report
	Stats     []Stat
}

// ListenerStatus is a listener that is bound.
type ListenerStatus struct {
	Name    string
	Address netip.AddrPort // as bound
}

// ClusterStatus is a cluster with its endpoints as last resolved.
type ClusterStatus struct {
	Name      string
	Endpoints []EndpointStatus
}

// EndpointStatus counts as Envoy's /clusters does, per endpoint and cluster.
type EndpointStatus struct {
	Address  netip.AddrPort
	Hostname string // of a DNS cluster
	Weight   uint32

	CxActive, CxTotal, CxConnectFail                 uint64 // connections
	RqActive, RqTotal, RqSuccess, RqError, RqTimeout uint64 // requests; a success is an answer below 500
}

// Stat is one number under Envoy's name for it, where Envoy has one:
// "cluster.outbound|8000||httpbin.default.svc.cluster.local.upstream_rq_total".
type Stat struct {
	Name  string
	Gauge bool // can go down; else it is a counter
	Value uint64
}
