package route

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Fault delays or aborts a share of the requests
// (envoy.filters.http.fault).
type Fault struct {
	Delay time.Duration // of the requests that are delayed
	// AbortStatus is the answer's status; AbortBody its body, "fault filter
	// abort" where the configuration is silent.
	AbortStatus int
	AbortBody   []byte

	delayed, aborted fraction
	headers          []headerMatcher // all must fit
}

// DelayShare is the fraction of requests that is delayed, from 0 to 1.
func (f *Fault) DelayShare() float64 { return f.delayed.share() }

// AbortShare is the fraction of requests that is aborted, from 0 to 1.
func (f *Fault) AbortShare() float64 { return f.aborted.share() }

// Decide says what befalls a request: a delay (0 for none) and then, where
// abort is not 0, an answer with that status. The two are drawn apart.
func (f *Fault) Decide(h *traffic.Head, random uint64) (delay time.Duration, abort int) {
	for i := range f.headers {
		if !f.headers[i].match(h, nil) {
			return 0, 0
		}
	}
	if f.Delay > 0 && f.delayed.hit(mix(random, saltDelay)) {
		delay = f.Delay
	}
	if f.AbortStatus != 0 && f.aborted.hit(mix(random, saltAbort)) {
		abort = f.AbortStatus
	}
	return delay, abort
}

func (f fraction) share() float64 {
	if f.denominator == 0 {
		return 0
	}
	return float64(f.numerator) / float64(f.denominator)
}
