//go:build linux && !portable

// With the portable driver a clock of the test is not followed in time.

package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestWhatIsLate has a service that never answers, and requests that are
// complete or not. The answers are those of Envoy 1.40.
func TestWhatIsLate(t *testing.T) {
	never := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for _, c := range []struct {
		name             string
		configure        func(s *scene)
		complete, status string // and of a request that is not complete
		body             string
		grpc             string // grpc-status of one that is not
		flags, details   string
	}{
		{"max_stream_duration", func(s *scene) {
			s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxStreamDuration: durationpb.New(short)}
		}, "504", "408", "downstream duration timeout", "4", "-", "max_duration_timeout"},
		{"stream_idle_timeout", func(s *scene) { s.hcm.StreamIdleTimeout = durationpb.New(short) }, "504", "408", "stream timeout", "2", "SI", "stream_idle_timeout"},
		{"request_timeout", func(s *scene) { s.hcm.RequestTimeout = durationpb.New(short) }, "", "408", "request timeout", "2", "-", "request_overall_timeout"},
	} {
		for _, up := range []protocol{h1, h2c} {
			t.Run(fmt.Sprintf("%s to %s", c.name, up), func(t *testing.T) {
				s := newScene(up.backend(t, never)).over(t, up)
				c.configure(s)
				sink := &recorder{}
				p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
				n := 0
				check := func(what, status, body, wantStatus string) {
					t.Helper()
					if status != wantStatus || body != c.body {
						t.Errorf("%s: %s %q", what, status, body)
					}
					if got := sink.wait(t, traffic.Answered, n); got.primary.Flags != c.flags || got.primary.Details != c.details {
						t.Errorf("%s: recorded %+v", what, got.primary)
					}
					n++
				}
				f := dialFrames(t, addr)
				if c.complete != "" {
					w := dial(t, addr)
					w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					resp, body := w.response("GET")
					check("complete", fmt.Sprint(resp.StatusCode), body, c.complete)
					f.ask(1, "GET", "/", true)
					status, body := f.answered(1)
					check("complete over HTTP/2", status, body, c.complete)
				}
				w := dial(t, addr)
				w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")
				resp, body := w.response("POST")
				check("incomplete", fmt.Sprint(resp.StatusCode), body, c.status)
				w.wantEnd("a request that was cut off")
				f.ask(3, "POST", "/", false)
				_ = f.WriteData(3, false, []byte("hello"))
				status, body := f.answered(3)
				check("incomplete over HTTP/2", status, body, c.status)
				want[*http2.RSTStreamFrame](f)
				f.ask(5, "POST", "/", false, "content-type", "application/grpc")
				if h := want[*http2.MetaHeadersFrame](f); fieldOf(h, "grpc-status") != c.grpc || fieldOf(h, "grpc-message") != c.body || !h.StreamEnded() {
					t.Errorf("gRPC: %v", h.Fields)
				}
				wantQuiet(t, p)
			})
		}
	}
}

func fieldOf(h *http2.MetaHeadersFrame, name string) string {
	for _, f := range h.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// TestRequestTimeoutAfterAnswer leaves a request alone whose answer has begun,
// as Envoy does.
func TestRequestTimeoutAfterAnswer(t *testing.T) {
	got := make(chan string, 1)
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		all, _ := io.ReadAll(r.Body)
		got <- string(all)
	})
	clock := &clock{}
	s := newScene(primary)
	s.hcm.RequestTimeout = durationpb.New(time.Minute)
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Clock: clock.now})
	f := dialFrames(t, addr)
	f.ask(1, "POST", "/", false)
	want[*http2.MetaHeadersFrame](f)
	clock.pass(p, 2*time.Minute)
	_ = f.WriteData(1, true, []byte("late"))
	if all := <-got; all != "late" {
		t.Errorf("%q", all)
	}
}

// clock is one that tests let pass.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Duration { return time.Duration(c.at.Load()) }

// pass lets the time pass, and the loops see it.
func (c *clock) pass(p *proxy.Proxy, d time.Duration) {
	c.at.Add(int64(d))
	for range 3 {
		p.Status()
	}
}

// TestUnfinishedHeads begins heads that do not come to their end.
func TestUnfinishedHeads(t *testing.T) {
	for name, c := range map[string]struct {
		configure func(s *scene)
		after     time.Duration
		details   string
	}{
		"by default":              {func(*scene) {}, time.Minute, "request_header_timeout"},
		"request_headers_timeout": {func(s *scene) { s.hcm.RequestHeadersTimeout = durationpb.New(5 * time.Second) }, 5 * time.Second, "request_header_timeout"},
		"request_timeout":         {func(s *scene) { s.hcm.RequestTimeout = durationpb.New(5 * time.Second) }, 5 * time.Second, "request_overall_timeout"},
		"stream_idle_timeout":     {func(s *scene) { s.hcm.StreamIdleTimeout = durationpb.New(5 * time.Second) }, 5 * time.Second, "stream_idle_timeout"},
		"max_stream_duration": {func(s *scene) {
			s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxStreamDuration: durationpb.New(5 * time.Second)}
		}, 5 * time.Second, "max_duration_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			clock, sink, s := &clock{}, &recorder{}, newScene(backend(t, echo))
			c.configure(s)
			p, addr := serve(t, s, proxy.Options{Concurrency: 1, Clock: clock.now, Sink: sink})
			w, half := dial(t, addr), dial(t, addr)
			w.send("GET / HTTP/1.1\r\nHost: x\r\n")
			half.send("PRI * HT")
			f := dialFrames(t, addr)
			f.ask(1, "GET", "/", true)
			f.answered(1)
			block := http2.HeadersFrameParam{StreamID: 3, EndStream: true, BlockFragment: []byte{0x82}}
			_ = f.WriteHeaders(block)
			eventually(t, "the beginnings of heads", func() bool { return stat(p, "http.test.downstream_cx_http2_total") == 1 })
			clock.pass(p, 0)
			clock.pass(p, c.after-100*time.Millisecond)
			if n := len(sink.seen()); n != 1 {
				t.Fatalf("%d recorded too early", n)
			}
			clock.pass(p, 200*time.Millisecond)
			if g := want[*http2.GoAwayFrame](f); g.ErrCode != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("%v", g)
			}
			for _, w := range []*wire{w, half} {
				if resp, _ := w.response("GET"); resp.StatusCode != 408 {
					t.Errorf("%d", resp.StatusCode)
				}
			}
			for i := 1; i < 4; i++ {
				got := sink.wait(t, traffic.Answered, i).primary
				if got.Status != 408 || got.Details != c.details && got.Details != "request_header_timeout" {
					t.Errorf("recorded %+v", got)
				}
			}
		})
	}
}

// TestNoSettings has peers of HTTP/2 that do not send their SETTINGS, or do not
// acknowledge ours.
func TestNoSettings(t *testing.T) {
	clock := &clock{}
	p, addr := serve(t, newScene(backend(t, echo)), proxy.Options{Concurrency: 1, Clock: clock.now})
	none, silent := newFrames(dial(t, addr)), newFrames(dial(t, addr))
	none.send("%s", http2.ClientPreface)
	silent.send("%s", http2.ClientPreface)
	_ = silent.WriteSettings()
	silent.ask(1, "GET", "/", true)
	for { // and would serve, too
		if fr, err := silent.ReadFrame(); err != nil {
			t.Fatal(err)
		} else if d, ok := fr.(*http2.DataFrame); ok && d.StreamEnded() {
			break
		}
	}
	good := dialFrames(t, addr)
	good.ask(1, "GET", "/", true)
	good.answered(1)
	eventually(t, "three connections", func() bool { return stat(p, "http.test.downstream_cx_http2_total") == 3 })
	clock.pass(p, 14*time.Second)
	good.ask(3, "GET", "/", true)
	good.answered(3)
	clock.pass(p, 2*time.Second)
	for _, f := range []*frames{none, silent} {
		if g := want[*http2.GoAwayFrame](f); g.ErrCode != http2.ErrCodeSettingsTimeout {
			t.Errorf("%v", g)
		}
	}
	good.ask(5, "GET", "/", true)
	good.answered(5)
}

// TestNoSettingsOfEndpoint has endpoints that take requests and say nothing.
func TestNoSettingsOfEndpoint(t *testing.T) {
	clock := &clock{}
	told, asked := make(chan http2.ErrCode, 1), make(chan bool, 1)
	primary := peer(t, func(w *wire) {
		f := newFrames(w)
		_, _ = io.CopyN(io.Discard, w.r, int64(len(http2.ClientPreface)))
		for {
			switch fr, err := f.ReadFrame(); fr := fr.(type) {
			case *http2.MetaHeadersFrame:
				asked <- true
			case *http2.GoAwayFrame:
				told <- fr.ErrCode
			default:
				if err != nil {
					return
				}
			}
		}
	})
	s := newScene(primary).over(t, h2c)
	s.action.Timeout = durationpb.New(0)
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Clock: clock.now})
	w := dial(t, addr)
	w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	clock.pass(p, 59*time.Second)
	clock.pass(p, 2*time.Second)
	if code := <-told; code != http2.ErrCodeSettingsTimeout {
		t.Errorf("%v", code)
	}
	if resp, _ := w.response("GET"); resp.StatusCode != 502 {
		t.Errorf("%d", resp.StatusCode)
	}
	wantQuiet(t, p)
	wantNoConnections(t, p)
}

// TestPingsDoNotKeep has a client whose connection rests but for PINGs.
func TestPingsDoNotKeep(t *testing.T) {
	clock := &clock{}
	s := newScene(backend(t, echo))
	s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(time.Minute)}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Clock: clock.now})
	f := dialFrames(t, addr)
	for id := uint32(1); id < 9; id += 2 { // requests do
		f.ask(id, "GET", "/", true)
		f.answered(id)
		clock.pass(p, 40*time.Second)
	}
	_ = f.WritePing(false, [8]byte{1})
	if fr, err := f.ReadFrame(); err != nil {
		t.Fatal(err)
	} else if ping, ok := fr.(*http2.PingFrame); !ok || !ping.IsAck() {
		t.Fatalf("%v", fr)
	}
	clock.pass(p, 30*time.Second)
	for fr := f.read(); fr != nil; fr = f.read() {
		if _, ok := fr.(*http2.GoAwayFrame); !ok {
			t.Errorf("%v", fr)
		}
	}
}
