package translate

import (
	"math"

	rules "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/sundog-mesh/sundog/api/v1alpha1"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
)

// A mirrorPolicy is one mirror of a route before it is written down.
type mirrorPolicy struct {
	to            *istio.Destination
	share         *typev3.FractionalPercent
	cluster, host string
}

// mirrorsOf are the mirrors of a route that copy anything: that of the field
// mirror first.
func (t *translator) mirrorsOf(h *istio.HTTPRoute) []*mirrorPolicy {
	var out []*mirrorPolicy
	add := func(d *istio.Destination, share *typev3.FractionalPercent) {
		if d != nil && share != nil {
			out = append(out, &mirrorPolicy{to: d, share: share})
		}
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

// resolve finds the cluster of the mirror.
func (t *translator) resolve(m *mirrorPolicy, namespace string, port uint32) *mirrorPolicy {
	_, host, number := t.destination(m.to, namespace, port)
	m.host, m.cluster = host, clusterName(number, m.to.GetSubset(), host)
	return m
}

// mirrorPolicies are the mirrors of a route, as its ShadowPolicy wants them if
// it has one. baseline is the cluster with whose answers the others' are
// compared, if there is one.
func (t *translator) mirrorPolicies(rule routeRule, port uint32) (out []*route.RouteAction_RequestMirrorPolicy, baseline string) {
	all := t.mirrorsOf(rule.http)
	for _, m := range all {
		t.resolve(m, rule.object.Namespace, port)
	}
	var said *v1alpha1.Request
	if rule.policy != nil {
		o := rule.policy.object
		said = o.Spec.Request
		var b *mirrorPolicy
		if d := t.baseline(o); d != nil {
			b = t.resolve(&mirrorPolicy{to: d}, o.Namespace, port)
			baseline = b.cluster
		}
		all = t.sample(all, o, b)
	}
	for _, m := range all {
		p := &route.RouteAction_RequestMirrorPolicy{
			Cluster:                       m.cluster,
			RuntimeFraction:               &core.RuntimeFractionalPercent{DefaultValue: m.share},
			TraceSampled:                  wrapperspb.Bool(false),
			DisableShadowHostSuffixAppend: !t.opt.ShadowHostSuffix,
		}
		if said != nil {
			setAuthority(p, said, m.host)
			p.RequestHeadersMutations = headerMutations(said.Headers)
		}
		out = append(out, p)
	}
	return out, baseline
}

// setAuthority says what the Host of copies is.
func setAuthority(p *route.RouteAction_RequestMirrorPolicy, said *v1alpha1.Request, host string) {
	switch {
	case said.Authority != "":
		p.HostRewriteLiteral = said.Authority
	case said.AuthorityMode == v1alpha1.AuthorityShadow:
		p.HostRewriteLiteral = host
	case said.AuthorityMode == v1alpha1.AuthoritySuffix:
		p.DisableShadowHostSuffixAppend = false
		return
	case said.AuthorityMode != v1alpha1.AuthorityKeep:
		return
	}
	p.DisableShadowHostSuffixAppend = true
}

// headerMutations are the operations in their order: remove, set, add.
func headerMutations(h *v1alpha1.HeaderOperations) []*rules.HeaderMutation {
	if h == nil {
		return nil
	}
	var out []*rules.HeaderMutation
	for _, name := range ordinary(h.Remove) {
		out = append(out, &rules.HeaderMutation{Action: &rules.HeaderMutation_Remove{Remove: name}})
	}
	for _, v := range append(headerValues(h.Set, overwrite), headerValues(h.Add, appending)...) {
		out = append(out, &rules.HeaderMutation{Action: &rules.HeaderMutation_Append{Append: v}})
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

// sampled is the part of a ShadowPolicy's percentage that Envoy can do, up to
// all requests; nil: nothing is copied.
func sampled(v float64) *typev3.FractionalPercent {
	switch n := uint32(math.Round(min(max(v, 0), 100) * 10000)); {
	case v >= 100:
		return percent(100)
	case n > 0:
		return &typev3.FractionalPercent{Numerator: n, Denominator: typev3.FractionalPercent_MILLION}
	}
	return nil
}

// millionths is a share in parts of a million.
func millionths(f *typev3.FractionalPercent) uint64 {
	switch n := uint64(f.GetNumerator()); f.GetDenominator() {
	case typev3.FractionalPercent_MILLION:
		return n
	case typev3.FractionalPercent_TEN_THOUSAND:
		return n * 100
	default:
		return n * 10000
	}
}

// share is a percentage in parts of one, without what doubles add at the end.
func share(percent float64) float64 { return math.Round(percent*1e10) / 1e12 }
