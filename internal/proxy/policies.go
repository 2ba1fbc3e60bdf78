package proxy

import (
	"fmt"
	"os"

	"github.com/sundog-mesh/sundog/internal/filter"
	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// policiesOf compiles the mirrors of a route, the last of which may be the
// primary asked again, and the rules that its ShadowPolicy gives them.
func (p *Proxy) policiesOf(g *generation, r *route.Route) ([]*mirror.Policy, *mirror.Rules, error) {
	var all []*mirror.Policy
	for i := range r.Forward.Mirrors {
		m := &r.Forward.Mirrors[i]
		one := &mirror.Policy{Mirror: m, Share: mirror.Share{Numerator: uint64(m.Numerator), Denominator: m.Denominator}, Limits: p.opt.Shadow}
		if m.Cluster >= 0 {
			one.Cluster = g.clusters[m.Cluster]
		}
		all = append(all, one)
	}
	said := r.Forward.Policy
	rules, err := rulesOf(said)
	if err != nil {
		return nil, nil, fmt.Errorf("route %s: ShadowPolicy %s: %w", r.Key, said.Name, err)
	}
	limits := p.opt.Brake
	if said != nil {
		key, err := p.redactKey(said.Request.Redact)
		if err == nil {
			all, err = applyPolicy(all, said, key)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("route %s: ShadowPolicy %s: %w", r.Key, said.Name, err)
		}
		limits = brakeOf(said.Brake, limits)
		primary := ""
		if len(r.Forward.Clusters) == 1 {
			primary = r.Forward.Clusters[0].Name
		}
		g.compare(r.Key, primary, all, said, key)
	}
	brake := p.brakes.Of(r.Key, all, limits)
	for _, one := range all {
		one.Budget, one.Brake = p.budgetOf(r.Key, one.Mirror.Name), brake
	}
	return all, rules, nil
}

func (p *Proxy) budgetOf(routeKey, mirrorName string) *mirror.Budget {
	key := routeKey + "\x00" + mirrorName
	budget := p.budgets[key]
	if budget == nil {
		budget = &mirror.Budget{}
		p.budgets[key] = budget
	}
	return budget
}

// primaryAgain is the mirror that stands for the primary, asked again.
func primaryAgain() *route.Mirror {
	return &route.Mirror{Name: "again", Cluster: -1, Denominator: 1, NoHostSuffix: true}
}

// applyPolicy gives the mirrors what the ShadowPolicy says of them.
func applyPolicy(all []*mirror.Policy, said *policy.Policy, redactKey []byte) ([]*mirror.Policy, error) {
	redactor, err := redact.New(said.Request.Redact, redactKey)
	if file := said.Request.Redact.KeyFile; err != nil && file != "" && len(redactKey) < redact.MinKey {
		return nil, fmt.Errorf("request.redact.keyFile: %s: %w", file, err)
	}
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		one.Redactor = redactor
		one.Limits = limitsOf(said.Budget, one.Limits)
		if said.Sample.Percent != nil {
			one.Share = mirror.Percent(*said.Sample.Percent)
		}
		if c := said.Compare; c.Enabled && c.Baseline.Cluster == one.Mirror.Name {
			one.Role = traffic.Baseline
		}
	}
	if c := said.Compare; c.Enabled && c.Baseline.Again > 0 && len(all) > 0 {
		again := &mirror.Policy{
			Mirror: primaryAgain(), Role: traffic.Again, Share: mirror.Percent(100 * c.Baseline.Again), Limits: all[0].Limits,
		}
		if c.Baseline.AgainRate > 0 {
			again.Rate = mirror.NewRate(c.Baseline.AgainRate / 2) // the other half is for confirmations
		}
		all = append(all, again)
	}
	return all, nil
}

// redactKey is the key of a policy's pseudonyms.
func (p *Proxy) redactKey(r policy.Redact) ([]byte, error) {
	if r.KeyFile == "" {
		return p.opt.RedactKey, nil
	}
	key, err := os.ReadFile(r.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("request.redact.keyFile: %w", err)
	}
	return key, nil
}

// limitsOf are the limits that the flags give, where a budget says nothing else.
func limitsOf(b policy.Budget, flags mirror.Limits) mirror.Limits {
	return mirror.Limits{Timeout: b.Timeout, Buffer: b.Buffer, MaxRequests: b.MaxRequests, MaxBytes: b.MaxBytes}.Or(flags)
}

// brakeOf are the limits of the brake that the flags give, where the policy
// says nothing else.
func brakeOf(b policy.Brake, flags mirror.BrakeLimits) mirror.BrakeLimits {
	if b.Ratio > 0 {
		flags.Ratio = b.Ratio
	}
	if b.Off {
		flags.Ratio = 0
	}
	if b.ControlShare != nil {
		flags.ControlShare = *b.ControlShare / 100
	}
	return flags
}

// rulesOf compiles what the ShadowPolicy says of requests; nil: there is none.
func rulesOf(said *policy.Policy) (*mirror.Rules, error) {
	if said == nil {
		return nil, nil
	}
	program, err := filter.Compile(said.Sample.Match)
	if err != nil {
		return nil, fmt.Errorf("sample.match: %w", err)
	}
	if program == nil {
		return mirror.NewRules(said, nil), nil
	}
	return mirror.NewRules(said, func(ctx *route.Context) bool {
		ok, err := program.Matches(&filter.Request{Head: ctx.Request, Source: ctx.DownstreamRemote, Destination: ctx.DownstreamLocal, Time: ctx.Start})
		return ok && err == nil // what cannot be told does not match, as in Envoy's RBAC filter
	}), nil
}
