package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// grpcCheck is a grpc_health_check: the method Check of the gRPC health
// checking protocol, over HTTP/2.
type grpcCheck struct {
	service string
	add     []checkHeader
}

func (g *grpcCheck) prober(s *checkSpec, at checkAddress, dial dialFunc) prober {
	return &grpcProber{
		grpcCheck: g, at: at, client: checkTransport(at, dial, s.reuse, true),
		timeout: strconv.FormatInt(s.timeout.Milliseconds(), 10) + "m", frame: healthRequest(g.service),
	}
}

// healthRequest is a framed grpc.health.v1.HealthCheckRequest.
func healthRequest(service string) []byte {
	var m []byte
	if service != "" {
		m = protowire.AppendTag(m, 1, protowire.BytesType)
		m = protowire.AppendString(m, service)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m)))
	return append(frame, m...)
}

type grpcProber struct {
	*grpcCheck
	at      checkAddress
	client  *http.Transport
	timeout string
	frame   []byte
}

func (p *grpcProber) close() { p.client.CloseIdleConnections() }

// grpcAnswerLimit is far above what an answer of the protocol can be.
const grpcAnswerLimit = 4 << 10

func (p *grpcProber) probe(ctx context.Context) (verdict, error) {
	resp, err := p.client.RoundTrip(p.request(ctx))
	if err != nil {
		return noAnswer, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, grpcAnswerLimit))
	if err != nil {
		return noAnswer, fmt.Errorf("reading the body: %w", err)
	}
	status := resp.Trailer.Get("Grpc-Status") // known once the body was read to its end
	if status == "" {
		status = resp.Header.Get("Grpc-Status")
	}
	switch {
	case resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc"):
		return badAnswer, fmt.Errorf("no answer of gRPC: the status is %d, the content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	case status != "0":
		return badAnswer, fmt.Errorf("grpc-status is %q", status)
	case !serving(body):
		return badAnswer, errors.New("it is not SERVING")
	}
	return passed, nil
}

func (p *grpcProber) request(ctx context.Context) *http.Request {
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.frame)), nil }
	r := (&http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: p.at.scheme(), Host: p.at.addr.String(), Path: "/grpc.health.v1.Health/Check"},
		Host:   p.at.host,
		Header: http.Header{
			"User-Agent": {checkUserAgent}, "Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {p.timeout},
		},
		GetBody:       body,
		ContentLength: int64(len(p.frame)),
	}).WithContext(ctx)
	r.Body, _ = body()
	addHeaders(r.Header, p.add)
	return r
}

// serving reports whether b is one framed HealthCheckResponse with the status
// SERVING.
func serving(b []byte) bool {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return false
	}
	b = b[5:]
	var status uint64 // the last one counts
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return false
		}
		if num == 1 && typ == protowire.VarintType {
			status, _ = protowire.ConsumeVarint(b)
		}
		b = b[n:]
	}
	const isServing = 1
	return status == isServing
}
