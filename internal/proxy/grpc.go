package proxy

import (
	"strconv"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

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
