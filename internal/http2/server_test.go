package http2_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
	xhttp2 "golang.org/x/net/http2"
)

func (p *peer) want(lines ...string) {
	p.t.Helper()
	if diff := cmp.Diff(lines, p.frames()); diff != "" {
		p.t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestServerBegins(t *testing.T) {
	p := newPeer(t, false, http2.Options{MaxStreams: 7, StreamWindow: 1000, Limits: http1.Limits{Bytes: 5000}})
	p.want("SETTINGS 0 ack=false [MAX_CONCURRENT_STREAMS = 7] [INITIAL_WINDOW_SIZE = 1000] [MAX_HEADER_LIST_SIZE = 5000]",
		"WINDOW_UPDATE 0 983041")
	p.do(p.WriteSettings())
	p.feed()
	p.want("SETTINGS 0 ack=true")
}

func TestServerExchange(t *testing.T) {
	p := server(t, http2.Options{})
	p.post(1, "content-length", "5", "te", "trailers")
	p.feed()
	s := p.opened.last(t)
	var w wakes
	s.Bind(&w)
	h, f, ok := s.Head()
	if !ok || f != length(5) || string(h.Method()) != "POST" || !h.HTTP2 {
		t.Fatalf("head %v, framing %v, method %q", ok, f, h.Method())
	}
	if _, _, again := s.Head(); again {
		t.Error("the head comes twice")
	}
	p.do(p.WriteDataPadded(1, false, []byte("he"), []byte{0, 0, 0}))
	p.do(p.WriteData(1, true, []byte("llo")))
	p.feed()
	if body, done, err := readAll(s); body != "hello" || !done || err != nil {
		t.Errorf("body %q, done %t, error %v", body, done, err)
	}
	if w == 0 {
		t.Error("no wake-up")
	}
	s.SendHead(response(100), traffic.Framing{}, false)
	s.SendHead(response(200, "a", "b", "content-length", "9"), chunked, false)
	s.Write([]byte("hi"))
	s.End(response(0, "grpc-status", "0"))
	s.Release()
	p.want("HEADERS 1 :status=100", "HEADERS 1 :status=200 a=b", "DATA 1 2", "HEADERS 1 grpc-status=0 end")
	if why := p.conn.Idle(nil); why != "" {
		t.Error(why)
	}
}

func TestServerSparesTheEndFrame(t *testing.T) {
	p := server(t, http2.Options{})
	for id := uint32(1); id <= 7; id += 2 {
		p.get(id)
	}
	p.feed()
	s := p.opened.streams
	s[0].SendHead(response(200), length(2), false)
	s[0].Write([]byte("hi"))
	s[0].End(nil)
	s[1].SendHead(response(204), traffic.Framing{}, true)
	s[2].SendHead(response(200, "trailer", "sum"), length(2), false)
	s[2].Write([]byte("hi"))
	s[2].End(response(0, "sum", "1"))
	s[3].SendHead(response(200, "content-length", "77"), traffic.Framing{}, true) // to HEAD
	p.want("HEADERS 1 :status=200 content-length=2", "DATA 1 2 end", "HEADERS 3 :status=204 end",
		"HEADERS 5 :status=200 trailer=sum content-length=2", "DATA 5 2", "HEADERS 5 sum=1 end",
		"HEADERS 7 :status=200 content-length=77 end")
}

func TestRequestTrailersAndContinuation(t *testing.T) {
	p := server(t, http2.Options{})
	big := strings.Repeat("x", 20000)
	b := p.block(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", "big", big)
	p.do(p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:9], PadLength: 3, Priority: xhttp2.PriorityParam{StreamDep: 3, Weight: 1}}))
	p.do(p.WriteContinuation(1, false, b[9:10000]))
	p.do(p.WriteContinuation(1, true, b[10000:]))
	p.headers(1, true, "sum", "5")
	p.feed()
	s := p.opened.last(t)
	h, f, _ := s.Head()
	if v, _ := h.Get("big"); string(v) != big || f != chunked {
		t.Errorf("field of %d bytes, framing %v", len(v), f)
	}
	if _, done, err := s.Next(); !done || err != nil {
		t.Errorf("done %t, error %v", done, err)
	}
	if v, _ := s.Trailers().Get("sum"); string(v) != "5" {
		t.Errorf("trailer %q", v)
	}
	s.SendHead(response(200, "big", big), chunked, false)
	var kinds []string
	for _, f := range p.frames() {
		kinds = append(kinds, f[:min(len(f), 22)])
	}
	if diff := cmp.Diff([]string{"HEADERS 1 :status=200 "}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestReleaseOfAServersStream(t *testing.T) {
	tests := []struct {
		name string
		act  func(s *http2.Stream)
		want []string
	}{
		{"without an answer", func(*http2.Stream) {}, []string{"RST_STREAM 1 INTERNAL_ERROR"}},
		{"within an answer", func(s *http2.Stream) {
			s.SendHead(response(200), chunked, false)
			s.Write([]byte("x"))
		}, []string{"HEADERS 1 :status=200", "DATA 1 1", "RST_STREAM 1 INTERNAL_ERROR"}},
		{"rest of the request not wanted", func(s *http2.Stream) {
			s.SendHead(response(413), length(0), true)
		}, []string{"HEADERS 1 :status=413 content-length=0 end", "RST_STREAM 1 NO_ERROR"}},
		{"reset", func(s *http2.Stream) {
			s.Reset(http2.ErrCodeEnhanceYourCalm)
		}, []string{"RST_STREAM 1 ENHANCE_YOUR_CALM"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := server(t, http2.Options{})
			p.post(1)
			p.do(p.WriteData(1, false, make([]byte, 1000)))
			p.feed()
			s := p.opened.last(t)
			tt.act(s)
			s.Release()
			p.want(tt.want...)
			p.do(p.WriteData(1, false, make([]byte, 1000))) // on its way already
			p.headers(1, true, "sum", "1")
			p.feed()
			p.want()
			if why := p.conn.Idle(nil); why != "" {
				t.Error(why)
			}
		})
	}
}

func TestReleasedStreamSendsOn(t *testing.T) {
	p := newPeer(t, false, http2.Options{})
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10}))
	p.post(1)
	p.feed()
	p.frames()
	s := p.opened.last(t)
	s.SendHead(response(200), chunked, false)
	s.Write(make([]byte, 25))
	s.End(response(0, "sum", "25"))
	if s.Pending() != 15 {
		t.Errorf("%d bytes pending, want 15", s.Pending())
	}
	s.Release()
	p.do(p.WriteWindowUpdate(1, 10))
	p.feed()
	p.want("HEADERS 1 :status=200", "DATA 1 10", "DATA 1 10")
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 15}))
	p.feed()
	p.want("SETTINGS 0 ack=true", "DATA 1 5", "HEADERS 1 sum=25 end", "RST_STREAM 1 NO_ERROR")
	if p.conn.ActiveStreams() != 0 {
		t.Error("the stream is still there")
	}
}

func TestHeaderTableOfThePeer(t *testing.T) {
	p := newPeer(t, false, http2.Options{})
	p.ReadMetaHeaders = nil
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 0}))
	p.get(1)
	p.get(3)
	p.feed()
	p.out.take()
	for i, want := range [][]byte{{0x20, 0x88}, {0x88}} {
		s := p.opened.streams[i]
		s.SendHead(response(200), traffic.Framing{}, true)
		if got := p.out.take()[9:]; !bytes.Equal(got, want) {
			t.Errorf("block %d is %x, want %x", i, got, want)
		}
	}
}

func TestRefusedStreams(t *testing.T) {
	p := server(t, http2.Options{MaxStreams: 2})
	for id := uint32(1); id <= 5; id += 2 {
		p.get(id)
	}
	p.feed()
	p.want("RST_STREAM 5 REFUSED_STREAM")
	// Streams that the client has reset make room on the wire, but their
	// exchanges still run.
	p.do(p.WriteRSTStream(1, xhttp2.ErrCodeCancel))
	p.do(p.WriteRSTStream(3, xhttp2.ErrCodeCancel))
	p.get(7)
	p.get(9)
	p.do(p.WriteRSTStream(7, xhttp2.ErrCodeCancel))
	p.get(11)
	p.feed()
	p.want("RST_STREAM 11 REFUSED_STREAM")
	for _, s := range p.opened.streams {
		s.Release()
	}
	p.want("RST_STREAM 9 INTERNAL_ERROR")
	p.get(13)
	p.feed()
	p.want()
	if len(p.opened.streams) != 5 {
		t.Errorf("%d streams opened, want 5", len(p.opened.streams))
	}
}

func TestResetByTheClient(t *testing.T) {
	p := server(t, http2.Options{})
	p.post(1)
	p.do(p.WriteData(1, false, make([]byte, 100)))
	p.do(p.WriteRSTStream(1, xhttp2.ErrCodeCancel))
	p.feed()
	s := p.opened.last(t)
	_, _, err := s.Next()
	if err == nil || !errors.Is(err, s.Err()) || err.Error() != "http2: stream reset by the peer: CANCEL" {
		t.Errorf("error %v, and %v", err, s.Err())
	}
	s.SendHead(response(200), chunked, false)
	s.Write([]byte("x"))
	s.End(nil)
	s.Release()
	p.want()
	if why := p.conn.Idle(nil); why != "" {
		t.Error(why)
	}
}

func TestDrainOfAServer(t *testing.T) {
	p := server(t, http2.Options{})
	p.get(1)
	p.feed()
	p.conn.Drain()
	p.get(3) // on its way
	p.feed()
	p.want("GOAWAY 2147483647 NO_ERROR", "PING ack=false 647261696e696e67")
	p.do(p.WritePing(true, [8]byte([]byte("draining"))))
	p.get(5) // against the rule, or it has not come yet
	p.do(p.WriteRSTStream(5, xhttp2.ErrCodeCancel))
	p.feed()
	p.want("GOAWAY 3 NO_ERROR")
	for _, s := range p.opened.streams {
		if p.conn.Over() {
			t.Error("over while a stream is left")
		}
		s.SendHead(response(204), traffic.Framing{}, true)
		s.Release()
	}
	if !p.conn.Over() || len(p.opened.streams) != 2 {
		t.Errorf("over %t, %d streams opened", p.conn.Over(), len(p.opened.streams))
	}
}

func TestGoAwayAtOnce(t *testing.T) {
	p := server(t, http2.Options{})
	p.post(1)
	p.feed()
	p.conn.GoAway()
	p.conn.Drain() // says nothing new
	p.post(3)
	p.do(p.WriteData(3, true, make([]byte, 1000))) // the window must not leak
	p.do(p.WriteData(1, true, nil))
	p.feed()
	s := p.opened.last(t)
	s.SendHead(response(204), traffic.Framing{}, true)
	s.Release()
	p.want("GOAWAY 1 NO_ERROR", "HEADERS 1 :status=204 end")
	if why := p.conn.Idle(nil); why != "" || !p.conn.Over() || len(p.opened.streams) != 1 {
		t.Errorf("over %t, %d streams opened; %s", p.conn.Over(), len(p.opened.streams), why)
	}
}

func TestMalformedRequests(t *testing.T) {
	p := server(t, http2.Options{Limits: http1.Limits{Bytes: 500, Fields: 20}})
	p.headers(1, true, ":method", "GET")
	p.headers(3, true, append(getFields, "big", strings.Repeat("x", 600))...)
	p.headers(5, false, append(getFields, "big", strings.Repeat("x", 600))...)
	p.headers(7, true, append(getFields, "content-length", "4")...)
	p.get(9)
	p.feed()
	p.want("RST_STREAM 1 PROTOCOL_ERROR", "HEADERS 3 :status=431 content-length=0 end",
		"HEADERS 5 :status=431 content-length=0 end", "RST_STREAM 5 NO_ERROR", "RST_STREAM 7 PROTOCOL_ERROR")
	want := []string{"400 http2.violation.of.messaging.rule", "431 http2.too_many_headers", "431 http2.too_many_headers", "400 http2.violation.of.messaging.rule"}
	if diff := cmp.Diff(want, p.opened.rejected); diff != "" {
		t.Error(diff)
	}
	if len(p.opened.streams) != 1 || p.err != nil {
		t.Errorf("%d streams opened, error %v", len(p.opened.streams), p.err)
	}
}
