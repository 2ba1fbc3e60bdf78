//lint:file-ignore SA1019 control planes still send the deprecated fields

package route

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	rulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// route compiles the i-th route. Its Key lacks the virtual host yet.
func (c *compiler) route(in *routev3.Route, i int) (*Route, string) {
	if in.GetName() != "" {
		c = c.in(fmt.Sprintf("route %q", in.GetName()))
	} else {
		c = c.in(fmt.Sprintf("routes[%d]", i))
	}
	c.only(in, "name", "match", "route", "redirect", "direct_response", "metadata", "decorator", "typed_per_filter_config",
		"request_headers_to_add", "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove",
		"tracing", "per_request_buffer_limit_bytes", "request_body_buffer_limit", "stat_prefix")
	r := &Route{
		Name:    in.GetName(),
		request: c.headerOps("request_headers", in.GetRequestHeadersToAdd(), in.GetRequestHeadersToRemove()),
		answer:  c.headerOps("response_headers", in.GetResponseHeadersToAdd(), in.GetResponseHeadersToRemove()),
	}
	var literal, text string
	r.match, literal, text = c.match(in.GetMatch())
	r.Key = cmp.Or(in.GetName(), text)
	switch a := in.GetAction().(type) {
	case *routev3.Route_Route:
		r.Forward = c.forward(a.Route)
		c.policy(r.Forward, in.GetMetadata())
	case *routev3.Route_Redirect:
		r.Redirect = c.redirect(a.Redirect)
	case *routev3.Route_DirectResponse:
		r.Direct = c.direct(a.DirectResponse)
	default:
		c.fail("action", "is none of route, redirect and direct_response")
	}
	r.Fault = c.fault(in)
	return r, literal
}

func (c *compiler) forward(in *routev3.RouteAction) *Forward {
	c.only(in, "cluster", "cluster_header", "weighted_clusters", "cluster_not_found_response_code", "prefix_rewrite",
		"regex_rewrite", "path_rewrite", "host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header",
		"host_rewrite_path_regex", "host_rewrite", "append_x_forwarded_host", "timeout", "idle_timeout", "flush_timeout",
		"early_data_policy", "retry_policy", "request_mirror_policies", "priority", "rate_limits", "include_vh_rate_limits",
		"hash_policy", "max_grpc_timeout", "upgrade_configs", "max_stream_duration")
	f := &Forward{
		ClusterNotFound:   503,
		Timeout:           c.duration("route.timeout", in.GetTimeout(), 15*time.Second),
		IdleTimeout:       c.duration("route.idle_timeout", in.GetIdleTimeout(), -1),
		MaxStreamDuration: c.duration("route.max_stream_duration", in.GetMaxStreamDuration().GetMaxStreamDuration(), -1),
		GRPCTimeoutMax:    c.duration("route.max_grpc_timeout", in.GetMaxGrpcTimeout(), -1),
		appendXFH:         in.GetAppendXForwardedHost(),
		Hash:              c.hashPolicy(in.GetHashPolicy()),
	}
	if d := in.GetMaxStreamDuration(); d != nil {
		f.GRPCTimeoutMax = c.duration("route.max_stream_duration.grpc_timeout_header_max", d.GetGrpcTimeoutHeaderMax(), -1)
		if d.GetGrpcTimeoutHeaderOffset() != nil {
			c.fail("route.max_stream_duration.grpc_timeout_header_offset", "is not supported")
		}
	}
	switch in.GetClusterNotFoundResponseCode() {
	case routev3.RouteAction_NOT_FOUND:
		f.ClusterNotFound = 404
	case routev3.RouteAction_INTERNAL_SERVER_ERROR:
		f.ClusterNotFound = 500
	}
	c.clusters(f, in)
	c.hostRewrite(f, in)
	f.path.prefix = []byte(in.GetPrefixRewrite())
	f.path.regex = c.rewriter("route.regex_rewrite", in.GetRegexRewrite())
	f.path.format = c.format("route.path_rewrite", in.GetPathRewrite(), true)
	c.oneRewrite("route", &f.path)
	c.upgrades(f, in)

	policy := in.GetRetryPolicy()
	if policy == nil {
		policy = c.host.GetRetryPolicy()
	}
	if policy != nil {
		f.Retry = c.retry(policy)
	}
	mirrors := in.GetRequestMirrorPolicies()
	if len(mirrors) == 0 {
		mirrors = c.host.GetRequestMirrorPolicies()
	}
	if len(mirrors) == 0 {
		mirrors = c.config.GetRequestMirrorPolicies()
	}
	for i, m := range mirrors {
		f.Mirrors = append(f.Mirrors, c.in(fmt.Sprintf("request_mirror_policies[%d]", i)).mirror(m))
	}
	return f
}

func (c *compiler) clusters(f *Forward, in *routev3.RouteAction) {
	switch s := in.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		f.Clusters = []WeightedCluster{{Name: s.Cluster, Cluster: c.index(s.Cluster), Weight: 1}}
	case *routev3.RouteAction_ClusterHeader:
		if f.ClusterHeader = lower(s.ClusterHeader); f.ClusterHeader == "" {
			c.fail("route.cluster_header", "is empty")
		}
	case *routev3.RouteAction_WeightedClusters:
		c.weighted(f, s.WeightedClusters)
	default:
		c.fail("route.cluster", "is missing")
	}
	for i := range f.Clusters {
		f.total += uint64(f.Clusters[i].Weight)
		f.Clusters[i].sum = f.total
	}
	if len(f.Clusters) > 0 && f.total == 0 {
		c.fail("route.weighted_clusters", "the weights sum to 0")
	}
}

func (c *compiler) weighted(f *Forward, in *routev3.WeightedCluster) {
	c.only(in, "clusters", "total_weight", "runtime_key_prefix")
	if len(in.GetClusters()) == 0 {
		c.fail("route.weighted_clusters.clusters", "is empty")
	}
	for i, w := range in.GetClusters() {
		c := c.in(fmt.Sprintf("route.weighted_clusters.clusters[%d]", i))
		c.only(w, "name", "weight", "request_headers_to_add", "request_headers_to_remove", "response_headers_to_add",
			"response_headers_to_remove", "host_rewrite_literal")
		f.Clusters = append(f.Clusters, WeightedCluster{
			Name: w.GetName(), Cluster: c.index(w.GetName()), Weight: w.GetWeight().GetValue(),
			hostLiteral: c.authority("host_rewrite_literal", w.GetHostRewriteLiteral()),
			request:     c.headerOps("request_headers", w.GetRequestHeadersToAdd(), w.GetRequestHeadersToRemove()),
			answer:      c.headerOps("response_headers", w.GetResponseHeadersToAdd(), w.GetResponseHeadersToRemove()),
		})
	}
	if len(in.GetClusters()) == 1 && in.GetClusters()[0].GetWeight() == nil {
		f.Clusters[0].Weight = 1
	}
}

// index is the cluster's, or -1 when there is none.
func (c *compiler) index(name string) int {
	if name == "" {
		c.fail("cluster", "has no name")
	}
	if i, ok := c.cluster(name); ok {
		return i
	}
	if c.config.GetValidateClusters().GetValue() {
		c.fail("cluster", "%q is not there, and validate_clusters is set", name)
	}
	return -1
}

func (c *compiler) hostRewrite(f *Forward, in *routev3.RouteAction) {
	switch h := in.GetHostRewriteSpecifier().(type) {
	case *routev3.RouteAction_HostRewriteLiteral:
		f.hostLiteral = c.authority("route.host_rewrite_literal", h.HostRewriteLiteral)
	case *routev3.RouteAction_AutoHostRewrite:
		f.AutoHost = h.AutoHostRewrite.GetValue()
	case *routev3.RouteAction_HostRewriteHeader:
		f.hostHeader = lower(h.HostRewriteHeader)
	case *routev3.RouteAction_HostRewritePathRegex:
		f.hostRegex = c.rewriter("route.host_rewrite_path_regex", h.HostRewritePathRegex)
	case *routev3.RouteAction_HostRewrite:
		f.hostFormat = c.format("route.host_rewrite", h.HostRewrite, true)
	}
}

// authority refuses what could not stand in a Host field.
func (c *compiler) authority(field, s string) []byte {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == '?' || r == '#' }) {
		c.fail(field, "%q is not a host", s)
	}
	return []byte(s)
}

func (c *compiler) rewriter(field string, in *matcherv3.RegexMatchAndSubstitute) *rewriter {
	if in == nil {
		return nil
	}
	w, err := newRewriter(in.GetPattern().GetRegex(), in.GetSubstitution())
	if err != nil {
		c.failErr(field, err)
	}
	return w
}

// format compiles a text; nil where it is empty.
func (c *compiler) format(field, text string, empty bool) format {
	if text == "" {
		return nil
	}
	f, err := compileFormat(text, empty)
	if err != nil {
		c.failErr(field, err)
	}
	return f
}

func (c *compiler) oneRewrite(field string, p *pathRewrite) {
	n := 0
	for _, set := range []bool{len(p.prefix) > 0, p.regex != nil, p.format != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		c.fail(field, "has more than one rewrite of the path")
	}
	c.cleanPath(field+".prefix_rewrite", string(p.prefix))
}

// cleanPath refuses what could not stand in a request line.
func (c *compiler) cleanPath(field, s string) {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		c.fail(field, "%q has a space or a control character", s)
	}
}

func (c *compiler) upgrades(f *Forward, in *routev3.RouteAction) {
	for _, u := range in.GetUpgradeConfigs() {
		p := lower(u.GetUpgradeType())
		switch cc := u.GetConnectConfig(); {
		case cc.GetProxyProtocolConfig() != nil || cc.GetAllowPost():
			c.fail("route.upgrade_configs.connect_config", "proxy_protocol_config and allow_post are not supported")
		case cc == nil && p == "connect" && (u.GetEnabled() == nil || u.GetEnabled().GetValue()):
			c.fail("route.upgrade_configs", "CONNECT needs connect_config: {}, since it is answered here and not passed on")
		}
		if slices.ContainsFunc(f.upgrades, func(o upgrade) bool { return o.protocol == p }) {
			c.fail("route.upgrade_configs", "%q is there twice", u.GetUpgradeType())
		}
		f.upgrades = append(f.upgrades, upgrade{p, u.GetEnabled() == nil || u.GetEnabled().GetValue()})
	}
}

func (c *compiler) mirror(in *routev3.RouteAction_RequestMirrorPolicy) Mirror {
	c.only(in, "cluster", "runtime_fraction", "trace_sampled", "disable_shadow_host_suffix_append",
		"request_headers_mutations", "host_rewrite_literal")
	share := fraction{100, 100}
	if f := in.GetRuntimeFraction(); f != nil {
		share = c.fraction("runtime_fraction", f)
	}
	return Mirror{
		Name: in.GetCluster(), Cluster: c.index(in.GetCluster()),
		Numerator: uint32(share.numerator), Denominator: share.denominator,
		NoHostSuffix: in.GetDisableShadowHostSuffixAppend(),
		hostLiteral:  c.authority("host_rewrite_literal", in.GetHostRewriteLiteral()),
		mutations:    c.mutations(in.GetRequestHeadersMutations()),
	}
}

// mutations keeps the list's order: each is a step of its own.
func (c *compiler) mutations(in []*rulesv3.HeaderMutation) []headerOps {
	var all []headerOps
	for i, m := range in {
		field := fmt.Sprintf("request_headers_mutations[%d]", i)
		switch a := m.GetAction().(type) {
		case *rulesv3.HeaderMutation_Remove:
			all = append(all, c.headerOps(field, nil, []string{a.Remove}))
		case *rulesv3.HeaderMutation_Append:
			all = append(all, c.headerOps(field, []*corev3.HeaderValueOption{a.Append}, nil))
		default:
			c.fail(field, "is neither remove nor append")
		}
	}
	return all
}

// headerOps compiles one level. field is "request_headers" or the like.
func (c *compiler) headerOps(field string, add []*corev3.HeaderValueOption, remove []string) headerOps {
	var o headerOps
	for _, name := range remove {
		o.remove = append(o.remove, c.fieldName(field+"_to_remove", name))
	}
	for _, v := range add {
		o.set = append(o.set, c.headerOp(field+"_to_add", v))
	}
	return o
}

func (c *compiler) headerOp(field string, in *corev3.HeaderValueOption) headerOp {
	h := in.GetHeader()
	op := headerOp{name: c.fieldName(field, h.GetKey()), keepEmpty: in.GetKeepEmptyValue()}
	op.nameBytes = []byte(op.name)
	field += " " + strconv.Quote(h.GetKey())
	value := h.GetValue()
	if len(h.GetRawValue()) > 0 {
		value = string(h.GetRawValue())
	}
	if strings.ContainsAny(value, "\r\n\x00") {
		c.fail(field, "the value has a line break or a zero byte")
	}
	if op.value = c.format(field, value, true); op.value == nil {
		op.value = format{{max: -1}}
	}
	switch in.GetAppendAction() {
	case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		// The older field says the same where the newer one is at its default.
		if a := in.GetAppend(); a != nil && !a.GetValue() {
			op.action = overwriteOrAdd
		}
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		op.action = addIfAbsent
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
		op.action = overwriteOrAdd
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		op.action = overwriteIfExist
	default:
		c.fail(field, "append_action %v is not known", in.GetAppendAction())
	}
	return op
}

// fieldName is the name in lower case. Control data is not a field, and how
// long a body is only the proxy can say.
func (c *compiler) fieldName(field, name string) string {
	n := lower(name)
	switch {
	case n == "host" || strings.HasPrefix(n, ":"):
		c.fail(field, "%q cannot be changed here; use a rewrite of the host or the path", name)
	case n == "content-length" || n == "transfer-encoding":
		c.fail(field, "%q says how the body ends and cannot be changed", name)
	case !isToken(n):
		c.fail(field, "%q is not a header name", name)
	}
	return n
}

// isToken: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func (c *compiler) duration(field string, d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	if d.AsDuration() < 0 {
		c.fail(field, "is below 0")
	}
	return d.AsDuration()
}
