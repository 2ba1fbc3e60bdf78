// Package http1 is HTTP/1.1 on the wire (RFC 9110, RFC 9112): it turns bytes
// into heads and payload, and heads and payload into bytes.
//
// A Scanner finds where a head ends, ParseRequest and ParseResponse read it
// into a traffic.Head and say how its body is framed, a Body takes the body's
// bytes apart, and the Append functions write all of it again. The bytes are
// the caller's: the package keeps none but those of trailers.
//
// What two readers could take for two different messages is refused, above
// all framing (RFC 9112, section 11.2). docs/http1.md lists the choices.
//
// The package does no I/O, starts no goroutine, keeps no state between
// messages and, once its buffers have grown, allocates nothing.
package http1

// Limits of a head or of a trailer section. A zero field means its default.
type Limits struct {
	// Bytes of start line, fields and empty lines; over HTTP/2, of the fields as
	// RFC 9113, section 6.5.2, counts: 32 more for each than name and value have.
	// Default 60 KiB, Envoy's max_request_headers_kb.
	Bytes int
	// Fields is the number of field lines, Host too; over HTTP/2 without pseudo
	// fields, and with the crumbs of Cookie as one. Default 100, Envoy's
	// max_headers_count.
	Fields int
}

// OrDefault is l with its defaults filled in.
func (l Limits) OrDefault() Limits { return Limits{Bytes: l.bytes(), Fields: l.fields()} }

const (
	defaultBytes  = 60 << 10
	defaultFields = 100

	// maxBytes keeps every offset within a traffic.Span.
	maxBytes = 1 << 30
)

func (l Limits) bytes() int {
	if l.Bytes <= 0 {
		return defaultBytes
	}
	return min(l.Bytes, maxBytes)
}

func (l Limits) fields() int {
	if l.Fields <= 0 {
		return defaultFields
	}
	return l.Fields
}
