package http2

import (
	"errors"
	"strconv"
)

// ErrCode is an error code (RFC 9113, section 7).
type ErrCode uint32

// The error codes.
const (
	ErrCodeNo                 ErrCode = 0x0
	ErrCodeProtocol           ErrCode = 0x1
	ErrCodeInternal           ErrCode = 0x2
	ErrCodeFlowControl        ErrCode = 0x3
	ErrCodeSettingsTimeout    ErrCode = 0x4
	ErrCodeStreamClosed       ErrCode = 0x5
	ErrCodeFrameSize          ErrCode = 0x6
	ErrCodeRefusedStream      ErrCode = 0x7
	ErrCodeCancel             ErrCode = 0x8
	ErrCodeCompression        ErrCode = 0x9
	ErrCodeConnect            ErrCode = 0xa
	ErrCodeEnhanceYourCalm    ErrCode = 0xb
	ErrCodeInadequateSecurity ErrCode = 0xc
	ErrCodeHTTP11Required     ErrCode = 0xd
)

// String is the code's name in the RFC, "PROTOCOL_ERROR".
func (c ErrCode) String() string {
	switch c {
	case ErrCodeNo:
		return "NO_ERROR"
	case ErrCodeProtocol:
		return "PROTOCOL_ERROR"
	case ErrCodeInternal:
		return "INTERNAL_ERROR"
	case ErrCodeFlowControl:
		return "FLOW_CONTROL_ERROR"
	case ErrCodeSettingsTimeout:
		return "SETTINGS_TIMEOUT"
	case ErrCodeStreamClosed:
		return "STREAM_CLOSED"
	case ErrCodeFrameSize:
		return "FRAME_SIZE_ERROR"
	case ErrCodeRefusedStream:
		return "REFUSED_STREAM"
	case ErrCodeCancel:
		return "CANCEL"
	case ErrCodeCompression:
		return "COMPRESSION_ERROR"
	case ErrCodeConnect:
		return "CONNECT_ERROR"
	case ErrCodeEnhanceYourCalm:
		return "ENHANCE_YOUR_CALM"
	case ErrCodeInadequateSecurity:
		return "INADEQUATE_SECURITY"
	case ErrCodeHTTP11Required:
		return "HTTP_1_1_REQUIRED"
	}
	return "code " + strconv.FormatUint(uint64(c), 10)
}

// ErrNoStreams is Open's error when the peer takes no further stream at
// present, or ever (RFC 9113, sections 5.1.2 and 6.8).
var ErrNoStreams = errors.New("http2: the connection takes no further stream")

// errAbandoned is why streams fail when Abandon was given no reason.
var errAbandoned = errors.New("http2: connection abandoned")

// ConnError ends a connection: the peer has broken a rule, or asked for more
// than it may have.
type ConnError struct {
	// Code is the one in the GOAWAY that was sent.
	Code ErrCode
	// Reason is for people, "DATA on stream 0".
	Reason string
}

func (e *ConnError) Error() string { return "http2: " + e.Code.String() + ": " + e.Reason }

// StreamError is why a stream has ended before it was complete. It belongs to
// its Stream and is valid until the Stream's Release.
type StreamError struct {
	// Code is the one in the RST_STREAM; REFUSED_STREAM also for a stream that
	// a GOAWAY left out, and INTERNAL_ERROR for one whose connection was lost.
	Code ErrCode
	// Remote says that the peer has reset the stream. Otherwise this side has,
	// or the connection was lost.
	Remote bool
	// Reason is for people, "more DATA than Content-Length".
	Reason string
	// Cause is why the connection was lost; nil when the stream alone is.
	Cause error
}

func (e *StreamError) Error() string {
	s := "http2: stream reset"
	if e.Remote {
		s += " by the peer"
	}
	s += ": " + e.Code.String()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap is why the connection was lost.
func (e *StreamError) Unwrap() error { return e.Cause }
