package http1

import (
	"bytes"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// maxOptions is how many connection options a message may have: Envoy refuses
// a request with ten.
const maxOptions = 9

// addOptions looks at the value of a Connection field. Bad are one that is no
// list of tokens, too many options, and in a request an option that nominates
// a field which says where the request came from: without it the next hop
// would be deceived (as Envoy does).
func (s *section) addOptions(list []byte, request bool) {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, comma)
		if item = trim(item); len(item) == 0 {
			continue
		}
		if s.options++; s.options > maxOptions || !isToken(item) || request && tellsOrigin(item) {
			s.badOption = true
			return
		}
	}
}

// tellsOrigin takes a name that is not empty.
func tellsOrigin(item []byte) bool {
	return item[0]|0x20 == 'x' && (traffic.EqualFold(item, "x-forwarded-for") || traffic.EqualFold(item, "x-forwarded-host") ||
		traffic.EqualFold(item, "x-forwarded-proto"))
}

// KeepAlive reports whether the sender lets the connection persist after this
// message (RFC 9112, section 9.3): HTTP/1.1 unless Connection or
// Proxy-Connection lists close, HTTP/1.0 only if Connection lists keep-alive
// and none lists close.
//
// Ask after parsing and before RemoveHopByHop, which takes the fields away. A
// response whose framing is FramingClose never persists, whatever this says,
// nor does a connection on which an *Error occurred.
func KeepAlive(h *traffic.Head) bool {
	keep := h.Minor > 0
	for i := range h.Len() {
		name, value := h.Field(i)
		switch string(name) {
		case "connection":
			if traffic.EqualFold(value, "keep-alive") {
				keep = true
				continue
			}
			if traffic.ListHas(value, "close") {
				return false
			}
			keep = keep || traffic.ListHas(value, "keep-alive")
		case "proxy-connection":
			if traffic.ListHas(value, "close") {
				return false
			}
		}
	}
	return keep
}

// RemoveHopByHop deletes what was meant for this hop only (RFC 9110, section
// 7.6.1): Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding and
// Upgrade, the fields that Connection nominates, and what TE says but
// "trailers". As in Envoy, Proxy-Authenticate, Proxy-Authorization and Trailer
// go on to the next hop.
//
// Never nominated away are Content-Length, without which the framing of the
// answer to HEAD would be lost, and X-Forwarded-For, -Host and -Proto. Host is
// no field. A caller that passes an upgrade on adds Connection and Upgrade
// again: a value that it got from h before stays valid.
func RemoveHopByHop(h *traffic.Head) {
	for i := 0; i < h.Len(); i++ {
		if name, value := h.Field(i); string(name) == "connection" {
			h.DelAt(i)
			i = removeNominated(h, value, i) - 1
		}
	}
	trailers := false
	for i := 0; i < h.Len(); {
		name, value := h.Field(i)
		switch string(name) {
		case "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			h.DelAt(i)
			continue
		case "te":
			if trailers || !traffic.ListHas(value, "trailers") {
				h.DelAt(i)
				continue
			}
			trailers = true
			if len(value) > len("trailers") {
				h.Set("te", trailersValue)
			}
		}
		i++
	}
}

var trailersValue = []byte("trailers")

// removeNominated deletes the fields that the list names, and returns where
// the field that was the i-th one is now.
func removeNominated(h *traffic.Head, list []byte, i int) int {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, comma)
		item = trim(item)
		if len(item) == 0 || staysThough(item) {
			continue
		}
		for j := 0; j < h.Len(); {
			if name, _ := h.Field(j); !equalFold(item, name) {
				j++
				continue
			}
			h.DelAt(j)
			if j < i {
				i--
			}
		}
	}
	return i
}

// staysThough reports whether the connection option names no field that may
// be deleted here: those that RemoveHopByHop looks at itself, and those that
// must stay.
func staysThough(item []byte) bool {
	switch item[0] | 0x20 {
	case 'c':
		return traffic.EqualFold(item, "close") || traffic.EqualFold(item, "connection") ||
			traffic.EqualFold(item, "content-length")
	case 'k':
		return traffic.EqualFold(item, "keep-alive")
	case 't':
		return traffic.EqualFold(item, "te")
	case 'x':
		return tellsOrigin(item)
	}
	return false
}
