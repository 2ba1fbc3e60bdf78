package translate

import (
	commonfault "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	istio "istio.io/api/networking/v1alpha3"
)

const faultName = "envoy.filters.http.fault"

// faultFilter is the route's own setting of the fault filter; nil: none. A
// fault without a percentage never happens, as in Istio.
func faultFilter(in *istio.HTTPFaultInjection) *faultv3.HTTPFault {
	out := &faultv3.HTTPFault{}
	if d := in.GetDelay(); d.GetFixedDelay() != nil {
		out.Delay = &commonfault.FaultDelay{
			FaultDelaySecifier: &commonfault.FaultDelay_FixedDelay{FixedDelay: d.GetFixedDelay()},
			Percentage:         percent(uint32(max(d.GetPercent(), 0))),
		}
		if d.GetPercentage() != nil {
			out.Delay.Percentage = fraction(d.GetPercentage())
		}
	}
	if a := in.GetAbort(); a.GetHttpStatus() != 0 {
		out.Abort = &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: uint32(a.GetHttpStatus())}}
		if a.GetPercentage() != nil {
			out.Abort.Percentage = fraction(a.GetPercentage())
		}
	}
	if out.Delay == nil && out.Abort == nil {
		return nil
	}
	return out
}
