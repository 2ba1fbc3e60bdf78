package proxy

import (
	"bytes"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/sundog-mesh/sundog/internal/http1"
)

// What only a trusted neighbour may say (Envoy's list for external requests).
var (
	alwaysStripped = []string{
		"x-envoy-retriable-status-codes", "x-envoy-retriable-header-names", "x-envoy-retry-on",
		"x-envoy-retry-grpc-on", "x-envoy-max-retries", "x-envoy-upstream-alt-stat-name",
		"x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms",
		"x-envoy-upstream-rq-timeout-alt-response", "x-envoy-expected-rq-timeout-ms",
		"x-envoy-force-trace", "x-envoy-ip-tags", "x-envoy-original-url", "x-envoy-hedge-on-per-try-timeout",
		"x-envoy-upstream-stream-duration-ms",
	}
	edgeStripped = []string{
		"x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
		"x-envoy-original-path", "x-envoy-original-host",
	}
)

// prepare does to the request's head what Envoy's connection manager does
// before routing. It reports false when the request has been answered.
func (x *exchange) prepare() bool {
	h := &x.req
	x.connect = string(h.Method()) == "CONNECT"
	if x.connect {
		x.client.Last()
	}
	if h.HasToken("expect", "100-continue") {
		x.wants100 = h.Minor > 0
		h.Del("expect")
	}
	if h.HasToken("connection", "upgrade") {
		if u, ok := h.Get("upgrade"); ok && len(u) > 0 {
			x.upgrade = u
			x.begunUpgrade()
		}
	}
	http1.RemoveHopByHop(h)
	if !x.underscores() || !x.cleanPath() {
		return false
	}
	x.sanitize()
	x.clientCert()
	x.forwardedFor()
	x.requestID()
	return true
}

// cleanPath does what path_with_escaped_slashes_action, normalize_path and
// merge_slashes ask for, in this order. It reports false when the request has
// been answered.
func (x *exchange) cleanPath() bool {
	escaped := x.cfg.escapedSlashes != hcmv3.HttpConnectionManager_KEEP_UNCHANGED && hasEscapedSlash(x.req.Path())
	if escaped {
		if x.cfg.escapedSlashes == hcmv3.HttpConnectionManager_REJECT_REQUEST {
			x.details = "path_normalization_failed"
			x.reply(400, nil)
			return false
		}
		x.scratch = appendUnescapedSlashes(x.scratch[:0], x.req.Path())
		x.req.SetPath(x.scratch)
	}
	if x.cfg.normalizePath && !x.connect && needsNormalizing(x.req.Path(), x.cfg.mergeSlashes) {
		var ok bool
		x.scratch, ok = appendNormalized(x.scratch[:0], x.req.Path(), x.cfg.mergeSlashes)
		if !ok {
			x.details = "path_normalization_failed"
			x.reply(400, nil)
			return false
		}
		x.req.SetPath(x.scratch)
	}
	if escaped && x.cfg.escapedSlashes == hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT {
		x.details = "path_normalization_failed"
		x.replyWith(307, nil, "location", x.req.Path())
		return false
	}
	return true
}

// underscores does what headers_with_underscores_action asks for: some servers
// take "_" in a name for "-". It reports false when the request has been
// answered.
func (x *exchange) underscores() bool {
	if x.cfg.underscores == corev3.HttpProtocolOptions_ALLOW {
		return true
	}
	h := &x.req
	for i := h.Len() - 1; i >= 0; i-- {
		name, _ := h.Field(i)
		if bytes.IndexByte(name, '_') < 0 {
			continue
		}
		if x.cfg.underscores == corev3.HttpProtocolOptions_REJECT_REQUEST {
			x.details = "unexpected_underscore"
			x.reply(400, nil)
			return false
		}
		h.DelAt(i)
	}
	return true
}

// sanitize removes what an untrusted client must not say.
func (x *exchange) sanitize() {
	h := &x.req
	some := false
	for i := range h.Len() {
		if name, _ := h.Field(i); bytes.HasPrefix(name, []byte("x-envoy-")) {
			some = true
			break
		}
	}
	if !some {
		return
	}
	for _, name := range alwaysStripped {
		h.Del(name)
	}
	if x.cfg.useRemoteAddress {
		h.Del("x-envoy-internal")
		for _, name := range edgeStripped {
			h.Del(name)
		}
	}
}

// forwardedFor finds out who the client is, and sets x-forwarded-for,
// x-forwarded-proto and x-envoy-external-address as Envoy does.
func (x *exchange) forwardedFor() {
	h := &x.req
	if !x.cfg.useRemoteAddress {
		if v, ok := h.Get("x-forwarded-for"); ok {
			if a, ok := lastAddress(v, x.cfg.trustedHops); ok {
				x.ctx.DownstreamRemote = netip.AddrPortFrom(a, 0)
			}
		}
		if !h.Has("x-forwarded-proto") {
			h.Add("x-forwarded-proto", x.scheme())
		}
		return
	}
	remote := x.from.remote.Addr()
	if x.cfg.trustedHops > 0 {
		if v, ok := h.Get("x-forwarded-for"); ok {
			if a, ok := lastAddress(v, x.cfg.trustedHops-1); ok {
				x.ctx.DownstreamRemote = netip.AddrPortFrom(a, 0)
			}
		}
	}
	if len(x.remoteText) == 0 {
		x.remoteText = remote.AppendTo(x.remoteText)
	}
	if !x.cfg.skipXFF {
		h.Append("x-forwarded-for", x.remoteText)
	}
	external := x.remoteText
	if a := x.ctx.DownstreamRemote.Addr(); a != remote {
		var buf [48]byte
		external = a.AppendTo(buf[:0])
	}
	h.Set("x-envoy-external-address", external)
	if x.cfg.trustedHops == 0 || !h.Has("x-forwarded-proto") {
		h.Set("x-forwarded-proto", x.from.scheme())
	}
}

// scheme is that of the request's target, or else what the connection is.
func (x *exchange) scheme() []byte {
	if s := x.req.Scheme(); len(s) > 0 {
		return s
	}
	return x.from.scheme()
}

// lastAddress is the address that stands in x-forwarded-for with skip others
// to its right.
func lastAddress(list []byte, skip int) (netip.Addr, bool) {
	for {
		i := bytes.LastIndexByte(list, ',')
		if skip == 0 || i < 0 {
			a, ok := parseAddress(bytes.TrimSpace(list[i+1:]))
			return a, ok && skip == 0
		}
		list, skip = list[:i], skip-1
	}
}

// parseAddress is netip.ParseAddr, which would allocate, but for the plain
// IPv4 addresses that nearly all are.
func parseAddress(b []byte) (netip.Addr, bool) {
	var quad [4]byte
	part, n, digits := 0, 0, 0
	for i := 0; i <= len(b); i++ {
		switch {
		case i < len(b) && b[i] >= '0' && b[i] <= '9' && digits < 3 && (digits == 0 || n > 0):
			n, digits = n*10+int(b[i]-'0'), digits+1
			continue
		case (i == len(b) || b[i] == '.') && digits > 0 && n < 256 && part < 4 && (part == 3) == (i == len(b)):
			quad[part] = byte(n)
			part, n, digits = part+1, 0, 0
			continue
		}
		a, err := netip.ParseAddr(string(b))
		return a, err == nil
	}
	return netip.AddrFrom4(quad), true
}

// requestID makes sure of a request id, and takes the request's number from
// it. An outside client's own is replaced at the edge.
func (x *exchange) requestID() {
	h := &x.req
	id, ok := h.Get("x-request-id")
	if x.cfg.generateRequestID && (!ok || len(id) == 0 || x.cfg.useRemoteAddress && !x.cfg.keepRequestID) {
		var buf [36]byte
		fresh := x.w.requestID(buf[:0])
		h.Set("x-request-id", fresh)
		x.number = x.w.p.sampler.Number(fresh)
		return
	}
	if ok {
		x.number = x.w.p.sampler.Number(id)
	} else {
		x.number = x.w.random.Uint64()
	}
}
