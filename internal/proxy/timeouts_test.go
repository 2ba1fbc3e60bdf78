package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

const short = 150 * time.Millisecond

// TestSlowHead sends a head that does not come to its end.
func TestSlowHead(t *testing.T) {
	s := newScene(backend(t, echo))
	s.hcm.RequestHeadersTimeout = durationpb.New(short)
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	n := 0
	for _, before := range []string{"", "GET /first HTTP/1.1\r\nHost: x\r\n\r\n"} {
		for _, head := range []string{"GET /", "G", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
			c := dial(t, addr)
			if before != "" { // the connection has served already
				c.send("%s", before)
				c.response("GET")
				n++
			}
			c.send("%s", head)
			if resp, _ := c.response("GET"); resp.StatusCode != 408 || !resp.Close {
				t.Errorf("%q: %d, close %v", head, resp.StatusCode, resp.Close)
			}
			c.wantEnd("after a slow head")
			if got := sink.wait(t, traffic.Answered, n); got.primary.Status != 408 || got.primary.Details != "request_header_timeout" {
				t.Errorf("recorded %+v", got.primary)
			}
			n++
		}
	}
	wantQuiet(t, p)
}

// TestSlowBody sends a body that does not come to its end.
func TestSlowBody(t *testing.T) {
	for _, down := range []protocol{h1, h2c} {
		for _, up := range []protocol{h1, h2c} {
			t.Run(fmt.Sprintf("%s to %s", down, up), func(t *testing.T) {
				take := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
				s := newScene(up.backend(t, take), up.backend(t, take)).over(t, up, up)
				s.hcm.RequestTimeout = durationpb.New(short)
				sink := &recorder{}
				p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
				if down == h1 {
					c := dial(t, addr)
					c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
					if resp, _ := c.response("POST"); resp.StatusCode != 408 || !resp.Close {
						t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
					}
					c.wantEnd("after a slow body")
				} else {
					f := dialFrames(t, addr)
					f.ask(1, "POST", "/", false, "content-length", "10")
					_ = f.WriteData(1, false, []byte("hello"))
					if status, _ := f.answered(1); status != "408" {
						t.Errorf("%s", status)
					}
					if r := want[*http2.RSTStreamFrame](f); r.ErrCode != http2.ErrCodeNo {
						t.Errorf("%v", r)
					}
					f.ask(3, "GET", "/", true)
					if status, _ := f.answered(3); status != "200" {
						t.Errorf("the next stream: %s", status)
					}
				}
				if got := sink.wait(t, traffic.Settled, 0); got.primary.Details != "request_overall_timeout" || got.shadows[0].Outcome != "request_incomplete" {
					t.Errorf("recorded %+v", got)
				}
				wantQuiet(t, p)
			})
		}
	}
}

// TestStreamDuration ends exchanges that take too long, whatever moves.
func TestStreamDuration(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			<-r.Context().Done()
			return
		}
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "more"); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	s := newScene(primary)
	s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxStreamDuration: durationpb.New(short)}
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	f := dialFrames(t, addr)
	f.ask(1, "GET", "/", true)
	want[*http2.MetaHeadersFrame](f)
	for {
		fr := f.read()
		if r, ok := fr.(*http2.RSTStreamFrame); ok && r.StreamID == 1 {
			break
		}
		if d, ok := fr.(*http2.DataFrame); !ok || d.StreamEnded() {
			t.Fatalf("%v", fr)
		}
	}
	if got := sink.wait(t, traffic.Answered, 0); got.primary.Flags != "-" || got.primary.Details != "max_duration_timeout" {
		t.Errorf("recorded %+v", got.primary)
	}
	f.ask(3, "GET", "/never", true)
	if status, body := f.answered(3); status != "504" || body != "downstream duration timeout" {
		t.Errorf("without an answer: %s %q", status, body)
	}
	wantQuiet(t, p)
}

// TestRequestsPerConnection limits what a client's connection may serve.
func TestRequestsPerConnection(t *testing.T) {
	s := newScene(backend(t, echo))
	s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxRequestsPerConnection: uint32Of(2)}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for i := range 2 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := c.response("GET"); resp.Close != (i == 1) {
			t.Errorf("request %d: close %v", i, resp.Close)
		}
	}
	c.wantEnd("after two requests")
	f := dialFrames(t, addr)
	f.ask(1, "GET", "/", true)
	f.answered(1)
	f.ask(3, "GET", "/", true)
	for goAways, answered := 0, false; goAways < 2 || !answered; {
		switch fr := f.read().(type) {
		case *http2.GoAwayFrame:
			goAways++
			if fr.ErrCode != http2.ErrCodeNo {
				t.Errorf("%v", fr)
			}
		case *http2.DataFrame:
			answered = fr.StreamEnded() && fr.StreamID == 3
		case nil:
			t.Fatalf("the connection ended after %d GOAWAY, answered %v", goAways, answered)
		}
	}
	if fr := f.read(); fr != nil {
		t.Errorf("%v after the end", fr)
	}
	wantQuiet(t, p)
}

// TestConnectionDuration ends connections that have lived long enough.
func TestConnectionDuration(t *testing.T) {
	s := newScene(backend(t, echo))
	s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxConnectionDuration: durationpb.New(short)}
	_, addr := serve(t, s, proxy.Options{Concurrency: 1})
	c, f := dial(t, addr), dialFrames(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.response("GET")
	f.ask(1, "GET", "/", true)
	f.answered(1)
	c.wantEnd("a connection that rests")
	for fr := f.read(); fr != nil; fr = f.read() {
		if _, ok := fr.(*http2.GoAwayFrame); !ok {
			t.Errorf("%v at the end", fr)
		}
	}
}
