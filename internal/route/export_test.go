package route

import (
	"hash/maphash"

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

// Work counts what Match looks at for a request: slots of hash tables, nodes
// on the longest way through a trie, and routes that are tried.
func (t *Table) Work(h *traffic.Head, random uint64) int {
	n := t.exact.probes(appendLower(nil, h.Authority())) + t.suffixes.depth(0) + t.prefixes.depth(0)
	v, path := t.host(h.Authority()), t.matchPath(h)
	if len(v.routes) <= fewRoutes {
		return n + len(v.routes)
	}
	n += v.index.exact.probes(path) + v.index.prefixes.depth(0)
	c := v.index.lookup(path, appendLower(nil, path))
	for i := c.next(-1); i >= 0; i = c.next(i) {
		n++
		if v.routes[i].match.fits(h, path, random, &t.joined) {
			break
		}
	}
	return n
}

// probes is how many slots get looks at.
func (x *hashIndex) probes(key []byte) int {
	if x.slots == nil {
		return 0
	}
	h := maphash.Bytes(x.seed, key)
	mask := uint64(len(x.slots) - 1)
	n := 1
	for i := h & mask; x.slots[i].values != nil && x.slots[i].key != string(key); i = (i + 1) & mask {
		n++
	}
	return n
}

func (t *trie) depth(node uint32) int {
	if len(t.nodes) == 0 {
		return 0
	}
	deepest, n := 0, t.nodes[node]
	for i := range n.children {
		deepest = max(deepest, t.depth(n.child+i))
	}
	return 1 + deepest
}
