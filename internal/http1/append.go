package http1

import (
	"slices"
	"strconv"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// AppendRequest appends the head of a request: request line, Host, the fields
// of h in their order, and what f needs. It writes HTTP/1.1 always, the
// target in origin form ("*" and CONNECT apart), and Host even where the
// authority is empty.
//
// Framing is what f says: FramingLength writes Content-Length, FramingChunked
// Transfer-Encoding. FramingNone writes "content-length: 0" if h has the field,
// else nothing. Fields of h called host or transfer-encoding are left out. All
// else goes out as it is: names and values must be valid, and hop-by-hop
// fields removed.
func AppendRequest(dst []byte, h *traffic.Head, f traffic.Framing) []byte {
	method, path, authority := h.Method(), h.Path(), h.Authority()
	dst = slices.Grow(dst, h.Size()+96)
	dst = append(dst, method...)
	dst = append(dst, ' ')
	switch {
	case len(path) > 0:
		dst = append(dst, path...)
	case string(method) == "CONNECT":
		dst = append(dst, authority...)
	default:
		dst = append(dst, '/')
	}
	dst = append(dst, " HTTP/1.1\r\nhost: "...)
	dst = append(dst, authority...)
	dst = append(dst, '\r', '\n')
	if f.Kind == traffic.FramingNone {
		f = traffic.Framing{Kind: traffic.FramingLength}
		if !h.Has("content-length") {
			f.Kind = traffic.FramingClose
		}
	}
	return appendFields(dst, h, f, true)
}

// AppendResponse appends the head of a response: status line with the reason
// of h or else the standard one, the fields of h in their order, and what f
// needs. It writes HTTP/1.1 always.
//
// Framing is what f says: FramingLength writes Content-Length, FramingChunked
// Transfer-Encoding, FramingClose neither: the caller adds "connection: close".
// FramingNone is for messages that have no body by nature: answers to HEAD and
// 304 keep the Content-Length of h as it stands, 1xx and 204 lose it. An empty
// body of any other response is FramingLength with Length 0. A client of
// HTTP/1.0 knows no chunks: give it FramingClose.
func AppendResponse(dst []byte, h *traffic.Head, f traffic.Framing) []byte {
	dst = slices.Grow(dst, h.Size()+96)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(h.Status), 10)
	dst = append(dst, ' ')
	if phrase := h.Reason(); len(phrase) > 0 {
		dst = append(dst, phrase...)
	} else {
		dst = append(dst, reason(h.Status)...)
	}
	dst = append(dst, '\r', '\n')
	if f.Kind == traffic.FramingNone && (h.Status < 200 || h.Status == 204) {
		f.Kind = traffic.FramingClose
	}
	return appendFields(dst, h, f, false)
}

// appendFields writes the fields of h and the framing fields: with
// FramingClose none, with FramingNone Content-Length as it stands.
func appendFields(dst []byte, h *traffic.Head, f traffic.Framing, request bool) []byte {
	wrote := false
	for i := range h.Len() {
		name, value := h.Field(i)
		switch string(name) {
		case "host":
			if request {
				continue
			}
		case "transfer-encoding":
			continue
		case "content-length":
			if wrote || f.Kind != traffic.FramingLength && f.Kind != traffic.FramingNone {
				continue
			}
			wrote = true
			if f.Kind == traffic.FramingLength {
				dst = appendLength(dst, f.Length)
				continue
			}
		}
		dst = appendField(dst, name, value)
	}
	switch {
	case f.Kind == traffic.FramingChunked:
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	case f.Kind == traffic.FramingLength && !wrote:
		dst = appendLength(dst, f.Length)
	}
	return append(dst, '\r', '\n')
}

func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "content-length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// AppendChunk appends data as one chunk of a chunked body. Without data it
// appends nothing: an empty chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkHead(dst, len(data))
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// AppendChunkHead appends the size line of a chunk of n bytes, for large
// pieces that are not copied: n bytes and CRLF must follow. With n = 0 it
// appends nothing, and nothing must follow.
func AppendChunkHead(dst []byte, n int) []byte {
	if n == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, '\r', '\n')
}

// AppendEnd appends the end of a chunked body: the last chunk and the
// trailers, which may be nil.
func AppendEnd(dst []byte, trailers *traffic.Head) []byte {
	dst = append(dst, '0', '\r', '\n')
	if trailers != nil {
		for i := range trailers.Len() {
			name, value := trailers.Field(i)
			if !forbiddenTrailer(name) {
				dst = appendField(dst, name, value)
			}
		}
	}
	return append(dst, '\r', '\n')
}
