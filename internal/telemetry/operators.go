package telemetry

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// newOperator makes the operator called name. Names and meaning are those of
// Envoy's access log documentation.
func newOperator(name, arg string, hasArg bool) (segment, error) {
	if seg, ok, err := newArgumentOperator(name, arg, hasArg); ok || err != nil {
		return seg, err
	}
	if hasArg {
		if _, ok := plainOperator(name); ok || numberOperator(name) != nil {
			return segment{}, fmt.Errorf("operator %%%s%% takes no argument, but has (%s)", name, arg)
		}
	}
	if op := numberOperator(name); op != nil {
		return segment{op: op, number: true}, nil
	}
	if op, ok := plainOperator(name); ok {
		return segment{op: op}, nil
	}
	if name == "TRAILER" || name == "GRPC_STATUS" || name == "GRPC_STATUS_NUMBER" {
		return segment{}, fmt.Errorf("operator %%%s%%: trailers are passed on, but not kept for the access log", name)
	}
	return segment{}, fmt.Errorf("operator %%%s%% is not known", name)
}

// newArgumentOperator makes the operators that take an argument; false means
// that name is not one of them.
func newArgumentOperator(name, arg string, hasArg bool) (segment, bool, error) {
	var op operator
	switch name {
	case "START_TIME":
		layout, err := compileTime(arg)
		if err != nil {
			return segment{}, true, fmt.Errorf("operator %%START_TIME%%: %w", err)
		}
		return segment{op: func(dst []byte, r *record) ([]byte, bool) {
			return layout.append(dst, r.e.Start), true
		}}, true, nil
	case "REQ", "REQUEST_HEADER":
		op = headerOperator(arg, requestHeader)
	case "REQ_WITHOUT_QUERY":
		op = withoutQuery(headerOperator(arg, requestHeader))
	case "RESP", "RESPONSE_HEADER":
		op = headerOperator(arg, responseHeader)
	case "ENVIRONMENT":
		value, ok := os.LookupEnv(arg)
		op = constant(value, ok && value != "")
	case "DYNAMIC_METADATA", "FILTER_STATE", "CLUSTER_METADATA", "UPSTREAM_FILTER_STATE":
		op = missing // nothing sets any here, as in an Envoy without filters that do
	default:
		return segment{}, false, nil
	}
	if !hasArg || arg == "" {
		return segment{}, true, fmt.Errorf("operator %%%s%% needs an argument, %%%s(X)%%", name, name)
	}
	return segment{op: op}, true, nil
}

// numberOperator returns the operators whose value is a number in JSON, or nil.
func numberOperator(name string) operator {
	switch name {
	case "RESPONSE_CODE":
		return func(dst []byte, r *record) ([]byte, bool) {
			return strconv.AppendInt(dst, int64(r.a.Response.Status), 10), true
		}
	case "BYTES_RECEIVED":
		return func(dst []byte, r *record) ([]byte, bool) {
			return strconv.AppendInt(dst, r.e.RequestBytes, 10), true
		}
	case "BYTES_SENT":
		return func(dst []byte, r *record) ([]byte, bool) {
			return strconv.AppendInt(dst, r.a.ResponseBytes, 10), true
		}
	case "DURATION":
		return func(dst []byte, r *record) ([]byte, bool) {
			return strconv.AppendInt(dst, r.a.Duration.Milliseconds(), 10), true
		}
	case "UPSTREAM_REMOTE_PORT":
		return port(func(r *record) netip.AddrPort { return r.a.Upstream })
	case "UPSTREAM_LOCAL_PORT":
		return port(func(r *record) netip.AddrPort { return r.a.UpstreamLocal })
	case "DOWNSTREAM_LOCAL_PORT":
		return port(func(r *record) netip.AddrPort { return r.e.DownstreamLocal })
	case "DOWNSTREAM_REMOTE_PORT":
		return port(func(r *record) netip.AddrPort { return r.e.DownstreamRemote })
	}
	return nil
}

// plainOperator returns the operators without argument whose value is text.
func plainOperator(name string) (operator, bool) {
	switch name {
	case "PROTOCOL":
		return protocol, true
	case "RESPONSE_FLAGS":
		return func(dst []byte, r *record) ([]byte, bool) { return r.a.Flags.Append(dst), true }, true
	case "RESPONSE_FLAGS_LONG":
		return longFlags, true
	case "RESPONSE_CODE_DETAILS":
		return text(func(r *record) string { return r.a.Details }), true
	case "UPSTREAM_TRANSPORT_FAILURE_REASON":
		return text(func(r *record) string { return r.a.TransportFailure }), true
	case "UPSTREAM_CLUSTER_RAW":
		return text(func(r *record) string { return r.a.Cluster }), true
	case "UPSTREAM_CLUSTER":
		return text(func(r *record) string {
			if alt := r.altNames[r.a.Cluster]; alt != "" {
				return alt
			}
			return r.a.Cluster
		}), true
	case "ROUTE_NAME":
		return text(func(r *record) string { return r.e.Route }), true
	case "VIRTUAL_HOST_NAME":
		return text(func(r *record) string { return r.e.VirtualHost }), true
	case "HOSTNAME":
		host, err := os.Hostname()
		return constant(host, err == nil && host != ""), true
	case "ACCESS_LOG_TYPE":
		return constant("DownstreamEnd", true), true
	}
	if op := addressOperator(name); op != nil {
		return op, true
	}
	if neverSet(name) {
		return missing, true
	}
	return nil, false
}

// addressOperator returns the operators whose value is an address, or nil.
func addressOperator(name string) operator {
	base, bare := strings.CutSuffix(name, "_WITHOUT_PORT")
	switch base {
	case "UPSTREAM_HOST", "UPSTREAM_REMOTE_ADDRESS":
		return address(func(r *record) netip.AddrPort { return r.a.Upstream }, bare)
	case "UPSTREAM_LOCAL_ADDRESS":
		return address(func(r *record) netip.AddrPort { return r.a.UpstreamLocal }, bare)
	case "DOWNSTREAM_LOCAL_ADDRESS":
		return address(func(r *record) netip.AddrPort { return r.e.DownstreamLocal }, bare)
	case "DOWNSTREAM_REMOTE_ADDRESS":
		return address(func(r *record) netip.AddrPort { return r.e.DownstreamRemote }, bare)
	}
	return nil
}

// neverSet lists the operators that Envoy, too, leaves empty for plain HTTP
// without tracing: the names of TLS, and what only filters set.
func neverSet(name string) bool {
	switch name {
	case "REQUESTED_SERVER_NAME", "CONNECTION_TERMINATION_DETAILS", "VIRTUAL_CLUSTER_NAME", "TRACE_ID",
		"DOWNSTREAM_TRANSPORT_FAILURE_REASON", "UPSTREAM_TLS_VERSION", "UPSTREAM_TLS_CIPHER",
		"TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT":
		return true
	}
	return strings.HasPrefix(name, "DOWNSTREAM_TLS_") || strings.HasPrefix(name, "DOWNSTREAM_PEER_") ||
		strings.HasPrefix(name, "DOWNSTREAM_LOCAL_URI_SAN") || strings.HasPrefix(name, "DOWNSTREAM_LOCAL_SUBJECT") ||
		strings.HasPrefix(name, "UPSTREAM_PEER_")
}

func missing(dst []byte, _ *record) ([]byte, bool) { return dst, false }

func constant(s string, ok bool) operator {
	return func(dst []byte, _ *record) ([]byte, bool) { return append(dst, s...), ok }
}

func text(get func(*record) string) operator {
	return func(dst []byte, r *record) ([]byte, bool) {
		s := get(r)
		return append(dst, s...), s != ""
	}
}

func address(get func(*record) netip.AddrPort, bare bool) operator {
	return func(dst []byte, r *record) ([]byte, bool) {
		ap := get(r)
		switch {
		case !ap.IsValid():
			return dst, false
		case bare:
			return ap.Addr().AppendTo(dst), true
		}
		return ap.AppendTo(dst), true
	}
}

func port(get func(*record) netip.AddrPort) operator {
	return func(dst []byte, r *record) ([]byte, bool) {
		ap := get(r)
		if !ap.IsValid() {
			return dst, false
		}
		return strconv.AppendUint(dst, uint64(ap.Port()), 10), true
	}
}

func protocol(dst []byte, r *record) ([]byte, bool) {
	if len(r.e.Request.Method()) == 0 {
		return dst, false // the request never became one
	}
	return append(dst, r.e.Request.Protocol()...), true
}

// headerSource finds a header, or a pseudo-header, of a record.
type headerSource func(r *record, name string) ([]byte, bool)

// headerOperator reads X, or Y where X is missing, from an argument "X?Y".
func headerOperator(arg string, source headerSource) operator {
	first, second, _ := strings.Cut(strings.ToLower(arg), "?")
	return func(dst []byte, r *record) ([]byte, bool) {
		v, ok := source(r, first)
		if !ok && second != "" {
			v, ok = source(r, second)
		}
		return append(dst, v...), ok
	}
}

func requestHeader(r *record, name string) (value []byte, ok bool) {
	h := &r.e.Request
	switch name {
	case ":method":
		value = h.Method()
	case ":path":
		value = h.Path()
	case ":scheme":
		value = h.Scheme()
	case ":authority", "host":
		if r.shadow && r.a.Authority != "" {
			return []byte(r.a.Authority), true
		}
		value = h.Authority()
	default:
		return h.Get(name)
	}
	return value, len(value) > 0
}

func responseHeader(r *record, name string) ([]byte, bool) {
	if name == ":status" {
		if r.a.Response.Status == 0 {
			return nil, false
		}
		return strconv.AppendInt(nil, int64(r.a.Response.Status), 10), true
	}
	return r.a.Response.Get(name)
}

func withoutQuery(op operator) operator {
	return func(dst []byte, r *record) ([]byte, bool) {
		from := len(dst)
		dst, ok := op(dst, r)
		for i := from; i < len(dst); i++ {
			if dst[i] == '?' {
				return dst[:i], ok
			}
		}
		return dst, ok
	}
}
