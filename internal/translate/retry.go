package translate

import (
	"net/http"
	"strconv"
	"strings"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushosts "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	previouspriorities "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	istio "istio.io/api/networking/v1alpha3"
)

const (
	defaultRetryOn       = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
	retriableStatusCodes = "retriable-status-codes"
	defaultRetries       = 2
)

// retryPolicy is the route's own, else the mesh's, else Istio's default of two
// retries. Nil, from attempts that are 0, turns retries off. A hashed route
// keeps to its endpoint unless it is told to leave it.
func (t *translator) retryPolicy(own *istio.HTTPRetry, hashed bool) *route.RetryPolicy {
	in := own
	if in == nil {
		in = t.mesh.GetDefaultHttpRetryPolicy()
	}
	out := &route.RetryPolicy{
		RetryOn:                       defaultRetryOn,
		NumRetries:                    uint32Value(defaultRetries),
		RetryHostPredicate:            otherHosts(),
		HostSelectionRetryMaxAttempts: 5,
	}
	if hashed {
		out.RetryHostPredicate = nil
	}
	if in == nil {
		return out
	}
	if in.GetAttempts() <= 0 {
		return nil
	}
	out.NumRetries = uint32Value(uint32(in.GetAttempts()))
	if in.GetRetryOn() != "" {
		out.RetryOn, out.RetriableStatusCodes = retryOn(in.GetRetryOn())
	}
	out.PerTryTimeout = in.GetPerTryTimeout()
	if leave := in.GetRetryIgnorePreviousHosts(); leave != nil {
		out.RetryHostPredicate = nil
		if leave.GetValue() {
			out.RetryHostPredicate = otherHosts()
		}
	}
	if in.GetRetryRemoteLocalities().GetValue() {
		out.RetryPriority = otherPriorities()
	}
	if in.GetBackoff() != nil {
		out.RetryBackOff = &route.RetryPolicy_RetryBackOff{BaseInterval: in.GetBackoff()}
	}
	return out
}

// otherHosts makes a retry prefer an endpoint that was not tried yet.
func otherHosts() []*route.RetryPolicy_RetryHostPredicate {
	return []*route.RetryPolicy_RetryHostPredicate{{
		Name: "envoy.retry_host_predicates.previous_hosts",
		ConfigType: &route.RetryPolicy_RetryHostPredicate_TypedConfig{
			TypedConfig: packed(&previoushosts.PreviousHostsPredicate{}),
		},
	}}
}

// otherPriorities makes every second retry leave the priorities, and with them
// the localities, that were tried.
func otherPriorities() *route.RetryPolicy_RetryPriority {
	return &route.RetryPolicy_RetryPriority{
		Name: "envoy.retry_priorities.previous_priorities",
		ConfigType: &route.RetryPolicy_RetryPriority_TypedConfig{
			TypedConfig: packed(&previouspriorities.PreviousPrioritiesConfig{UpdateFrequency: 2}),
		},
	}
}

// retryOn takes the status codes out of a list of conditions. They need a
// condition of their own, which is added if the user left it out.
func retryOn(list string) (conditions string, codes []uint32) {
	var words []string
	named := false
	for _, w := range strings.Split(list, ",") {
		w = strings.TrimSpace(w)
		if code, err := strconv.Atoi(w); err == nil && http.StatusText(code) != "" {
			codes = append(codes, uint32(code))
		} else if w != "" {
			words = append(words, w)
			named = named || w == retriableStatusCodes
		}
	}
	if len(codes) > 0 && !named {
		words = append(words, retriableStatusCodes)
	}
	return strings.Join(words, ","), codes
}
