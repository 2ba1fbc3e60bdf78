package route

import (
	"bytes"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// maxHost bounds the domains of a Table. A longer authority can match "*"
// only: names end at 253 bytes (RFC 1035, section 2.3.4).
const maxHost = 320

// Match finds the virtual host for the request's authority, and its first
// route that fits. Exact domains come first, then "*.suffix" with the longest
// first, then "prefix.*" with the longest first, then "*"; case does not
// matter. Without a virtual host both are nil; without a route, the route is.
// random is the request's own random number, the same whenever it is matched.
func (t *Table) Match(h *traffic.Head, random uint64) (*VirtualHost, *Route) {
	v := t.host(h.Authority())
	if v == nil {
		return nil, nil
	}
	if v.toTLS != nil && v.needsTLS(h) {
		return v, v.toTLS
	}
	return v, v.route(h, random)
}

func (t *Table) host(authority []byte) *VirtualHost {
	if t.ignorePort {
		if i := portStart(authority); i >= 0 {
			authority = authority[:i]
		}
	}
	if len(authority) == 0 || len(authority) > maxHost {
		return t.any
	}
	var buf [maxHost]byte
	host := appendLower(buf[:0], authority)
	if v := t.exact.get(host); v != nil {
		return t.hosts[v[0]]
	}
	if len(t.suffixes.nodes) > 0 {
		var back [maxHost]byte
		for i, c := range host {
			back[len(host)-1-i] = c
		}
		// The "*" stands for one byte or more.
		if n := t.suffixes.find(back[:len(host)-1]); n >= 0 {
			return t.hosts[t.suffixes.at(n)[0]]
		}
	}
	if n := t.prefixes.find(host[:len(host)-1]); n >= 0 {
		return t.hosts[t.prefixes.at(n)[0]]
	}
	return t.any
}

// needsTLS goes by x-forwarded-proto, as Envoy does, which says what the
// client's own connection was.
func (v *VirtualHost) needsTLS(h *traffic.Head) bool {
	proto, ok := h.Get("x-forwarded-proto")
	if !ok {
		proto = h.Scheme()
	}
	if string(proto) == "https" {
		return false
	}
	if v.tlsExternal {
		internal, _ := h.Get("x-envoy-internal")
		return string(internal) != "true"
	}
	return true
}

// fewRoutes are tried in turn, which is faster than to ask the index.
const fewRoutes = 4

// route finds the first route that fits. Only those are tried whose path can
// fit, by the index.
func (v *VirtualHost) route(h *traffic.Head, random uint64) *Route {
	path := v.table.matchPath(h)
	if len(v.routes) <= fewRoutes || len(path) == 0 { // CONNECT has none
		for _, r := range v.routes {
			if r.match.fits(h, path, random, &v.table.joined) {
				return r
			}
		}
		return nil
	}
	var lower []byte
	if v.index.folds() {
		buf := v.table.joined.Get().(*[]byte)
		defer v.table.joined.Put(buf)
		*buf = appendLower((*buf)[:0], path)
		lower = *buf
	}
	c := v.index.lookup(path, lower)
	for i := c.next(-1); i >= 0; i = c.next(i) {
		if r := v.routes[i]; r.match.fits(h, path, random, &v.table.joined) {
			return r
		}
	}
	return nil
}

// matchPath is what path matchers see: no query, no fragment and, if so
// configured, no parameters.
func (t *Table) matchPath(h *traffic.Head) []byte {
	path := barePath(h.Path())
	if t.ignoreParams {
		if i := bytes.IndexByte(path, ';'); i >= 0 {
			path = path[:i]
		}
	}
	return path
}

// barePath cuts query and fragment.
func barePath(path []byte) []byte {
	if i := bytes.IndexAny(path, "?#"); i >= 0 {
		return path[:i]
	}
	return path
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// equalFold compares b with lower, which is in lower case.
func equalFold(b []byte, lower string) bool { return traffic.EqualFold(b, lower) }
