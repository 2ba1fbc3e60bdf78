package upstream

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// Pool holds one loop's connections to the endpoints of all clusters, and what
// the loop counts of them. Connections wait for their next request, the most
// recent first; one that its endpoint closes meanwhile is dropped at once.
type Pool struct {
	loop      *loop.Loop
	socket    loop.SocketOptions
	opened    func(local, remote netip.AddrPort)
	closed    func(local, remote netip.AddrPort)
	clusters  []*Cluster
	unlimited bool
	memory    http2.Pool // of streams
	streams   []*stream2 // free

	hosts   []*Host // by slot
	dynamic map[netip.AddrPort]*Host
	active  []uint32 // by slot
}

// PoolOptions configures a Pool. The zero value serves.
type PoolOptions struct {
	// Socket are the options of the connections' sockets.
	Socket loop.SocketOptions
	// Unlimited: the clusters' circuit breakers are not asked, as is right for
	// shadows, which have budgets of their own.
	Unlimited bool
	// Opened and Closed are told the addresses of each connection.
	Opened, Closed func(local, remote netip.AddrPort)
}

// NewPool makes the pool of a loop.
func NewPool(l *loop.Loop, opt PoolOptions) *Pool {
	return &Pool{loop: l, socket: opt.Socket, opened: opt.Opened, closed: opt.Closed, unlimited: opt.Unlimited, dynamic: map[netip.AddrPort]*Host{}}
}

// Host is what one loop knows of an endpoint.
type Host struct {
	Cluster string
	Addr    netip.AddrPort
	Counters

	// NotBefore is until when it is of no use to connect again, since that was
	// refused just now. The pool's user sets it and heeds it.
	NotBefore loop.Time
	// Broken counts the answers in a row that broke off, for the pool's user.
	Broken int

	slot        int // -1 for an address that the client named
	gone        bool
	idleTimeout time.Duration
	idle        []*conn1
	shared      []*conn2
	conns       int
	chose2      bool         // by ALPN, where the cluster goes by that
	waiting     []*loop.Task // for a connection
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
			h.sweepShared(!wanted[slot])
		}
	}
	for _, h := range p.dynamic {
		p.expire(h, false)
		h.sweepShared(false)
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

// sweepShared lets the connections of HTTP/2 find out whether they are done.
func (h *Host) sweepShared(unwanted bool) {
	for _, c := range h.shared {
		c.unwanted = unwanted
		if len(c.streams) == 0 {
			c.task.Wake()
		}
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
			h.sweepShared(true)
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

// Why Get has made no stream.
var (
	// ErrBusy: the connections that the cluster may have are in use. The task is
	// woken when that may have changed. It waits as TryPending allows.
	ErrBusy = errors.New("upstream: every connection that the cluster may have is in use")
	// ErrOverflow: the cluster has as many requests as it may; see OverflowStatus.
	ErrOverflow = errors.New("upstream: the circuit breaker is open")
)

// Get makes a stream to the endpoint for the task: over a connection that is
// there, or one that is being made.
func (p *Pool) Get(t *loop.Task, cl *Cluster, e *Endpoint, use Use) (Stream, error) {
	b := p.breakers(cl)
	if !b.TryRequest() {
		return nil, ErrOverflow
	}
	h := p.Host(cl, e)
	get := p.get1
	if cl.Protocol == Auto {
		get = p.getAuto
	}
	if (cl.Protocol == HTTP2 || cl.Protocol == SameAsClient && use.HTTP2) && (!use.Raw || use.Upgrade && cl.connect) {
		get = p.get2
	}
	s, err := get(t, cl, h, b, use)
	if err != nil {
		b.DoneRequest()
		if err == ErrBusy {
			h.waiting = append(h.waiting, t)
		}
		return nil, err
	}
	return s, nil
}

// breakers are those of the cluster, none for shadows.
func (p *Pool) breakers(cl *Cluster) *Breakers {
	if p.unlimited {
		return nil
	}
	return cl.Breakers
}

// get1 lends an HTTP/1.1 connection.
func (p *Pool) get1(t *loop.Task, cl *Cluster, h *Host, b *Breakers, use Use) (Stream, error) {
	if !use.Fresh {
		if c := h.take(cl, use.Authority); c != nil {
			c.Bind(t)
			c.lend(b)
			return c, nil
		}
	}
	if !h.admits(b, use) {
		return nil, ErrBusy
	}
	c := &conn1{link: p.link(cl, h, b, use), limit: cl.MaxRequestsPerConnection}
	var err error
	if c.Conn, err = c.connect(t, cl); err != nil {
		return nil, err
	}
	c.lend(b)
	return c, nil
}

// take takes a resting connection out of the list, the most recent first. Those
// that were made for other settings of the cluster are closed.
func (h *Host) take(cl *Cluster, authority []byte) *conn1 {
	for i := len(h.idle) - 1; i >= 0; i-- {
		c := h.idle[i]
		if c.tls == cl.TLS && !c.named(cl, authority) {
			continue
		}
		h.idle = slices.Delete(h.idle, i, i+1)
		if c.tls == cl.TLS {
			return c
		}
		c.close(false)
	}
	return nil
}

// link is what a connection to an endpoint belongs to.
type link struct {
	host     *Host
	pool     *Pool
	tls      *tlsconn.Client // nil: plain text
	name     string          // of the server, where the cluster's TLS context does not say
	breakers *Breakers       // that count the connection
	born     loop.Time
	life     time.Duration // 0: any
	auto     bool          // ALPN decides what is spoken
}

func (p *Pool) link(cl *Cluster, h *Host, b *Breakers, use Use) link {
	k := link{
		host: h, pool: p, tls: cl.TLS, breakers: b, born: p.loop.Now(), life: cl.MaxConnectionDuration,
		auto: cl.Protocol == Auto,
	}
	if use.Raw && use.Upgrade && cl.tls1 != nil {
		k.tls = cl.tls1
	}
	switch {
	case cl.TLS == nil:
	case cl.AutoSNI:
		k.name = string(hostOf(use.Authority))
	case cl.TLS.AutoHostSNI():
		k.name = use.Hostname
	}
	return k
}

// named reports whether the connection's server name serves the request.
func (k *link) named(cl *Cluster, authority []byte) bool {
	return !cl.AutoSNI || cl.TLS == nil || k.name == string(hostOf(authority))
}

// old reports whether the connection has lived as long as it may.
func (k *link) old() bool { return k.life > 0 && k.pool.loop.Now()-k.born >= loop.Time(k.life) }

// hostOf is an authority without its port.
func hostOf(authority []byte) []byte {
	if i := bytes.LastIndexByte(authority, ':'); i > bytes.LastIndexByte(authority, ']') {
		authority = authority[:i]
	}
	return bytes.Trim(authority, "[]")
}

// admits reports whether the breaker allows one more connection, and counts it
// then. An endpoint that the loop has no connection to gets one all the same.
func (h *Host) admits(b *Breakers, use Use) bool {
	switch {
	case b.TryConnection():
		return true
	case h.conns == 0:
		b.AddConnection()
		return true
	case use.Fresh && len(h.idle) > 0: // one at rest makes room
		c := h.idle[0]
		c.leave()
		c.close(false)
		return h.admits(b, use)
	}
	return false
}

// connect begins a connection that was admitted, whose events wake t.
func (k *link) connect(t *loop.Task, cl *Cluster) (*loop.Conn, error) {
	h, p := k.host, k.pool
	nc, err := p.loop.Connect(t, h.Addr, p.socket)
	if err != nil {
		k.breakers.DoneConnection()
		h.CxConnectFail++
		return nil, err
	}
	if k.tls != nil {
		k.tls.Begin(nc, t, k.name)
	}
	cl.Checks.Used()
	h.CxTotal++
	h.CxActive++
	h.conns++
	if p.opened != nil {
		p.opened(nc.Local(), h.Addr)
	}
	return nc, nil
}

// parted takes note of a connection that is about to be closed.
func (k *link) parted(c *loop.Conn) {
	h, p := k.host, k.pool
	k.breakers.DoneConnection()
	h.CxActive--
	h.conns--
	h.next()
	if h.slot < 0 && h.conns == 0 {
		delete(p.dynamic, h.Addr)
	}
	if p.closed != nil {
		p.closed(c.Local(), c.Remote())
	}
}

// next wakes those who wait for a connection.
func (h *Host) next() {
	for i, t := range h.waiting {
		t.Wake()
		h.waiting[i] = nil
	}
	h.waiting = h.waiting[:0]
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
