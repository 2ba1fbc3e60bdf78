package envoy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
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
func (s *Snapshot) Version() string { return new(Versions).Of(s) }

// Versions gives the versions of one snapshot after another. It remembers the
// virtual hosts of the last, which the next may share. The zero Versions is
// ready. It is not for concurrent use.
type Versions struct {
	hosts map[*route.VirtualHost]digest
}

type digest [sha256.Size]byte

// Of is the snapshot's Version.
func (v *Versions) Of(s *Snapshot) string {
	var w hashWriter
	w.hash = sha256.New()
	for _, m := range s.Listeners {
		w.add('l', m)
	}
	known := v.hosts
	v.hosts = make(map[*route.VirtualHost]digest, len(known))
	for _, m := range s.Routes {
		w.add('r', withoutHosts(m))
		for _, h := range m.GetVirtualHosts() {
			sum, ok := known[h]
			if !ok {
				sum = sha256.Sum256(w.marshal(h))
			}
			v.hosts[h] = sum
			w.write('v', sum[:])
		}
	}
	for _, m := range s.Clusters {
		w.add('c', m)
	}
	for _, m := range s.Endpoints {
		w.add('e', m)
	}
	for _, m := range s.Secrets {
		w.add('s', m)
	}
	return hex.EncodeToString(w.hash.Sum(nil)[:8])
}

// withoutHosts is the route configuration without its virtual hosts.
func withoutHosts(rc *route.RouteConfiguration) proto.Message {
	from := rc.ProtoReflect()
	out := from.New()
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Name() != "virtual_hosts" {
			out.Set(f, v)
		}
		return true
	})
	out.SetUnknown(from.GetUnknown())
	return out.Interface()
}

// hashWriter hashes messages, each with its kind and length before it.
type hashWriter struct {
	hash hash.Hash
	buf  []byte
}

func (w *hashWriter) add(kind byte, m proto.Message) { w.write(kind, w.marshal(m)) }

// marshal is valid until the next call. A message that cannot be marshalled
// holds invalid UTF-8; what was written of it still counts.
func (w *hashWriter) marshal(m proto.Message) []byte {
	w.buf, _ = proto.MarshalOptions{Deterministic: true}.MarshalAppend(w.buf[:0], m)
	return w.buf
}

func (w *hashWriter) write(kind byte, data []byte) {
	var head [9]byte
	head[0] = kind
	binary.BigEndian.PutUint64(head[1:], uint64(len(data)))
	w.hash.Write(head[:])
	w.hash.Write(data)
}
