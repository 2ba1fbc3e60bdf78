package translate

import (
	"maps"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	istio "istio.io/api/networking/v1alpha3"
)

// operations are what a route or a destination does to headers. Setting Host
// is a rewrite of the authority and not a header.
type operations struct {
	requestAdd, responseAdd       []*core.HeaderValueOption
	requestRemove, responseRemove []string
	authority                     string
}

func headerOperations(h *istio.Headers) operations {
	req, resp := h.GetRequest(), h.GetResponse()
	out := operations{
		requestAdd:     append(headerValues(req.GetSet(), overwrite), headerValues(req.GetAdd(), appending)...),
		responseAdd:    append(headerValues(resp.GetSet(), overwrite), headerValues(resp.GetAdd(), appending)...),
		requestRemove:  ordinary(req.GetRemove()),
		responseRemove: ordinary(resp.GetRemove()),
		authority:      authority(req.GetSet()),
	}
	if out.authority == "" {
		out.authority = authority(req.GetAdd())
	}
	return out
}

// apply appends the operations to those of the route.
func (o operations) apply(r *route.Route) {
	r.RequestHeadersToAdd = append(r.RequestHeadersToAdd, o.requestAdd...)
	r.RequestHeadersToRemove = append(r.RequestHeadersToRemove, o.requestRemove...)
	r.ResponseHeadersToAdd = append(r.ResponseHeadersToAdd, o.responseAdd...)
	r.ResponseHeadersToRemove = append(r.ResponseHeadersToRemove, o.responseRemove...)
}

const (
	overwrite = core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	appending = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
)

func headerValues(in map[string]string, action core.HeaderValueOption_HeaderAppendAction) []*core.HeaderValueOption {
	var out []*core.HeaderValueOption
	for _, k := range ordinary(slices.Sorted(maps.Keys(in))) {
		out = append(out, &core.HeaderValueOption{Header: &core.HeaderValue{Key: k, Value: in[k]}, AppendAction: action})
	}
	return out
}

// ordinary leaves out Host and the pseudo headers, which are no headers here.
func ordinary(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		return strings.HasPrefix(n, ":") || strings.EqualFold(n, "host")
	})
}

func authority(in map[string]string) string {
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if strings.EqualFold(k, "host") || strings.EqualFold(k, ":authority") {
			return in[k]
		}
	}
	return ""
}
