package redact

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// format is how a body is read.
type format uint8

const (
	opaque format = iota // not at all
	asJSON
	asForm
	asMultipart
	sniffed // JSON, if it begins like that
)

// NeedsBody reports whether the body of the message whose head this is has to
// be redacted, so that the whole of it must be there before any of it may be
// sent. It goes by Content-Type: JSON, and forms. A body of no type, of
// text/plain or of a form may be JSON that is not called so.
func (r *Redactor) NeedsBody(h *traffic.Head) bool {
	return r != nil && r.format(h) != opaque
}

func (r *Redactor) format(h *traffic.Head) format {
	if r.json.empty() && len(r.query) == 0 {
		return opaque
	}
	contentType, _ := h.Get("content-type")
	mediaType, _ := cutByte(contentType, ';')
	mediaType = bytes.Trim(mediaType, " \t")
	switch {
	case traffic.EqualFold(mediaType, "application/x-www-form-urlencoded"):
		if len(r.query) > 0 {
			return asForm
		}
		return sniffed
	case traffic.EqualFold(mediaType, "multipart/form-data"):
		if len(r.query) > 0 {
			return asMultipart
		}
		return opaque
	case r.json.empty():
		return opaque
	case len(mediaType) == 0, traffic.EqualFold(mediaType, "text/plain"):
		return sniffed
	case isJSON(mediaType):
		return asJSON
	}
	return opaque
}

// isJSON knows the types that are JSON, or JSON texts one after the other.
func isJSON(mediaType []byte) bool {
	_, sub := cutByte(mediaType, '/')
	if i := bytes.LastIndexByte(sub, '+'); i >= 0 {
		sub = sub[i+1:]
	}
	for _, name := range [...]string{
		"json", "x-json", "json-seq", "ndjson", "x-ndjson", "jsonl", "jsonlines", "x-jsonlines",
		"json-lines", "x-json-stream", "csp-report", "x-amz-json-1.0", "x-amz-json-1.1",
	} {
		if traffic.EqualFold(sub, name) {
			return true
		}
	}
	return false
}

// Body appends the redacted body of the message whose head this is, in the
// content coding that it came in. Where the length changes, Content-Length (if
// it is there) follows, and digests of the old body go; otherwise the head
// stays as it is. Without a secret in it the body is the old one, byte for byte.
// While the scratch is sealed, Body looks into bodies of every type.
//
// An error says that the body holds, or may hold, what is to be redacted and
// cannot be read: malformed or cut off JSON, a content coding other than gzip,
// deflate, zstd and br, more than 8 MiB unpacked. Neither the body nor a copy of it may then
// be sent or kept. body must not be written to while Body runs; dst may not overlap it.
func (r *Redactor) Body(s *Scratch, h *traffic.Head, dst, body []byte) ([]byte, error) {
	if len(body) == 0 || r == nil {
		return append(dst, body...), nil
	}
	f := r.format(h)
	if f == opaque && !s.secrets.any() {
		return append(dst, body...), nil
	}
	coding, err := codingOf(h)
	if err != nil {
		return dst, err
	}
	from := len(dst)
	if coding == identity {
		out, changed, err := r.appendBody(s, f, h, dst, body)
		if err == nil && changed {
			fit(h, len(out)-from)
		}
		return out, err
	}
	defer s.trim()
	if s.plain, coding, err = s.codecs.unpack(coding, s.plain[:0], body); err != nil {
		return dst, err
	}
	out, changed, err := r.appendBody(s, f, h, s.out[:0], s.plain)
	s.out = out
	switch {
	case err != nil:
		return dst, err
	case !changed:
		return append(dst, body...), nil
	}
	if dst, err = s.codecs.pack(coding, dst, out); err == nil {
		fit(h, len(dst)-from)
	}
	return dst, err
}

// trim lets go of the memory that a large body took.
func (s *Scratch) trim() {
	const kept = 1 << 20
	if cap(s.plain)+cap(s.out)+s.codecs.out.Cap() > kept {
		s.plain, s.out, s.codecs.out = nil, nil, bytes.Buffer{}
	}
}

// appendBody appends the redacted body, unpacked, and reports whether it is
// another one. After an error dst is as it was.
func (r *Redactor) appendBody(s *Scratch, f format, h *traffic.Head, dst, body []byte) ([]byte, bool, error) {
	from := len(dst)
	if f == sniffed || f == asForm {
		if looksLikeJSON(body) && !r.json.empty() {
			f = asJSON
		}
	}
	switch f {
	case asJSON:
		out, changed, err := r.appendJSON(s, dst, body)
		if err != nil {
			return dst, false, fmt.Errorf("redact: the body cannot be read: %w", err)
		}
		if s.Spent() {
			return dst, false, errSpent
		}
		return out, changed, nil
	case asForm:
		dst = r.appendParams(s, dst, body, params{})
	case asMultipart:
		contentType, _ := h.Get("content-type")
		out, err := r.appendMultipart(s, dst, contentType, body)
		if err != nil {
			return dst, false, fmt.Errorf("redact: the body cannot be read: %w", err)
		}
		dst = out
	default:
		dst = s.secrets.scrub(dst, body)
	}
	if s.Spent() {
		return dst[:from], false, errSpent
	}
	return dst, !bytes.Equal(dst[from:], body), nil
}

func looksLikeJSON(body []byte) bool {
	body = bytes.TrimLeft(body, "\ufeff \t\r\n\x1e")
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}

// fit makes the head that of a body of n bytes.
func fit(h *traffic.Head, n int) {
	if h.Has("content-length") {
		var buf [20]byte
		h.Set("content-length", strconv.AppendInt(buf[:0], int64(n), 10))
	}
	for _, name := range [...]string{"content-md5", "digest", "content-digest", "repr-digest"} {
		h.Del(name)
	}
}

// cutByte is bytes.Cut for one byte.
func cutByte(b []byte, sep byte) (before, after []byte) {
	if i := bytes.IndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}
