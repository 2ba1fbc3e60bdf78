package translate

import (
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
)

// mirrorPolicies are the mirrors of a route: that of the field mirror first.
func (t *translator) mirrorPolicies(h *istio.HTTPRoute, namespace string, port uint32) []*route.RouteAction_RequestMirrorPolicy {
	var out []*route.RouteAction_RequestMirrorPolicy
	add := func(d *istio.Destination, share *typev3.FractionalPercent) {
		if d == nil || share == nil {
			return
		}
		out = append(out, &route.RouteAction_RequestMirrorPolicy{
			Cluster:                       t.destinationCluster(d, namespace, port),
			RuntimeFraction:               &core.RuntimeFractionalPercent{DefaultValue: share},
			TraceSampled:                  wrapperspb.Bool(false),
			DisableShadowHostSuffixAppend: !t.opt.ShadowHostSuffix,
		})
	}
	add(h.GetMirror(), mirrorShare(h))
	for _, m := range h.GetMirrors() {
		share := percent(100)
		if m.GetPercentage() != nil {
			share = positive(m.GetPercentage())
		}
		add(m.GetDestination(), share)
	}
	return out
}

// mirrorShare is how much of the route its field mirror copies; nil: nothing.
// The newer field wins over the older, and without either all is copied.
func mirrorShare(h *istio.HTTPRoute) *typev3.FractionalPercent {
	switch {
	case h.GetMirrorPercentage() != nil:
		return positive(h.GetMirrorPercentage())
	case h.GetMirrorPercent() != nil:
		if v := h.GetMirrorPercent().GetValue(); v > 0 {
			return percent(v)
		}
		return nil
	}
	return percent(100)
}

// positive is nil for a percentage that was set to zero: no mirror at all.
func positive(p *istio.Percent) *typev3.FractionalPercent {
	if p.GetValue() > 0 {
		return fraction(p)
	}
	return nil
}

// fraction has ten thousandths of a percent as its unit and cuts off what is
// below, as Istio's does: 0.57 % is 5699 of a million.
func fraction(p *istio.Percent) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{Numerator: uint32(p.GetValue() * 10000), Denominator: typev3.FractionalPercent_MILLION}
}

func percent(v uint32) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{Numerator: v, Denominator: typev3.FractionalPercent_HUNDRED}
}
