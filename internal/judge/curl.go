package judge

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// curl is a command that asks the same again, for a POSIX shell.
func curl(h *traffic.Head, body []byte, cut bool) string {
	var b strings.Builder
	how := printable(body)
	switch {
	case len(body) == 0:
	case !how: // an argument holds neither NUL nor broken UTF-8 everywhere
		b.WriteString("printf %s " + quote(base64.StdEncoding.EncodeToString(body)) + " | base64 -d | ")
	case body[0] == '@': // curl would take it for the name of a file
		b.WriteString("printf %s " + quote(string(body)) + " | ")
	}
	b.WriteString("curl -sS -g --path-as-is")
	switch method := string(h.Method()); {
	case method == "HEAD":
		b.WriteString(" --head")
	case method == "POST" && len(body) > 0, method == "GET" && len(body) == 0:
	default:
		b.WriteString(" -X " + quote(method))
	}
	b.WriteString(" " + quote(requestURL(h)))
	for i := range h.Len() {
		name, value := h.Field(i)
		if ownHeader(string(name)) {
			continue
		}
		if len(bytes.TrimSpace(value)) == 0 {
			b.WriteString(" -H " + quote(string(name)+";"))
			continue
		}
		b.WriteString(" -H " + quote(string(name)+": "+clean(string(value))))
	}
	for _, name := range [...]string{"accept", "user-agent", "content-type"} { // those that curl adds
		if !h.Has(name) && (name != "content-type" || len(body) > 0) {
			b.WriteString(" -H " + quote(name+":"))
		}
	}
	switch {
	case len(body) == 0:
	case !how || body[0] == '@':
		b.WriteString(" --data-binary @-")
	default:
		b.WriteString(" --data-binary " + quote(string(body)))
	}
	if cut {
		b.WriteString(" # the body was longer")
	}
	return b.String()
}

// ownHeader reports whether a header belongs to the connection or to the proxy.
func ownHeader(name string) bool {
	switch name {
	case "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection",
		"content-length", "expect", "x-forwarded-for", "x-forwarded-proto", "x-request-id":
		return true
	}
	return strings.HasPrefix(name, "x-envoy-")
}

func requestURL(h *traffic.Head) string {
	scheme := string(h.Scheme())
	if scheme == "" {
		scheme = "http"
	}
	return clean(scheme + "://" + string(h.Authority()) + string(h.Path()))
}

// printable reports whether b can be shown, and be an argument, as it is.
func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0x7f {
			return false
		}
	}
	return true
}

// quote makes one word of a POSIX shell (Shell Command Language, 2.2.2).
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
