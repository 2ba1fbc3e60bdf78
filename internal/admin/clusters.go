package admin

import (
	"fmt"
	"net/http"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

func (s *Server) clusters(w http.ResponseWriter, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	st := s.state.source.Status()
	configured := map[string]*cluster.Cluster{}
	if st.Snapshot != nil {
		for _, c := range st.Snapshot.Clusters {
			configured[c.GetName()] = c
		}
	}
	if asJSON {
		out := &adminv3.Clusters{}
		for i := range st.Clusters {
			out.ClusterStatuses = append(out.ClusterStatuses, clusterJSON(&st.Clusters[i], configured[st.Clusters[i].Name]))
		}
		s.writeJSON(w, func() ([]byte, error) { return envoy.MarshalDump(out) })
		return
	}
	var b strings.Builder
	for i := range st.Clusters {
		clusterText(&b, &st.Clusters[i], configured[st.Clusters[i].Name])
	}
	plain(w, http.StatusOK)
	_, _ = w.Write([]byte(b.String()))
}

func observabilityName(name string, c *cluster.Cluster) string {
	if alt := c.GetAltStatName(); alt != "" {
		return alt
	}
	return name
}

// breakers are a cluster's limits; Envoy's defaults where it names none.
type breakers struct{ connections, pending, requests, retries uint32 }

func limits(c *cluster.Cluster, p core.RoutingPriority) breakers {
	or := func(v *wrapperspb.UInt32Value, other uint32) uint32 {
		if v == nil {
			return other
		}
		return v.GetValue()
	}
	b := breakers{1024, 1024, 1024, 3}
	for _, t := range c.GetCircuitBreakers().GetThresholds() {
		if t.GetPriority() == p {
			b = breakers{
				or(t.GetMaxConnections(), b.connections), or(t.GetMaxPendingRequests(), b.pending),
				or(t.GetMaxRequests(), b.requests), or(t.GetMaxRetries(), b.retries),
			}
		}
	}
	return b
}

// hostStat is one number of an endpoint under Envoy's name.
type hostStat struct {
	name  string
	value uint64
	gauge bool
}

func hostStats(e *proxy.EndpointStatus) []hostStat {
	return []hostStat{
		{"cx_active", e.CxActive, true},
		{"cx_connect_fail", e.CxConnectFail, false},
		{"cx_total", e.CxTotal, false},
		{"rq_active", e.RqActive, true},
		{"rq_error", e.RqError, false},
		{"rq_success", e.RqSuccess, false},
		{"rq_timeout", e.RqTimeout, false},
		{"rq_total", e.RqTotal, false},
	}
}

func clusterText(b *strings.Builder, c *proxy.ClusterStatus, configured *cluster.Cluster) {
	line := func(key string, value any) { fmt.Fprintf(b, "%s::%s::%v\n", c.Name, key, value) }
	line("observability_name", observabilityName(c.Name, configured))
	for _, p := range []struct {
		name     string
		priority core.RoutingPriority
	}{{"default_priority", core.RoutingPriority_DEFAULT}, {"high_priority", core.RoutingPriority_HIGH}} {
		l := limits(configured, p.priority)
		line(p.name+"::max_connections", l.connections)
		line(p.name+"::max_pending_requests", l.pending)
		line(p.name+"::max_requests", l.requests)
		line(p.name+"::max_retries", l.retries)
	}
	line("added_via_api", true)
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		host := e.Address.String()
		for _, s := range hostStats(e) {
			line(host+"::"+s.name, s.value)
		}
		line(host+"::hostname", e.Hostname)
		line(host+"::health_flags", "healthy")
		line(host+"::weight", max(e.Weight, 1))
		line(host+"::region", "")
		line(host+"::zone", "")
		line(host+"::sub_zone", "")
		line(host+"::canary", false)
		line(host+"::priority", 0)
		line(host+"::success_rate", -1)
		line(host+"::local_origin_success_rate", -1)
	}
}

func clusterJSON(c *proxy.ClusterStatus, configured *cluster.Cluster) *adminv3.ClusterStatus {
	out := &adminv3.ClusterStatus{Name: c.Name, AddedViaApi: true, ObservabilityName: observabilityName(c.Name, configured)}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		h := &adminv3.HostStatus{
			Address: address(e.Address), Hostname: e.Hostname, Weight: max(e.Weight, 1), Locality: &core.Locality{},
			HealthStatus: &adminv3.HostHealthStatus{EdsHealthStatus: core.HealthStatus_HEALTHY},
		}
		for _, s := range hostStats(e) {
			m := &adminv3.SimpleMetric{Name: s.name, Value: s.value}
			if s.gauge {
				m.Type = adminv3.SimpleMetric_GAUGE
			}
			h.Stats = append(h.Stats, m)
		}
		out.HostStatuses = append(out.HostStatuses, h)
	}
	return out
}
