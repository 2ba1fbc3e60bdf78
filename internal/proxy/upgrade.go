package proxy

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what RFC 6455 has
	"encoding/base64"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// begunUpgrade takes note of a request that asks for another protocol. Over
// HTTP/2 that is an extended CONNECT (RFC 8441), whose payload is of the other
// protocol and no body: it waits until that is spoken.
func (x *exchange) begunUpgrade() {
	if x.req.HTTP2 {
		x.reqFraming, x.reqDone = traffic.Framing{}, true
	}
}

// finishUpgrade makes the head what the endpoint gets. An endpoint of HTTP/1.1
// wants a key for a WebSocket, which clients of HTTP/2 do not send (RFC 8441,
// section 5).
func (x *exchange) finishUpgrade() {
	h := &x.req
	h.Set("connection", []byte("upgrade"))
	h.Set("upgrade", x.upgrade)
	if h.HTTP2 && traffic.EqualFold(x.upgrade, "websocket") && !h.Has("sec-websocket-key") {
		var nonce [16]byte
		_, _ = x.w.random.Read(nonce[:])
		h.Set("sec-websocket-key", base64.StdEncoding.AppendEncode(nil, nonce[:]))
		x.ownKey = true
	}
}

// switching passes on a 101, after which both connections carry another
// protocol (RFC 9110, section 7.8).
func (x *exchange) switching() (state, error) {
	h := &x.resp
	if x.upgrade == nil {
		return failed, errUnasked
	}
	switch key, ok := x.req.Get("sec-websocket-key"); { // one side of HTTP/1.1 alone uses keys
	case x.ownKey && x.up.Tunnel() != nil && !accepts(h, key):
		return failed, errBadAccept
	case x.ownKey:
		h.Del("sec-websocket-accept")
	case ok && !x.req.HTTP2 && x.up.Tunnel() == nil:
		h.Set("sec-websocket-accept", webSocketAccept(key))
	}
	protocol, _ := h.Get("upgrade")
	http1.RemoveHopByHop(h)
	h.Set("connection", []byte("upgrade"))
	h.Set("upgrade", protocol)
	x.route.RewriteResponse(h, x.dest, &x.ctx)
	h.Set("server", x.cfg.serverName)
	if !h.Has("date") {
		h.Add("date", x.w.dateNow())
	}
	x.tunneled = x.client.Switch(h)
	x.respBegun = true
	x.details = "via_upstream"
	return upgraded, nil
}

// Answers to an upgrade that are none.
var (
	errUnasked     = &http1.Error{Status: 502, Reason: "101 although no upgrade was asked for", Details: "http1.codec_error"}
	errBadAccept   = &http1.Error{Status: 502, Reason: "101 with another Sec-WebSocket-Accept than that of the key", Details: "http1.codec_error"}
	errNotSwitched = &http1.Error{Status: 502, Reason: "success without the upgrade that was asked for", Details: "http1.codec_error"}
)

// unswitched reports whether an answer would, over HTTP/2, pass for one that
// accepts the upgrade.
func (x *exchange) unswitched() bool {
	return x.upgrade != nil && x.req.HTTP2 && x.resp.Status/100 == 2
}

// accepts reports whether the answer is one to the key.
func accepts(h *traffic.Head, key []byte) bool {
	got, _ := h.Get("sec-websocket-accept")
	return bytes.Equal(got, webSocketAccept(key))
}

// webSocketAccept is the answer to a key (RFC 6455, section 4.2.2).
func webSocketAccept(key []byte) []byte {
	sum := sha1.Sum(append(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)) //nolint:gosec // as above
	return base64.StdEncoding.AppendEncode(nil, sum[:])
}
