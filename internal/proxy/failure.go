package proxy

import (
	"errors"
	"io"
	"strings"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// giveUp is for a try without an answer: it reports whether there is another,
// or answers the client itself.
func (x *exchange) giveUp(f *route.Forward, how route.Failure, err error) bool {
	x.cluster.Outliers.LocalFailure(x.w.id, x.endpoint)
	if x.mayRetry(x.retries(f) && f.Retry.RetryFailure(how)) {
		return true
	}
	c := x.v.counters[x.clusterID]
	if f.Retry != nil && x.tries > f.Retry.Attempts && f.Retry.Attempts > 0 && f.Retry.RetryFailure(how) {
		x.flags |= traffic.FlagRetryExhausted
	}
	if !x.reqDone {
		x.client.Last()
	}
	status, reason := 503, "connection termination"
	switch {
	case how == route.FailedTimeout:
		c.count(504)
		x.flags |= traffic.FlagUpstreamTimeout
		x.details = "upstream_per_try_timeout"
		x.reply(504, []byte(bodyTimeout))
		return false
	case how == route.FailedConnect && err == nil:
		x.flags |= traffic.FlagUpstreamFailure
		reason = "connection timeout"
	case how == route.FailedConnect:
		x.flags |= traffic.FlagUpstreamFailure
		reason = "remote connection failure"
		x.failure = "delayed connect error: " + errText(err)
	case isProtocol(err):
		x.flags |= traffic.FlagUpstreamProtocol
		status, reason = 502, "protocol error"
	case err == errReset:
		x.flags |= traffic.FlagUpstreamReset
		reason = "remote reset"
	default:
		x.flags |= traffic.FlagUpstreamTermination
	}
	c.rqReset++
	c.count(status)
	text, why := bodyReset+reason, reason
	if x.tries > 1 {
		text = bodyRetried + reason
	}
	if x.failure != "" {
		text, why = text+", transport failure reason: "+x.failure, why+"|"+x.failure
	}
	x.details = "upstream_reset_before_response_started{" + strings.ReplaceAll(why, " ", "_") + "}"
	x.reply(status, []byte(text))
	return false
}

func isProtocol(err error) bool {
	_, ok := err.(*http1.Error)
	return ok
}

// What became of a stream of HTTP/2 whose own error goes with it.
var (
	errReset     = errors.New("remote reset")
	errBadStream = &http1.Error{Status: 502, Reason: "protocol error", Details: "http2.codec_error"}
)

// lasting is an error of the endpoint's side that can be kept.
func lasting(err error) error {
	e, ok := err.(*http2.StreamError)
	if !ok {
		return err
	}
	_, broken := e.Cause.(*http2.ConnError)
	switch {
	case e.Remote:
		return errReset
	case broken, e.Cause == nil:
		return errBadStream
	}
	return io.EOF
}

// upstreamEnd tells why the endpoint's side ended before the answer did.
func (x *exchange) upstreamEnd(err error) (state, route.Failure, error) {
	err = lasting(err)
	switch {
	case x.respBegun && isProtocol(err):
		x.flags |= traffic.FlagUpstreamProtocol
		x.details = "upstream_reset_after_response_started{protocol_error}"
		return truncated, 0, err
	case x.respBegun && err == errReset:
		x.flags |= traffic.FlagUpstreamReset
		x.details = "upstream_reset_after_response_started{remote_reset}"
		return truncated, 0, err
	case x.respBegun:
		x.flags |= traffic.FlagUpstreamTermination
		x.details = "upstream_reset_after_response_started{connection_termination}"
		return truncated, 0, err
	}
	if err == io.EOF {
		err = nil
	}
	return failed, route.FailedReset, err
}
