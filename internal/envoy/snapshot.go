// Package envoy holds the one noun of the machine: Snapshot, a complete proxy
// configuration as Envoy v3 protos, with its version and its config dump.
//
// A Snapshot comes out of translate (or from any xDS server) and goes into
// proxy and xds. It is immutable once made. Left of it is all that knows YAML
// and Kubernetes; right of it nobody has heard of Istio.
package envoy

import (
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// MetadataKey is the filter_metadata key under which travels what Envoy's API
// has no field for. Stock Envoy ignores it.
const MetadataKey = "sundog.dev"

// Snapshot is one complete, immutable proxy configuration, each list in the
// order of its names.
type Snapshot struct {
	Listeners []*listener.Listener
	Routes    []*route.RouteConfiguration
	Clusters  []*cluster.Cluster
	// Endpoints holds the assignments of the clusters of type EDS.
	Endpoints []*endpoint.ClusterLoadAssignment
	// Secrets holds what listeners and clusters name in their SdsSecretConfigs:
	// certificates with their private keys, and certificate authorities.
	Secrets []*tlsv3.Secret
}
