package route

import (
	"bytes"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Redirect is the action of a route that sends the client elsewhere.
type Redirect struct {
	Status int // 301, 302, 303, 307 or 308

	scheme     string // empty: the request's
	host       string // empty: the request's
	port       string // with its colon; empty: the request's
	path       []byte // nil: see rewrite
	pathQuery  bool   // path has a query of its own
	pathFormat format
	rewrite    pathRewrite
	stripQuery bool
}

// Location appends the Location of the answer to a request that came with the
// scheme, and returns dst. r is the redirect's route.
func (r *Route) Location(dst []byte, h *traffic.Head, scheme string, ctx *Context) []byte {
	d := r.Redirect
	to := scheme
	if s := h.Scheme(); len(s) > 0 && d.scheme == "" {
		to = ""
		dst = append(dst, s...)
	} else {
		if d.scheme != "" {
			to = d.scheme
		}
		dst = append(dst, to...)
	}
	dst = append(dst, "://"...)
	if d.host != "" {
		dst = append(dst, d.host...)
	} else {
		dst = append(dst, keptHost(h.Authority(), scheme, d.scheme, d.port != "")...)
	}
	dst = append(dst, d.port...)
	return d.appendPath(dst, r, h, ctx)
}

// keptHost is the request's host in the Location: without its port where the
// redirect sets one, or changes the scheme and the port was the old scheme's
// own.
func keptHost(host []byte, was, to string, newPort bool) []byte {
	i := portStart(host)
	if i < 0 {
		return host
	}
	port := string(host[i:])
	if newPort || to != "" && to != was && (was == "http" && port == ":80" || was == "https" && port == ":443") {
		return host[:i]
	}
	return host
}

// portStart is the index of the colon before the port, or -1.
func portStart(host []byte) int {
	i := bytes.LastIndexByte(host, ':')
	if i < 0 || bytes.IndexByte(host[i:], ']') >= 0 {
		return -1
	}
	return i
}

func (d *Redirect) appendPath(dst []byte, r *Route, h *traffic.Head, ctx *Context) []byte {
	path := h.Path()
	switch {
	case d.path != nil:
		dst = append(dst, d.path...)
		if q := bytes.IndexByte(path, '?'); q >= 0 && !d.pathQuery && !d.stripQuery {
			dst = append(dst, path[q:]...)
		}
		return dst
	case d.pathFormat != nil:
		n := len(dst)
		if dst = d.pathFormat.append(dst, h, nil, ctx); len(dst) > n {
			return dst
		}
	case d.rewrite.set():
		n := len(dst)
		dst = d.rewrite.append(dst, r, h, ctx)
		if q := bytes.IndexByte(dst[n:], '?'); q >= 0 && d.stripQuery {
			dst = dst[:n+q]
		}
		return dst
	}
	if q := bytes.IndexByte(path, '?'); q >= 0 && d.stripQuery {
		path = path[:q]
	}
	return append(dst, path...)
}

// Direct is the action of a route that the proxy answers itself.
type Direct struct {
	Status int
	// ContentType is set where the configuration says one; else Envoy's
	// "text/plain" goes with a body.
	ContentType string

	body   []byte
	format format
}

// Body returns the body of the answer. It appends to dst where the body is
// made for each request, and leaves dst alone otherwise.
func (d *Direct) Body(dst []byte, h *traffic.Head, ctx *Context) []byte {
	if d.format == nil {
		return d.body
	}
	ctx.status = d.Status
	return d.format.append(dst, h, nil, ctx)
}
