package mirror

import (
	"net/netip"
	"sync"
)

// Origins knows the proxy's own connections by both of their addresses, and so
// tells when one of them comes back to the proxy: shadows are not mirrored
// again. It is safe for concurrent use.
type Origins struct{ conns sync.Map }

type connection struct{ local, remote netip.AddrPort }

// Add notes a connection that the proxy makes.
func (o *Origins) Add(local, remote netip.AddrPort) { o.conns.Store(connection{local, remote}, nil) }

// Remove forgets it.
func (o *Origins) Remove(local, remote netip.AddrPort) { o.conns.Delete(connection{local, remote}) }

// Has reports whether a connection that the proxy has accepted is the other
// end of one that it made. dialed is where the client connected to: the local
// address, or that before a redirection.
func (o *Origins) Has(client, dialed netip.AddrPort) bool {
	_, ok := o.conns.Load(connection{client, dialed})
	return ok
}
