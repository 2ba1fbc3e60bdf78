package hpack

import (
	"slices"
	"strconv"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// What the Append functions take for a length that is no number of bytes.
const (
	// NoLength leaves Content-Length out: the body ends with the stream.
	NoLength int64 = -1
	// KeepLength leaves Content-Length as the head has it, for answers to
	// HEAD and for 304, which tell what they do not send.
	KeepLength int64 = -2
)

// shortSecret is the length below which a cookie is easy to guess, so that it
// must not enter a dynamic table (RFC 7541, section 7.1.3), in bytes.
const shortSecret = 20

// AppendRequest appends the header block of a request: pseudo fields, the
// fields of h in their order, and Content-Length, which is what length says:
// bytes, NoLength or KeepLength. Without a scheme it writes "http", without a
// path "/"; for CONNECT neither.
//
// Fields of h that HTTP/2 does not have are left out: Host, Connection and
// what goes with it, and TE other than "trailers". All else goes out as it is:
// names and values must be valid, and what Connection nominated removed.
func AppendRequest(dst []byte, h *traffic.Head, length int64) []byte {
	method, authority := h.Method(), h.Authority()
	dst = slices.Grow(dst, h.Size()+2*h.Len()+64)
	switch string(method) {
	case "GET":
		dst = append(dst, 0x80|idxGet)
	case "POST":
		dst = append(dst, 0x80|idxPost)
	default:
		dst = appendString(append(dst, idxGet), method)
	}
	if string(method) != "CONNECT" {
		dst = appendTarget(dst, h.Scheme(), h.Path())
	}
	if len(authority) > 0 {
		dst = appendString(append(dst, idxAuthority), authority)
	}
	return appendFields(dst, h, length, true)
}

// AppendUpgrade appends the header block of a request with Upgrade: extended
// CONNECT (RFC 8441), whose :protocol is that of the field.
func AppendUpgrade(dst []byte, h *traffic.Head) []byte {
	protocol, _ := h.Get("upgrade")
	dst = slices.Grow(dst, h.Size()+2*h.Len()+64)
	dst = appendText(append(dst, idxGet), "CONNECT")
	dst = appendTarget(dst, h.Scheme(), h.Path())
	dst = appendString(append(dst, idxAuthority), h.Authority())
	dst = appendString(appendText(append(dst, 0x00), ":protocol"), protocol)
	return appendFields(dst, h, NoLength, true)
}

func appendTarget(dst, scheme, path []byte) []byte {
	switch string(scheme) {
	case "http", "":
		dst = append(dst, 0x80|idxHTTP)
	case "https":
		dst = append(dst, 0x80|idxHTTPS)
	default:
		dst = appendString(append(dst, idxHTTP), scheme)
	}
	switch string(path) {
	case "/", "":
		return append(dst, 0x80|idxPath)
	case "/index.html":
		return append(dst, 0x80|idxIndexHTML)
	}
	return appendString(append(dst, idxPath), path)
}

// AppendResponse appends the header block of a response: ":status", the
// fields of h in their order, and Content-Length, which is what length says:
// bytes, NoLength or KeepLength. Statuses 1xx and 204 never have one.
//
// Fields of h that HTTP/2 does not have are left out, as in requests; Host
// stays. All else goes out as it is: names and values must be valid.
func AppendResponse(dst []byte, h *traffic.Head, length int64) []byte {
	dst = slices.Grow(dst, h.Size()+2*h.Len()+64)
	if i := statusIndex(h.Status); i > 0 {
		dst = append(dst, 0x80|i)
	} else {
		dst = strconv.AppendInt(append(dst, idxStatus, 3), int64(h.Status), 10)
	}
	if h.Status < 200 || h.Status == 204 {
		length = NoLength
	}
	return appendFields(dst, h, length, false)
}

func statusIndex(status int) uint8 {
	switch status {
	case 200:
		return idxStatus
	case 204:
		return idxStatus + 1
	case 206:
		return idxStatus + 2
	case 304:
		return idxStatus + 3
	case 400:
		return idxStatus + 4
	case 404:
		return idxStatus + 5
	case 500:
		return idxStatus + 6
	}
	return 0
}

// AppendTrailers appends the header block of trailers: the fields of h but
// for those that must not be trailers.
func AppendTrailers(dst []byte, h *traffic.Head) []byte {
	dst = slices.Grow(dst, h.Size()+2*h.Len())
	for i := range h.Len() {
		if name, value := h.Field(i); !http1.ForbiddenTrailer(name) {
			dst = appendField(dst, name, value, staticName(name))
		}
	}
	return dst
}

// appendFields writes the fields of h and Content-Length, once, in its place
// or else at the end.
func appendFields(dst []byte, h *traffic.Head, length int64, request bool) []byte {
	for i := range h.Len() {
		name, value := h.Field(i)
		known := staticName(name)
		switch known {
		case 0:
			if t := regularTag(name); t == tagConnection || t == tagTE && string(value) != "trailers" {
				continue
			}
		case idxTransferEncoding:
			continue
		case idxHost:
			if request {
				continue
			}
		case idxLength:
			switch {
			case length >= 0:
				dst = appendLength(dst, length)
			case length == KeepLength:
				dst = appendField(dst, name, value, known)
			}
			length = NoLength
			continue
		}
		dst = appendField(dst, name, value, known)
	}
	if length >= 0 {
		dst = appendLength(dst, length)
	}
	return dst
}

// appendField writes a field whose name has the static index known, if it is
// not 0. What is secret is marked as never to be indexed.
func appendField(dst, name, value []byte, known uint8) []byte {
	if known > 0 && string(value) == string(staticTable[known].value) {
		return append(dst, 0x80|known)
	}
	kind := byte(0x00)
	switch known {
	case idxAuthorization, idxProxyAuthorization:
		kind = 0x10
	case idxCookie, idxSetCookie:
		if len(value) < shortSecret {
			kind = 0x10
		}
	}
	if known > 0 {
		dst = appendInt(dst, kind, 4, uint64(known))
	} else {
		dst = appendString(append(dst, kind), name)
	}
	return appendString(dst, value)
}

func appendLength(dst []byte, n int64) []byte {
	dst = appendInt(dst, 0x00, 4, idxLength)
	at := len(dst)
	dst = strconv.AppendInt(append(dst, 0), n, 10)
	dst[at] = byte(len(dst) - at - 1)
	return dst
}

func appendString(dst, s []byte) []byte {
	return append(appendInt(dst, 0x00, 7, uint64(len(s))), s...)
}

// appendText is appendString for short constants.
func appendText(dst []byte, s string) []byte { return append(append(dst, byte(len(s))), s...) }

// appendInt writes an integer with a prefix of so many bits (RFC 7541,
// section 5.1) beneath the bits of kind.
func appendInt(dst []byte, kind byte, prefix int, n uint64) []byte {
	mask := uint64(1)<<prefix - 1
	if n < mask {
		return append(dst, kind|byte(n))
	}
	dst = append(dst, kind|byte(mask))
	for n -= mask; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
