package mirror

import (
	"net/netip"
	"sync"
)

// Origins knows the local addresses of the connections to shadows, by which
// the proxy tells its own copies when they come back to it: those are never
// mirrored again. It is safe for concurrent use.
type Origins struct{ addrs sync.Map }

// Add notes a connection to a shadow.
func (o *Origins) Add(local netip.AddrPort) { o.addrs.Store(local, nil) }

// Remove forgets it.
func (o *Origins) Remove(local netip.AddrPort) { o.addrs.Delete(local) }

// Has reports whether a client's connection comes from this process's own
// connection to a shadow.
func (o *Origins) Has(remote netip.AddrPort) bool {
	_, ok := o.addrs.Load(remote)
	return ok
}
