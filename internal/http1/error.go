package http1

// Error says what is wrong with a message.
//
// Every Error that the package returns is one of a fixed set of values, so
// returning one allocates nothing. After an Error the connection's framing is
// unknown: answer, then close it.
type Error struct {
	// Status answers a request: 400, 431, 501 or 505. A response that is
	// wrong is the upstream's fault, whatever Status says: Envoy answers 502.
	Status int
	// Reason is for people, "a second Host field".
	Reason string
	// Details is Envoy's %RESPONSE_CODE_DETAILS% for it, "http1.codec_error".
	Details string
}

func (e *Error) Error() string { return "bad HTTP/1 message: " + e.Reason }

// Envoy's response code details.
const (
	detailCodec      = "http1.codec_error"
	detailChars      = "http1.invalid_characters"
	detailURL        = "http1.invalid_url"
	detailTooLarge   = "http1.headers_too_large"
	detailTooMany    = "http1.too_many_headers"
	detailCoding     = "http1.invalid_transfer_encoding"
	detailBoth       = "http1.content_length_and_chunked_not_allowed"
	detailNoCoding   = "http1.transfer_encoding_not_allowed"
	detailNoLength   = "http1.content_length_not_allowed"
	detailConnection = "http1.connection_header_rejected"
	detailNoHost     = "missing_host_header"
	detailAuthority  = "http.invalid_authority"
)

// What can be wrong with any head.
var (
	errTooLarge   = &Error{431, "head too large", detailTooLarge}
	errTooMany    = &Error{431, "too many fields", detailTooMany}
	errIncomplete = &Error{400, "head ends early", detailCodec}
	errSurplus    = &Error{400, "bytes after the head", detailCodec}
	errBareLF     = &Error{400, "line ends with a bare LF", detailCodec}
	errBareCR     = &Error{400, "CR without LF", detailCodec}
	errControl    = &Error{400, "control character", detailChars}
	errBlankLines = &Error{400, "too many empty lines before the request", detailCodec}
	errFold       = &Error{400, "folded field line", detailCodec}
	errColonSpace = &Error{400, "white space before a field's colon", detailCodec}
	errNoColon    = &Error{400, "field line without a colon", detailCodec}
	errFieldName  = &Error{400, "invalid character in a field name", detailChars}
	errNoName     = &Error{400, "field without a name", detailCodec}
	errOptions    = &Error{400, "Connection field not acceptable", detailConnection}
)

// What can be wrong with a start line.
var (
	errMethod     = &Error{400, "invalid method", detailCodec}
	errTarget     = &Error{400, "invalid request target", detailURL}
	errFragment   = &Error{400, "request target with a fragment", detailURL}
	errVersion    = &Error{400, "malformed HTTP version", detailCodec}
	errNotHTTP1   = &Error{505, "HTTP version not supported", detailCodec}
	errStatusLine = &Error{400, "malformed status line", detailCodec}
	errNoHost     = &Error{400, "no Host field", detailNoHost}
	errTwoHosts   = &Error{400, "a second Host field", detailCodec}
	errHost       = &Error{400, "invalid Host field", detailAuthority}
	errAuthority  = &Error{400, "invalid authority in the request target", detailURL}
)

// What can be wrong with the framing of a body.
var (
	errLength        = &Error{400, "invalid Content-Length", detailCodec}
	errTwoLengths    = &Error{400, "a second Content-Length field", detailCodec}
	errBoth          = &Error{400, "both Content-Length and Transfer-Encoding", detailBoth}
	errCodingIn10    = &Error{400, "Transfer-Encoding in an HTTP/1.0 message", detailNoCoding}
	errCoding        = &Error{400, "malformed Transfer-Encoding", detailCoding}
	errUnknownCoding = &Error{501, "unknown transfer coding", detailCoding}
	errNoLength      = &Error{400, "Content-Length where there is no body", detailNoLength}
	errNoCoding      = &Error{400, "Transfer-Encoding where there is no body", detailNoCoding}
	errChunkSize     = &Error{400, "invalid chunk size", detailCodec}
	errChunkExt      = &Error{400, "invalid chunk extension", detailCodec}
	errChunkExtLong  = &Error{400, "chunk extensions too large", detailCodec}
	errChunkEnd      = &Error{400, "chunk without its end of line", detailCodec}
)
