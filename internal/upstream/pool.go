package upstream

import (
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// Pool holds one loop's connections to the endpoints of all clusters, and what
// the loop counts of them. Connections wait for their next request, the most
// recent first; one that its endpoint closes meanwhile is dropped at once.
type Pool struct {
	loop     *loop.Loop
	mark     int
	opened   func(local, remote netip.AddrPort)
	closed   func(local, remote netip.AddrPort)
	clusters []*Cluster

	hosts   []*Host // by slot
	dynamic map[netip.AddrPort]*Host
	active  []uint32 // by slot
}

// PoolOptions configures a Pool. The zero value serves.
type PoolOptions struct {
	// Mark is the SO_MARK of the connections, 0 for none.
	Mark int
	// Opened and Closed are told the addresses of each connection.
	Opened, Closed func(local, remote netip.AddrPort)
}

// NewPool makes the pool of a loop.
func NewPool(l *loop.Loop, opt PoolOptions) *Pool {
	return &Pool{loop: l, mark: opt.Mark, opened: opt.Opened, closed: opt.Closed, dynamic: map[netip.AddrPort]*Host{}}
}

// Host is what one loop knows of an endpoint.
type Host struct {
	Cluster string
	Addr    netip.AddrPort
	Counters

	// NotBefore is until when it is of no use to connect again, since that was
	// refused just now. The pool's user sets it and heeds it.
	NotBefore loop.Time

	slot        int // -1 for an address that the client named
	gone        bool
	idleTimeout time.Duration
	idle        []*conn1
	conns       int
}

// Counters count as Envoy's per-endpoint statistics do.
type Counters struct {
	CxActive, CxTotal, CxConnectFail                 uint64
	RqActive, RqTotal, RqSuccess, RqError, RqTimeout uint64
}

// Active has the open requests by slot, for Balancer.Pick.
func (p *Pool) Active() []uint32 { return p.active }

// Serve says which clusters are in use from now on. Connections that rest at
// endpoints of no cluster are closed.
func (p *Pool) Serve(clusters []*Cluster) {
	p.clusters = clusters
	p.sweep()
}

// sweep closes what has rested too long or belongs to no cluster any more.
func (p *Pool) sweep() {
	wanted := make([]bool, len(p.hosts))
	for _, c := range p.clusters {
		for _, e := range c.Endpoints().All {
			if e.Slot < len(p.hosts) && p.hosts[e.Slot].serves(c, e) {
				wanted[e.Slot] = true
			}
		}
	}
	for slot, h := range p.hosts {
		if h != nil {
			p.expire(h, !wanted[slot])
		}
	}
	for _, h := range p.dynamic {
		p.expire(h, false)
	}
}

func (p *Pool) expire(h *Host, all bool) {
	for len(h.idle) > 0 {
		c := h.idle[0]
		if !all && (h.idleTimeout == 0 || p.loop.Now() < c.since+loop.Time(h.idleTimeout)) {
			return
		}
		c.leave()
		c.close(false)
	}
}

const sweepEvery = 5 * time.Second

// Run closes connections that have rested too long, until the loop stops. It
// is a task of the loop.
func (p *Pool) Run(t *loop.Task) {
	for t.Sleep(sweepEvery) == nil {
		p.sweep()
	}
}

func (h *Host) serves(c *Cluster, e *Endpoint) bool {
	return h != nil && h.Addr == e.Addr && h.Cluster == c.Name
}

// Host returns what the loop knows of the endpoint e of cluster c.
func (p *Pool) Host(c *Cluster, e *Endpoint) *Host {
	if e.Slot < 0 {
		h := p.dynamic[e.Addr]
		if h == nil {
			h = &Host{Cluster: c.Name, Addr: e.Addr, slot: -1, idleTimeout: c.IdleTimeout}
			p.dynamic[e.Addr] = h
		}
		return h
	}
	for len(p.hosts) <= e.Slot {
		p.hosts = append(p.hosts, nil)
		p.active = append(p.active, 0)
	}
	h := p.hosts[e.Slot]
	if !h.serves(c, e) {
		if h != nil { // the slot has gone to another endpoint
			h.gone = true
			p.expire(h, true)
		}
		h = &Host{Cluster: c.Name, Addr: e.Addr, slot: e.Slot}
		p.hosts[e.Slot] = h
		p.active[e.Slot] = 0
	}
	h.idleTimeout = c.IdleTimeout
	return h
}

// Peek returns what the loop counted of an endpoint, zero if it never met it.
func (p *Pool) Peek(c *Cluster, e *Endpoint) Counters {
	if e.Slot >= 0 && e.Slot < len(p.hosts) && p.hosts[e.Slot].serves(c, e) {
		return p.hosts[e.Slot].Counters
	}
	return Counters{}
}

// Get makes a stream to the endpoint for the task: over a connection that
// rests, unless fresh is asked for, or one that is being made.
func (p *Pool) Get(t *loop.Task, cl *Cluster, e *Endpoint, fresh bool) (Stream, error) {
	h := p.Host(cl, e)
	if n := len(h.idle); n > 0 && !fresh {
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		c.Bind(t)
		c.lend()
		return c, nil
	}
	nc, err := p.connect(t, h)
	if err != nil {
		return nil, err
	}
	c := &conn1{Conn: nc, host: h, pool: p, limit: cl.MaxRequestsPerConnection}
	c.lend()
	return c, nil
}

// connect begins a connection whose events wake t.
func (p *Pool) connect(t *loop.Task, h *Host) (*loop.Conn, error) {
	nc, err := p.loop.Connect(t, h.Addr, p.mark)
	if err != nil {
		h.CxConnectFail++
		return nil, err
	}
	h.CxTotal++
	h.CxActive++
	h.conns++
	if p.opened != nil {
		p.opened(nc.Local(), h.Addr)
	}
	return nc, nil
}

// parted takes note of a connection that is about to be closed.
func (h *Host) parted(p *Pool, c *loop.Conn) {
	h.CxActive--
	h.conns--
	if h.slot < 0 && h.conns == 0 {
		delete(p.dynamic, h.Addr)
	}
	if p.closed != nil {
		p.closed(c.Local(), c.Remote())
	}
}

// lend counts a request that begins.
func (h *Host) lend(p *Pool) {
	h.RqTotal++
	h.RqActive++
	if h.slot >= 0 && !h.gone {
		p.active[h.slot]++
	}
}

func (h *Host) unlend(p *Pool) {
	h.RqActive--
	if h.slot >= 0 && !h.gone {
		p.active[h.slot]--
	}
}

// Add adds o's numbers up.
func (n *Counters) Add(o Counters) {
	n.CxActive += o.CxActive
	n.CxTotal += o.CxTotal
	n.CxConnectFail += o.CxConnectFail
	n.RqActive += o.RqActive
	n.RqTotal += o.RqTotal
	n.RqSuccess += o.RqSuccess
	n.RqError += o.RqError
	n.RqTimeout += o.RqTimeout
}
