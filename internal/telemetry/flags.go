package telemetry

import "github.com/sundog-mesh/sundog/internal/traffic"

// longFlag is a response flag's name in %RESPONSE_FLAGS_LONG%.
func longFlag(f traffic.Flags) string {
	switch f {
	case traffic.FlagNoHealthyUpstream:
		return "NoHealthyUpstream"
	case traffic.FlagUpstreamFailure:
		return "UpstreamConnectionFailure"
	case traffic.FlagUpstreamTermination:
		return "UpstreamConnectionTermination"
	case traffic.FlagUpstreamTimeout:
		return "UpstreamRequestTimeout"
	case traffic.FlagUpstreamReset:
		return "UpstreamRemoteReset"
	case traffic.FlagLocalReset:
		return "LocalReset"
	case traffic.FlagNoRoute:
		return "NoRouteFound"
	case traffic.FlagRetryExhausted:
		return "UpstreamRetryLimitExceeded"
	case traffic.FlagFaultDelay:
		return "DelayInjected"
	case traffic.FlagFaultAbort:
		return "FaultInjected"
	case traffic.FlagDownstreamClosed:
		return "DownstreamConnectionTermination"
	case traffic.FlagDownstreamProtocol:
		return "DownstreamProtocolError"
	case traffic.FlagIdleTimeout:
		return "StreamIdleTimeout"
	case traffic.FlagNoCluster:
		return "NoClusterFound"
	case traffic.FlagUpstreamProtocol:
		return "UpstreamProtocolError"
	case traffic.FlagOverload:
		return "OverloadManagerTerminated"
	case traffic.FlagUpstreamOverflow:
		return "UpstreamOverflow"
	}
	return f.String()
}

func longFlags(dst []byte, r *record) ([]byte, bool) {
	sep := ""
	for f := traffic.Flags(1); f != 0 && f <= r.a.Flags; f <<= 1 {
		if r.a.Flags&f != 0 {
			dst = append(append(dst, sep...), longFlag(f)...)
			sep = ","
		}
	}
	return dst, sep != ""
}
