package hpack

import "github.com/sundog-mesh/sundog/internal/http1"

// field is one decoded field. What is to be known of it is found once, so
// that a field from a table is not checked again.
type field struct {
	name, value []byte
	// size is that of RFC 7541, section 4.1: 32 more than name and value have,
	// also where these were too long to be kept.
	size  int
	tag   tag
	valid bool // the value is one that such a field may have
}

// overhead of each field in the size of a table and of a field section.
const overhead = 32

func newField(name, value []byte) field {
	t := tagOf(name)
	return field{
		name: name, value: value, size: len(name) + len(value) + overhead,
		tag: t, valid: t.takes(value),
	}
}

// tag says what a field is to the rules.
type tag uint8

const (
	tagPlain tag = iota
	tagBadName
	tagConnection // one of the connection-specific fields
	tagTE
	tagHost
	tagLength
	tagCookie
	tagUnknown // pseudo fields from here on
	tagProtocol
	tagMethod
	tagScheme
	tagAuthority
	tagPath
	tagStatus
)

func (t tag) pseudo() bool { return t >= tagUnknown }

func tagOf(name []byte) tag {
	if len(name) > 0 && name[0] == ':' {
		return pseudoTag(name)
	}
	if !http1.IsFieldName(name) {
		return tagBadName
	}
	return regularTag(name)
}

// regularTag takes a valid name.
func regularTag(name []byte) tag {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return tagConnection
	case "te":
		return tagTE
	case "host":
		return tagHost
	case "content-length":
		return tagLength
	case "cookie":
		return tagCookie
	}
	return tagPlain
}

func pseudoTag(name []byte) tag {
	switch string(name) {
	case ":method":
		return tagMethod
	case ":scheme":
		return tagScheme
	case ":authority":
		return tagAuthority
	case ":path":
		return tagPath
	case ":status":
		return tagStatus
	case ":protocol":
		return tagProtocol
	}
	return tagUnknown
}

// takes reports whether a field may have the value, as far as the field alone
// can tell.
func (t tag) takes(v []byte) bool {
	switch t {
	case tagMethod:
		return http1.IsToken(v)
	case tagScheme:
		return isScheme(v)
	case tagAuthority:
		return http1.IsAuthority(v)
	case tagPath:
		return len(v) > 0 && (v[0] == '/' || string(v) == "*") && http1.IsTarget(v)
	case tagProtocol:
		return http1.IsToken(v)
	case tagStatus:
		return len(v) == 3 && '1' <= v[0] && v[0] <= '9' && v[1]-'0' <= 9 && v[2]-'0' <= 9
	}
	return http1.IsFieldValue(v)
}

const maxScheme = 32

// isScheme wants a scheme (RFC 3986, section 3.1) that is not too long.
func isScheme(v []byte) bool {
	for i, c := range v {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return 0 < len(v) && len(v) <= maxScheme
}
