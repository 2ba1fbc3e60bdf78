//lint:file-ignore SA1019 control planes still send the deprecated fields

package route

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

func (c *compiler) redirect(in *routev3.RedirectAction) *Redirect {
	d := &Redirect{host: in.GetHostRedirect(), stripQuery: in.GetStripQuery()}
	c.authority("redirect.host_redirect", d.host)
	switch s := in.GetSchemeRewriteSpecifier().(type) {
	case *routev3.RedirectAction_HttpsRedirect:
		if s.HttpsRedirect {
			d.scheme = "https"
		}
	case *routev3.RedirectAction_SchemeRedirect:
		d.scheme = s.SchemeRedirect
	}
	if p := in.GetPortRedirect(); p > 65535 {
		c.fail("redirect.port_redirect", "%d is above 65535", p)
	} else if p > 0 {
		d.port = ":" + strconv.Itoa(int(p))
	}
	switch p := in.GetPathRewriteSpecifier().(type) {
	case *routev3.RedirectAction_PathRedirect:
		if p.PathRedirect != "" {
			d.path, d.pathQuery = []byte(p.PathRedirect), strings.Contains(p.PathRedirect, "?")
		}
		c.cleanPath("redirect.path_redirect", p.PathRedirect)
	case *routev3.RedirectAction_PrefixRewrite:
		d.rewrite.prefix = []byte(p.PrefixRewrite)
		c.cleanPath("redirect.prefix_rewrite", p.PrefixRewrite)
	case *routev3.RedirectAction_RegexRewrite:
		d.rewrite.regex = c.rewriter("redirect.regex_rewrite", p.RegexRewrite)
	case *routev3.RedirectAction_PathRewrite:
		d.pathFormat = c.format("redirect.path_rewrite", p.PathRewrite, true)
	}
	switch in.GetResponseCode() {
	case routev3.RedirectAction_MOVED_PERMANENTLY:
		d.Status = http.StatusMovedPermanently
	case routev3.RedirectAction_FOUND:
		d.Status = http.StatusFound
	case routev3.RedirectAction_SEE_OTHER:
		d.Status = http.StatusSeeOther
	case routev3.RedirectAction_TEMPORARY_REDIRECT:
		d.Status = http.StatusTemporaryRedirect
	case routev3.RedirectAction_PERMANENT_REDIRECT:
		d.Status = http.StatusPermanentRedirect
	default:
		c.fail("redirect.response_code", "%v is not known", in.GetResponseCode())
	}
	return d
}

func (c *compiler) direct(in *routev3.DirectResponseAction) *Direct {
	d := &Direct{Status: int(in.GetStatus())}
	if d.Status < 200 || d.Status > 599 {
		c.fail("direct_response.status", "%d is not from 200 to 599", d.Status)
	}
	d.body = c.data("direct_response.body", in.GetBody())
	if bound := c.config.GetMaxDirectResponseBodySizeBytes(); in.GetBody() != nil && len(d.body) > int(boundOr(bound.GetValue(), bound != nil)) {
		c.fail("direct_response.body", "has %d bytes; max_direct_response_body_size_bytes is %d", len(d.body), boundOr(bound.GetValue(), bound != nil))
	}
	f := in.GetBodyFormat()
	if f == nil {
		return d
	}
	c.only(f, "text_format", "text_format_source", "content_type", "omit_empty_values")
	d.ContentType = f.GetContentType()
	text := f.GetTextFormat()
	if s := f.GetTextFormatSource(); s != nil {
		text = string(c.data("direct_response.body_format.text_format_source", s))
	}
	// %LOCAL_REPLY_BODY% is the body beside the format.
	text = strings.ReplaceAll(text, "%LOCAL_REPLY_BODY%", strings.ReplaceAll(string(d.body), "%", "%%"))
	d.format = c.format("direct_response.body_format", text, f.GetOmitEmptyValues())
	return d
}

// boundOr is Envoy's bound on a direct response's body where none is given.
func boundOr(n uint32, given bool) uint32 {
	if given {
		return n
	}
	return 4096
}

func (c *compiler) data(field string, in *corev3.DataSource) []byte {
	switch s := in.GetSpecifier().(type) {
	case nil:
		return nil
	case *corev3.DataSource_InlineString:
		return []byte(s.InlineString)
	case *corev3.DataSource_InlineBytes:
		return s.InlineBytes
	}
	c.fail(field, "only inline_string and inline_bytes are supported")
	return nil
}

func (c *compiler) retry(in *routev3.RetryPolicy) *Retry {
	c = c.in("retry_policy")
	c.only(in, "retry_on", "num_retries", "per_try_timeout", "per_try_idle_timeout", "retry_host_predicate",
		"host_selection_retry_max_attempts", "retriable_status_codes", "retry_back_off", "retriable_headers",
		"retriable_request_headers")
	r := &Retry{
		Attempts:          1,
		PerTryTimeout:     c.duration("per_try_timeout", in.GetPerTryTimeout(), 0),
		PerTryIdleTimeout: c.duration("per_try_idle_timeout", in.GetPerTryIdleTimeout(), 0),

		HostSelectionAttempts: int(max(in.GetHostSelectionRetryMaxAttempts(), 1)),
		BackoffBase:           25 * time.Millisecond,
	}
	if n := in.GetNumRetries(); n != nil {
		r.Attempts = n.GetValue()
	}
	for _, on := range strings.Split(in.GetRetryOn(), ",") {
		on = strings.TrimSpace(on)
		if on == "" {
			continue
		}
		i := slices.Index(retryNames(), on)
		if i < 0 {
			c.fail("retry_on", "%q is not a known condition", on)
			continue
		}
		r.On |= 1 << i
	}
	for _, s := range in.GetRetriableStatusCodes() {
		r.StatusCodes = append(r.StatusCodes, int(s))
	}
	for i, h := range in.GetRetriableHeaders() {
		r.headers = append(r.headers, c.headerMatcher(fmt.Sprintf("retriable_headers[%d]", i), h))
	}
	for i, h := range in.GetRetriableRequestHeaders() {
		r.requestHeaders = append(r.requestHeaders, c.headerMatcher(fmt.Sprintf("retriable_request_headers[%d]", i), h))
	}
	for _, p := range in.GetRetryHostPredicate() {
		// Envoy goes by the type, and by the name where there is none.
		switch kind := cmp.Or(p.GetTypedConfig().GetTypeUrl(), p.GetName()); kind {
		case "envoy.retry_host_predicates.previous_hosts",
			"type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate":
			r.PreviousHosts = true
		case "envoy.retry_host_predicates.omit_canary_hosts",
			"type.googleapis.com/envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate":
			// No endpoint is a canary.
		default:
			c.fail("retry_host_predicate", "%s is not supported", kind)
		}
	}
	if b := in.GetRetryBackOff(); b != nil {
		r.BackoffBase = max(c.duration("retry_back_off.base_interval", b.GetBaseInterval(), r.BackoffBase), time.Millisecond)
	}
	r.BackoffMax = c.duration("retry_back_off.max_interval", in.GetRetryBackOff().GetMaxInterval(), 10*r.BackoffBase)
	if r.BackoffMax < r.BackoffBase {
		c.fail("retry_back_off.max_interval", "is below base_interval")
	}
	return r
}

// faultName is the key of the fault filter's configuration.
const faultName = "envoy.filters.http.fault"

// fault takes the most specific fault configuration, and refuses those of
// other filters unless they are marked as optional.
func (c *compiler) fault(in *routev3.Route) *Fault {
	var found *anypb.Any
	for _, level := range []map[string]*anypb.Any{
		in.GetTypedPerFilterConfig(), c.host.GetTypedPerFilterConfig(), c.config.GetTypedPerFilterConfig(),
	} {
		for name, config := range level {
			if name != faultName && !isOptional(config) {
				c.fail("typed_per_filter_config", "%s is not supported", name)
			}
		}
		if found == nil {
			found = level[faultName]
		}
	}
	if found == nil {
		return nil
	}
	c = c.in("typed_per_filter_config " + faultName)
	var wrapped routev3.FilterConfig
	if found.MessageIs(&wrapped) {
		if err := found.UnmarshalTo(&wrapped); err != nil {
			c.failErr("config", err)
			return nil
		}
		if wrapped.GetDisabled() || wrapped.GetConfig() == nil {
			return nil
		}
		found = wrapped.GetConfig()
	}
	var f faultv3.HTTPFault
	if err := found.UnmarshalTo(&f); err != nil {
		c.failErr("config", err)
		return nil
	}
	return c.compileFault(&f)
}

func isOptional(config *anypb.Any) bool {
	var wrapped routev3.FilterConfig
	return config.MessageIs(&wrapped) && config.UnmarshalTo(&wrapped) == nil && (wrapped.GetIsOptional() || wrapped.GetDisabled())
}

func (c *compiler) compileFault(in *faultv3.HTTPFault) *Fault {
	c.only(in, "delay", "abort", "headers", "delay_percent_runtime", "abort_percent_runtime", "delay_duration_runtime",
		"abort_http_status_runtime", "max_active_faults_runtime", "response_rate_limit_percent_runtime",
		"abort_grpc_status_runtime", "disable_downstream_cluster_stats", "filter_metadata")
	f := &Fault{AbortBody: []byte("fault filter abort")}
	for i, h := range in.GetHeaders() {
		f.headers = append(f.headers, c.headerMatcher(fmt.Sprintf("headers[%d]", i), h))
	}
	if d := in.GetDelay(); d != nil {
		f.delayed = c.percent("delay.percentage", d.GetPercentage())
		switch s := d.GetFaultDelaySecifier().(type) {
		case *commonfaultv3.FaultDelay_FixedDelay:
			f.Delay = c.duration("delay.fixed_delay", s.FixedDelay, 0)
		default:
			c.fail("delay", "only fixed_delay is supported")
		}
	}
	if a := in.GetAbort(); a != nil {
		f.aborted = c.percent("abort.percentage", a.GetPercentage())
		switch s := a.GetErrorType().(type) {
		case *faultv3.FaultAbort_HttpStatus:
			if f.AbortStatus = int(s.HttpStatus); f.AbortStatus < 200 || f.AbortStatus > 599 {
				c.fail("abort.http_status", "%d is not from 200 to 599", f.AbortStatus)
			}
		default:
			c.fail("abort", "only http_status is supported")
		}
		if a.GetResponseBody() != "" {
			f.AbortBody = []byte(a.GetResponseBody())
		}
	}
	return f
}
