package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// lines answers each line, and the end with a last word.
func lines(w *wire) {
	w.send("hello\n")
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.send("bye\n")
			return
		}
		w.send("%s", "got "+line)
	}
}

// tunneled talks to lines through a tunnel that stands.
func tunneled(t *testing.T, c *wire) {
	t.Helper()
	expect := func(line string) {
		t.Helper()
		if got, err := c.r.ReadString('\n'); got != line || err != nil {
			t.Fatalf("%q, %v, want %q", got, err, line)
		}
	}
	expect("hello\n")
	expect("got early\n")
	big := strings.Repeat("x", 1<<20) + "\n"
	go func() {
		c.send("%s", big)
		_ = c.CloseWrite()
	}()
	expect("got " + big)
	expect("bye\n")
	c.wantEnd("a tunnel")
}

// connects reads the answer to a CONNECT, leaving what follows.
func (w *wire) connects() *http.Response {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, &http.Request{Method: "CONNECT"})
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode == 200 && (resp.ContentLength > 0 || resp.Header.Get("Content-Length") != "" || resp.TransferEncoding != nil) {
		w.t.Errorf("a CONNECT was answered with a body: %v", resp.Header)
	}
	return resp
}

const connectRequest = "CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\nearly\n"

// connects is a scene with a route for CONNECT.
func connects(s *scene) *scene {
	s.match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_ConnectMatcher_{ConnectMatcher: &routev3.RouteMatch_ConnectMatcher{}}}
	return s
}

// matching is a scene that serves CONNECT by its route.
func matching(s *scene) *scene {
	connects(s).action.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{
		UpgradeType: "CONNECT", ConnectConfig: &routev3.RouteAction_UpgradeConfig_ConnectConfig{},
	}}
	return s
}

// explicit is a scene that serves CONNECT by its listener.
func explicit(s *scene) *scene {
	connects(s).hcm.UpgradeConfigs = []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "CONNECT"}}
	return s
}

func TestConnect(t *testing.T) {
	for name, configure := range map[string]func(*scene) *scene{"matched by a route": matching, "by the listener": explicit} {
		t.Run(name, func(t *testing.T) {
			sink := &recorder{}
			p, addr := serve(t, configure(newScene(peer(t, lines), refused(t))), proxy.Options{Concurrency: 1, Sink: sink})
			for i := range 3 {
				c := dial(t, addr)
				c.send(connectRequest)
				if resp := c.connects(); resp.StatusCode != 200 {
					t.Fatalf("%d", resp.StatusCode)
				}
				tunneled(t, c)
				if got := sink.wait(t, traffic.Settled, i); got.primary.Status != 200 || got.primary.Flags != "-" || got.bytes < 1<<20 || got.shadows != nil {
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
}

// TestConnectNowhere has endpoints that refuse: with a retry policy, as Istio's
// default one is, and without.
func TestConnectNowhere(t *testing.T) {
	for _, policy := range []*routev3.RetryPolicy{nil, retries("connect-failure", 2)} {
		s := explicit(newScene(refused(t), refused(t)))
		s.action.RetryPolicy = policy
		p, addr := serve(t, s, proxy.Options{Concurrency: 1})
		c := dial(t, addr)
		c.send(connectRequest)
		if resp, body := c.response("CONNECT"); resp.StatusCode != 503 || !strings.Contains(body, "remote connection failure") {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
		if n := outcome(p, 0, "unsupported"); n != 1 {
			t.Errorf("%d unsupported", n)
		}
		wantQuiet(t, p)
	}
	s := explicit(newScene(refused(t)))
	s.clusters[0] = static("primary", refused(t), peer(t, lines))
	s.action.RetryPolicy = retries("connect-failure", 2)
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	for range 4 { // one endpoint of two is there
		c := dial(t, addr)
		c.send(connectRequest)
		if resp := c.connects(); resp.StatusCode != 200 {
			t.Fatalf("%d", resp.StatusCode)
		}
		tunneled(t, c)
	}
}

func TestConnectRefused(t *testing.T) {
	_, addr := serve(t, newScene(peer(t, lines)), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\n")
	if resp, _ := c.response("CONNECT"); resp.StatusCode != 404 {
		t.Errorf("without any upgrade: %d", resp.StatusCode)
	}
	c.wantEnd("a CONNECT that was refused")

	f := dialFrames(t, addr)
	f.head(1, false, ":method", "CONNECT", ":authority", "there:443")
	if status, _ := f.answered(1); status != "404" {
		t.Errorf("over HTTP/2: %s", status)
	}
	if fr := want[*http2.RSTStreamFrame](f); fr.StreamID != 1 || fr.ErrCode != http2.ErrCodeNo {
		t.Errorf("%v", fr)
	}
	f.head(3, true, ":method", "CONNECT", ":authority", "there:443") // the connection serves on
	if status, _ := f.answered(3); status != "404" {
		t.Errorf("again: %s", status)
	}
}

// TestConnectWaitsItsTurn has the one connection allowed at rest.
func TestConnectWaitsItsTurn(t *testing.T) {
	primary := peer(t, func(w *wire) {
		if b, _ := w.r.Peek(1); len(b) == 1 && b[0] == 'G' {
			w.request()
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			_, _ = w.r.ReadByte()
			return
		}
		lines(w)
	})
	s := explicit(newScene(primary))
	s.routes = []*routev3.Route{{Match: prefix("/"), Action: &routev3.Route_Route{Route: s.action}}} // beside that for CONNECT
	limit(s.clusters[0], func(th *clusterv3.CircuitBreakers_Thresholds) { th.MaxConnections = uint32Of(1) })
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	get(t, addr, 1)
	c := dial(t, addr)
	c.send(connectRequest)
	if resp := c.connects(); resp.StatusCode != 200 {
		t.Fatalf("%d", resp.StatusCode)
	}
	c.send("x\n")
	_ = c.CloseWrite()
	if all, err := c.rest(); err != io.EOF || !strings.HasSuffix(all, "bye\n") {
		t.Errorf("%q %v", all, err)
	}
	wantNoConnections(t, p)
	wantBreakersAtRest(t, p, s.clusters[0].CircuitBreakers.Thresholds[0])
}

// TestTunnelIdle ends tunnels in which nothing moves.
func TestTunnelIdle(t *testing.T) {
	for name, request := range map[string]string{"CONNECT": connectRequest, "websocket": upgradeRequest} {
		t.Run(name, func(t *testing.T) {
			over := make(chan error, 1)
			primary := peer(t, func(w *wire) {
				if name == "websocket" {
					w.request()
					w.send(switching)
				}
				_, err := w.rest()
				over <- err
			})
			s := newScene(primary)
			if name == "CONNECT" {
				s = explicit(s)
			}
			s.action.IdleTimeout = durationpb.New(150 * time.Millisecond)
			p, addr := serve(t, s, proxy.Options{Concurrency: 1})
			c := dial(t, addr)
			c.send("%s", request)
			c.connects()
			start := time.Now()
			if _, err := c.rest(); err == nil {
				t.Error("the client's side did not end")
			}
			if time.Since(start) < 100*time.Millisecond {
				t.Error("it ended too early")
			}
			<-over
			wantQuiet(t, p)
			wantNoConnections(t, p)
		})
	}
}

// TestUpgradeToClusterOfHTTP2 upgrades where everything else is HTTP/2.
func TestUpgradeToClusterOfHTTP2(t *testing.T) {
	primary := peer(t, func(w *wire) {
		if b, _ := w.r.Peek(3); string(b) == "PRI" {
			f := newFrames(w)
			_, _ = io.CopyN(io.Discard, w.r, int64(len(http2.ClientPreface)))
			_ = f.WriteSettings()
			for h := f.requestHead(); h != nil; h = f.requestHead() {
				f.head(h.StreamID, true, ":status", "200")
			}
			return
		}
		talk(w)
	})
	p, addr := serve(t, newScene(primary).over(t, h2c), proxy.Options{Concurrency: 1})
	get(t, addr, 2)
	c := dial(t, addr)
	c.send(upgradeRequest + "early\n")
	if resp, _ := c.response("GET"); resp.StatusCode != 101 {
		t.Fatalf("%d", resp.StatusCode)
	}
	tunneled(t, c)
	get(t, addr, 2)
	wantQuiet(t, p)
}

// TestConnectThroughBufio keeps bytes that came with the CONNECT's answer.
func TestConnectThroughBufio(t *testing.T) {
	_, addr := serve(t, explicit(newScene(backend(t, echo))), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\nGET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	c.connects()
	resp, err := http.ReadResponse(bufio.NewReader(c.r), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "GET /in " || fmt.Sprint(resp.Header["Server"]) != "[]" {
		t.Errorf("%q %v: HTTP inside a tunnel is not the proxy's business", body, resp.Header)
	}
}
