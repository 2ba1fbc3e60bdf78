package proxy

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Compared is a route whose answers its ShadowPolicy wants compared.
type Compared struct {
	RouteKey   string
	Primary    string   // cluster; empty: one of several, by weight or by a header
	Candidates []string // clusters
	Policy     policy.Policy
	// RedactKey is what the route's pseudonyms are made with.
	RedactKey []byte

	again *mirror.Rate // at which the primary is asked again; nil: no bound
}

// comparing tells whose answers are compared. Routes that share a key count once.
func (p *Proxy) comparing(g *generation) {
	if p.opt.Comparing == nil {
		return
	}
	var all []Compared
	if g != nil {
		for _, c := range g.compared {
			all = append(all, *c)
		}
	}
	p.opt.Comparing(all)
}

// MayAsk takes n questions to the route's primary out of what its policy allows
// in a second, or reports that there is no room for them.
func (p *Proxy) MayAsk(routeKey string, n int) bool {
	c := p.gen.Load().compared[routeKey]
	return c != nil && c.again.Take(time.Now(), n)
}

// compare enters a route, whose mirrors are compiled, among those compared.
func (g *generation) compare(key, primary string, mirrors []*mirror.Policy, said *policy.Policy, redactKey []byte) {
	if said == nil || !said.Compare.Enabled || g.compared[key] != nil {
		return
	}
	c := &Compared{RouteKey: key, Primary: primary, Policy: *said, RedactKey: redactKey}
	again := false // shares the allowance
	for _, m := range mirrors {
		switch m.Role {
		case traffic.Candidate:
			c.Candidates = append(c.Candidates, m.Mirror.Name)
		case traffic.Again:
			again = true
		}
	}
	if rate := said.Compare.Baseline.AgainRate; rate > 0 {
		if again { // else the more differs, the fewer samples there are of the noise
			rate /= 2
		}
		c.again = mirror.NewRate(rate)
	}
	if len(c.Candidates) > 0 {
		g.compared[key] = c
	}
}
