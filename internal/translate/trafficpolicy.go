package translate

import (
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	istio "istio.io/api/networking/v1alpha3"
)

// httpOptionsKey is where Envoy looks for what concerns HTTP in a cluster.
const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// applyPolicy sets what the protocol of the port and the traffic policy ask of
// the cluster, in Istio's order.
func (t *translator) applyPolicy(c *cluster.Cluster, svc *service, p *servicePort, set settings) {
	h := &httpv3.HttpProtocolOptions{}
	t.setProtocol(h, p, set.pool.GetHttp())
	t.setConnectionPool(c, h, set)
	setOutlierDetection(c, set.outliers)
	t.setBalancer(c, set.balancer)
	t.setUpstreamTLS(c, h, svc, set)
	if proto.Size(h) == 0 {
		return
	}
	if h.UpstreamProtocolOptions == nil { // Envoy wants a choice
		h.UpstreamProtocolOptions = explicit(&httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{},
		})
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: packed(h)}
}

func explicit(c *httpv3.HttpProtocolOptions_ExplicitHttpConfig) *httpv3.HttpProtocolOptions_ExplicitHttpConfig_ {
	return &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: c}
}

// setProtocol chooses HTTP/2 for ports that are named so and for those that
// are to be upgraded; in the mesh, a port that does not say what it is gets
// what the client speaks.
func (t *translator) setProtocol(h *httpv3.HttpProtocolOptions, p *servicePort, pool *istio.ConnectionPoolSettings_HTTPSettings) {
	upgrade := pool.GetH2UpgradePolicy()
	http2 := p.http2() || upgrade == istio.ConnectionPoolSettings_HTTPSettings_UPGRADE ||
		upgrade == istio.ConnectionPoolSettings_HTTPSettings_DEFAULT && p.protocol == "http" &&
			t.mesh.GetH2UpgradePolicy() == meshconfig.MeshConfig_UPGRADE
	options := &core.Http2ProtocolOptions{}
	if n := pool.GetMaxConcurrentStreams(); n > 0 {
		options.MaxConcurrentStreams = wrapperspb.UInt32(uint32(n))
	}
	if k := pool.GetHttp2KeepAlive(); k != nil {
		options.ConnectionKeepalive = &core.KeepaliveSettings{Interval: k.GetInterval(), Timeout: k.GetTimeout()}
	}
	switch {
	case pool.GetUseClientProtocol(), !http2 && p.protocol == "" && t.opt.Gateway == nil:
		h.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: &core.Http1ProtocolOptions{}, Http2ProtocolOptions: options,
			},
		}
	case http2:
		h.UpstreamProtocolOptions = explicit(&httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: options},
		})
	}
}

// setConnectionPool sets the limits; Istio's are none, until a DestinationRule
// sets one, and 0 is none too.
func (t *translator) setConnectionPool(c *cluster.Cluster, h *httpv3.HttpProtocolOptions, set settings) {
	limits := unlimited()
	c.CircuitBreakers = &cluster.CircuitBreakers{Thresholds: []*cluster.CircuitBreakers_Thresholds{limits}}
	limit := func(v **wrapperspb.UInt32Value, n int32) {
		if n > 0 {
			*v = wrapperspb.UInt32(uint32(n))
		}
	}
	http, tcp := set.pool.GetHttp(), set.pool.GetTcp()
	limit(&limits.MaxConnections, tcp.GetMaxConnections())
	limit(&limits.MaxPendingRequests, http.GetHttp1MaxPendingRequests())
	limit(&limits.MaxRequests, http.GetHttp2MaxRequests())
	limit(&limits.MaxRetries, http.GetMaxRetries())
	limits.RetryBudget = retryBudget(set.budget)

	c.ConnectTimeout = t.connectTimeout()
	if d := tcp.GetConnectTimeout(); d.AsDuration() > 0 {
		c.ConnectTimeout = d
	}
	c.UpstreamConnectionOptions = keepalive(t.mesh.GetTcpKeepalive(), tcp.GetTcpKeepalive())

	common := &core.HttpProtocolOptions{IdleTimeout: http.GetIdleTimeout(), MaxConnectionDuration: tcp.GetMaxConnectionDuration()}
	if common.IdleTimeout == nil {
		common.IdleTimeout = tcp.GetIdleTimeout()
	}
	limit(&common.MaxRequestsPerConnection, http.GetMaxRequestsPerConnection())
	if proto.Size(common) > 0 {
		h.CommonHttpProtocolOptions = common
	}
}

func unlimited() *cluster.CircuitBreakers_Thresholds {
	most := func() *wrapperspb.UInt32Value { return wrapperspb.UInt32(1<<32 - 1) }
	return &cluster.CircuitBreakers_Thresholds{
		MaxConnections: most(), MaxPendingRequests: most(), MaxRequests: most(), MaxRetries: most(), TrackRemaining: true,
	}
}

// retryBudget has the defaults of Istio's API: 20 percent, and at least 3.
func retryBudget(b *istio.TrafficPolicy_RetryBudget) *cluster.CircuitBreakers_Thresholds_RetryBudget {
	if b == nil {
		return nil
	}
	out := &cluster.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent: &typev3.Percent{Value: 20}, MinRetryConcurrency: wrapperspb.UInt32(3), BudgetInterval: b.GetBudgetInterval(),
	}
	if b.GetPercent() != nil {
		out.BudgetPercent.Value = b.GetPercent().GetValue()
	}
	if n := b.GetMinRetryConcurrency(); n > 0 {
		out.MinRetryConcurrency.Value = n
	}
	return out
}

// keepalive merges the mesh's settings and the rule's, which win one by one.
// Empty settings turn keepalive on with the system's own values.
func keepalive(of ...*istio.ConnectionPoolSettings_TCPSettings_TcpKeepalive) *cluster.UpstreamConnectionOptions {
	var out *core.TcpKeepalive
	seconds := func(v **wrapperspb.UInt32Value, d *durationpb.Duration) {
		if d != nil {
			*v = wrapperspb.UInt32(uint32(d.GetSeconds()))
		}
	}
	for _, k := range of {
		if k == nil {
			continue
		}
		if out == nil {
			out = &core.TcpKeepalive{}
		}
		if k.GetProbes() > 0 {
			out.KeepaliveProbes = wrapperspb.UInt32(k.GetProbes())
		}
		seconds(&out.KeepaliveTime, k.GetTime())
		seconds(&out.KeepaliveInterval, k.GetInterval())
	}
	if out == nil {
		return nil
	}
	return &cluster.UpstreamConnectionOptions{TcpKeepalive: out}
}

// setOutlierDetection leaves out what looks at success rates, as Istio does,
// and turns Envoy's panic off unless minHealthPercent asks for it.
func setOutlierDetection(c *cluster.Cluster, in *istio.OutlierDetection) {
	if in == nil {
		return
	}
	out := &cluster.OutlierDetection{
		EnforcingSuccessRate: wrapperspb.UInt32(0),
		Interval:             in.GetInterval(),
		BaseEjectionTime:     in.GetBaseEjectionTime(),
	}
	out.Consecutive_5Xx, out.EnforcingConsecutive_5Xx = consecutive(in.GetConsecutive_5XxErrors())
	out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = consecutive(in.GetConsecutiveGatewayErrors())
	if n := in.GetMaxEjectionPercent(); n > 0 {
		out.MaxEjectionPercent = wrapperspb.UInt32(uint32(n))
	}
	if in.GetSplitExternalLocalOriginErrors() {
		out.SplitExternalLocalOriginErrors = true
		if in.GetConsecutiveLocalOriginFailures().GetValue() > 0 {
			out.ConsecutiveLocalOriginFailure, out.EnforcingConsecutiveLocalOriginFailure = consecutive(in.GetConsecutiveLocalOriginFailures())
		}
		out.EnforcingLocalOriginSuccessRate = wrapperspb.UInt32(0)
	}
	c.OutlierDetection = out
	c.CommonLbConfig.HealthyPanicThreshold = &typev3.Percent{Value: float64(in.GetMinHealthPercent())}
}

// consecutive is a number of errors and how far it is enforced: 0 is never.
func consecutive(n *wrapperspb.UInt32Value) (count, enforcing *wrapperspb.UInt32Value) {
	if n == nil {
		return nil, nil
	}
	if n.GetValue() == 0 {
		return wrapperspb.UInt32(0), wrapperspb.UInt32(0)
	}
	return wrapperspb.UInt32(n.GetValue()), wrapperspb.UInt32(100)
}
