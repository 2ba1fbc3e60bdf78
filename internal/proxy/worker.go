package proxy

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// worker is all that one event loop owns: nothing of it is shared.
type worker struct {
	p       *Proxy
	id      int
	loop    *loop.Loop
	view    *view
	primary *upstream.Pool
	shadows *upstream.Pool
	side    *mirror.Side
	ledger  *mirror.Ledger
	meter   mirror.Meter

	sessions  map[*session]struct{}
	http      map[string]*httpCounters    // by stat prefix
	clusters  map[string]*clusterCounters // by stat name
	random    *mathrand.ChaCha8
	records   []*record // free
	bodies    *traffic.BodyStore
	scratch   redact.Scratch
	body      []byte       // of a request, redacted
	bodyHead  traffic.Head // its head
	exchanges []*exchange  // free
	streams   http2.Pool

	opening openCounters

	date   [29]byte
	dateAt int64 // second of date
}

// view is a generation as one loop sees it: with its own balancers and rows.
type view struct {
	*generation
	balancers []upstream.Balancer // by cluster
	shadowing []upstream.Balancer // by cluster; the shadows' own
	counters  []*clusterCounters  // by cluster
	routes    []routeView         // by route ID
}

type routeView struct {
	row     *mirror.RouteRow
	mirrors []*mirror.Row
	redact  func(*traffic.Exchange) // nil: nothing
}

// shadowReceive bounds what the kernel takes in for a copy that does not read
// yet, in bytes. It would take megabytes, at the expense of the core that
// happens to be there.
const shadowReceive = 128 << 10

// maxKept bounds the bodies that all loops keep at a time, in bytes.
const maxKept = 128 << 20

func newWorker(p *Proxy, id int, local netip.Addr) (*worker, error) {
	l, err := loop.New(loop.Options{Logger: p.opt.Logger, Clock: p.opt.Clock})
	if err != nil {
		return nil, fmt.Errorf("making event loop %d: %w", id, err)
	}
	w := &worker{
		p: p, id: id, loop: l, ledger: mirror.NewLedger(),
		sessions: map[*session]struct{}{},
		http:     map[string]*httpCounters{},
		clusters: map[string]*clusterCounters{},
		view:     &view{},
		bodies:   traffic.NewBodyStore(maxKept / int64(p.opt.Concurrency)),
	}
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("seeding event loop %d: %w", id, err)
	}
	w.random = mathrand.NewChaCha8(seed)
	w.primary = upstream.NewPool(l, upstream.PoolOptions{Socket: loop.SocketOptions{Mark: Mark}, Opened: p.own.Add, Closed: p.own.Remove})
	w.shadows = upstream.NewPool(l, upstream.PoolOptions{
		Socket: loop.SocketOptions{Mark: Mark, ReceiveBuffer: shadowReceive}, Unlimited: true, Opened: p.origins.Add, Closed: p.origins.Remove,
	})
	w.side = mirror.NewSide(l, w.shadows, local)
	l.Post(func() {
		l.Go(w)
		l.Go(w.primary)
		l.Go(w.shadows)
	})
	return w, nil
}

// current is the view of the generation that serves now.
func (w *worker) current() *view {
	if w.view.generation != w.p.gen.Load() {
		w.adopt()
	}
	return w.view
}

// adopt makes a view of the generation that serves now.
func (w *worker) adopt() {
	g := w.p.gen.Load()
	if g == w.view.generation {
		return
	}
	v := &view{generation: g, routes: make([]routeView, len(g.routes))}
	for _, c := range g.clusters {
		v.balancers = append(v.balancers, upstream.NewBalancer(w.random.Uint64()))
		v.shadowing = append(v.shadowing, upstream.NewBalancer(w.random.Uint64()))
		counters := w.clusters[c.StatName]
		if counters == nil {
			counters = &clusterCounters{}
			w.clusters[c.StatName] = counters
		}
		v.counters = append(v.counters, counters)
	}
	w.ledger.Retire()
	for id, r := range g.routes {
		row := w.ledger.Route(r.Key)
		v.routes[id].row = row
		if ps := g.policies[id]; len(ps) > 0 && ps[0].Redactor != nil {
			v.routes[id].redact = w.redacts(ps[0].Redactor)
		}
		for i, p := range g.policies[id] {
			v.routes[id].mirrors = append(v.routes[id].mirrors, row.Mirror(mirrorName(g.policies[id], i), p.Share.Fraction()))
		}
	}
	w.view = v
	w.primary.Serve(g.clusters)
	w.shadows.Serve(g.clusters)
	for s := range w.sessions {
		if s.opened && s.task != nil && s.config(v) == nil { // its listener has gone
			s.task.Wake()
		}
	}
}

// mirrorName is the cluster of the i-th mirror, told apart where a route
// mirrors to the same cluster twice.
func mirrorName(all []*mirror.Policy, i int) string {
	name, n := all[i].Mirror.Name, 1
	for _, p := range all[:i] {
		if p.Mirror.Name == name {
			n++
		}
	}
	if n > 1 {
		return fmt.Sprintf("%s#%d", name, n)
	}
	return name
}

// accept makes a session of a connection that was taken by the listener.
func (w *worker) accept(listener string, c *loop.Conn) {
	if !w.p.opt.Overload.Admit(listener) {
		c.Close()
		return
	}
	s := &session{downstream: downstream{w: w, conn: c, listener: listener, remote: c.Remote(), local: c.Local()}, since: w.loop.Now(), born: w.loop.Now()}
	v := w.current()
	if l := v.listeners[listener]; l != nil && l.useOriginalDst {
		if dst, ok := c.OriginalDst(); ok {
			s.original = dst
			p := w.p
			p.unmarked.Do(p.warnUnmarked)
		}
	}
	if ch := s.chain(v); ch != nil && s.plain(v) {
		s.opened = true
		w.counters(ch.http).cxTotal++
	}
	w.sessions[s] = struct{}{}
	if !c.Rest(s) {
		s.ConnReadable(c)
	}
}

// borrow lends an exchange to a connection that has something to do.
func (w *worker) borrow(from *downstream) *exchange {
	var x *exchange
	if n := len(w.exchanges); n > 0 {
		x = w.exchanges[n-1]
		w.exchanges = w.exchanges[:n-1]
	} else {
		x = &exchange{w: w, c1: client1{w: w}}
	}
	x.from = from
	return x
}

const maxExchanges = 1024

func (w *worker) giveBack(x *exchange) {
	x.from, x.client, x.t = nil, nil, nil
	x.c1.conn = nil
	x.remoteText = x.remoteText[:0]
	if len(w.exchanges) < maxExchanges {
		w.exchanges = append(w.exchanges, x)
	}
}

// tellDraining has the sessions of HTTP/2 tell their clients that the proxy
// drains. Those of HTTP/1.1 do so with their next answer.
func (w *worker) tellDraining() {
	for s := range w.sessions {
		if s.h2 == nil {
			continue
		}
		if s.task == nil {
			s.ConnReadable(s.conn)
		}
		s.task.Wake()
	}
}

// sweepEvery is how exact the idle timeout of a resting connection is.
const sweepEvery = time.Second / 2

// Run ends sessions that have rested too long. It is a task of the loop.
func (w *worker) Run(t *loop.Task) {
	for t.Sleep(sweepEvery) == nil {
		for s := range w.sessions {
			if s.task == nil && s.over() {
				s.end()
			}
		}
	}
}

// dateNow is the value of a Date field (RFC 9110, section 6.6.1).
func (w *worker) dateNow() []byte {
	now := w.loop.Wall(w.loop.Now())
	if s := now.Unix(); s != w.dateAt {
		w.dateAt = s
		now.UTC().AppendFormat(w.date[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return w.date[:]
}

// requestID appends a random UUID (RFC 9562, version 4).
func (w *worker) requestID(dst []byte) []byte {
	const hex = "0123456789abcdef"
	hi, lo := w.random.Uint64(), w.random.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(3<<62) | 2<<62
	for i := range 16 {
		if i == 8 || i == 12 {
			dst = append(dst, '-')
		}
		dst = append(dst, hex[hi>>(60-4*i)&15])
	}
	for i := range 16 {
		if i == 0 || i == 4 {
			dst = append(dst, '-')
		}
		dst = append(dst, hex[lo>>(60-4*i)&15])
	}
	return dst
}

// since is the time that has passed since an earlier moment of the loop.
func (w *worker) since(t loop.Time) time.Duration { return time.Duration(w.loop.Now() - t) }
