package config

import (
	"fmt"
	"math/big"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	istio "istio.io/api/networking/v1alpha3"
)

func checkDestinationRule(r *reporter, o *Object[*istio.DestinationRule]) {
	d := o.Spec
	if d.Host == "" {
		r.missing("spec", "host is the name of the Service that the rule is for", "host is required")
	} else {
		checkHost(r, "spec.host", d.Host, true)
	}
	checkExportTo(r, d.ExportTo)
	checkTrafficPolicy(r, "spec.trafficPolicy", d.TrafficPolicy)
	seen := map[string]int{}
	for i, s := range d.Subsets {
		path := fmt.Sprintf("spec.subsets[%d]", i)
		if s.Name == "" {
			r.missing(path, "", "name is required")
			continue
		}
		if !isSubsetName(s.Name) {
			r.errorf(path+".name", `it takes letters, digits and "-", at most 63`, "subset name is invalid: %q", strict.Shorten(s.Name))
		}
		if first, ok := seen[s.Name]; ok {
			r.errorf(path+".name", "give each subset a name of its own", "duplicate subset name %q: it is also spec.subsets[%d]", strict.Shorten(s.Name), first)
		} else {
			seen[s.Name] = i
		}
		checkLabels(r, path+".labels", s.Labels)
		checkTrafficPolicy(r, path+".trafficPolicy", s.TrafficPolicy)
	}
}

func checkTrafficPolicy(r *reporter, path string, p *istio.TrafficPolicy) {
	if p == nil {
		return
	}
	if proto.Size(p) == 0 {
		r.missing(path, "", "a traffic policy must have at least one field")
	}
	checkLoadBalancer(r, path+".loadBalancer", p.LoadBalancer)
	checkConnectionPool(r, path+".connectionPool", p.ConnectionPool)
	checkOutliers(r, path+".outlierDetection", p.OutlierDetection)
	checkClientTLS(r, path+".tls", p.Tls)
	seen := map[uint32]int{}
	for i, l := range p.PortLevelSettings {
		at := fmt.Sprintf("%s.portLevelSettings[%d]", path, i)
		if l.Port == nil {
			r.missing(at, "", "port is required")
		} else {
			checkPort(r, at+".port.number", int64(l.Port.Number))
			if first, ok := seen[l.Port.Number]; ok {
				r.errorf(at+".port.number", "", "port %d is also set by portLevelSettings[%d]", l.Port.Number, first)
			}
			seen[l.Port.Number] = i
		}
		checkLoadBalancer(r, at+".loadBalancer", l.LoadBalancer)
		checkConnectionPool(r, at+".connectionPool", l.ConnectionPool)
		checkOutliers(r, at+".outlierDetection", l.OutlierDetection)
		checkClientTLS(r, at+".tls", l.Tls)
	}
	if t := p.Tunnel; t != nil {
		if t.TargetHost == "" {
			r.missing(path+".tunnel", "", "targetHost is required")
		}
		checkPort(r, path+".tunnel.targetPort", int64(t.TargetPort))
	}
	if b := p.RetryBudget; b != nil && b.Percent != nil && !(b.Percent.Value >= 0 && b.Percent.Value <= 100) {
		r.errorf(path+".retryBudget.percent", "", "percentage %g is not in the range 0..100", b.Percent.Value)
	}
}

func checkLoadBalancer(r *reporter, path string, l *istio.LoadBalancerSettings) {
	if l == nil {
		return
	}
	if l.LocalityLbSetting != nil && l.ZoneAwareLbSetting != nil {
		r.errorf(path, "", "only one of localityLbSetting and zoneAwareLbSetting can be set")
	}
	if l.WarmupDurationSecs != nil && l.Warmup != nil {
		r.errorf(path, "", "only one of warmupDurationSecs and warmup can be set")
	}
	checkDuration(r, path+".warmupDurationSecs", l.WarmupDurationSecs, "") //nolint:staticcheck // deprecated by Istio, still in users' files
	checkWarmup(r, path+".warmup", l.Warmup)
	checkLocalityLb(r, path+".localityLbSetting", l.LocalityLbSetting)
	if l.GetSimple() == istio.LoadBalancerSettings_LEAST_CONN { //nolint:staticcheck // deprecated by Istio, still in users' files
		r.warnf(path+".simple", "write LEAST_REQUEST", "LEAST_CONN is deprecated")
	}
	h := l.GetConsistentHash()
	if h == nil {
		return
	}
	at := path + ".consistentHash"
	if h.HashKey == nil {
		r.missing(at, "", "one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName is required")
	}
	if c := h.GetHttpCookie(); c != nil && c.Name == "" {
		r.missing(at+".httpCookie", "", "name is required")
	}
	if n, ok := h.HashKey.(*istio.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName); ok {
		checkHeaderName(r, at+".httpHeaderName", n.HttpHeaderName, true)
	}
	if m := h.GetMaglev(); m != nil && m.TableSize != 0 {
		if m.TableSize > 5000011 || !new(big.Int).SetUint64(m.TableSize).ProbablyPrime(0) {
			r.errorf(at+".maglev.tableSize", "the default is 65537", "the maglev table size must be a prime number of at most 5000011; %d is not", m.TableSize)
		}
	}
}

func checkConnectionPool(r *reporter, path string, p *istio.ConnectionPoolSettings) {
	if p == nil {
		return
	}
	if p.Tcp == nil && p.Http == nil {
		r.missing(path, "", "a connection pool must have at least one of tcp and http")
	}
	if h := p.Http; h != nil {
		at := path + ".http"
		if proto.Size(h) == 0 {
			r.missing(at, "", "http must have at least one field")
		}
		checkNotNegative(r, at, map[string]int32{
			"http1MaxPendingRequests": h.Http1MaxPendingRequests, "http2MaxRequests": h.Http2MaxRequests,
			"maxRequestsPerConnection": h.MaxRequestsPerConnection, "maxRetries": h.MaxRetries, "maxConcurrentStreams": h.MaxConcurrentStreams,
		})
		if h.UseClientProtocol && h.H2UpgradePolicy == istio.ConnectionPoolSettings_HTTPSettings_UPGRADE {
			r.errorf(at, "", "useClientProtocol must not be true when h2UpgradePolicy is UPGRADE")
		}
		checkNotBelowZero(r, at+".idleTimeout", h.IdleTimeout)
		if k := h.Http2KeepAlive; k != nil {
			if k.Interval == nil || k.Timeout == nil {
				r.missing(at+".http2KeepAlive", "", "interval and timeout are required")
			}
			checkDuration(r, at+".http2KeepAlive.interval", k.Interval, "")
			checkDuration(r, at+".http2KeepAlive.timeout", k.Timeout, "")
		}
	}
	if t := p.Tcp; t != nil {
		at := path + ".tcp"
		if proto.Size(t) == 0 {
			r.missing(at, "", "tcp must have at least one field")
		}
		checkNotNegative(r, at, map[string]int32{"maxConnections": t.MaxConnections})
		checkDuration(r, at+".connectTimeout", t.ConnectTimeout, "")
		checkDuration(r, at+".maxConnectionDuration", t.MaxConnectionDuration, "")
		checkNotBelowZero(r, at+".idleTimeout", t.IdleTimeout)
	}
}

func checkNotNegative(r *reporter, path string, values map[string]int32) {
	for name, v := range sorted(values) {
		if v < 0 {
			r.errorf(path+"."+name, "", "%s must not be negative", name)
		}
	}
}

// checkNotBelowZero is for durations of which 0 means never.
func checkNotBelowZero(r *reporter, field string, d *durationpb.Duration) {
	if d.AsDuration() < 0 {
		r.errorf(field, "", "a duration must not be negative; this is %s", d.AsDuration())
	}
}

func checkOutliers(r *reporter, path string, o *istio.OutlierDetection) {
	if o == nil {
		return
	}
	checkDuration(r, path+".interval", o.Interval, "")
	checkDuration(r, path+".baseEjectionTime", o.BaseEjectionTime, "")
	for name, v := range sorted(map[string]int32{"maxEjectionPercent": o.MaxEjectionPercent, "minHealthPercent": o.MinHealthPercent}) {
		if v < 0 || v > 100 {
			r.errorf(path+"."+name, "", "percentage %d is not in the range 0..100", v)
		}
	}
	for i, code := range o.OutlierDetectionHttpErrorCodes {
		if code < 100 || code > 599 {
			r.errorf(fmt.Sprintf("%s.outlierDetectionHttpErrorCodes[%d]", path, i), "", "%d is not an HTTP status; it must be in the range 100..599", code)
		}
	}
	if o.ConsecutiveErrors != 0 { //nolint:staticcheck // deprecated by Istio, still in users' files
		r.warnf(path+".consecutiveErrors", "use consecutive5xxErrors or consecutiveGatewayErrors", "consecutiveErrors is deprecated and has no effect")
	}
	if o.ConsecutiveLocalOriginFailures != nil && !o.SplitExternalLocalOriginErrors {
		r.errorf(path+".consecutiveLocalOriginFailures", "set splitExternalLocalOriginErrors: true", "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors")
	}
}

func checkClientTLS(r *reporter, path string, t *istio.ClientTLSSettings) {
	if t == nil {
		return
	}
	switch t.Mode {
	case istio.ClientTLSSettings_MUTUAL:
		switch {
		case t.CredentialName != "" && (t.ClientCertificate != "" || t.PrivateKey != "" || t.CaCertificates != ""):
			r.errorf(path, "", "credentialName and certificate files exclude each other")
		case t.CredentialName == "" && (t.ClientCertificate == "" || t.PrivateKey == ""):
			r.missing(path, "", "mode MUTUAL needs clientCertificate and privateKey, or credentialName")
		}
	case istio.ClientTLSSettings_ISTIO_MUTUAL:
		if t.ClientCertificate != "" || t.PrivateKey != "" || t.CaCertificates != "" || t.CredentialName != "" {
			r.errorf(path, "", "mode ISTIO_MUTUAL uses Istio's own certificates; none can be named")
		}
	}
}
