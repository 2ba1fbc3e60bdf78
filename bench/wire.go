//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// wire is what clients speak with a proxy, and the proxy with its upstreams.
// The zero wire is HTTP/1.1 without TLS on both sides.
type wire struct {
	key  keyKind // TLS from the client, with a certificate of this kind; empty: none
	h2   bool    // HTTP/2 from the client: by ALPN under TLS, else by prior knowledge
	grpc bool    // HTTP/2 to the upstreams as well, and gRPC in it
}

func (w wire) url(addr string) string {
	if w.key != "" {
		return "https://" + addr + w.path()
	}
	return "http://" + addr + w.path()
}

func (w wire) path() string {
	if w.grpc {
		return "/bench.Echo/Unary"
	}
	return "/some/path"
}

// grpcMessage is a message of 32 bytes in gRPC's frame: not compressed, and
// its length.
func grpcMessage() string {
	return "\x00\x00\x00\x00\x20" + strings.Repeat("m", 32)
}

// clientTLS takes every certificate, does not resume, and offers one curve, so
// that each server does the same work.
func clientTLS(protocols ...string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: protocols}
}

// probe asks a proxy for one answer, and looks whether it speaks the wire: by
// that a proxy that cannot is found out before it is measured.
func probe(ctx context.Context, addr string, w wire) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!w.h2)
	protocols.SetHTTP2(w.h2 && w.key != "")
	protocols.SetUnencryptedHTTP2(w.h2 && w.key == "")
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: clientTLS()}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	method, body := http.MethodGet, ""
	if w.grpc {
		method, body = http.MethodPost, grpcMessage()
	}
	req, err := http.NewRequestWithContext(ctx, method, w.url(addr), strings.NewReader(body))
	if err != nil {
		return err
	}
	if w.grpc {
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the first request: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("the first answer: %w", err)
	}
	return w.expect(resp)
}

// expect says what is wrong with the answer to a probe.
func (w wire) expect(resp *http.Response) error {
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the first answer is %s", resp.Status)
	case w.h2 != (resp.ProtoMajor == 2):
		return fmt.Errorf("the first answer came over %s", resp.Proto)
	case w.grpc && resp.Trailer.Get("Grpc-Status") != "0":
		return errors.New("the first answer has no trailer grpc-status: 0")
	}
	return nil
}

// grpcLoad is the load of gRPC calls over so many connections and streams.
func (b *bench) grpcLoad(conns, streams int) (load, error) {
	body, err := b.scratch("grpc-message", grpcMessage())
	return load{
		wire: wire{h2: true, grpc: true}, conns: conns, streams: streams, body: body,
		headers: []string{"content-type: application/grpc", "te: trailers"},
	}, err
}
