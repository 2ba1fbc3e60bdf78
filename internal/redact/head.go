package redact

import (
	"bytes"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// kind is what is to be done with a field.
type kind uint8

const (
	keep        kind = iota
	whole            // the whole value
	credentials      // all but the scheme: "Bearer sd_..."
	cookie           // values of Cookie (RFC 6265, section 4.2)
	setCookie        // the value of Set-Cookie (section 4.1)
	inURL            // parameters of a URL
	inLink           // parameters of the URLs of Link (RFC 8288)
)

func (r *Redactor) kind(name []byte) kind {
	for i := range r.headers {
		if string(name) != r.headers[i] {
			continue
		}
		if string(name) == "authorization" || string(name) == "proxy-authorization" {
			return credentials
		}
		return whole
	}
	switch string(name) {
	case "cookie":
		if len(r.cookies) > 0 {
			return cookie
		}
	case "set-cookie":
		if len(r.cookies) > 0 {
			return setCookie
		}
	case "link":
		if len(r.query) > 0 {
			return inLink
		}
	case "location", "content-location", "referer", "refresh", "x-envoy-original-path",
		"x-original-url", "x-original-uri", "x-original-path", "x-rewrite-url", "x-replaced-path", "x-forwarded-uri", "x-forwarded-path":
		if len(r.query) > 0 {
			return inURL
		}
	}
	return keep
}

// Head redacts a request's or an answer's head, or trailers, in place: the
// headers and cookies that the policy names, and the parameters of the path
// and of fields that hold a URL. Order and all other bytes stay. Views into the
// head that were taken before are no longer valid, and what they held is no
// longer in its memory. In the steady state it allocates nothing.
func (r *Redactor) Head(s *Scratch, h *traffic.Head) {
	if r == nil {
		return
	}
	if r.touches(h) {
		n := s.begin(h)
		s.buf = r.appendURL(s, s.buf[:0], h.Path(), '?', '?')
		n.SetPath(s.buf)
		for i := range h.Len() {
			name, value := h.Field(i)
			s.buf = r.appendField(s, s.buf[:0], name, value)
			n.AddSpans(n.Put(name), n.Put(s.buf))
		}
		h.CopyFrom(n)
	}
	if s.secrets.any() {
		s.scrubHead(h)
	}
}

// begin makes s.head a copy of h without its path and fields.
func (s *Scratch) begin(h *traffic.Head) *traffic.Head {
	n := &s.head
	n.Reset()
	n.Status, n.Minor, n.HTTP2 = h.Status, h.Minor, h.HTTP2
	n.SetMethod(h.Method())
	n.SetScheme(h.Scheme())
	n.SetAuthority(h.Authority())
	n.SetReason(h.Reason())
	return n
}

// touches reports whether there may be something to redact.
func (r *Redactor) touches(h *traffic.Head) bool {
	if len(r.query) > 0 && bytes.IndexByte(h.Path(), '?') >= 0 {
		return true
	}
	for i := range h.Len() {
		if name, _ := h.Field(i); r.kind(name) != keep {
			return true
		}
	}
	return false
}

func (r *Redactor) appendField(s *Scratch, dst, name, value []byte) []byte {
	switch r.kind(name) {
	case whole:
		return r.token(s, dst, value)
	case credentials:
		i := bytes.IndexByte(value, ' ')
		secret := bytes.Trim(value[i+1:], " \t")
		if i >= 0 {
			r.addBasic(s, value[:i], secret)
		}
		return r.token(s, append(dst, value[:i+1]...), secret)
	case cookie:
		return r.appendCookies(s, dst, value)
	case setCookie:
		pair := value
		if i := bytes.IndexByte(value, ';'); i >= 0 {
			pair = value[:i]
		}
		dst = r.appendCookie(s, dst, pair)
		return append(dst, value[len(pair):]...)
	case inURL:
		return r.appendURL(s, dst, value, '?', '#')
	case inLink:
		return r.appendParams(s, dst, value, params{soft: softURL, end: '>'})
	}
	return append(dst, value...)
}
