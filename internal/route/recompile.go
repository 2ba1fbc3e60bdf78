package route

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Recompile is Compile for a configuration that follows that of old, which may
// be nil. A virtual host that is the same message in both, the pointer and not
// only what it says, is not compiled again: its routes are copied, with the new
// indexes of their clusters. What they point to is shared by both tables.
func Recompile(rc *routev3.RouteConfiguration, cluster func(name string) (int, bool), old *Table) (*Table, error) {
	known := map[*routev3.VirtualHost]*VirtualHost{}
	if old != nil && proto.Equal(withoutHosts(old.config), withoutHosts(rc)) {
		for i, vh := range old.config.GetVirtualHosts() {
			known[vh] = old.hosts[i]
		}
	}
	return compile(rc, cluster, known)
}

// withoutHosts is the configuration without its virtual hosts.
func withoutHosts(rc *routev3.RouteConfiguration) proto.Message {
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

// again is the virtual host of another table for this one; nil if it must be
// compiled, to report a cluster that is not there any more.
func (c *compiler) again(old *VirtualHost) *VirtualHost {
	v := *old
	v.table, v.routes = c.table, make([]*Route, len(old.routes))
	routes := make([]Route, len(old.routes))
	for i, r := range old.routes {
		routes[i] = *r
		routes[i].VirtualHost, routes[i].ID = &v, 0
		if r.Forward != nil {
			if routes[i].Forward = c.reindexed(r.Forward); routes[i].Forward == nil {
				return nil
			}
		}
		v.routes[i] = &routes[i]
	}
	if old.toTLS != nil {
		toTLS := *old.toTLS
		toTLS.VirtualHost = &v
		v.toTLS = &toTLS
	}
	return &v
}

// reindexed is f with the indexes that its clusters have now: f itself if they
// are as before, nil if one must be there and is not.
func (c *compiler) reindexed(f *Forward) *Forward {
	now := func(name string) int {
		if i, ok := c.cluster(name); ok {
			return i
		}
		return -1
	}
	same, whole := true, true
	see := func(name string, before int) {
		same, whole = same && now(name) == before, whole && now(name) >= 0
	}
	for i := range f.Clusters {
		see(f.Clusters[i].Name, f.Clusters[i].Cluster)
	}
	for i := range f.Mirrors {
		see(f.Mirrors[i].Name, f.Mirrors[i].Cluster)
	}
	switch {
	case !whole && c.config.GetValidateClusters().GetValue():
		return nil
	case same:
		return f
	}
	out := *f
	out.Clusters, out.Mirrors = slices.Clone(f.Clusters), slices.Clone(f.Mirrors)
	for i := range out.Clusters {
		out.Clusters[i].Cluster = now(out.Clusters[i].Name)
	}
	for i := range out.Mirrors {
		out.Mirrors[i].Cluster = now(out.Mirrors[i].Name)
	}
	return &out
}
