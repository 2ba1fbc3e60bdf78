package route

import (
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// MatchScan is Match without the indexes: it tries every domain and every
// route in turn.
func (t *Table) MatchScan(h *traffic.Head, random uint64, domains [][]string) (*VirtualHost, *Route) {
	v := t.scanHosts(string(appendLower(nil, h.Authority())), domains)
	if v == nil {
		return nil, nil
	}
	for _, r := range v.routes {
		if path := t.matchPath(h); len(path) > 0 && r.match.fits(h, path, random, &t.joined) {
			return v, r
		}
	}
	return v, nil
}

// scanHosts states the rule plainly: the kind of the domain decides, then its
// length.
func (t *Table) scanHosts(host string, domains [][]string) *VirtualHost {
	var best *VirtualHost
	bestRank := -1
	for i, ds := range domains {
		for _, d := range ds {
			d = lower(d)
			rank := -1
			switch n := len(d) - 1; {
			case d == "*":
				rank = 0
			case d == host:
				rank = 30_000
			case d[0] == '*' && len(host) > n && host[len(host)-n:] == d[1:]:
				rank = 20_000 + n
			case d[n] == '*' && len(host) > n && host[:n] == d[:n]:
				rank = 10_000 + n
			}
			if rank > bestRank {
				best, bestRank = t.hosts[i], rank
			}
		}
	}
	return best
}
