package upstream

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Outliers judges the endpoints of a cluster by what becomes of their requests
// (Cluster.outlier_detection). The loops report with Status, LocalFailure and
// LocalSuccess; a Monitor ejects and brings back. Shadows are judged by
// nothing: whoever sends them does not report.
//
// A report takes no lock and allocates nothing. One of a success writes only to
// memory of its loop, unless the endpoint has just failed. A nil Outliers notes
// nothing, nor does any of an endpoint that the client named, or that no Monitor
// has seen yet.
type Outliers struct {
	rules outlierRules
	stats *outlierStats // shared by the generations of a cluster
}

// outlierRules is an outlier_detection with its defaults filled in.
type outlierRules struct {
	interval                   time.Duration
	baseTime, maxTime, jitter  time.Duration
	maxPercent                 uint32
	alwaysOne, split, unejects bool
	// consecutive[k] is how many failures in a row are too many; 0 for never.
	consecutive [consecutiveKinds]uint32
	// enforcing[k] is the chance in percent that an outlier is ejected.
	enforcing [outlierKinds]uint32

	rateHosts, rateVolume uint32
	stdevs                float64 // success_rate_stdev_factor / 1000
	failHosts, failVolume uint32
	failPercent           uint32
}

// outlierKind is by what an endpoint is an outlier.
type outlierKind uint8

const (
	byGatewayFailure outlierKind = iota // consecutive_gateway_failure; 502, 503, 504
	by5xx                               // consecutive_5xx
	byLocalOrigin                       // consecutive_local_origin_failure
	bySuccessRate
	byLocalSuccessRate
	byFailurePercentage
	byLocalFailurePercentage

	consecutiveKinds = 3
	outlierKinds     = 7
)

// String is the kind as Envoy's statistics name it.
func (k outlierKind) String() string {
	return [...]string{
		"consecutive_gateway_failure", "consecutive_5xx", "consecutive_local_origin_failure", "success_rate",
		"local_origin_success_rate", "failure_percentage", "local_origin_failure_percentage",
	}[k]
}

// outlierHost is what is known of one endpoint of a cluster. It lives as long
// as cluster and address stay, whatever is reloaded.
type outlierHost struct {
	cluster string
	alarm   *alarm
	tallies []tally // by loop; a power of two

	_ [64]byte // what loops write when something fails is apart from what they read
	// row[k] is how many failures of a kind there were in a row. It is the
	// cluster's: all loops count on it.
	row     [consecutiveKinds]atomic.Uint32
	tripped atomic.Uint32 // bit k: row[k] has come to its limit, and the Monitor is to look
	next    *outlierHost  // in the alarm's list, while tripped is not 0
	_       [64]byte

	rate, localRate      atomic.Uint64 // of success in the last interval, float64 bits
	ejectedAt, unejected time.Time     // from here on, the Monitor's own
	returns              time.Duration // how long the ejection lasts after ejectedAt
	multiplier           int64
	ejections            uint64
	external, local      outcome // at the last sweep
}

// tally counts the outcomes that one loop saw at an endpoint. It has a cache
// line of its own.
type tally struct {
	ok, failed, localOK, localFailed atomic.Uint64
	_                                [32]byte
}

// outcome is a number of requests.
type outcome struct{ ok, failed uint64 }

func newOutlierHost(cluster string, a *alarm) *outlierHost {
	loops := 1
	for loops < runtime.GOMAXPROCS(0) {
		loops *= 2
	}
	h := &outlierHost{cluster: cluster, alarm: a, tallies: make([]tally, loops)}
	h.forgetRates()
	return h
}

// outlier is what outlier detection knows of the endpoint, nil where no Monitor
// has seen it yet.
func (e *Endpoint) outlier() *outlierHost {
	if e.vitals == nil {
		return nil
	}
	return e.vitals.outlier.Load()
}

// Status reports the status that an endpoint answered, on the loop with that
// number: of an HTTP answer its code, of a gRPC answer without a message the
// code that its grpc-status stands for. It is told once for each answer, also
// for those that are retried then.
func (o *Outliers) Status(loop int, e *Endpoint, code int) {
	if o == nil {
		return
	}
	if h := e.outlier(); h != nil {
		o.status(h, h.tally(loop), code)
	}
}

func (o *Outliers) status(h *outlierHost, t *tally, code int) {
	if code < 500 || code > 599 {
		t.ok.Add(1)
		h.reset(by5xx)
		h.reset(byGatewayFailure)
		return
	}
	t.failed.Add(1)
	if code >= 502 && code <= 504 {
		h.failed(byGatewayFailure, o.rules.consecutive[byGatewayFailure])
	} else {
		h.reset(byGatewayFailure)
	}
	h.failed(by5xx, o.rules.consecutive[by5xx])
}

// LocalFailure reports that there was no answer: the connection failed, was
// reset, or the (per-try) timeout passed. It counts as an answer 503, unless
// split_external_local_origin_errors keeps such apart. A request that a breaker
// refused is not reported.
func (o *Outliers) LocalFailure(loop int, e *Endpoint) {
	if o == nil {
		return
	}
	h := e.outlier()
	switch {
	case h == nil:
	case o.rules.split:
		h.tally(loop).localFailed.Add(1)
		h.failed(byLocalOrigin, o.rules.consecutive[byLocalOrigin])
	default:
		o.status(h, h.tally(loop), 503)
	}
}

// LocalSuccess reports that a request got a connection, new or at rest. It
// counts under split_external_local_origin_errors only.
func (o *Outliers) LocalSuccess(loop int, e *Endpoint) {
	if o == nil || !o.rules.split {
		return
	}
	if h := e.outlier(); h != nil {
		h.tally(loop).localOK.Add(1)
		h.reset(byLocalOrigin)
	}
}

func (h *outlierHost) tally(loop int) *tally { return &h.tallies[loop&(len(h.tallies)-1)] }

// reset ends a row of failures. The line is written only if there was one.
func (h *outlierHost) reset(k outlierKind) {
	if h.row[k].Load() != 0 {
		h.row[k].Store(0)
	}
}

// failed counts one more failure in a row. Only the one that reaches the limit
// rings: the Monitor then ends the row.
func (h *outlierHost) failed(k outlierKind, limit uint32) {
	if h.row[k].Add(1) == limit && limit > 0 && h.tripped.Or(1<<k) == 0 {
		h.alarm.ring(h)
	}
}

// alarm tells a Monitor of endpoints that have failed too often in a row.
// Loops only push, the Monitor takes all there is.
type alarm struct {
	first atomic.Pointer[outlierHost]
	bell  chan struct{} // has room for one
}

func newAlarm() *alarm { return &alarm{bell: make(chan struct{}, 1)} }

func (a *alarm) ring(h *outlierHost) {
	for {
		h.next = a.first.Load()
		if a.first.CompareAndSwap(h.next, h) {
			break
		}
	}
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// take calls f with each endpoint that has rung, and by what.
func (a *alarm) take(f func(h *outlierHost, k outlierKind)) {
	h := a.first.Swap(nil)
	for h != nil {
		next := h.next // once tripped is 0 it may be pushed again
		for tripped, k := h.tripped.Swap(0), outlierKind(0); k < consecutiveKinds; k++ {
			if tripped&(1<<k) != 0 {
				f(h, k)
			}
		}
		h = next
	}
}
