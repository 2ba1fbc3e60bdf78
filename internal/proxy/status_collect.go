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
	for prefix, c := range w.http {
		p := "http." + prefix + "."
		t.count(p+"downstream_cx_total", c.cxTotal)
		t.count(p+"downstream_rq_total", c.rqTotal)
		t.count(p+"downstream_cx_protocol_error", c.rqError)
		t.count(p+"downstream_rq_rx_reset", c.rxReset)
		t.count(p+"downstream_rq_timeout", c.timeouts)
		t.count(p+"downstream_cx_rx_bytes_total", c.bytesIn)
		t.count(p+"downstream_cx_tx_bytes_total", c.bytesOut)
		for class, n := range c.rqClass {
			if class > 0 {
				t.count(p+"downstream_rq_"+strconv.Itoa(class)+"xx", n)
			}
		}
	}
	for s := range w.sessions {
		if cfg := s.config(w.view); cfg != nil {
			t.gauge("http."+cfg.statPrefix+".downstream_cx_active", 1)
		}
	}
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
	if g == nil {
		return
	}
	for _, c := range g.clusters {
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
	t.count("server.panics", w.loop.Panics())
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
