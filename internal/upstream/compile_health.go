//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// health compiles what keeps requests from endpoints that cannot take them:
// circuit breakers, outlier detection and health checks. What old has counted
// goes on.
func (p *compiler) health(la *endpointv3.ClusterLoadAssignment, old *Cluster) {
	if old == nil {
		old = &Cluster{}
	}
	budget := p.limits()
	p.out.Breakers = newBreakers(p.out.Limits, budget, old.Breakers)
	if in := p.in.GetOutlierDetection(); in != nil {
		p.out.Outliers = &Outliers{rules: p.outliers(in), stats: &outlierStats{}}
		if old.Outliers != nil {
			p.out.Outliers.stats = old.Outliers.stats
		}
	}
	if spec := p.checks(la); spec != nil {
		p.out.Checks = &Checks{spec: spec, stats: &checkStats{}}
		if old.Checks != nil {
			p.out.Checks.stats = old.Checks.stats
		}
	}
}

// limits compiles circuit_breakers. Of two thresholds the first counts.
func (p *compiler) limits() *retryBudget {
	l := &p.out.Limits
	*l = Limits{Connections: 1024, PendingRequests: 1024, Requests: 1024, Retries: 3}
	in := p.in.GetCircuitBreakers()
	if len(in.GetPerHostThresholds()) > 0 {
		p.ignore("circuit_breakers.per_host_thresholds")
	}
	var found *clusterv3.CircuitBreakers_Thresholds
	for i, t := range in.GetThresholds() {
		switch {
		case t.GetPriority() != corev3.RoutingPriority_DEFAULT:
			p.ignore(fmt.Sprintf("circuit_breakers.thresholds[%d] (of priority %v)", i, t.GetPriority()))
		case found == nil:
			found = t
		}
	}
	l.Connections = number(found.GetMaxConnections(), l.Connections)
	l.PendingRequests = number(found.GetMaxPendingRequests(), l.PendingRequests)
	l.Requests = number(found.GetMaxRequests(), l.Requests)
	l.Retries = number(found.GetMaxRetries(), l.Retries)
	l.TrackRemaining = found.GetTrackRemaining()
	if n := found.GetMaxConnectionPools(); n != nil && n.GetValue() < unlimited {
		p.ignore("circuit_breakers.thresholds.max_connection_pools")
	}
	rb := found.GetRetryBudget()
	if rb == nil {
		return nil
	}
	budget := &retryBudget{percent: 20, floor: number(rb.GetMinRetryConcurrency(), 3)}
	if v := rb.GetBudgetPercent(); v != nil {
		if budget.percent = v.GetValue(); !(budget.percent >= 0 && budget.percent <= 100) {
			p.fail("circuit_breakers.thresholds.retry_budget.budget_percent", "must be 0 to 100, not %v", budget.percent)
		}
	}
	if rb.GetBudgetInterval().AsDuration() > 0 {
		p.ignore("circuit_breakers.thresholds.retry_budget.budget_interval")
	}
	return budget
}

// outliers compiles outlier_detection.
func (p *compiler) outliers(in *clusterv3.OutlierDetection) outlierRules {
	const prefix = "outlier_detection."
	percent := func(field string, v *wrapperspb.UInt32Value, def uint32) uint32 {
		n := number(v, def)
		if n > 100 {
			p.fail(prefix+field, "must be 0 to 100, not %d", n)
		}
		return n
	}
	r := outlierRules{
		interval:   p.positive(prefix+"interval", in.GetInterval(), 10*time.Second),
		baseTime:   p.positive(prefix+"base_ejection_time", in.GetBaseEjectionTime(), 30*time.Second),
		jitter:     p.notNegative(prefix+"max_ejection_time_jitter", in.GetMaxEjectionTimeJitter(), 0),
		maxPercent: percent("max_ejection_percent", in.GetMaxEjectionPercent(), 10),
		alwaysOne:  in.GetAlwaysEjectOneHost().GetValue(),
		split:      in.GetSplitExternalLocalOriginErrors(),
		unejects:   true,

		rateHosts:   number(in.GetSuccessRateMinimumHosts(), 5),
		rateVolume:  number(in.GetSuccessRateRequestVolume(), 100),
		stdevs:      float64(number(in.GetSuccessRateStdevFactor(), 1900)) / 1000,
		failHosts:   number(in.GetFailurePercentageMinimumHosts(), 5),
		failVolume:  number(in.GetFailurePercentageRequestVolume(), 50),
		failPercent: percent("failure_percentage_threshold", in.GetFailurePercentageThreshold(), 85),
	}
	r.maxTime = p.positive(prefix+"max_ejection_time", in.GetMaxEjectionTime(), max(5*time.Minute, r.baseTime))
	if r.maxTime < r.baseTime {
		p.fail(prefix+"max_ejection_time", "is %v, less than base_ejection_time, %v", r.maxTime, r.baseTime)
	}
	if v := in.GetSuccessfulActiveHealthCheckUnejectHost(); v != nil {
		r.unejects = v.GetValue()
	}
	r.consecutive = [consecutiveKinds]uint32{
		byGatewayFailure: number(in.GetConsecutiveGatewayFailure(), 5),
		by5xx:            number(in.GetConsecutive_5Xx(), 5),
		byLocalOrigin:    number(in.GetConsecutiveLocalOriginFailure(), 5),
	}
	r.enforcing = [outlierKinds]uint32{
		byGatewayFailure:    percent("enforcing_consecutive_gateway_failure", in.GetEnforcingConsecutiveGatewayFailure(), 0),
		by5xx:               percent("enforcing_consecutive_5xx", in.GetEnforcingConsecutive_5Xx(), 100),
		byLocalOrigin:       percent("enforcing_consecutive_local_origin_failure", in.GetEnforcingConsecutiveLocalOriginFailure(), 100),
		bySuccessRate:       percent("enforcing_success_rate", in.GetEnforcingSuccessRate(), 100),
		byLocalSuccessRate:  percent("enforcing_local_origin_success_rate", in.GetEnforcingLocalOriginSuccessRate(), 100),
		byFailurePercentage: percent("enforcing_failure_percentage", in.GetEnforcingFailurePercentage(), 0),
		byLocalFailurePercentage: percent("enforcing_failure_percentage_local_origin",
			in.GetEnforcingFailurePercentageLocalOrigin(), 0),
	}
	if in.GetDetectDegradedHosts().GetValue() {
		p.ignore(prefix + "detect_degraded_hosts")
	}
	if len(in.GetMonitors()) > 0 {
		p.ignore(prefix + "monitors")
	}
	return r
}

// number is v, or def where v is not set.
func number(v *wrapperspb.UInt32Value, def uint32) uint32 {
	if v == nil {
		return def
	}
	return v.GetValue()
}

// positive is d, or def where d is not set.
func (p *compiler) positive(field string, d *durationpb.Duration, def time.Duration) time.Duration {
	v := duration(d, def)
	if v <= 0 {
		p.fail(field, "must be above 0")
	}
	return v
}

func (p *compiler) notNegative(field string, d *durationpb.Duration, def time.Duration) time.Duration {
	v := duration(d, def)
	if v < 0 {
		p.fail(field, "must not be below 0")
	}
	return v
}
