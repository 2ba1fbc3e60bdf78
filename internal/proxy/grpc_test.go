package proxy_test

import (
	"testing"

	"golang.org/x/net/http2"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

// TestLocalRepliesToGRPC has requests that the proxy answers itself.
func TestLocalRepliesToGRPC(t *testing.T) {
	s := newScene(refused(t)).over(t, h2c)
	s.match = prefix("/served")
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	for i, tt := range []struct{ path, code string }{{"/nowhere", "12"}, {"/served", "14"}} {
		id := uint32(2*i + 1)
		f.ask(id, "POST", tt.path, true, "content-type", "application/grpc+proto")
		h := want[*http2.MetaHeadersFrame](f)
		fields := map[string]string{}
		for _, field := range h.RegularFields() {
			fields[field.Name] = field.Value
		}
		if h.PseudoValue("status") != "200" || !h.StreamEnded() || fields["grpc-status"] != tt.code || fields["content-type"] != "application/grpc" {
			t.Errorf("%s: %v, ended %v", tt.path, h, h.StreamEnded())
		}
		if _, ok := fields["content-length"]; ok {
			t.Errorf("%s: content-length among trailers: %v", tt.path, fields)
		}
		if tt.path == "/served" && fields["grpc-message"] == "" {
			t.Error("no grpc-message")
		}
	}
	c := dial(t, addr)
	c.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
	if resp, body := c.response("POST"); resp.StatusCode != 200 || body != "" || resp.Header.Get("Grpc-Status") != "12" {
		t.Errorf("over HTTP/1.1: %d %q %v", resp.StatusCode, body, resp.Header)
	}
}
