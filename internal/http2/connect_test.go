package http2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	xhttp2 "golang.org/x/net/http2"
)

// TestExtendedConnect offers it, and gets a request.
func TestExtendedConnect(t *testing.T) {
	p := newPeer(t, false, http2.Options{ExtendedConnect: true})
	if got := p.frames()[0]; !strings.Contains(got, "[ENABLE_CONNECT_PROTOCOL = 1]") {
		t.Errorf("%s", got)
	}
	p.do(p.WriteSettings())
	p.do(p.WriteSettingsAck())
	p.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "a",
		"sec-websocket-version", "13", "cookie", "a", "cookie", "b")
	p.do(p.WriteData(1, false, []byte("early")))
	p.feed()
	p.frames()
	s := p.opened.last(t)
	h, f, ok := s.Head()
	if !ok || f != chunked {
		t.Fatalf("%v %v", f, ok)
	}
	for name, want := range map[string]string{"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "cookie": "a; b"} {
		if v, _ := h.Get(name); string(v) != want {
			t.Errorf("%s: %q", name, v)
		}
	}
	if got := string(h.Method()) + " " + string(h.Scheme()) + " " + string(h.Authority()) + " " + string(h.Path()); got != "GET https a /chat" {
		t.Errorf("%s", got)
	}
	s.SendHead(response(200, "connection", "upgrade", "upgrade", "websocket"), chunked, false)
	s.Write([]byte("hello"))
	s.End(nil)
	p.want("HEADERS 1 :status=200", "DATA 1 5", "DATA 1 0 end")
	if body, done, err := readAll(s); body != "early" || done || err != nil {
		t.Errorf("%q %t %v", body, done, err)
	}
}

// TestExtendedConnectMalformed resets what is no extended CONNECT, or comes
// where none is offered.
func TestExtendedConnectMalformed(t *testing.T) {
	for name, fields := range map[string]string{
		"not offered":    ":method CONNECT :protocol websocket :scheme http :path / :authority a",
		"another method": ":method GET :protocol websocket :scheme http :path / :authority a",
		"no path":        ":method CONNECT :protocol websocket :scheme http :authority a",
		"no scheme":      ":method CONNECT :protocol websocket :path / :authority a",
		"no authority":   ":method CONNECT :protocol websocket :scheme http :path /",
		"no token":       ":method CONNECT :protocol a,b :scheme http :path / :authority a",
		"twice":          ":method CONNECT :protocol a :protocol a :scheme http :path / :authority a",
		"with a length":  ":method CONNECT :protocol a :scheme http :path / :authority a content-length 3",
		"with Upgrade":   ":method CONNECT :protocol a :scheme http :path / :authority a upgrade b",
		"path *":         ":method CONNECT :protocol a :scheme http :path * :authority a",
	} {
		t.Run(name, func(t *testing.T) {
			p := server(t, http2.Options{ExtendedConnect: name != "not offered"})
			p.headers(1, false, strings.Fields(fields)...)
			p.feed()
			p.want("RST_STREAM 1 PROTOCOL_ERROR")
			if len(p.opened.streams) > 0 || len(p.opened.rejected) != 1 {
				t.Errorf("%d opened, rejected %v", len(p.opened.streams), p.opened.rejected)
			}
		})
	}
	p := server(t, http2.Options{ExtendedConnect: true}) // and CONNECT is as it was
	p.headers(1, false, ":method", "CONNECT", ":authority", "a:443")
	p.feed()
	if h, _, ok := p.opened.last(t).Head(); !ok || string(h.Method()) != "CONNECT" || h.Has("upgrade") {
		t.Errorf("%v", ok)
	}
}

// TestSendUpgrade asks a server that takes extended CONNECT.
func TestSendUpgrade(t *testing.T) {
	p := newPeer(t, true, http2.Options{})
	p.out.take()
	if yes, connect := p.conn.Settled(); yes || connect {
		t.Error("settled before anything has come")
	}
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingEnableConnectProtocol, Val: 1}))
	p.do(p.WriteSettingsAck())
	p.feed()
	p.frames()
	if yes, connect := p.conn.Settled(); !yes || !connect {
		t.Error("not settled, or not for extended CONNECT")
	}
	s := p.open()
	s.SendUpgrade(request("GET", "/chat", "connection", "upgrade", "upgrade", "websocket", "origin", "b"))
	s.Write([]byte("hello"))
	got := p.frames()
	want := []string{"HEADERS 1 :method=CONNECT :scheme=http :path=/chat :authority=a :protocol=websocket origin=b", "DATA 1 5"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	p.headers(1, false, ":status", "200", "content-length", "2")
	p.do(p.WriteData(1, false, []byte("more than two")))
	p.feed()
	if h, f, ok := s.Head(); !ok || h.Status != 200 || f != chunked {
		t.Errorf("%v %v", f, ok)
	}
	if body, done, err := readAll(s); body != "more than two" || done || err != nil {
		t.Errorf("%q %t %v", body, done, err)
	}
	s.End(nil)
	p.want("DATA 1 0 end")
}
