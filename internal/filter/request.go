package filter

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Request is what an expression looks at. It is read while Matches runs, and
// not kept.
type Request struct {
	Head        *traffic.Head
	Source      netip.AddrPort // the client, after x-forwarded-for was trusted
	Destination netip.AddrPort // the proxy's own address on that connection
	Time        time.Time
}

// activation gives names their values. Only what is asked for is made.
type activation struct{ r *Request }

// Parent is part of cel.Activation.
func (a activation) Parent() cel.Activation { return nil }

// ResolveName is part of cel.Activation.
func (a activation) ResolveName(name string) (any, bool) {
	h := a.r.Head
	switch name {
	case "request.method":
		return text(h.Method()), true
	case "request.path":
		return text(h.Path()), true
	case "request.url_path":
		path, _ := cutQuery(h.Path())
		return text(path), true
	case "request.query":
		_, query := cutQuery(h.Path())
		return text(query), true
	case "request.host":
		return text(h.Authority()), true
	case "request.scheme":
		return text(h.Scheme()), true
	case "request.protocol":
		return types.String(h.Protocol()), true
	case "request.headers":
		return headers{h}, true
	case "request.referer":
		return field(h, "referer"), true
	case "request.useragent":
		return field(h, "user-agent"), true
	case "request.id":
		return field(h, "x-request-id"), true
	case "request.size":
		v, _ := h.Get("content-length")
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			n = 0
		}
		return types.Int(n), true
	case "request.time":
		return types.Timestamp{Time: a.r.Time}, true
	}
	return a.address(name)
}

func (a activation) address(name string) (ref.Val, bool) {
	switch name {
	case "source.address":
		return types.String(a.r.Source.String()), true
	case "source.port":
		return types.Int(a.r.Source.Port()), true
	case "destination.address":
		return types.String(a.r.Destination.String()), true
	case "destination.port":
		return types.Int(a.r.Destination.Port()), true
	}
	return nil, false
}

func text(b []byte) types.String { return types.String(b) }

func field(h *traffic.Head, name string) types.String {
	v, _ := h.Get(name)
	return text(v)
}

func cutQuery(path []byte) (bare, query []byte) {
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return path, nil
}
