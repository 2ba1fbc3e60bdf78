package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// offering is a scene whose listener offers extended CONNECT.
func offering(s *scene) *scene {
	s.hcm.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{AllowConnect: true}
	return s
}

// allowing has a cluster speak HTTP/2, extended CONNECT included.
func allowing(c *clusterv3.Cluster) {
	c.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{AllowConnect: true, InitialStreamWindowSize: uint32Of(16 << 20)} //nolint:staticcheck // still sent
}

// client2 is the HTTP/2 client of x/net, on connections without TLS.
//
//nolint:staticcheck // the one of net/http knows no extended CONNECT
func client2(t testing.TB) http.RoundTripper {
	tr := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// stream is a tunnel over HTTP/2.
type stream struct {
	t    testing.TB
	resp *http.Response
	r    *bufio.Reader
	w    *io.PipeWriter
}

// tunnel opens one: by CONNECT, or extended CONNECT where protocol says for what.
func tunnel(t testing.TB, tr http.RoundTripper, addr, protocol, early string) *stream {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "CONNECT", "http://"+addr+"/ws", r)
	if err != nil {
		t.Fatal(err)
	}
	if protocol != "" {
		req.Header[":protocol"] = []string{protocol}
		req.Header.Set("Sec-Websocket-Version", "13")
	}
	go func() { _, _ = io.WriteString(w, early) }()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close(); w.Close() })
	return &stream{t, resp, bufio.NewReader(resp.Body), w}
}

// converse talks to what answers each line, to the end.
func (s *stream) converse() {
	s.t.Helper()
	expect := func(line string) {
		s.t.Helper()
		if got, err := s.r.ReadString('\n'); got != line || err != nil {
			s.t.Fatalf("%.50q, %v, want %.50q", got, err, line)
		}
	}
	expect("hello\n")
	expect("got early\n")
	big := strings.Repeat("x", 3<<20) + "\n"
	go func() {
		_, _ = io.WriteString(s.w, big)
		_ = s.w.Close()
	}()
	expect("got " + big)
	expect("bye\n")
	if rest, err := io.ReadAll(s.r); len(rest) > 0 || err != nil {
		s.t.Errorf("%q %v at the end", rest, err)
	}
}

func TestConnectOverHTTP2(t *testing.T) {
	for name, configure := range map[string]func(*scene) *scene{"matched by a route": matching, "by the listener": explicit} {
		t.Run(name, func(t *testing.T) {
			sink := &recorder{}
			p, addr := serve(t, configure(newScene(peer(t, lines), refused(t))), proxy.Options{Concurrency: 1, Sink: sink})
			tr := client2(t)
			for i := range 3 {
				s := tunnel(t, tr, addr, "", "early\n")
				if s.resp.StatusCode != 200 {
					t.Fatalf("%d", s.resp.StatusCode)
				}
				s.converse()
				if got := sink.wait(t, traffic.Settled, i); got.primary.Status != 200 || got.primary.Flags != "-" || got.bytes < 3<<20 || got.shadows != nil {
					t.Errorf("recorded %+v", got)
				}
			}
			if n := outcome(p, 0, "unsupported"); n != 3 {
				t.Errorf("%d unsupported", n)
			}
			wantQuiet(t, p)
			wantNoConnections(t, p)
		})
	}
	p, addr := serve(t, explicit(newScene(refused(t))), proxy.Options{Concurrency: 1})
	s := tunnel(t, client2(t), addr, "", "early\n")
	if body, _ := io.ReadAll(s.r); s.resp.StatusCode != 503 || !strings.Contains(string(body), "remote connection failure") {
		t.Errorf("nowhere: %d %q", s.resp.StatusCode, body)
	}
	wantQuiet(t, p)
}

// TestTunnelOverHTTP2Breaks ends tunnels in the middle, from both sides; the
// connection serves on.
func TestTunnelOverHTTP2Breaks(t *testing.T) {
	over := make(chan error, 1)
	primary := peer(t, func(w *wire) {
		w.send("hello")
		b, err := w.r.ReadByte()
		if b == 'r' {
			w.reset()
			return
		}
		if err == nil {
			_, err = w.rest()
		}
		over <- err
	})
	p, addr := serve(t, explicit(newScene(primary)), proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	for id := uint32(1); id < 6; id += 4 {
		f.head(id, false, ":method", "CONNECT", ":authority", "there:443")
		if h := want[*http2.MetaHeadersFrame](f); h.PseudoValue("status") != "200" || h.StreamEnded() || len(h.Fields) != 1 {
			t.Fatalf("%v", h.Fields)
		}
		want[*http2.DataFrame](f)
		_ = f.WriteData(id, false, []byte("r"))
		if r := want[*http2.RSTStreamFrame](f); r.StreamID != id || r.ErrCode != http2.ErrCodeConnect {
			t.Errorf("%v", r)
		}
		f.head(id+2, false, ":method", "CONNECT", ":authority", "there:443")
		want[*http2.MetaHeadersFrame](f)
		want[*http2.DataFrame](f)
		_ = f.WriteData(id+2, false, []byte("x"))
		_ = f.WriteRSTStream(id+2, http2.ErrCodeCancel)
		if err := <-over; !isReset(err) {
			t.Errorf("primary: %v, want a reset", err)
		}
	}
	wantQuiet(t, p)
	wantNoConnections(t, p)
}

// TestTunnelOverHTTP2Idle ends tunnels in which nothing moves, or that last too
// long.
func TestTunnelOverHTTP2Idle(t *testing.T) {
	for name, details := range map[string]string{"idle": "stream_idle_timeout", "old": "max_duration_timeout"} {
		over := make(chan error, 1)
		primary := peer(t, func(w *wire) {
			_, err := w.rest()
			over <- err
		})
		s := explicit(newScene(primary))
		if name == "idle" {
			s.action.IdleTimeout = durationpb.New(short)
		} else {
			s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxStreamDuration: durationpb.New(short)}
		}
		sink := &recorder{}
		p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
		f := dialFrames(t, addr)
		f.head(1, false, ":method", "CONNECT", ":authority", "there:443")
		want[*http2.MetaHeadersFrame](f)
		start := time.Now()
		if r := want[*http2.RSTStreamFrame](f); r.ErrCode != http2.ErrCodeConnect || time.Since(start) < short/2 {
			t.Errorf("%s: %v after %v", name, r, time.Since(start))
		}
		<-over
		if got := sink.wait(t, traffic.Answered, 0); got.primary.Details != details {
			t.Errorf("%s: recorded %+v", name, got.primary)
		}
		wantQuiet(t, p)
	}
}

// upgrading is a server of WebSockets over HTTP/1.1 that wants a key.
func upgrading(w *wire) {
	r, err := http.ReadRequest(w.r)
	if err != nil {
		return
	}
	key := r.Header.Get("Sec-Websocket-Key")
	if r.Method != "GET" || r.URL.Path != "/ws" || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "upgrade" ||
		r.Header.Get("Sec-Websocket-Version") != "13" || len(key) != 24 || r.ContentLength != 0 || r.TransferEncoding != nil {
		w.t.Errorf("upgrade request %+v", r)
		return
	}
	w.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\n", proxy.WebSocketAccept(key))
	lines(w)
}

// TestWebSocketOverHTTP2 upgrades by extended CONNECT: endpoints of HTTP/1.1,
// whatever else their cluster speaks, and of HTTP/2.
func TestWebSocketOverHTTP2(t *testing.T) {
	for _, up := range []protocol{h1, h2c, "extended"} {
		t.Run(string(up), func(t *testing.T) {
			primary := upgrading
			if up == "extended" {
				primary = extended
			}
			s := offering(newScene(peer(t, primary), refused(t)))
			switch up {
			case h2c:
				s.over(t, h2c)
			case "extended":
				allowing(s.clusters[0])
			}
			sink := &recorder{}
			p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
			tr := client2(t)
			for i := range 3 {
				c := tunnel(t, tr, addr, "websocket", "early\n")
				if h := c.resp.Header; c.resp.StatusCode != 200 || h.Get("Sec-Websocket-Protocol") != "chat" || h["Sec-Websocket-Accept"] != nil || h["Upgrade"] != nil {
					t.Fatalf("%d %v", c.resp.StatusCode, h)
				}
				c.converse()
				if got := sink.wait(t, traffic.Settled, i); got.primary.Status != 101 || got.primary.Flags != "-" || got.bytes < 3<<20 || got.shadows != nil {
					t.Errorf("recorded %+v", got)
				}
			}
			if n := outcome(p, 0, "unsupported"); n != 3 {
				t.Errorf("%d unsupported", n)
			}
			wantQuiet(t, p)
		})
	}
}

// extended is a server of WebSockets by extended CONNECT, whose SETTINGS take
// their time.
func extended(w *wire) {
	f := newFrames(w)
	_, _ = io.CopyN(io.Discard, w.r, int64(len(http2.ClientPreface)))
	_ = f.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	for fr, err := f.ReadFrame(); err == nil; fr, err = f.ReadFrame() {
		if h, ok := fr.(*http2.MetaHeadersFrame); ok {
			w.t.Errorf("%v before our SETTINGS", h)
		}
	}
	_ = f.SetReadDeadline(time.Now().Add(patience))
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 8 << 20})
	_ = f.WriteSettingsAck()
	_ = f.WriteWindowUpdate(0, 64<<20)
	said := map[uint32]*bytes.Buffer{}
	for {
		switch fr := f.read().(type) {
		case nil:
			return
		case *http2.MetaHeadersFrame:
			if fr.PseudoValue("method") != "CONNECT" || fr.PseudoValue("protocol") != "websocket" || fr.PseudoValue("path") != "/ws" || fr.StreamEnded() {
				w.t.Errorf("%v", fr.Fields)
			}
			for _, h := range fr.RegularFields() {
				if h.Name == "sec-websocket-key" || h.Name == "upgrade" || h.Name == "connection" {
					w.t.Errorf("%v", h)
				}
			}
			said[fr.StreamID] = &bytes.Buffer{}
			f.head(fr.StreamID, false, ":status", "200", "sec-websocket-protocol", "chat")
			_ = f.WriteData(fr.StreamID, false, []byte("hello\n"))
		case *http2.DataFrame:
			b := said[fr.StreamID]
			b.Write(fr.Data())
			if n := bytes.IndexByte(b.Bytes(), '\n'); n >= 0 {
				line := append([]byte("got "), b.Next(n+1)...)
				for len(line) > 0 {
					k := min(len(line), 16<<10)
					_ = f.WriteData(fr.StreamID, false, line[:k])
					line = line[k:]
				}
			}
			if fr.StreamEnded() {
				_ = f.WriteData(fr.StreamID, true, []byte("bye\n"))
			}
		}
	}
}

// TestUpgradeByExtendedConnect has a client of HTTP/1.1, and an endpoint that
// takes extended CONNECT, or does not.
func TestUpgradeByExtendedConnect(t *testing.T) {
	s := newScene(peer(t, extended))
	allowing(s.clusters[0])
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly\n")
	resp, _ := c.response("GET")
	if h := resp.Header; resp.StatusCode != 101 || h.Get("Upgrade") != "websocket" || h.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("%d %v", resp.StatusCode, h)
	}
	tunneled(t, c)
	wantQuiet(t, p)

	s = newScene(framed(t, nil, func(f *frames) {
		for f.read() != nil {
			t.Error("an upgrade was sent that the SETTINGS do not allow")
		}
	}))
	allowing(s.clusters[0])
	p, addr = serve(t, s, proxy.Options{Concurrency: 1})
	c = dial(t, addr)
	c.send(upgradeRequest)
	if resp, _ := c.response("GET"); resp.StatusCode != 503 {
		t.Errorf("%d", resp.StatusCode)
	}
	wantQuiet(t, p)
}

// TestUpgradeOverHTTP2Declined has endpoints that do not upgrade, or not as they
// should, and listeners that do not let them.
func TestUpgradeOverHTTP2Declined(t *testing.T) {
	for answer, status := range map[string]string{
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno":                                                            "403",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi":                                                                   "502", // over HTTP/2 it would mean yes
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n": "502",
	} {
		primary := peer(t, func(w *wire) {
			for r, _ := w.request(); r != nil; r, _ = w.request() {
				w.send("%s", answer)
			}
		})
		p, addr := serve(t, offering(newScene(primary)), proxy.Options{Concurrency: 1})
		f := dialFrames(t, addr)
		for id := uint32(1); id < 5; id += 2 {
			f.ask(id, "CONNECT", "/ws", false, ":protocol", "websocket")
			if got, _ := f.answered(id); got != status {
				t.Errorf("%q: %s, want %s", answer, got, status)
			}
			want[*http2.RSTStreamFrame](f)
		}
		wantQuiet(t, p)
	}
	p, addr := serve(t, offering(newScene(refused(t))), proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	f.ask(1, "CONNECT", "/", false, ":protocol", "other")
	if status, _ := f.answered(1); status != "403" {
		t.Errorf("an upgrade that the listener does not have: %s", status)
	}
	wantQuiet(t, p)
	_, addr = serve(t, newScene(refused(t)), proxy.Options{Concurrency: 1})
	f = dialFrames(t, addr)
	f.ask(1, "CONNECT", "/", false, ":protocol", "websocket")
	if r := want[*http2.RSTStreamFrame](f); r.ErrCode != http2.ErrCodeProtocol {
		t.Errorf("where none is offered: %v", r)
	}
}
