package route

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// format is a text with Envoy's command operators, compiled.
type format []formatPart

type formatOp uint8

const (
	opText formatOp = iota
	opRequestHeader
	opResponseHeader
	opProtocol
	opDownstreamRemote
	opDownstreamRemoteAddr
	opDownstreamRemotePort
	opDownstreamDirectRemote
	opDownstreamDirectRemoteAddr
	opDownstreamLocal
	opDownstreamLocalAddr
	opDownstreamLocalPort
	opUpstream
	opUpstreamAddr
	opUpstreamPort
	opCluster
	opRouteName
	opVirtualHostName
	opStartTime
	opStartSeconds
	opResponseCode
)

// formatOps are the operators without a parameter.
func formatOps() map[string]formatOp {
	return map[string]formatOp{
		"PROTOCOL":                                      opProtocol,
		"DOWNSTREAM_REMOTE_ADDRESS":                     opDownstreamRemote,
		"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        opDownstreamRemoteAddr,
		"DOWNSTREAM_REMOTE_PORT":                        opDownstreamRemotePort,
		"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              opDownstreamDirectRemote,
		"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": opDownstreamDirectRemoteAddr,
		"DOWNSTREAM_LOCAL_ADDRESS":                      opDownstreamLocal,
		"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         opDownstreamLocalAddr,
		"DOWNSTREAM_LOCAL_PORT":                         opDownstreamLocalPort,
		"UPSTREAM_HOST":                                 opUpstream,
		"UPSTREAM_REMOTE_ADDRESS":                       opUpstream,
		"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":          opUpstreamAddr,
		"UPSTREAM_REMOTE_PORT":                          opUpstreamPort,
		"UPSTREAM_CLUSTER":                              opCluster,
		"UPSTREAM_CLUSTER_RAW":                          opCluster,
		"ROUTE_NAME":                                    opRouteName,
		"VIRTUAL_HOST_NAME":                             opVirtualHostName,
		"START_TIME":                                    opStartTime,
		"RESPONSE_CODE":                                 opResponseCode,
	}
}

type formatPart struct {
	op        formatOp
	text      []byte // of opText
	name, alt string // of the header operators: the field, and the one instead
	max       int    // bytes of the value at most; -1 no bound
	empty     bool   // what has no value prints as nothing, not as "-"
}

// compileFormat compiles a text. What has no value prints as "-", or as
// nothing where empty is set, as it is in header values.
func compileFormat(text string, empty bool) (format, error) {
	var f format
	literal := func(s string) {
		if n := len(f); n > 0 && f[n-1].op == opText {
			f[n-1].text = append(f[n-1].text, s...)
		} else {
			f = append(f, formatPart{text: []byte(s), max: -1})
		}
	}
	for len(text) > 0 {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			literal(text)
			break
		}
		if i > 0 {
			literal(text[:i])
		}
		text = text[i+1:]
		if strings.HasPrefix(text, "%") {
			literal("%")
			text = text[1:]
			continue
		}
		end := operatorEnd(text)
		if end < 0 {
			return nil, fmt.Errorf("%q: a command operator is not closed; a plain percent sign is written %%%%", "%"+text)
		}
		part, err := compileOperator(text[:end])
		if err != nil {
			return nil, err
		}
		part.empty = empty
		f = append(f, part)
		text = text[end+1:]
	}
	return f, nil
}

// operatorEnd finds the closing percent sign, which is not one in parentheses.
func operatorEnd(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '%':
			if depth <= 0 {
				return i
			}
		}
	}
	return -1
}

func compileOperator(s string) (formatPart, error) {
	p := formatPart{max: -1}
	name, param, hasParam := s, "", false
	if open := strings.IndexByte(s, '('); open >= 0 {
		shut := strings.LastIndexByte(s, ')')
		if shut < open {
			return p, fmt.Errorf("%%%s%%: a bracket is not closed", s)
		}
		name, param, hasParam = s[:open], s[open+1:shut], true
		s = name + s[shut+1:]
	}
	if base, bound, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.Atoi(bound)
		if err != nil || n < 0 {
			return p, fmt.Errorf("%%%s%%: the length after the colon is not a number", s)
		}
		name, p.max = base, n
	}
	switch name {
	case "REQ", "RESP":
		if p.op = opRequestHeader; name == "RESP" {
			p.op = opResponseHeader
		}
		p.name, p.alt, _ = strings.Cut(lower(param), "?")
		if p.name == "" {
			return p, fmt.Errorf("%%%s%% needs the name of a header in brackets", name)
		}
		return p, nil
	case "START_TIME":
		switch param {
		case "":
			p.op = opStartTime
		case "%s":
			p.op = opStartSeconds
		default:
			return p, fmt.Errorf("%%START_TIME(%s)%%: only the default format and %%s are supported", param)
		}
		return p, nil
	}
	op, ok := formatOps()[name]
	if !ok || hasParam {
		return p, fmt.Errorf("%%%s%% is not a supported command operator", name)
	}
	p.op = op
	return p, nil
}

// append appends the text for one request. response is nil while there is
// none.
func (f format) append(dst []byte, request, response *traffic.Head, ctx *Context) []byte {
	for i := range f {
		p := &f[i]
		n := len(dst)
		dst = p.append(dst, request, response, ctx)
		if p.max >= 0 && len(dst) > n+p.max {
			dst = dst[:n+p.max]
		}
		if len(dst) == n && !p.empty && p.op != opText {
			dst = append(dst, '-')
		}
	}
	return dst
}

func (p *formatPart) append(dst []byte, request, response *traffic.Head, ctx *Context) []byte {
	switch p.op {
	case opText:
		return append(dst, p.text...)
	case opRequestHeader:
		return p.header(dst, request)
	case opResponseHeader:
		return p.header(dst, response)
	case opProtocol:
		if request == nil {
			return append(dst, "HTTP/1.1"...)
		}
		return append(dst, request.Protocol()...)
	case opResponseCode:
		status := ctx.status
		if response != nil {
			status = response.Status
		}
		if status == 0 {
			return dst
		}
		return strconv.AppendInt(dst, int64(status), 10)
	case opCluster:
		return append(dst, ctx.Cluster...)
	case opRouteName:
		if ctx.Route != nil {
			dst = append(dst, ctx.Route.Name...)
		}
		return dst
	case opVirtualHostName:
		if ctx.Route != nil {
			dst = append(dst, ctx.Route.VirtualHost.Name...)
		}
		return dst
	case opStartTime:
		if ctx.Start.IsZero() {
			return dst
		}
		return ctx.Start.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	case opStartSeconds:
		if ctx.Start.IsZero() {
			return dst
		}
		return strconv.AppendInt(dst, ctx.Start.Unix(), 10)
	}
	return p.address(dst, ctx)
}

// header appends the first value, as Envoy does.
func (p *formatPart) header(dst []byte, h *traffic.Head) []byte {
	if h == nil {
		return dst
	}
	v, lines := headerValue(h, p.name)
	if lines == 0 && p.alt != "" {
		v, _ = headerValue(h, p.alt)
	}
	return append(dst, v...)
}

func (p *formatPart) address(dst []byte, ctx *Context) []byte {
	switch p.op {
	case opDownstreamRemote:
		return appendAddr(dst, ctx.DownstreamRemote, true, true)
	case opDownstreamRemoteAddr:
		return appendAddr(dst, ctx.DownstreamRemote, true, false)
	case opDownstreamRemotePort:
		return appendAddr(dst, ctx.DownstreamRemote, false, true)
	case opDownstreamDirectRemote:
		return appendAddr(dst, ctx.DownstreamDirectRemote, true, true)
	case opDownstreamDirectRemoteAddr:
		return appendAddr(dst, ctx.DownstreamDirectRemote, true, false)
	case opDownstreamLocal:
		return appendAddr(dst, ctx.DownstreamLocal, true, true)
	case opDownstreamLocalAddr:
		return appendAddr(dst, ctx.DownstreamLocal, true, false)
	case opDownstreamLocalPort:
		return appendAddr(dst, ctx.DownstreamLocal, false, true)
	case opUpstream:
		return appendAddr(dst, ctx.Upstream, true, true)
	case opUpstreamAddr:
		return appendAddr(dst, ctx.Upstream, true, false)
	case opUpstreamPort:
		return appendAddr(dst, ctx.Upstream, false, true)
	}
	panic("route: internal error: unknown command operator " + strconv.Itoa(int(p.op)))
}

func appendAddr(dst []byte, a netip.AddrPort, addr, port bool) []byte {
	switch {
	case !a.IsValid():
		return dst
	case addr && port:
		return a.AppendTo(dst)
	case addr:
		return a.Addr().AppendTo(dst)
	}
	return strconv.AppendUint(dst, uint64(a.Port()), 10)
}
