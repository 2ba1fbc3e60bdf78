package envoy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// Sort puts each list into the order of its names. It is for whoever makes a
// Snapshot, before anybody else sees it.
func (s *Snapshot) Sort() {
	slices.SortStableFunc(s.Listeners, func(a, b *listener.Listener) int { return cmp.Compare(a.GetName(), b.GetName()) })
	slices.SortStableFunc(s.Routes, func(a, b *route.RouteConfiguration) int { return cmp.Compare(a.GetName(), b.GetName()) })
	slices.SortStableFunc(s.Clusters, func(a, b *cluster.Cluster) int { return cmp.Compare(a.GetName(), b.GetName()) })
	slices.SortStableFunc(s.Endpoints, func(a, b *endpoint.ClusterLoadAssignment) int {
		return cmp.Compare(a.GetClusterName(), b.GetClusterName())
	})
	slices.SortStableFunc(s.Secrets, func(a, b *tlsv3.Secret) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

// Version names the content of the snapshot: 16 hexadecimal digits that are
// the same whenever its resources are. Messages inside an Any count by the
// bytes that the Any holds.
func (s *Snapshot) Version() string {
	h := sha256.New()
	opt := proto.MarshalOptions{Deterministic: true}
	var buf []byte
	add := func(kind byte, m proto.Message) {
		// A message that cannot be marshalled holds invalid UTF-8; what was
		// written of it still counts.
		buf, _ = opt.MarshalAppend(buf[:0], m)
		var head [9]byte
		head[0] = kind
		binary.BigEndian.PutUint64(head[1:], uint64(len(buf)))
		h.Write(head[:])
		h.Write(buf)
	}
	for _, m := range s.Listeners {
		add('l', m)
	}
	for _, m := range s.Routes {
		add('r', m)
	}
	for _, m := range s.Clusters {
		add('c', m)
	}
	for _, m := range s.Endpoints {
		add('e', m)
	}
	for _, m := range s.Secrets {
		add('s', m)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
