package route

import (
	"slices"
	"strings"
	"time"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// RetryOn is the set of conditions of a retry policy (x-envoy-retry-on and
// x-envoy-retry-grpc-on).
type RetryOn uint32

// The conditions, with Envoy's names.
const (
	On5xx                     RetryOn = 1 << iota // 5xx
	OnGatewayError                                // gateway-error
	OnReset                                       // reset
	OnResetBeforeRequest                          // reset-before-request
	OnConnectFailure                              // connect-failure
	OnEnvoyRatelimited                            // envoy-ratelimited
	OnRetriable4xx                                // retriable-4xx
	OnRefusedStream                               // refused-stream
	OnRetriableStatusCodes                        // retriable-status-codes
	OnRetriableHeaders                            // retriable-headers
	OnHTTP3PostConnectFailure                     // http3-post-connect-failure
	OnCancelled                                   // cancelled
	OnDeadlineExceeded                            // deadline-exceeded
	OnInternal                                    // internal
	OnResourceExhausted                           // resource-exhausted
	OnUnavailable                                 // unavailable
)

// retryNames is in the order of the bits.
func retryNames() []string {
	return []string{
		"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
		"retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers",
		"http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
	}
}

// String lists the conditions as retry_on does.
func (o RetryOn) String() string {
	var names []string
	for i, n := range retryNames() {
		if o&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// Retry is a retry policy.
type Retry struct {
	On          RetryOn
	Attempts    uint32 // retries after the first try (num_retries)
	StatusCodes []int  // of OnRetriableStatusCodes

	PerTryTimeout     time.Duration // 0: the route's timeout
	PerTryIdleTimeout time.Duration // 0: none
	// PreviousHosts: endpoints tried already are avoided, with up to
	// HostSelectionAttempts more choices.
	PreviousHosts         bool
	HostSelectionAttempts int
	// The n-th retry waits at random up to BackoffBase * (2^n - 1), at most BackoffMax.
	BackoffBase, BackoffMax time.Duration

	headers        []headerMatcher // of the response, for OnRetriableHeaders
	requestHeaders []headerMatcher // where there are any, one of them must fit the request
}

// Wants reports whether the policy applies to the request at all
// (retriable_request_headers).
func (r *Retry) Wants(request *traffic.Head) bool {
	return len(r.requestHeaders) == 0 || anyMatch(r.requestHeaders, request)
}

// RetryStatus reports whether an answer with this head is tried again.
func (r *Retry) RetryStatus(status int, response *traffic.Head) bool {
	if response.Has("x-envoy-ratelimited") {
		return r.On&OnEnvoyRatelimited != 0
	}
	switch {
	case r.On&On5xx != 0 && status >= 500 && status < 600,
		r.On&OnGatewayError != 0 && status >= 502 && status <= 504,
		r.On&OnRetriable4xx != 0 && status == 409,
		r.On&OnRetriableStatusCodes != 0 && slices.Contains(r.StatusCodes, status),
		r.On&OnRetriableHeaders != 0 && anyMatch(r.headers, response):
		return true
	}
	if r.On&(OnCancelled|OnDeadlineExceeded|OnInternal|OnResourceExhausted|OnUnavailable) == 0 {
		return false
	}
	// An answer with trailers only has its gRPC status among the headers.
	code, _ := response.Get("grpc-status")
	switch string(code) {
	case "1":
		return r.On&OnCancelled != 0
	case "4":
		return r.On&OnDeadlineExceeded != 0
	case "8":
		return r.On&OnResourceExhausted != 0
	case "13":
		return r.On&OnInternal != 0
	case "14":
		return r.On&OnUnavailable != 0
	}
	return false
}

// Failure is how a try ended without the head of an answer.
type Failure uint8

// The failures.
const (
	FailedConnect       Failure = iota // no connection, or not in time
	FailedRefusedStream                // HTTP/2 REFUSED_STREAM
	FailedBeforeRequest                // reset before a byte of the request was sent
	FailedReset                        // reset or closed after that
	FailedTimeout                      // the per-try timeout
)

// RetryFailure reports whether a try that failed so is tried again.
func (r *Retry) RetryFailure(f Failure) bool {
	on := On5xx | OnGatewayError | OnReset
	switch f {
	case FailedConnect:
		on |= OnConnectFailure | OnResetBeforeRequest
	case FailedRefusedStream:
		on |= OnRefusedStream
	case FailedBeforeRequest:
		on |= OnResetBeforeRequest
	case FailedTimeout:
		on = On5xx | OnGatewayError | OnReset
	}
	return r.On&on != 0
}

func anyMatch(ms []headerMatcher, h *traffic.Head) bool {
	for i := range ms {
		if ms[i].match(h, nil) {
			return true
		}
	}
	return false
}
