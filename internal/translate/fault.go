package translate

import (
	"slices"
	"strings"

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
	if a := in.GetAbort(); a != nil {
		abort := &faultv3.FaultAbort{}
		if a.GetPercentage() != nil {
			abort.Percentage = fraction(a.GetPercentage())
		}
		switch e := a.GetErrorType().(type) {
		case *istio.HTTPFaultInjection_Abort_HttpStatus:
			abort.ErrorType = &faultv3.FaultAbort_HttpStatus{HttpStatus: uint32(e.HttpStatus)}
			out.Abort = abort
		case *istio.HTTPFaultInjection_Abort_GrpcStatus:
			if code := slices.Index(grpcStatuses(), strings.ToUpper(e.GrpcStatus)); code >= 0 {
				abort.ErrorType = &faultv3.FaultAbort_GrpcStatus{GrpcStatus: uint32(code)}
				out.Abort = abort
			}
		}
	}
	if out.Delay == nil && out.Abort == nil {
		return nil
	}
	return out
}

// grpcStatuses are the names of gRPC's status codes, each at its number.
func grpcStatuses() []string {
	return []string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
		"INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
}
