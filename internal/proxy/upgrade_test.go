package proxy_test

import (
	"io"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n"

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: a\r\n\r\n"

// talk is a server that upgrades and answers each line, then follows the
// client's end by a last word.
func talk(w *wire) {
	r, _ := w.request()
	if r == nil || r.Header.Get("Upgrade") != "WebSocket" || r.Header.Get("Connection") != "upgrade" || r.Header.Get("Sec-WebSocket-Key") != "k" {
		w.t.Errorf("upgrade request %+v", r)
		return
	}
	w.send(switching + "hello\n")
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.send("bye\n")
			return
		}
		w.send("%s", "got "+line)
	}
}

func TestWebSocket(t *testing.T) {
	p, addr := serve(t, newScene(peer(t, talk), refused(t)), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send(upgradeRequest + "early\n")
	resp, _ := c.response("GET")
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "WebSocket" || resp.Header.Get("Connection") != "upgrade" || resp.Header.Get("Sec-WebSocket-Accept") != "a" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	want := func(line string) {
		t.Helper()
		if got, err := c.r.ReadString('\n'); got != line || err != nil {
			t.Fatalf("%q, %v, want %q", got, err, line)
		}
	}
	want("hello\n")
	want("got early\n")
	for range 100 {
		c.send("ping\n")
		want("got ping\n")
	}
	big := payload(4 << 20)
	for i, b := range big {
		if b == '\n' {
			big[i] = ' '
		}
	}
	big = append(big, '\n')
	go func() {
		_, _ = c.Write(big)
		_ = c.CloseWrite() // half-closed: the last words still come
	}()
	want("got " + string(big))
	want("bye\n")
	c.wantEnd("a tunnel")
	if n := outcome(p, 0, "unsupported"); n != 1 {
		t.Errorf("%d unsupported", n)
	}
}

// TestServerEndsTunnelFirst half-closes from the other side.
func TestServerEndsTunnelFirst(t *testing.T) {
	got := make(chan string, 1)
	primary := peer(t, func(w *wire) {
		w.request()
		w.send(switching + "only words")
		_ = w.CloseWrite()
		all, err := w.rest()
		if err != io.EOF {
			t.Errorf("primary: %v", err)
		}
		got <- all
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send(upgradeRequest)
	c.response("GET")
	if all, err := c.rest(); all != "only words" || err != io.EOF {
		t.Fatalf("%q, %v", all, err)
	}
	big := string(payload(2 << 20))
	c.send("%s", big)
	_ = c.CloseWrite()
	if all := <-got; all != big {
		t.Errorf("the primary got %d bytes", len(all))
	}
}

func TestTunnelPassesResets(t *testing.T) {
	heard, over := make(chan struct{}), make(chan error, 1)
	primary := peer(t, func(w *wire) {
		w.request()
		w.send(switching)
		if b, _ := w.r.ReadByte(); b == 'r' {
			w.reset()
			return
		}
		close(heard) // a reset at once could overtake the byte
		_, err := w.rest()
		over <- err
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send(upgradeRequest)
	c.response("GET")
	c.send("r")
	if _, err := c.rest(); !isReset(err) {
		t.Errorf("client: %v, want a reset", err)
	}
	c = dial(t, addr)
	c.send(upgradeRequest)
	c.response("GET")
	c.send("x")
	<-heard
	c.reset()
	if err := <-over; !isReset(err) {
		t.Errorf("primary: %v, want a reset", err)
	}
}

func TestUpgradeDeclined(t *testing.T) {
	primary := peer(t, func(w *wire) {
		for r, _ := w.request(); r != nil; r, _ = w.request() {
			w.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
		}
	})
	s := newScene(primary)
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 2 { // the connection goes on in HTTP
		c.send(upgradeRequest)
		if resp, body := c.response("GET"); resp.StatusCode != 426 || body != "no" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
	if resp, _ := c.response("GET"); resp.StatusCode != 403 {
		t.Errorf("an upgrade that the listener does not have: %d", resp.StatusCode)
	}
	s.action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{UpgradeType: "websocket", Enabled: wrapperspb.Bool(false)}}
	_, addr = serve(t, s, proxy.Options{Concurrency: 1})
	c = dial(t, addr)
	c.send(upgradeRequest)
	if resp, _ := c.response("GET"); resp.StatusCode != 403 {
		t.Errorf("an upgrade that the route forbids: %d", resp.StatusCode)
	}
}
