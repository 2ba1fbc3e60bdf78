package translate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/sundog-mesh/sundog/api/v1alpha1"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/policy"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
)

// policyKey is what the metadata of a policy depends on.
type policyKey struct {
	object   *policyObject
	baseline string // the cluster
}

// addPolicy puts into the route's metadata what the policy says that Envoy has
// no field for.
func (t *translator) addPolicy(out *route.Route, o *policyObject, baseline string) {
	key := policyKey{o, baseline}
	s, ok := t.encoded[key]
	if !ok {
		p := normal(o)
		p.Compare.Baseline.Cluster = baseline
		var err error
		if s, err = policy.Encode(p); err != nil {
			t.report(o.Problem(config.Error, "spec", "cannot be used: "+err.Error(), ""))
		}
		t.encoded[key] = s
	}
	if s == nil {
		return
	}
	out.Metadata.FilterMetadata[envoy.MetadataKey] = &structpb.Struct{Fields: map[string]*structpb.Value{
		policy.MetadataField: structpb.NewStructValue(s),
	}}
}

// normal is the policy as it travels, but for the baseline's cluster. What
// Envoy has fields for (authority, headers) is not in it.
func normal(o *policyObject) policy.Policy {
	p := policy.Policy{Name: o.Namespace + "/" + o.Name, Sample: policy.Sample{Key: policy.Key{Kind: policy.KeyRequestID}}}
	if s := o.Spec.Sample; s != nil {
		p.Sample.Percent, p.Sample.Rate = s.Percent, or(s.MaxPerSecond, 0)
		p.Sample.Methods, p.Sample.Match = s.Methods, s.Match
		if s.Key != nil {
			p.Sample.Key = policy.Key{Kind: cmp.Or(policy.KeyKind(s.Key.Type), policy.KeyRequestID), Name: s.Key.Name}
		}
		if p.Sample.Key.Kind == policy.KeyHeader {
			p.Sample.Key.Name = strings.ToLower(p.Sample.Key.Name)
		}
	}
	if q := o.Spec.Request; q != nil {
		p.Request = normalRequest(q)
	}
	if b := o.Spec.Budget; b != nil {
		p.Budget = policy.Budget{Buffer: bytesOf(b.Buffer), MaxRequests: int(or(b.MaxRequests, 0)), MaxBytes: bytesOf(b.MaxBytes)}
		if b.Timeout != nil {
			p.Budget.Timeout = max(b.Timeout.Duration, time.Millisecond)
		}
	}
	if b := o.Spec.Brake; b != nil {
		p.Brake = policy.Brake{Off: !or(b.Enabled, true), Ratio: or(b.Ratio, 0), ControlShare: b.ControlPercent}
	}
	if comparing(o) {
		p.Compare = normalCompare(o.Spec.Compare)
	}
	return p
}

func normalRequest(q *v1alpha1.Request) policy.Request {
	var out policy.Request
	switch w := q.Path; {
	case w == nil:
	case w.Prefix != nil:
		out.Path = &policy.Path{Prefix: w.Prefix.Match, Replacement: w.Prefix.Rewrite}
	case w.Regex != nil:
		out.Path = &policy.Path{Regex: w.Regex.Match, Substitution: w.Regex.Rewrite}
	}
	if d := q.Redact; d != nil {
		out.Redact = policy.Redact{Cookies: d.Cookies, Query: d.QueryParams, JSON: d.JSONPaths, KeyFile: d.KeyFile}
		for _, name := range d.Headers {
			out.Redact.Headers = append(out.Redact.Headers, strings.ToLower(name))
		}
	}
	return out
}

func normalCompare(c *v1alpha1.Compare) policy.Compare {
	limits := c.Limits
	if limits == nil {
		limits = &v1alpha1.Limits{}
	}
	out := policy.Compare{
		Enabled: true, MaxBody: bytesOf(c.MaxBody), Ignore: c.Ignore, Endpoints: c.Endpoints, OpenAPI: c.OpenAPIFile,
		Epsilon: or(limits.DifferencePercent, 0) / 100, Alpha: share(100 - or(limits.ConfidencePercent, 100)),
		MaxLatencyRatio: or(limits.LatencyRatio, 0),
	}
	if c.Protobuf != nil {
		out.Descriptors, out.Reflection = c.Protobuf.DescriptorFile, c.Protobuf.Reflection
	}
	if b := c.Baseline; b != nil && b.Again != nil {
		out.Baseline.AgainRate = or(b.Again.MaxPerSecond, 0)
		if b.Destination == nil && b.BackendRef == nil { // else the primary is asked again to confirm, no more
			out.Baseline.Again = share(or(b.Again.Percent, 0))
		}
	}
	for _, f := range c.Fields {
		rule := policy.FieldRule{Path: f.Path, Type: policy.FieldType(f.Type)}
		if f.Tolerance != nil {
			rule.Absolute, rule.Relative = or(f.Tolerance.Absolute, 0), or(f.Tolerance.Relative, 0)
		}
		if f.Array != nil {
			rule.Array, rule.Key = policy.ArrayMode(f.Array.Match), f.Array.Key
		}
		out.Fields = append(out.Fields, rule)
	}
	return out
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func bytesOf(q *resource.Quantity) int64 {
	if q == nil {
		return 0
	}
	return q.Value()
}

// sample gives the mirrors of a route the share that the policy wants, and puts
// the baseline among them.
func (t *translator) sample(all []*mirrorPolicy, o *policyObject, baseline *mirrorPolicy) []*mirrorPolicy {
	if s := o.Spec.Sample; s != nil && s.Percent != nil {
		every := sampled(*s.Percent)
		if every == nil {
			return nil
		}
		for _, m := range all {
			m.share = every
		}
	}
	if len(all) == 0 {
		return nil
	}
	if baseline != nil && !slices.ContainsFunc(all, func(m *mirrorPolicy) bool { return m.cluster == baseline.cluster }) {
		baseline.share = slices.MaxFunc(all, func(a, b *mirrorPolicy) int { return cmp.Compare(millionths(a.share), millionths(b.share)) }).share
		all = append(all, baseline)
	}
	return all
}
