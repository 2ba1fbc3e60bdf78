package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// httpCheck is an http_health_check.
type httpCheck struct {
	method              string
	url                 url.URL // path and query
	add                 []checkHeader
	remove              []string
	send                []byte
	receive             [][]byte
	buffer              int64 // response_buffer_size
	expected, retriable []statusRange
	http2               bool
}

// checkHeader is a header of request_headers_to_add or initial_metadata.
type checkHeader struct {
	name, value string
	action      corev3.HeaderValueOption_HeaderAppendAction
}

func addHeaders(to http.Header, add []checkHeader) {
	for _, h := range add {
		_, there := to[h.name]
		switch h.action {
		case corev3.HeaderValueOption_ADD_IF_ABSENT:
			if !there {
				to.Set(h.name, h.value)
			}
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			to.Set(h.name, h.value)
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
			if there {
				to.Set(h.name, h.value)
			}
		default:
			to.Add(h.name, h.value)
		}
	}
}

// statusRange is [from, to).
type statusRange struct{ from, to int }

func within(ranges []statusRange, code int) bool {
	for _, r := range ranges {
		if r.from <= code && code < r.to {
			return true
		}
	}
	return false
}

const (
	checkUserAgent = "Envoy/HC"
	// answerLimit bounds what is read of an answer, so that no endpoint fills
	// the memory; what is longer costs its connection.
	answerLimit = 1 << 20
)

func (h *httpCheck) prober(s *checkSpec, at checkAddress, dial dialFunc) prober {
	return &httpProber{httpCheck: h, at: at, client: checkTransport(at, dial, s.reuse, h.http2)}
}

// checkTransport makes the client of one endpoint. Its connections are of the
// endpoint alone, so they end with it. They come from dial, with TLS where the
// endpoint has that; so HTTP/2 is always by prior knowledge here.
func checkTransport(at checkAddress, dial dialFunc, reuse, http2 bool) *http.Transport {
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, at.addr) }
	t := &http.Transport{
		DialContext:            connect,
		DialTLSContext:         connect,
		DisableKeepAlives:      !reuse,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    1,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         1 << 10,
		WriteBufferSize:        1 << 10,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(!http2)
	t.Protocols.SetUnencryptedHTTP2(http2)
	return t
}

type httpProber struct {
	*httpCheck
	at     checkAddress
	client *http.Transport
}

func (p *httpProber) close() { p.client.CloseIdleConnections() }

func (p *httpProber) probe(ctx context.Context) (verdict, error) {
	resp, err := p.client.RoundTrip(p.request(ctx))
	if err != nil {
		return noAnswer, err
	}
	defer func() { _ = resp.Body.Close() }()
	limit := int64(answerLimit)
	if p.buffer > 0 {
		limit = min(limit, p.buffer)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err == nil {
		_, err = io.CopyN(io.Discard, resp.Body, answerLimit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return noAnswer, fmt.Errorf("reading the body: %w", err)
	}
	switch {
	case !contains(body, p.receive):
		return badAnswer, errors.New("the body has not all that receive wants")
	case within(p.expected, resp.StatusCode):
		return passed, nil
	case within(p.httpCheck.retriable, resp.StatusCode):
		return retriable, fmt.Errorf("the status is %d", resp.StatusCode)
	default:
		return badAnswer, fmt.Errorf("the status is %d", resp.StatusCode)
	}
}

func (p *httpProber) request(ctx context.Context) *http.Request {
	u := p.url
	u.Scheme, u.Host = p.at.scheme(), p.at.addr.String()
	r := (&http.Request{Method: p.method, URL: &u, Host: p.at.host, Header: http.Header{"User-Agent": {checkUserAgent}}}).WithContext(ctx)
	if len(p.send) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(p.send))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.send)), nil }
		r.ContentLength = int64(len(p.send))
	}
	for _, name := range p.remove {
		r.Header.Del(name)
	}
	addHeaders(r.Header, p.add)
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = []string{""} // net/http would send its own
	}
	return r
}
