package hpack

// Error says why a header block cannot be decoded. It is an error of the
// connection, COMPRESSION_ERROR (RFC 9113, section 4.3). Every Error that the
// package returns is one of a fixed set of values.
type Error struct {
	// Reason is for people, "index out of range".
	Reason string
}

func (e *Error) Error() string { return "bad header block: " + e.Reason }

var (
	errTruncated  = &Error{"ends early"}
	errInteger    = &Error{"integer too large"}
	errIndex      = &Error{"index of no table entry"}
	errHuffman    = &Error{"invalid Huffman code or padding"}
	errUpdateLate = &Error{"table size update after a field"}
	errUpdateSize = &Error{"table size update above the setting"}
)

// Malformed says what is wrong with a message whose header block decodes. It
// is an error of the stream, PROTOCOL_ERROR (RFC 9113, section 8.1.1), or too
// large. Every Malformed that the package returns is one of a fixed set of
// values.
type Malformed struct {
	// Reason is for people, "no :path".
	Reason string
	// Details is Envoy's %RESPONSE_CODE_DETAILS% for it, "http2.invalid.header.field".
	Details string
	// TooLarge: a limit was exceeded. A proxy answers 431 rather than reset
	// the stream.
	TooLarge bool
}

func (m *Malformed) Error() string { return "malformed HTTP/2 message: " + m.Reason }

// Envoy's response code details.
const (
	detailField  = "http2.invalid.header.field"
	detailRule   = "http2.violation.of.messaging.rule"
	detailLarge  = "http2.too_many_headers"
	detailNoHost = "missing_host_header"
)

// A limit.
var (
	badSize  = &Malformed{"fields too large", detailLarge, true}
	badCount = &Malformed{"too many fields", detailLarge, true}
)

// What can be wrong with one field.
var (
	badName       = &Malformed{"invalid character in a field name", detailField, false}
	badValue      = &Malformed{"control character or surrounding white space in a field value", detailField, false}
	badConnection = &Malformed{"connection-specific field", detailField, false}
	badTE         = &Malformed{"TE with more than trailers", detailField, false}
	badLength     = &Malformed{"invalid Content-Length", detailField, false}
	badNoBody     = &Malformed{"Content-Length where there is no body", detailField, false}
	badMethod     = &Malformed{"invalid :method", detailField, false}
	badScheme     = &Malformed{"invalid :scheme", detailField, false}
	badPath       = &Malformed{"invalid :path", detailField, false}
	badAuthority  = &Malformed{"invalid :authority", detailField, false}
	badHost       = &Malformed{"invalid Host field", detailField, false}
	badStatus     = &Malformed{"invalid :status", detailField, false}

	badProtocolName = &Malformed{"invalid :protocol", detailField, false}
)

// What can be wrong with the message as a whole.
var (
	badLengths   = &Malformed{"Content-Length fields that differ", detailRule, false}
	badPseudo    = &Malformed{"unknown pseudo field", detailRule, false}
	badKind      = &Malformed{"pseudo field where it does not belong", detailRule, false}
	badProtocol  = &Malformed{"extended CONNECT, which is not offered", detailRule, false}
	badOrder     = &Malformed{"pseudo field after a regular one", detailRule, false}
	badTwice     = &Malformed{"pseudo field twice", detailRule, false}
	badTwoHosts  = &Malformed{"a second Host field", detailRule, false}
	badConflict  = &Malformed{"Host and :authority differ", detailRule, false}
	badNoMethod  = &Malformed{"no :method", detailRule, false}
	badNoScheme  = &Malformed{"no :scheme", detailRule, false}
	badNoPath    = &Malformed{"no :path", detailRule, false}
	badNoHost    = &Malformed{"neither :authority nor Host", detailNoHost, false}
	badNoStatus  = &Malformed{"no :status", detailRule, false}
	badNoConnect = &Malformed{":protocol without CONNECT", detailRule, false}
	badConnect   = &Malformed{"CONNECT with :scheme or :path", detailRule, false}
	badSwitching = &Malformed{"status 101, which HTTP/2 does not have", detailRule, false}
)
