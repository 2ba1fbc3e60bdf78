package config

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"google.golang.org/protobuf/types/known/durationpb"
	istio "istio.io/api/networking/v1alpha3"
)

// maxBody is Envoy's largest direct response body.
const maxBody = 1 << 20

// httpRoute checks one entry of VirtualService.http.
type httpRoute struct {
	r    *reporter
	path string
	*istio.HTTPRoute
}

func (h httpRoute) check() {
	h.actions()
	for i, m := range h.Match {
		checkHTTPMatch(h.r, fmt.Sprintf("%s.match[%d]", h.path, i), m)
	}
	h.destinations()
	h.redirect()
	h.directResponse()
	h.rewrite()
	h.mirrors()
	h.fault()
	h.retries()
	h.cors()
	checkDuration(h.r, h.path+".timeout", h.Timeout, "leave timeout out to have none")
	checkHeaders(h.r, h.path+".headers", h.Headers)
	h.authority()
}

// actions checks that the route has one action, and nothing that the action
// has no use for.
func (h httpRoute) actions() {
	type part struct {
		name string
		set  bool
	}
	route, redirect := part{"route", len(h.Route) > 0}, part{"redirect", h.Redirect != nil}
	direct, delegate := part{"directResponse", h.DirectResponse != nil}, part{"delegate", h.Delegate != nil}
	fault, rewrite := part{"fault", h.Fault != nil}, part{"rewrite", h.Rewrite != nil}
	if !route.set && !redirect.set && !direct.set && !delegate.set {
		h.r.missing(h.path, "say where the requests go", "an HTTP route, redirect or directResponse is required")
	}
	for _, pair := range [][2]part{
		{route, redirect},
		{route, direct},
		{redirect, direct},
		{route, delegate},
		{redirect, delegate},
		{direct, delegate},
		{redirect, fault},
		{redirect, rewrite},
		{direct, fault},
		{direct, rewrite},
	} {
		if pair[0].set && pair[1].set {
			h.r.errorf(h.path, "", "an HTTP route cannot contain both %s and %s", pair[0].name, pair[1].name)
		}
	}
	if delegate.set && h.Delegate.Name == "" {
		h.r.missing(h.path+".delegate", "", "name is required")
	}
}

func (h httpRoute) destinations() {
	weights := make([]int32, len(h.Route))
	for i, d := range h.Route {
		at := fmt.Sprintf("%s.route[%d]", h.path, i)
		checkDestination(h.r, at, "destination", d.Destination)
		checkHeaders(h.r, at+".headers", d.Headers)
		weights[i] = d.Weight
	}
	checkWeights(h.r, h.path+".route", weights)
}

func (h httpRoute) redirect() {
	d := h.Redirect
	if d == nil {
		return
	}
	field := h.path + ".redirect"
	if d.Uri == "" && d.Authority == "" && d.RedirectPort == nil && d.Scheme == "" && d.PrefixRewrite == "" {
		h.r.missing(field, "", "a redirect must change the uri, authority, port or scheme")
	}
	if d.Uri != "" && d.PrefixRewrite != "" {
		h.r.errorf(field, "keep one of the two", "uri and prefixRewrite exclude each other")
	}
	if !slices.Contains([]uint32{0, 301, 302, 303, 307, 308}, d.RedirectCode) {
		h.r.errorf(field+".redirectCode", "it takes 301, 302, 303, 307 or 308", "%d is not a redirect code", d.RedirectCode)
	}
	if p, ok := d.RedirectPort.(*istio.HTTPRedirect_Port); ok {
		checkPort(h.r, field+".port", int64(p.Port))
	}
	if d.Scheme != "" && d.Scheme != "http" && d.Scheme != "https" {
		h.r.errorf(field+".scheme", "it takes http or https", "invalid redirect scheme %q", strict.Shorten(d.Scheme))
	}
	checkHeaderValue(h.r, field+".uri", d.Uri)
	checkHeaderValue(h.r, field+".authority", d.Authority)
	checkHeaderValue(h.r, field+".prefixRewrite", d.PrefixRewrite)
	if h.Mirror != nil || len(h.Mirrors) > 0 {
		h.r.warnf(h.path, "", "a redirect is not mirrored: only requests that are forwarded are")
	}
}

func (h httpRoute) directResponse() {
	d := h.DirectResponse
	if d == nil {
		return
	}
	field := h.path + ".directResponse"
	if d.Status < 200 || d.Status > 599 {
		at := field + ".status"
		if d.Status == 0 {
			at = field
		}
		h.r.missing(at, "", "HTTP status %d is not in the range 200..599", d.Status)
	}
	if size := len(d.Body.GetString_()) + len(d.Body.GetBytes()); size > maxBody {
		h.r.errorf(field+".body", "", "the body has %d bytes; at most %d are allowed", size, maxBody)
	}
	if h.Mirror != nil || len(h.Mirrors) > 0 {
		h.r.warnf(h.path, "", "a direct response is not mirrored: only requests that are forwarded are")
	}
}

func (h httpRoute) rewrite() {
	w := h.Rewrite
	if w == nil {
		return
	}
	field := h.path + ".rewrite"
	if w.Uri == "" && w.Authority == "" && w.UriRegexRewrite == nil {
		h.r.missing(field, "", "a rewrite must have at least one of uri, authority and uriRegexRewrite")
	}
	if w.Uri != "" && w.UriRegexRewrite != nil {
		h.r.errorf(field, "keep one of the two", "uri and uriRegexRewrite exclude each other")
	}
	if w.UriRegexRewrite != nil {
		checkRegex(h.r, field+".uriRegexRewrite.match", w.UriRegexRewrite.Match)
		checkHeaderValue(h.r, field+".uriRegexRewrite.rewrite", w.UriRegexRewrite.Rewrite)
	}
	checkHeaderValue(h.r, field+".uri", w.Uri)
	checkHeaderValue(h.r, field+".authority", w.Authority)
}

// authority refuses several settings of one Host header.
func (h httpRoute) authority() {
	at := []string{}
	if h.Rewrite.GetAuthority() != "" {
		at = append(at, h.path+".rewrite.authority")
	}
	for _, op := range []struct {
		name    string
		headers map[string]string
	}{{"set", h.Headers.GetRequest().GetSet()}, {"add", h.Headers.GetRequest().GetAdd()}} {
		for name := range sorted(op.headers) {
			if isAuthority(name) {
				at = append(at, KeyPath(h.path+".headers.request."+op.name, name))
			}
		}
	}
	if len(at) > 1 {
		h.r.errorf(at[1], "keep one of them", "the authority header cannot be set multiple times; it is also set by %s", at[0])
	}
}

// mirrors checks mirror and mirrors, and warns of shares that do not do what
// they seem to.
func (h httpRoute) mirrors() {
	if h.Mirror != nil && len(h.Mirrors) > 0 {
		h.r.errorf(h.path, "move the mirror into mirrors", "an HTTP route cannot contain both mirror and mirrors")
	}
	if h.Mirror != nil {
		checkDestination(h.r, h.path, "mirror", h.Mirror)
	}
	percent, percentage := h.path+".mirrorPercent", h.path+".mirrorPercentage"
	old := h.MirrorPercent //nolint:staticcheck // deprecated by Istio, still in users' files
	if old != nil {
		hint := "write mirrorPercentage: {value: " + strconv.Itoa(int(old.Value)) + "}"
		if h.MirrorPercentage != nil {
			hint = "remove it: mirrorPercentage wins"
		}
		if old.Value > 100 {
			h.r.errorf(percent, "", "mirror_percent must have a max value of 100 (it has %d)", old.Value)
		} else {
			h.r.warnf(percent, hint, "mirrorPercent is deprecated")
		}
	}
	if h.MirrorPercentage != nil {
		checkPercent(h.r, percentage, "mirror_percentage", h.MirrorPercentage)
	}
	if h.Mirror == nil && !h.r.broken(h.path+".mirror") {
		for _, f := range []struct {
			path string
			set  bool
		}{{percent, old != nil}, {percentage, h.MirrorPercentage != nil}} {
			if f.set {
				h.r.warnf(f.path, "entries of mirrors have a percentage of their own", "has no effect: the route has no mirror")
			}
		}
	}
	for i, m := range h.Mirrors {
		at := fmt.Sprintf("%s.mirrors[%d]", h.path, i)
		checkDestination(h.r, at, "destination", m.Destination)
		if m.Percentage != nil {
			checkPercent(h.r, at+".percentage", "mirror percentage", m.Percentage)
		}
	}
}

// checkPercent checks a share of 0..100. Envoy counts in millionths, so that
// less than 0.0001 % becomes nothing.
func checkPercent(r *reporter, field, name string, p *istio.Percent) {
	switch v := p.Value; {
	case v > 100:
		r.errorf(field+".value", "", "%s must have a max value of 100 (it has %g)", name, v)
	case v < 0:
		r.errorf(field+".value", "", "%s must have a min value of 0 (it has %g)", name, v)
	case v > 0 && v*10000 < 1:
		r.warnf(field+".value", "write 0.0001 or more", "%s %% is less than one millionth, so it counts as 0 and nothing is chosen", strconv.FormatFloat(v, 'f', -1, 64))
	}
}

func (h httpRoute) fault() {
	f := h.Fault
	if f == nil {
		return
	}
	field := h.path + ".fault"
	if f.Delay == nil && f.Abort == nil {
		h.r.missing(field, "", "a fault must have an abort, a delay or both")
	}
	if d := f.Delay; d != nil {
		at := field + ".delay"
		if d.Percentage != nil {
			checkPercent(h.r, at+".percentage", "percentage", d.Percentage)
		}
		if p := d.Percent; p != 0 { //nolint:staticcheck // deprecated by Istio, still in users' files
			if p < 0 || p > 100 {
				h.r.errorf(at+".percent", "", "percentage %d is not in the range 0..100", p)
			} else {
				h.r.warnf(at+".percent", "write percentage: {value: "+strconv.Itoa(int(p))+"}", "percent is deprecated")
			}
		}
		switch d.HttpDelayType.(type) {
		case *istio.HTTPFaultInjection_Delay_FixedDelay:
			checkDuration(h.r, at+".fixedDelay", d.GetFixedDelay(), "")
		case *istio.HTTPFaultInjection_Delay_ExponentialDelay:
			h.r.errorf(at+".exponentialDelay", "use fixedDelay", "exponentialDelay is not supported, in Istio neither")
		default:
			h.r.missing(at, "", "fixedDelay is required")
		}
	}
	if f.Abort != nil {
		checkAbort(h.r, field+".abort", f.Abort)
	}
}

func checkAbort(r *reporter, at string, a *istio.HTTPFaultInjection_Abort) {
	if a.Percentage != nil {
		checkPercent(r, at+".percentage", "percentage", a.Percentage)
	}
	switch t := a.ErrorType.(type) {
	case *istio.HTTPFaultInjection_Abort_HttpStatus:
		if t.HttpStatus < 200 || t.HttpStatus > 599 {
			r.errorf(at+".httpStatus", "", "HTTP status %d is not in the range 200..599", t.HttpStatus)
		}
	case *istio.HTTPFaultInjection_Abort_GrpcStatus:
		n, err := strconv.ParseUint(t.GrpcStatus, 10, 8)
		if !slices.Contains(grpcCodes(), t.GrpcStatus) && (err != nil || n > 16) {
			r.errorf(at+".grpcStatus", "it takes a name like UNAVAILABLE", "gRPC status %q is not a gRPC code", strict.Shorten(t.GrpcStatus))
		}
	case *istio.HTTPFaultInjection_Abort_Http2Error:
		r.errorf(at+".http2Error", "use httpStatus or grpcStatus", "http2Error is not supported, in Istio neither")
	default:
		r.missing(at, "", "httpStatus or grpcStatus is required")
	}
}

// grpcCodes are the names of gRPC's status codes.
func grpcCodes() []string {
	return []string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
}

func (h httpRoute) retries() {
	if h.Retries != nil {
		checkRetries(h.r, h.path+".retries", h.Retries)
	}
}

func checkRetries(r *reporter, field string, t *istio.HTTPRetry) {
	if t.Attempts < 0 {
		r.errorf(field+".attempts", "", "attempts cannot be negative")
	}
	if t.Attempts == 0 && (t.PerTryTimeout != nil || t.RetryOn != "" || t.RetryRemoteLocalities != nil || t.Backoff != nil) {
		r.missing(field, "set attempts to 1 or more, or keep attempts: 0 alone", "a retry policy is configured but attempts is 0, which disables it")
	}
	checkDuration(r, field+".perTryTimeout", t.PerTryTimeout, "")
	checkDuration(r, field+".backoff", t.Backoff, "")
	if t.RetryOn == "" {
		return
	}
	for policy := range strings.SplitSeq(t.RetryOn, ",") {
		policy = strings.TrimSpace(policy)
		if n, err := strconv.Atoi(policy); err == nil && http.StatusText(n) != "" {
			continue
		}
		if !slices.Contains(retryPolicies(), policy) {
			hint := "it takes HTTP status numbers and " + strings.Join(retryPolicies(), ", ")
			if name := strict.Nearest(policy, retryPolicies()); name != "" {
				hint = fmt.Sprintf("did you mean %q?", name)
			}
			r.errorf(field+".retryOn", hint, "%q is not a valid retryOn policy", strict.Shorten(policy))
		}
	}
}

// retryPolicies are the conditions that Envoy's router retries on.
func retryPolicies() []string {
	return []string{
		"5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
		"refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure",
		"cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
	}
}

// checkDuration checks a duration that must be a whole number of milliseconds.
func checkDuration(r *reporter, field string, d *durationpb.Duration, hint string) {
	if d == nil {
		return
	}
	switch v := d.AsDuration(); {
	case v < 1e6:
		r.errorf(field, hint, "a duration must be at least 1ms; this is %s", v)
	case v%1e6 != 0:
		r.errorf(field, "", "only durations to ms precision are supported; this is %s", v)
	}
}
