package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

func TestEscapedSlashes(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	const plain = "/a/b%20c?d=%2F"
	for _, tt := range []struct {
		action        hcmv3.HttpConnectionManager_PathWithEscapedSlashesAction
		path          string
		status        int
		got, location string
	}{
		{hcmv3.HttpConnectionManager_IMPLEMENTATION_SPECIFIC_DEFAULT, "/a%2Fb%5c?x=%2f", 200, "/a%2Fb%5c?x=%2f", ""},
		{hcmv3.HttpConnectionManager_KEEP_UNCHANGED, "/a%2Fb", 200, "/a%2Fb", ""},
		{hcmv3.HttpConnectionManager_REJECT_REQUEST, "/a%2fb", 400, "", ""},
		{hcmv3.HttpConnectionManager_REJECT_REQUEST, "/a%5Cb", 400, "", ""},
		{hcmv3.HttpConnectionManager_REJECT_REQUEST, plain, 200, plain, ""},
		{hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD, "/a%2Fb/c%2F..%2fd?x=%2F", 200, "/a/b/d?x=%2F", ""},
		{hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD, "/a%5C..%5cb", 200, "/b", ""},
		{hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD, plain, 200, plain, ""},
		{hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT, "/a%2Fb?x=%2F", 307, "", "/a/b?x=%2F"},
		{hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT, plain, 200, plain, ""},
	} {
		s := newScene(primary)
		s.hcm.PathWithEscapedSlashesAction = tt.action
		s.hcm.NormalizePath = wrapperspb.Bool(true)
		_, addr := serve(t, s, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		c.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", tt.path)
		if resp, body := c.response("GET"); resp.StatusCode != tt.status || body != tt.got || resp.Header.Get("Location") != tt.location {
			t.Errorf("%s, %s: %d %q, to %q", tt.action, tt.path, resp.StatusCode, body, resp.Header.Get("Location"))
		}
		f := dialFrames(t, addr)
		f.ask(1, "GET", tt.path, true)
		if status, body := f.answered(1); status != fmt.Sprint(tt.status) || body != tt.got {
			t.Errorf("%s, %s over HTTP/2: %s %q", tt.action, tt.path, status, body)
		}
	}
}

func TestUnderscores(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header["X_a"], r.Header["X-B"])
	})
	for _, tt := range []struct {
		action corev3.HttpProtocolOptions_HeadersWithUnderscoresAction
		status int
		got    string
	}{
		{corev3.HttpProtocolOptions_ALLOW, 200, `["1"] ["2"]`},
		{corev3.HttpProtocolOptions_DROP_HEADER, 200, `[] ["2"]`},
		{corev3.HttpProtocolOptions_REJECT_REQUEST, 400, ""},
	} {
		s := newScene(primary)
		s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{HeadersWithUnderscoresAction: tt.action}
		_, addr := serve(t, s, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		c.send("GET / HTTP/1.1\r\nHost: x\r\nX_A: 1\r\nX-B: 2\r\n\r\n")
		if resp, body := c.response("GET"); resp.StatusCode != tt.status || body != tt.got {
			t.Errorf("%s: %d %q", tt.action, resp.StatusCode, body)
		}
		f := dialFrames(t, addr)
		f.ask(1, "GET", "/", true, "x_a", "1", "x-b", "2")
		if status, body := f.answered(1); status != fmt.Sprint(tt.status) || body != tt.got {
			t.Errorf("%s over HTTP/2: %s %q", tt.action, status, body)
		}
		if tt.status == 200 { // REJECT does not mind what has none
			continue
		}
		f.ask(3, "GET", "/", true, "x-b", "2")
		if status, body := f.answered(3); status != "200" || body != `[] ["2"]` {
			t.Errorf("without an underscore: %s %q", status, body)
		}
	}
}
