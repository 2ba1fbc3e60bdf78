package compare

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
)

// cookie is one part of a Set-Cookie line: the value (attribute "") or an attribute.
type cookie struct {
	name      string
	attribute string
	value     string
}

// cookies compares Set-Cookie lines by the name of the cookie and its
// attributes (RFC 6265 4.1), whatever their order: "header.set-cookie.sid"
// is the value, "header.set-cookie.sid.path" an attribute.
func (c *Comparer) cookies(st states, a, b []Field) {
	x, y := parseCookies(a), parseCookies(b)
	for len(x) > 0 || len(y) > 0 {
		var name string
		if len(x) > 0 && (len(y) == 0 || x[0].name <= y[0].name) {
			name = x[0].name
		} else {
			name = y[0].name
		}
		n, k := partsOf(x, name), partsOf(y, name)
		c.cookie(st, name, x[:n], y[:k])
		x, y = x[n:], y[k:]
	}
}

func partsOf(all []cookie, name string) int {
	n := 0
	for n < len(all) && all[n].name == name {
		n++
	}
	return n
}

// parseCookies returns the parts of all lines, sorted. Of cookies set more than
// once the parts follow each other.
func parseCookies(lines []Field) []cookie {
	var all []cookie
	for _, l := range lines {
		pair, rest, _ := strings.Cut(l.Value, ";")
		name, value, _ := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		all = append(all, cookie{name: name, value: strings.TrimSpace(value)})
		for rest != "" {
			var one string
			one, rest, _ = strings.Cut(rest, ";")
			attribute, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			if attribute != "" {
				all = append(all, cookie{name, strings.ToLower(attribute), value})
			}
		}
	}
	slices.SortStableFunc(all, func(x, y cookie) int {
		return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.attribute, y.attribute))
	})
	return all
}

// cookie compares the parts of one cookie.
func (c *Comparer) cookie(st states, name string, a, b []cookie) {
	next, e := c.name(st, []byte(name))
	defer c.release(next)
	if e.ignore {
		return
	}
	c.enter(name)
	defer c.pop()
	if len(a) == 0 || len(b) == 0 { // all of it is on one side
		c.text(name, first(a), first(b), len(a) > 0, len(b) > 0, e)
		return
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].attribute < b[0].attribute:
			c.part(next, e, &a[0], nil)
			a = a[1:]
		case len(a) == 0 || a[0].attribute > b[0].attribute:
			c.part(next, e, nil, &b[0])
			b = b[1:]
		default:
			c.part(next, e, &a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
}

func first(parts []cookie) string {
	if len(parts) == 0 {
		return ""
	}
	return parts[0].value
}

// part compares a value or an attribute; nil: it is not there.
func (c *Comparer) part(st states, e *effect, a, b *cookie) {
	one := cmp.Or(a, b)
	var x, y string
	if a != nil {
		x = a.value
	}
	if b != nil {
		y = b.value
	}
	if a != nil && b != nil && x == y {
		return
	}
	if one.attribute == "" {
		c.text("", x, y, a != nil, b != nil, e)
		return
	}
	next, inner := c.name(st, []byte(one.attribute))
	if !inner.ignore {
		c.enter(one.attribute)
		c.text(one.attribute, x, y, a != nil, b != nil, inner)
		c.pop()
	}
	c.release(next)
}

// lowerDetails reads a grpc-status-details-bin trailer.
func (c *Comparer) lowerDetails(t *tree, value string) bool {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return false
	}
	t.reset(raw, limits{c.opts.MaxDepth, c.opts.MaxNodes})
	p := protoParser{t: t, types: c.types}
	return p.whole(span{0, uint32(len(raw))}, p.message("google.rpc.Status")) == ""
}
