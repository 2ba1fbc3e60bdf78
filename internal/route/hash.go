package route

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// HashPolicy says what of a request decides which endpoint of a cluster with
// the policy RING_HASH or MAGLEV gets it (RouteAction.hash_policy). The hashes
// are Envoy's. It is immutable; a nil one hashes nothing.
type HashPolicy struct{ methods []hashMethod }

// hashMethod is one element of the list. Exactly one of header, cookie, query
// and sourceIP is set.
type hashMethod struct {
	header   string // lower case
	regex    *rewriter
	cookie   *hashCookie
	query    string
	sourceIP bool
	terminal bool // the rest counts only as long as there is no hash
}

type hashCookie struct {
	name     string
	generate bool   // one that is missing is made up (ttl is set)
	tail     string // of set-cookie, after the value's closing quote
}

// HashCookies is a set of cookies of a HashPolicy.
type HashCookies uint64

// maxHashMethods is as many as HashCookies has room for.
const maxHashMethods = 64

// Hash hashes a request as its client sent it: call it before RewriteRequest,
// and once for all tries. ok is false where there is nothing to hash. Of ctx it
// sees the addresses. cookies are those that the client lacks and is to get: give
// them to SetCookies when the answer's head goes to the client. It allocates
// only for a regex_rewrite, or a header of more than 16 lines.
func (p *HashPolicy) Hash(h *traffic.Head, ctx *Context) (hash uint64, ok bool, cookies HashCookies) {
	if p == nil {
		return 0, false, 0
	}
	for i := range p.methods {
		m := &p.methods[i]
		if next, found, made := m.hash(h, ctx); found {
			hash = (hash<<1 | hash>>63) ^ next
			ok = true
			if made {
				cookies |= 1 << i
			}
		}
		if m.terminal && ok {
			break
		}
	}
	return hash, ok, cookies
}

// SetCookies adds the cookies that Hash has made up to the head of the answer.
func (p *HashPolicy) SetCookies(answer *traffic.Head, ctx *Context, cookies HashCookies) {
	if cookies == 0 {
		return
	}
	for i := range p.methods {
		if cookies&(1<<i) == 0 {
			continue
		}
		c := p.methods[i].cookie
		var buf [256]byte
		v := append(append(buf[:0], c.name...), `="`...)
		v = append(appendCookieValue(v, ctx), '"')
		answer.Add("set-cookie", append(v, c.tail...))
	}
}

func (m *hashMethod) hash(h *traffic.Head, ctx *Context) (hash uint64, ok, made bool) {
	switch {
	case m.header != "":
		hash, ok = m.hashHeader(h)
	case m.cookie != nil:
		if v := cookieValue(h, m.cookie.name); len(v) > 0 {
			return xxhash.Sum64(v), true, false
		}
		if m.cookie.generate && ctx.DownstreamDirectRemote.IsValid() {
			var buf [16]byte
			return xxhash.Sum64(appendCookieValue(buf[:0], ctx)), true, true
		}
	case m.query != "":
		var v []byte
		if v, ok = queryValue(h.Path(), m.query); ok {
			hash = xxhash.Sum64(v)
		}
	case ctx.DownstreamRemote.IsValid(): // source_ip
		var buf [64]byte
		return xxhash.Sum64(ctx.DownstreamRemote.Addr().Unmap().AppendTo(buf[:0])), true, false
	}
	return hash, ok, false
}

// hashHeader hashes the values of all lines, in an order that does not depend
// on theirs: each with the hash so far as its seed.
func (m *hashMethod) hashHeader(h *traffic.Head) (uint64, bool) {
	var room [16][]byte
	values := room[:0]
	if m.header[0] == ':' || m.header == "host" {
		if v, n := headerValue(h, m.header); n > 0 {
			values = append(values, v)
		}
	} else {
		for i := range h.Len() {
			if name, v := h.Field(i); string(name) == m.header {
				values = append(values, v)
			}
		}
	}
	for i := range values {
		if m.regex != nil {
			values[i] = m.regex.append(nil, values[i])
		}
		for k := i; k > 0 && bytes.Compare(values[k], values[k-1]) < 0; k-- {
			values[k], values[k-1] = values[k-1], values[k]
		}
	}
	hash := uint64(0)
	for _, v := range values {
		var d xxhash.Digest
		d.ResetWithSeed(hash)
		_, _ = d.Write(v) // never fails
		hash = d.Sum64()
	}
	return hash, len(values) > 0
}

// cookieValue is the value of the request's first cookie of that name, without
// the quotes around it. A piece of the header without "=" is passed over.
func cookieValue(h *traffic.Head, name string) []byte {
	for i := range h.Len() {
		field, rest := h.Field(i)
		if string(field) != "cookie" {
			continue
		}
		for len(rest) > 0 {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			key, v, ok := bytes.Cut(bytes.TrimLeft(pair, " "), []byte("="))
			if !ok || string(key) != name {
				continue
			}
			if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' {
				v = v[1 : n-1]
			}
			return v
		}
	}
	return nil
}

// appendCookieValue makes up a cookie's value: it is the same for all requests
// of a connection, so that several that come at once agree.
func appendCookieValue(dst []byte, ctx *Context) []byte {
	var buf [128]byte
	both := appendEndpoint(appendEndpoint(buf[:0], ctx.DownstreamDirectRemote), ctx.DownstreamLocal)
	hash := xxhash.Sum64(both)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[hash>>shift&15])
	}
	return dst
}

// appendEndpoint writes "address:port", of an IPv4 address in its own form.
func appendEndpoint(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).AppendTo(dst)
}

// cookieTail is what follows a made-up cookie's value.
func cookieTail(maxAge int64, path string, attributes []string) string {
	var b bytes.Buffer
	if maxAge != 0 {
		b.WriteString("; Max-Age=" + strconv.FormatInt(maxAge, 10))
	}
	if path != "" {
		b.WriteString("; Path=" + path)
	}
	for _, a := range attributes {
		b.WriteString("; " + a)
	}
	b.WriteString("; HttpOnly")
	return b.String()
}
