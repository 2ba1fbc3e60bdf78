package proxy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// tally adds up what the loops count.
type tally struct {
	values    map[string]uint64
	gauges    map[string]bool
	endpoints map[*upstream.Endpoint]upstream.Counters
}

func newTally() *tally {
	return &tally{values: map[string]uint64{}, gauges: map[string]bool{}, endpoints: map[*upstream.Endpoint]upstream.Counters{}}
}

func (t *tally) count(name string, n uint64) { t.values[name] += n }

func (t *tally) gauge(name string, n uint64) {
	t.values[name] += n
	t.gauges[name] = true
}

// add adds one loop's numbers; it runs on that loop.
func (t *tally) add(w *worker, g *generation) {
	t.clients(w)
	t.upstreams(w, g)
	t.count("server.panics", w.loop.Panics())
}

// clients adds what was counted on the clients' side.
func (t *tally) clients(w *worker) {
	for prefix, c := range w.http {
		p := "http." + prefix + "."
		t.count(p+"downstream_cx_total", c.cxTotal)
		t.count(p+"downstream_cx_http2_total", c.cxHTTP2)
		t.count(p+"downstream_cx_ssl_total", c.cxTLS)
		t.count(p+"downstream_rq_total", c.rqTotal)
		t.count(p+"downstream_rq_http2_total", c.rqHTTP2)
		t.count(p+"downstream_cx_protocol_error", c.rqError)
		t.count(p+"downstream_rq_rx_reset", c.rxReset)
		t.count(p+"downstream_rq_timeout", c.timeouts)
		t.count(p+"downstream_rq_overload_close", c.overload)
		t.count(p+"downstream_cx_rx_bytes_total", c.bytesIn)
		t.count(p+"downstream_cx_tx_bytes_total", c.bytesOut)
		for class, n := range c.rqClass {
			if class > 0 {
				t.count(p+"downstream_rq_"+strconv.Itoa(class)+"xx", n)
			}
		}
	}
	t.count("listener.downstream_cx_proxy_protocol_error", w.opening.proxyProtocolErrors)
	t.count("listener.no_filter_chain_match", w.opening.noChain)
	t.count("listener.ssl.handshake", w.opening.tlsHandshakes)
	t.count("listener.ssl.connection_error", w.opening.tlsErrors+w.opening.inspectErrors)
	for s := range w.sessions {
		if cfg := s.config(w.view); cfg != nil {
			t.gauge("http."+cfg.statPrefix+".downstream_cx_active", 1)
		}
	}
}

// upstreams adds what was counted of clusters and endpoints.
func (t *tally) upstreams(w *worker, g *generation) {
	for name, c := range w.clusters {
		p := "cluster." + name + "."
		t.count(p+"upstream_rq_retry", c.rqRetry)
		t.count(p+"upstream_rq_retry_success", c.rqRetrySuccess)
		t.count(p+"upstream_rq_timeout", c.rqTimeout)
		t.count(p+"upstream_rq_per_try_timeout", c.rqPerTryTimeout)
		t.count(p+"upstream_rq_rx_reset", c.rqReset)
		t.count(p+"upstream_cx_none_healthy", c.noEndpoint)
		t.count(p+"upstream_rq_completed", c.rqTotal)
		for class, n := range c.rqClass {
			if class > 0 {
				t.count(p+"upstream_rq_"+strconv.Itoa(class)+"xx", n)
			}
		}
	}
	for _, c := range g.served() {
		p := "cluster." + c.StatName + "."
		for _, e := range c.Endpoints().All {
			for _, pool := range [...]*upstream.Pool{w.primary, w.shadows} {
				n := pool.Peek(c, e)
				sum := t.endpoints[e]
				sum.Add(n)
				t.endpoints[e] = sum
				t.count(p+"upstream_cx_total", n.CxTotal)
				t.gauge(p+"upstream_cx_active", n.CxActive)
				t.count(p+"upstream_cx_connect_fail", n.CxConnectFail)
				t.count(p+"upstream_rq_total", n.RqTotal)
				t.gauge(p+"upstream_rq_active", n.RqActive)
			}
		}
	}
}

// judged adds what the loops share: breakers, outlier detection, health checks.
func (t *tally) judged(g *generation) {
	for _, c := range g.served() {
		p := "cluster." + c.StatName + "."
		if c.Breakers != nil {
			t.breakers(p, c.Breaker())
		}
		if c.Outliers != nil {
			t.outliers(p+"outlier_detection.", c.Outlier())
		}
		if c.Checks != nil {
			s := c.Checks.Stats()
			t.count(p+"health_check.attempt", s.Attempt)
			t.count(p+"health_check.success", s.Success)
			t.count(p+"health_check.failure", s.Failure)
			t.count(p+"health_check.network_failure", s.NetworkFailure)
			t.gauge(p+"health_check.healthy", uint64(max(s.Healthy, 0)))
		}
		healthy := uint64(0)
		for _, e := range c.Endpoints().All {
			if e.Ready && e.Ailments() == 0 {
				healthy++
			}
		}
		t.gauge(p+"membership_total", uint64(len(c.Endpoints().All)))
		t.gauge(p+"membership_healthy", healthy)
	}
}

func (t *tally) outliers(p string, s upstream.OutlierStats) {
	t.gauge(p+"ejections_active", s.EjectionsActive)
	t.count(p+"ejections_enforced_total", s.EjectionsEnforcedTotal)
	t.count(p+"ejections_overflow", s.EjectionsOverflow)
	for _, k := range s.Kinds {
		t.count(p+"ejections_detected_"+k.Kind, k.Detected)
		t.count(p+"ejections_enforced_"+k.Kind, k.Enforced)
	}
}

func (t *tally) breakers(p string, s upstream.BreakerStats) {
	t.count(p+"upstream_cx_overflow", s.Connections.Overflow)
	t.count(p+"upstream_rq_pending_overflow", s.PendingRequests.Overflow+s.Requests.Overflow)
	t.count(p+"upstream_rq_retry_overflow", s.Retries.Overflow)
	t.gauge(p+"upstream_rq_pending_active", uint64(s.PendingRequests.Active))
	p += "circuit_breakers.default."
	for _, b := range []struct {
		state           upstream.BreakerState
		open, remaining string
	}{
		{s.Connections, "cx_open", "remaining_cx"},
		{s.PendingRequests, "rq_pending_open", "remaining_pending"},
		{s.Requests, "rq_open", "remaining_rq"},
		{s.Retries, "rq_retry_open", "remaining_retries"},
	} {
		open := uint64(0)
		if b.state.Open {
			open = 1
		}
		t.gauge(p+b.open, open)
		if s.TrackRemaining {
			t.gauge(p+b.remaining, uint64(b.state.Remaining))
		}
	}
}

func (t *tally) clusters(g *generation) []ClusterStatus {
	if g == nil {
		return nil
	}
	var all []ClusterStatus
	for _, c := range g.clusters {
		s := ClusterStatus{Name: c.Name}
		for _, e := range c.Endpoints().All {
			n := t.endpoints[e]
			s.Endpoints = append(s.Endpoints, EndpointStatus{
				Address: e.Addr, Hostname: e.Hostname, Weight: e.Weight,
				CxActive: n.CxActive, CxTotal: n.CxTotal, CxConnectFail: n.CxConnectFail,
				RqActive: n.RqActive, RqTotal: n.RqTotal, RqSuccess: n.RqSuccess, RqError: n.RqError, RqTimeout: n.RqTimeout,
			})
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b ClusterStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (t *tally) stats(loops, listeners int) []Stat {
	t.gauge("server.concurrency", uint64(loops))
	t.gauge("listener_manager.total_listeners_active", uint64(listeners))
	var all []Stat
	for _, name := range slices.Sorted(maps.Keys(t.values)) {
		all = append(all, Stat{Name: name, Gauge: t.gauges[name], Value: t.values[name]})
	}
	return all
}
