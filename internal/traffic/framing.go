package traffic

// Framing says how the end of a body is known (RFC 9112, section 6.3).
type Framing struct {
	Kind   FramingKind
	Length int64 // bytes; of FramingLength only
}

// FramingKind is one of the ways in which a body ends.
type FramingKind uint8

// The ways in which a body ends.
const (
	FramingNone    FramingKind = iota // no body
	FramingLength                     // Content-Length bytes
	FramingChunked                    // chunked, or any stream of HTTP/2 without a length
	FramingClose                      // at the end of the connection; responses only
)

// Empty reports whether there is no body at all.
func (f Framing) Empty() bool {
	return f.Kind == FramingNone || f.Kind == FramingLength && f.Length == 0
}
