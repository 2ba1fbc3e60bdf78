package proxy

import (
	"bytes"
	"strconv"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// isGRPC reports whether the request is one of gRPC, by its content type.
func isGRPC(h *traffic.Head) bool {
	kind, _ := h.Get("content-type")
	rest, ok := bytes.CutPrefix(kind, []byte("application/grpc"))
	return ok && (len(rest) == 0 || rest[0] == '+')
}

// replyGRPC makes h the head of an answer by the proxy itself that a client of
// gRPC understands: its status and message are trailers that come at once, as
// Envoy's are.
func replyGRPC(h *traffic.Head, status int, message []byte) {
	h.Status = 200
	h.Add("content-type", []byte("application/grpc"))
	h.Add("grpc-status", strconv.AppendInt(nil, int64(grpcCode(status)), 10))
	if len(message) > 0 {
		h.Add("grpc-message", appendPercent(nil, message))
	}
}

// grpcCode is the code that a client of gRPC takes an HTTP status for.
func grpcCode(status int) int {
	switch status {
	case 400:
		return 13 // INTERNAL
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404:
		return 12 // UNIMPLEMENTED
	case 429, 502, 503, 504:
		return 14 // UNAVAILABLE
	}
	return 2 // UNKNOWN
}

// appendPercent appends text as grpc-message has it: printable ASCII but for
// "%", the rest percent-encoded.
func appendPercent(dst, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range text {
		if c < ' ' || c > '~' || c == '%' {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// httpStatus is the status that an answer stands for: of a gRPC answer without
// a message, whose head has grpc-status, the one that Envoy takes it for.
func httpStatus(h *traffic.Head) int {
	v, ok := h.Get("grpc-status")
	if !ok || h.Status != 200 {
		return h.Status
	}
	code, err := strconv.Atoi(string(v))
	if err != nil || code < 0 || code >= len(grpcStatus) {
		return 500
	}
	return grpcStatus[code]
}

// grpcStatus are the statuses of HTTP that those of gRPC stand for, by number
// (google.rpc.Code).
var grpcStatus = [...]int{200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}
