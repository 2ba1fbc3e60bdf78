package upstream

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// watch is a cluster under a Monitor.
type watch struct {
	c        *Cluster
	seen     *EndpointSet // the endpoints that are known
	sweep    event
	look     event
	patients map[netip.AddrPort]*patient
}

// result is how a check came out.
type result struct {
	w   *watch
	p   *patient
	v   verdict
	why error // what was wrong; nil if it passed
}

// examine makes the endpoints of w's cluster its patients. One that is not
// known yet has to pass first, unless it took requests before there were checks.
func (m *Monitor) examine(w *watch, now time.Time) {
	spec := w.c.Checks.spec
	before := w.patients
	w.patients = make(map[netip.AddrPort]*patient, len(w.seen.All))
	for _, e := range w.seen.All {
		at := spec.at(w.c, e)
		if at.disabled {
			w.c.SetUnhealthy(e, HealthCheckFailed, false)
			continue
		}
		p := before[e.Addr]
		if p == nil {
			p = m.admit(w, at, &patient{failing: e.Ailments()&HealthCheckFailed != 0}, now)
		} else if p.at != at || p.tls != w.c.TLS || !p.spec.same(spec) {
			m.discharge(p)
			p = m.admit(w, at, p, now)
		}
		delete(before, e.Addr)
		w.patients[e.Addr] = p
		w.c.SetUnhealthy(e, HealthCheckFailed, p.failing)
	}
	for _, p := range before {
		m.discharge(p)
	}
	w.count()
}

// admit begins to check an endpoint that stands where p does, which may be one
// that was checked in another way so far.
func (m *Monitor) admit(w *watch, at checkAddress, p *patient, now time.Time) *patient {
	spec := w.c.Checks.spec
	dial := m.opt.Dial
	if secure := w.c.TLS; secure != nil {
		dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			nc, err := m.opt.Dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			if nc, err = secure.Handshake(ctx, nc, at.serverName, spec.alpn); err != nil {
				return nil, err
			}
			return opaque{nc}, nil
		}
	}
	fresh := &patient{
		spec: spec, at: at, tls: w.c.TLS, prober: spec.probe(spec, at, dial),
		failing: p.failing, checked: p.checked, good: p.good, bad: p.bad,
	}
	fresh.next.fire = func(time.Time) { m.queue = append(m.queue, turn{w, fresh}) }
	m.agenda.set(&fresh.next, now.Add(below(m.opt.Random, spec.initialJitter)))
	return fresh
}

// opaque hides from net/http that a connection has TLS: what is spoken over it
// is what the check says (codec_client_type), as in Envoy, whatever ALPN says.
type opaque struct{ net.Conn }

// discharge ends the checks of an endpoint.
func (m *Monitor) discharge(p *patient) {
	m.agenda.drop(&p.next)
	p.gone = true
	if p.cancel != nil {
		p.cancel() // who concludes closes the prober
	} else {
		p.prober.close()
	}
}

// dismiss ends all checks of w.
func (m *Monitor) dismiss(w *watch) {
	for _, p := range w.patients {
		m.discharge(p)
	}
	w.patients = nil
}

// count tells how many patients pass, and how many nobody knows of.
func (w *watch) count() {
	var healthy, unchecked int64
	for _, p := range w.patients {
		if !p.failing {
			healthy++
		}
		if !p.checked {
			unchecked++
		}
	}
	s := w.c.Checks.stats
	s.healthy.Store(healthy)
	s.unchecked.Store(unchecked)
	s.served.Store(true)
}

// turn is a check that is due.
type turn struct {
	w *watch
	p *patient
}

// begin starts the checks that are due, as many as may run.
func (m *Monitor) begin(ctx context.Context, checks *sync.WaitGroup) {
	for m.busy < maxChecks && len(m.queue) > 0 {
		w, p := m.queue[0].w, m.queue[0].p
		m.queue = m.queue[1:]
		if p.gone {
			continue
		}
		m.busy++
		w.c.Checks.stats.attempt.Add(1)
		probing, cancel := context.WithTimeout(ctx, p.spec.timeout)
		p.cancel = cancel
		checks.Go(func() {
			defer cancel()
			v, why := p.prober.probe(probing)
			m.results <- result{w, p, v, why}
		})
	}
	if len(m.queue) == 0 {
		m.queue = nil // else it would grow with every turn
	}
}

// conclude takes a result in and plans the next check. One that came when all
// ended says nothing.
func (m *Monitor) conclude(r result, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy--
	w, p := r.w, r.p
	p.cancel = nil
	if p.gone || ended {
		p.prober.close()
		return
	}
	s := w.c.Checks.stats
	first := !p.checked
	changed, pending := p.judge(r.v)
	if e := w.endpoint(p); e != nil {
		if changed {
			w.c.SetUnhealthy(e, HealthCheckFailed, p.failing)
			m.report(w, e, p, r.why)
		}
		if o := w.c.Outliers; r.v == passed && !p.failing && o != nil && o.rules.unejects && e.Ejected() {
			m.judge(w.c).recovered(e)
		}
	}
	if changed || first {
		w.count()
	}
	if r.v == passed {
		s.success.Add(1)
	} else {
		s.failure.Add(1)
		if r.v == noAnswer {
			s.network.Add(1)
		}
	}
	wait := p.spec.wait(r.v == passed, pending && !first, s.used.Load(), m.opt.Random)
	m.agenda.set(&p.next, time.Now().Add(wait))
}

func (m *Monitor) report(w *watch, e *Endpoint, p *patient, why error) {
	if p.failing {
		m.opt.Logger.Warn("endpoint fails its health checks", "cluster", w.c.Name, "endpoint", e.Addr, "error", why)
	} else {
		m.opt.Logger.Info("endpoint passes its health checks", "cluster", w.c.Name, "endpoint", e.Addr)
	}
}

// endpoint is the patient's endpoint as it is now.
func (w *watch) endpoint(p *patient) *Endpoint {
	for _, e := range w.c.Endpoints().All {
		if w.patients[e.Addr] == p {
			return e
		}
	}
	return nil
}

// close gives up all connections. No check is under way any more.
func (m *Monitor) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.results) > 0 {
		(<-m.results).p.prober.close()
		m.busy--
	}
	for _, w := range m.watched {
		for _, p := range w.patients {
			p.prober.close()
		}
	}
}
